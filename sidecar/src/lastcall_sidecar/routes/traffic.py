"""Our own routes on the traffic listener (Gateway, Egress): unauthenticated, never counted."""

import asyncio
import functools
import json

import yaml
from quart import Quart, Response

from lastcall_sidecar.status import Status

from .common import make_app, problem, reply
from .openapi import docs_page, openapi


def traffic_app(status: Status) -> Quart:
    """The application that answers what does not go upstream."""
    app = make_app("lastcall-traffic")

    @app.get("/")
    async def index() -> Response:
        return reply(200, status.index())

    @app.get("/health")
    async def health() -> Response:
        return reply(*status.health())

    @app.get("/ready")
    async def ready() -> Response:
        return reply(*status.ready())

    @app.get("/livez")
    async def livez() -> Response:
        return reply(200, status.livez())

    def keys() -> bool:
        return bool(status.live.secrets.api_keys)

    @app.get("/openapi.json")
    async def openapi_json() -> Response:
        return reply(200, openapi(keys=keys()))

    @app.get("/openapi.yaml")
    async def openapi_yaml() -> Response:
        # In a thread: it takes half a second, which no stream should wait.
        told = await asyncio.to_thread(_as_yaml, keys())
        return Response(told, 200, content_type="application/yaml")

    @app.get("/docs")
    async def docs() -> Response:
        return Response(docs_page(openapi(keys=keys())), 200, content_type="text/html; charset=utf-8")

    @app.errorhandler(404)
    async def not_found(_: Exception) -> Response:
        return problem(404, "there is no such route here; GET / lists them")

    return app


@functools.cache
def _as_yaml(keys: bool) -> str:
    """The description, which is always the same. By way of JSON: what stands there twice is no alias then."""
    return yaml.safe_dump(json.loads(json.dumps(openapi(keys=keys))), sort_keys=False)
