"""The life of the process: build, listen, obey signals, drain, leave.

The way out loses nothing: first the drain ends, then every byte that a client is owed is in the kernel's hands, then
the listeners close, then what observes us is flushed. No time-out of a library ends a stream.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from . import __version__
from .app import Guarded, Traffic
from .bodies import Bodies
from .config_watch import ConfigWatch
from .control import ControlSocket
from .core import drain as lifecycle
from .core.admission import Admission
from .core.budget import Budget
from .core.drain import DrainLimits
from .core.inflight import InFlight
from .drain_loop import DrainLoop
from .live import Live
from .pipeline import Pipeline
from .reports import Reports
from .routes import admin_app, traffic_app
from .server import ConnectionLimits, Listener
from .settings import Loaded, Settings, is_loopback, split_address
from .sockets import ADMIN_CONNECTIONS, allow_descriptors, shown, traffic_connections
from .status import Status
from .telemetry.metrics import Metrics
from .waiting import Turnstile

#: Seconds for the last flush of telemetry; whoever does not answer by then is not waited for.
FLUSH_SECONDS = 10.0
#: Seconds that clients have to take their last bytes when the drain's ceiling has passed.
LAST_BYTES_SECONDS = 5.0
#: Seconds for the answers to those who waited for the drain's end, and how often we look whether they have them.
WAITERS_SECONDS = 1.0
WAITERS_POLL_SECONDS = 0.01
#: Where the kubelet looks for a container's last word.
TERMINATION_MESSAGE = Path("/dev/termination-log")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which pod we are, by the downward API; empty elsewhere."""

    pod: str = ""
    pod_uid: str = ""


class Sidecar:
    """Everything that one process is made of."""

    def __init__(self, loaded: Loaded, identity: Identity) -> None:
        clock = asyncio.get_running_loop().time
        self.live = Live(loaded)
        self.gauge = InFlight()
        self.drains = DrainLoop(self.gauge, self._drain_limits, lambda: self.pipeline.expire(), clock)  # noqa: PLW0108
        limits = loaded.settings.limits
        self.turnstile = Turnstile(Admission(limits.max_concurrent, limits.max_queued))
        self.bodies = Bodies(Budget(limits.max_buffered_bytes))
        self.metrics = Metrics(self.gauge, lambda: self.drains.draining, self.live)
        self.drains.on_ended = self.metrics.drain_ended
        self.pipeline = Pipeline(
            live=self.live,
            gauge=self.gauge,
            drains=self.drains,
            turnstile=self.turnstile,
            bodies=self.bodies,
            reports=Reports(self.metrics),
        )
        self.status = Status(
            gauge=self.gauge,
            drains=self.drains,
            turnstile=self.turnstile,
            live=self.live,
            pod=identity.pod,
            pod_uid=identity.pod_uid,
        )
        self._connection_limits = _connection_limits(loaded.settings)
        self.live.on_change.append(self._reconfigure)
        listen = loaded.settings.listen
        self._traffic_address = split_address(listen.traffic)
        self._admin_address = split_address(listen.admin)
        self.traffic = Listener(
            "traffic",
            Traffic(traffic_app(self.status), self.pipeline, self.live, loopback=is_loopback(self._traffic_address[0])),
            lambda: self._connection_limits,
            max_connections=traffic_connections(),
        )
        self._admin_app = Guarded(
            admin_app(self.status, self.metrics), self.live, loopback=is_loopback(self._admin_address[0])
        )
        self.admin = Listener(
            "admin", self._admin_app, lambda: self._connection_limits, max_connections=ADMIN_CONNECTIONS
        )
        self.control = ControlSocket(
            Path(loaded.settings.admin.control_socket), self.drains, lambda: self.status.livez_whole(clock())
        )

    def _drain_limits(self) -> DrainLimits:
        drain = self.live.settings.drain
        return DrainLimits(settle_seconds=drain.settle_seconds, ceiling_seconds=drain.ceiling_seconds)

    def _reconfigure(self, settings: Settings) -> None:
        self._connection_limits = _connection_limits(settings)
        self.turnstile.reconfigure(settings.limits.max_concurrent, settings.limits.max_queued)
        self.bodies.resize(settings.limits.max_buffered_bytes)

    async def start(self) -> None:
        """Listen everywhere.

        Errors: OSError, naming what could not be bound.
        """
        await self.control.start()
        for listener, address in ((self.admin, self._admin_address), (self.traffic, self._traffic_address)):
            host, port = await listener.start(*address)
            log.info("listening", listener=listener.name, address=shown(host, port))

    async def leave(self) -> None:
        """The exit step: see the module."""
        now = asyncio.get_running_loop().time()
        until = max(lifecycle.deadline(self.drains.drain, self.drains.limits()) or now, now + LAST_BYTES_SECONDS)
        await self._flush(until)
        self.traffic.close()
        self.admin.close()
        while True:
            await self.drains.run()  # whatever came in between is served, too
            await self._flush(until)
            await self._answer_waiters()
            if self.drains.ended:  # nothing came meanwhile, over connections that are still open
                break
        self.control.close()
        await self.traffic.end()
        await self.admin.end()
        self.bodies.close()
        await self.live.close()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.to_thread(self.metrics.shutdown)
        except TimeoutError:
            log.warning("telemetry was not flushed in time", seconds=FLUSH_SECONDS)

    async def _answer_waiters(self) -> None:
        """Let those who waited for this moment hear of it: preStop hooks, ours and the app's."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WAITERS_SECONDS):
                while self.control.under_way or self._admin_app.under_way:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(WAITERS_POLL_SECONDS)

    async def _flush(self, until: float) -> None:
        """Wait until the kernel has every byte that a client is owed: until the ceiling, if one does not read."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self.traffic.flush()
                return
        log.error("the drain's ceiling was reached: clients that do not read lose their last bytes")


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        keep_alive_seconds=settings.listen.keep_alive_seconds,
        write_stall_seconds=settings.limits.write_stall_seconds,
    )


async def serve(loaded: Loaded, identity: Identity, reload: Callable[[Live], ConfigWatch] | None) -> int:
    """Serve until told to leave; returns the exit code.

    Errors: OSError when an address or the control socket cannot be bound.
    """
    allow_descriptors()
    sidecar = Sidecar(loaded, identity)
    await sidecar.start()
    loop = asyncio.get_running_loop()
    interrupts = 0

    def interrupted(name: str) -> None:
        nonlocal interrupts
        if name == "SIGINT":
            interrupts += 1
            if interrupts > 1 and sys.stdin is not None and sys.stdin.isatty():
                log.warning("interrupted twice: leaving at once", in_flight=sidecar.gauge.count)
                os._exit(130)
        log.info("signal received: draining", signal=name, in_flight=sidecar.gauge.count)
        sidecar.drains.terminate(name)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # SIGHUP: the terminal is closed. Under `nohup` it is ignored, and stays so.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, interrupted, number.name)
    watching = asyncio.create_task(reload(sidecar.live).run()) if reload is not None else None
    # What exists now lives until the end: the collector need not look at it again (worst stalls 45 → 10 ms).
    gc.collect()
    gc.freeze()
    gc.enable()
    log.info("serving", version=__version__, upstream=loaded.settings.upstream.url, mode=loaded.settings.mode.value)
    try:
        await sidecar.drains.run()
        await sidecar.leave()
    finally:
        if watching is not None:
            watching.cancel()
    totals = asdict(sidecar.gauge.totals)
    log.info("leaving", **totals)
    leave_word(totals)
    return 0


def leave_word(totals: Mapping[str, int], place: Path = TERMINATION_MESSAGE) -> None:
    """Leave the account as the container's termination message, for whoever asks what became of the streams.

    The kubelet puts it into the pod's status. Elsewhere there is no such file, and none is made.
    """
    if place.exists():
        with suppress(OSError):
            place.write_text(json.dumps({"lastcall": totals}))
