"""The webhook's routes: admission behind TLS, probes and metrics on the plain port."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from hypercorn.typing import ASGIFramework
from quart import Quart, Response, request

from lastcall_operator.removal.review import ReviewError
from lastcall_operator.telemetry.meters import CONTENT_TYPE, Meters

from .bodies import BoundedBodies
from .pods import Pods
from .removals import Removals
from .secret_path import REMOVALS_PATH, SecretPath

Answer = Callable[[Any], Awaitable[dict[str, Any]]]


def admission_app(pods: Pods, removals: Removals, path: SecretPath, first: Callable[[], str | None]) -> ASGIFramework:
    """What the API server calls, within the bounds of `bodies.py`.

    `first`: the older release that looks after the same namespaces. While there is one, everything passes as it is.
    """
    app = Quart("lastcall-admission")

    @app.post("/mutate/pods")
    async def new_pods() -> Response:
        return await _answered(pods.answer if first() is None else pods.untouched)

    async def decided(answer: Answer) -> Response:
        return await _answered(answer if first() is None else removals.allowed)

    @app.post(REMOVALS_PATH)
    async def open_path() -> Response:
        # Anybody's word, where the API server has been told another path: it gets an answer, and has no effect.
        return await decided(removals.answer if await path.is_open() else removals.without_effects)

    @app.post(f"{REMOVALS_PATH}/<word>")
    async def secret_path(word: str) -> Response:
        return await decided(removals.answer) if await path.admits(word) else Response("not found\n", 404)

    return BoundedBodies(app)


def probes_app(alive: Callable[[], bool], ready: Callable[[], bool], metrics: Meters) -> Quart:
    """What the kubelet and Prometheus call."""
    app = Quart("lastcall-probes")

    @app.get("/livez")
    async def livez() -> Response:
        return _said(alive())

    @app.get("/readyz")
    async def readyz() -> Response:
        return _said(ready())

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.exposition(), 200, content_type=CONTENT_TYPE)

    return app


async def _answered(answer: Answer) -> Response:
    try:
        try:
            body = msgspec.json.decode(await request.get_data())
        except RecursionError as error:
            raise ReviewError("nested too deeply") from error
        return Response(msgspec.json.encode(await answer(body)), 200, content_type="application/json")
    except (ReviewError, msgspec.DecodeError) as error:
        return Response(f"no AdmissionReview: {error}\n", 400, content_type="text/plain")


def _said(good: bool) -> Response:
    return Response("ok\n" if good else "not now\n", 200 if good else 503, content_type="text/plain")
