"""Drives the lifecycle of `core/drain.py`: gives it the time and the gauge, and tells whoever waits for a change.

Wakes when something happens (a request for a drain, an arrival, in flight 0) and at the next moment that the machine
names, at least each second while it is not SERVING.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from .core import drain as lifecycle
from .core.drain import Drain, DrainLimits, State
from .core.inflight import InFlight

#: While draining, the state is looked at this often even when nothing happens.
TICK_SECONDS = 1.0
#: While draining, a line in the log this often.
LOG_SECONDS = 10.0
#: A request that arrives after the ceiling is served, but may not hold the exit for longer than this: the kubelet's
#: grace period leaves 30 s behind the ceiling.
LATE_REQUEST_SECONDS = 10.0

log = structlog.get_logger(__name__)


class DrainLoop:
    """The one owner of the drain's state. `on_expired` ends what is still in flight when the ceiling has come."""

    def __init__(
        self,
        gauge: InFlight,
        limits: Callable[[], DrainLimits],
        on_expired: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._gauge = gauge
        self._limits = limits
        self._on_expired = on_expired
        self._clock = clock
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._terminating = False
        self._kept_at: float | None = None
        self._ceiling_seconds: float | None = None
        self.drain = Drain()
        #: Seconds that ended drains took, for the metrics.
        self.on_ended: Callable[[State, float], None] = lambda _state, _seconds: None

    @property
    def draining(self) -> bool:
        """Whether new work is no longer wanted."""
        return self.drain.state is not State.SERVING

    def ready(self, *, until_drained: bool) -> bool:
        """Whether the pod's readiness probe should succeed."""
        return lifecycle.ready(self.drain, terminating=self._terminating, until_drained=until_drained)

    @property
    def ended(self) -> bool:
        """Whether the drain has come to its end, and nothing that it had to end is left."""
        return self.drain.state is State.DRAINED or (self.drain.state is State.EXPIRED and not self._gauge.count)

    def limits(self) -> DrainLimits:
        """The limits in force; a final drain keeps the ceiling that it began with, whatever is configured since."""
        limits = self._limits()
        return limits if self._ceiling_seconds is None else replace(limits, ceiling_seconds=self._ceiling_seconds)

    # What happens to it.

    def request(self, reason: str, lease_seconds: float | None) -> Drain:
        """Begin, renew or finalise a drain; without `lease_seconds` it is final. Idempotent."""
        self._become(lifecycle.request(self.drain, self._clock(), reason=reason, lease_seconds=lease_seconds))
        return self.drain

    def cancel(self) -> Drain:
        """End a leased drain.

        Errors: IllegalTransition when there is none, or it is final.
        """
        self._become(lifecycle.cancel(self.drain, self._clock()))
        return self.drain

    def terminate(self, reason: str) -> None:
        """A SIGTERM or SIGINT: a final drain, at whose end the process leaves."""
        self._terminating = True
        self.request(reason, None)
        self._wake.set()

    def arrive(self) -> None:
        """A request arrived; it is served, whatever the state."""
        if self.draining:
            self._become(lifecycle.arrive(self.drain, self._clock()))

    def kept(self) -> None:
        """An answer ended whose head, older than the drain, let the client keep its connection.

        Its next request may be on the way at this moment: it counts as one that arrived, and is waited for.
        """
        if self.draining:
            self._kept_at = self._clock()

    @property
    def _last_request(self) -> float | None:
        return max((at for at in (self._gauge.last_request, self._kept_at) if at is not None), default=None)

    def idle(self) -> None:
        """In flight has reached 0."""
        if self.draining:
            self._wake.set()

    def _become(self, drain: Drain) -> None:
        before, self.drain = self.drain, drain
        if drain.final and not before.final:
            self._ceiling_seconds = self._limits().ceiling_seconds
        if before == drain:
            return
        self._wake.set()
        if before.state is drain.state:
            return
        log.info(
            "drain state changed",
            before=before.state.value,
            state=drain.state.value,
            reason=drain.reason,
            final=drain.final,
            in_flight=self._gauge.count,
        )
        if drain.state in {State.DRAINED, State.EXPIRED} and drain.since is not None:
            self.on_ended(drain.state, self._clock() - drain.since)
        if drain.state is State.EXPIRED:
            self._on_expired()

    # Waiting.

    async def run(self) -> None:
        """Drive the lifecycle until the process may leave."""
        logged_at = float("-inf")
        while True:
            now = self._clock()
            self._become(self._advanced(now))
            async with self._changed:
                self._changed.notify_all()
            if self._exit_due(now, in_flight=self._gauge.count):
                self._terminating = True  # who comes while it leaves does not put that off by another ceiling
                return
            self._end_late_requests(now)
            if self.draining and now - logged_at >= LOG_SECONDS:
                logged_at = now
                self._log(now)
            await self._sleep(now)

    def _exit_due(self, now: float, *, in_flight: int) -> bool:
        return lifecycle.exit_due(
            self.drain, now, terminating=self._terminating, in_flight=in_flight, limits=self.limits()
        )

    def _end_late_requests(self, now: float) -> None:
        """End those that alone keep the process from leaving: until it is to leave, they harm nobody."""
        waited_for = self.drain.state is State.EXPIRED and self._exit_due(now, in_flight=0)
        if waited_for and (self._gauge.oldest_seconds(now) or 0.0) > LATE_REQUEST_SECONDS:
            self._on_expired()

    def _advanced(self, now: float) -> Drain:
        return lifecycle.advance(
            self.drain, now, in_flight=self._gauge.count, last_request=self._last_request, limits=self.limits()
        )

    async def _sleep(self, now: float) -> None:
        self._wake.clear()
        if not self.draining:
            await self._wake.wait()
            return
        change_at = lifecycle.next_change(
            self.drain, now, in_flight=self._gauge.count, last_request=self._last_request, limits=self.limits()
        )
        wait = TICK_SECONDS if change_at is None else min(TICK_SECONDS, max(0.0, change_at - now))
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return

    def _log(self, now: float) -> None:
        drain, limits = self.drain, self.limits()
        ends = drain.final_since + limits.ceiling_seconds if drain.final_since is not None else drain.lease_expires
        log.info(
            "draining",
            state=drain.state.value,
            in_flight=self._gauge.count,
            oldest_request_seconds=_rounded(self._gauge.oldest_seconds(now)),
            seconds_left=_rounded(None if ends is None else ends - now),
        )

    async def wait_for(self, condition: Callable[["DrainLoop"], bool], timeout_seconds: float | None = None) -> bool:
        """Wait until the condition holds of this loop; False when it did not in time."""
        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: condition(self))
        except TimeoutError:
            return False
        return True


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
