"""The webhook process: everything put together, from the first certificate to the last answer.

Called by the command line; two of them run. On SIGTERM it is no longer ready, serves for as long as the API server may
still find it, and ends.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from lastcall_operator import logs
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.events import Events
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.observe import Observer
from lastcall_operator.cluster.releases import Precedence
from lastcall_operator.cluster.sidecars import Sidecars
from lastcall_operator.settings import Settings
from lastcall_operator.telemetry import tracing
from lastcall_operator.telemetry.metrics import Metrics

from .app import admission_app, probes_app
from .effects import Effects
from .pods import Pods
from .removals import Removals
from .secret_path import SecretPath
from .serving import end, everywhere, server
from .trust import Trust, server_context

#: Seconds of service after SIGTERM: connections arrive for about a second after the endpoint is gone.
FAREWELL_SECONDS = 5.0

log = structlog.get_logger("lastcall.webhook")


@dataclass(slots=True)
class Webhook:
    """A webhook that serves. `leaving` takes it out of the Service."""

    trust: Trust
    removals: Removals
    metrics: Metrics
    servers: list[asyncio.Task[None]]
    leaving: bool = False

    @property
    def ready(self) -> bool:
        """Whether the API server may call."""
        return self.trust.ready and not self.leaving


async def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Errors: ApiUnavailableError, when there is no way to the API server at all.
    """
    logs.set_up(settings.log_level, settings.log_format)
    tracing.set_up(settings.otlp_endpoint, "lastcall-webhook")
    asked_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_end.set)
    api = await Api.connect(kubeconfig=settings.kubeconfig, context=settings.context)
    async with api, running(settings, api) as webhook:
        log.info("webhook.started", namespaces=settings.namespaces, fullname=settings.fullname)
        await _first(asked_to_end, webhook.servers)
        webhook.leaving = True
        log.info("webhook.leaving", seconds=FAREWELL_SECONDS)
        await asyncio.sleep(FAREWELL_SECONDS)
    log.info("webhook.ended")


@asynccontextmanager
async def running(settings: Settings, api: Api, host: str | None = None) -> AsyncIterator[Webhook]:
    """A webhook that serves on both ports, of every address without a host; it ends with the block."""
    host = host or everywhere()
    metrics = Metrics()
    context = server_context()
    trust = Trust(api, settings, context, metrics)
    async with AsyncExitStack() as stack:
        stack.callback(metrics.shutdown)
        sidecars = await stack.enter_async_context(Sidecars())
        observer = Observer(api, sidecars)
        key = DrainKey(api, settings.own_namespace, settings.drain_key_secret)
        events = Events(api, time.time, instance=settings.pod_name)
        removals = Removals(api, observer, Effects(api, sidecars, key, events, metrics), metrics)
        pods = Pods(observer, settings.injection, metrics)
        ended = asyncio.Event()
        path = SecretPath(api, settings, key)
        precedence = Precedence(api, settings)
        admission = admission_app(pods, removals, path, lambda: precedence.first)
        webhook = Webhook(trust, removals, metrics, [])
        probes = probes_app(lambda: True, lambda: webhook.ready, metrics)
        keepers = [asyncio.create_task(trust.keep()), asyncio.create_task(path.keep())]
        keepers.append(asyncio.create_task(precedence.keep()))
        webhook.servers += [
            server(admission, f"{host}:{settings.webhook_port}", context, ended),
            server(probes, f"{host}:{settings.admin_port}", None, ended),
        ]
        try:
            yield webhook
        finally:
            ended.set()
            await end(webhook.servers)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await removals.finish()


async def _first(asked_to_end: asyncio.Event, servers: list[asyncio.Task[None]]) -> None:
    """Wait until somebody asks for the end, or a listener fails.

    Errors: OSError, of the listener.
    """
    asked = asyncio.create_task(asked_to_end.wait())
    done, _ = await asyncio.wait({asked, *servers}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    for server_task in done - {asked}:
        server_task.result()
