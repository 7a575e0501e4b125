"""What the process says of itself: `/livez`, `/health`, `/ready`, the control socket. A contract with the operator."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from . import __version__
from .core.drain import State
from .core.drain import deadline as drain_deadline
from .core.inflight import InFlight
from .drain_loop import DrainLoop
from .live import Live
from .settings.schema import Readiness
from .waiting import Turnstile


class Status:
    """Gathers the numbers. `clock` is monotonic; what leaves is wall-clock time, as RFC 3339."""

    def __init__(
        self, *, gauge: InFlight, drains: DrainLoop, turnstile: Turnstile, live: Live, pod: str, pod_uid: str
    ) -> None:
        self.pod_uid = pod_uid
        self.drains = drains
        self.turnstile = turnstile
        self.live = live
        self._gauge = gauge
        self._pod = pod
        self._started = datetime.now(UTC)
        self._told: dict[float, str] = {}

    def health(self) -> tuple[int, dict[str, Any]]:
        """200 while new work is wanted, 503 while draining: for load balancers that ask by themselves."""
        return (503, self._draining()) if self.drains.draining else (200, {"status": "ok"})

    def ready(self) -> tuple[int, dict[str, Any]]:
        """What the pod's readiness probe asks: 200 while it serves, and through a final drain until it leaves."""
        until_drained = self.live.settings.drain.readiness is Readiness.UNTIL_DRAINED
        if not self.drains.ready(until_drained=until_drained):
            return 503, self._draining()
        return 200, self._draining() if self.drains.draining else {"status": "ok"}

    def _draining(self) -> dict[str, Any]:
        drain = self.drains.drain
        return {
            "status": "draining",
            "state": drain.state.value,
            "reason": drain.reason,
            "in_flight": self._gauge.count,
        }

    def livez(self) -> dict[str, Any]:
        """The small gauge, for everybody."""
        return {
            "status": "ok",
            "in_flight": self._gauge.count,
            "draining": self.drains.draining,
            "timestamp": rfc3339(datetime.now(UTC)),
        }

    def livez_whole(self, now: float) -> dict[str, Any]:
        """The whole gauge, for the operator. `now` is monotonic seconds."""
        drain = self.drains.drain
        since, deadline, lease_expires = self._at(
            now, drain.since, drain_deadline(drain, self.drains.limits()), drain.lease_expires
        )
        oldest = self._gauge.oldest_seconds(now)
        loaded = self.live.loaded
        return {
            **self.livez(),
            "streams": self._gauge.streams,
            "queued": self._gauge.queued,
            "oldest_request_seconds": None if oldest is None else round(oldest, 1),
            "drain": {
                "state": drain.state.value,
                "reason": drain.reason,
                "final": drain.final,
                "since": since,
                "deadline": deadline,
                "lease_expires": lease_expires,
            },
            "config": {"generation": loaded.generation, "hash": loaded.hash, "error": self.live.error},
            "totals": asdict(self._gauge.totals),
            "pod": self._pod,
            "pod_uid": self.pod_uid,
            "started": rfc3339(self._started),
            "version": __version__,
        }

    def _at(self, now: float, *moments: float | None) -> list[str | None]:
        """The moments by the wall clock. Each is told alike as long as it is told: two clocks never agree twice."""
        wall = datetime.now(UTC).timestamp() - now
        known = self._told
        self._told = {
            moment: known.get(moment) or rfc3339(datetime.fromtimestamp(wall + moment, UTC))
            for moment in moments
            if moment is not None
        }
        return [None if moment is None else self._told[moment] for moment in moments]

    def index(self) -> dict[str, Any]:
        """What answers at `/`."""
        return {
            "service": "lastcall-sidecar",
            "version": __version__,
            "state": self.drains.drain.state.value,
            "endpoints": ENDPOINTS,
            "queue": {
                "running": self.turnstile.running,
                "queued": self.turnstile.queued,
                "maxConcurrent": self.live.settings.limits.max_concurrent,
                "maxQueued": self.live.settings.limits.max_queued,
            },
        }

    @property
    def finished(self) -> bool:
        """Whether a drain has come to its end."""
        return self.drains.drain.state in {State.DRAINED, State.EXPIRED}


ENDPOINTS = [
    "POST /v1/messages",
    "POST /v1/messages/count_tokens",
    "/v1/messages/batches",
    "GET /v1/models",
    "POST /v1/chat/completions",
    "GET /health",
    "GET /ready",
    "GET /livez",
    "GET /openapi.json",
    "GET /docs",
]


def rfc3339(moment: datetime) -> str:
    """A UTC moment as RFC 3339 with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
