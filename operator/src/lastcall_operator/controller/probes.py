"""Plain HTTP for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. Nothing else, and nothing secret."""

from collections.abc import Callable, Sequence

from aiohttp import web

from .loops import Loops
from .metrics import Metrics

#: Steps end when they are due, or are ended: a reconciler that is so late for one has stopped.
STALE_SECONDS = 60.0


class Probes:
    """The answers. `clock`: the event loop's."""

    def __init__(self, loops: Sequence[Loops[tuple[str, ...]]], metrics: Metrics, clock: Callable[[], float]) -> None:
        self._loops, self._metrics, self._clock = loops, metrics, clock
        self._began = clock()
        #: whether the watches have been begun
        self.ready = False

    @property
    def overdue_seconds(self) -> float:
        """For how long a reconciler is overdue: each says itself when it will look again."""
        now = self._clock()
        return max((0.0, *(each.overdue_seconds(now) for each in self._loops)))

    @property
    def age_seconds(self) -> float:
        """Seconds since a reconciler last came to its end; 0 where there is nothing to reconcile."""
        busy = [each for each in self._loops if len(each)]
        if not busy:
            return 0.0
        now = self._clock()
        return max(now - (self._began if each.finished is None else each.finished) for each in busy)

    def app(self) -> web.Application:
        """The routes."""
        found = web.Application()
        found.router.add_get("/livez", self._livez)
        found.router.add_get("/readyz", self._readyz)
        found.router.add_get("/metrics", self._figures)
        return found

    async def _livez(self, _: web.Request) -> web.Response:
        well = self.overdue_seconds < STALE_SECONDS
        body = {"status": "ok" if well else "stale", "lastReconcileAgeSeconds": round(self.age_seconds, 1)}
        return web.json_response(body, status=200 if well else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response({"ready": self.ready}, status=200 if self.ready else 503)

    async def _figures(self, _: web.Request) -> web.Response:
        text = self._metrics.text(self.age_seconds)
        return web.Response(text=text, content_type="text/plain", charset="utf-8")
