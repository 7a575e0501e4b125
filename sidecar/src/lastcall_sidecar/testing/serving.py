"""What every fake API does with a request, whichever vendor it plays: who asks, what is counted, how it goes wrong.

`api` and `openai.api` add the routes, the checks and the vendor's shapes; `fake_llm` serves them.
"""

import asyncio
import functools
import hashlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from lastcall_sidecar.testing import playing
from lastcall_sidecar.testing.directives import Directive, DirectiveError, Misbehavior
from lastcall_sidecar.testing.errors import HTML_502, FakeError
from lastcall_sidecar.testing.framing import Script
from lastcall_sidecar.testing.tally import MAX_KEPT_BODY_BYTES, Tally

#: The vendors' limit of a request ("Request size limits": 32 MB).
MAX_BODY_BYTES = 32 * 1024 * 1024
#: Scripts kept for requests that come again; a load test asks for few different ones.
_CACHED_SCRIPTS = 256
#: The API's own paths; the rest is about the fake itself and never counted.
_API_PATHS = ("/v1/", "/tokenize")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Api = Literal["Anthropic", "OpenAI", "vLLM", "DeepSeek", "Kimi", "Gemini", "OpenRouter"]
REQUEST_ID = web.RequestKey("request_id", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which API is faked, and how strictly. `require_key`: a request without a key gets a 401."""

    api: Api = "Anthropic"
    require_key: bool = True


class FakeAPI(ABC):
    """One fake with its counts; `application()` is what serves it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._numbers = itertools.count(1)
        self._cached: Callable[..., Script] = functools.lru_cache(_CACHED_SCRIPTS)(_written)
        self.tally = Tally()

    @abstractmethod
    def _routes(self) -> Iterable[web.RouteDef]:
        """Return the routes of the API."""

    @abstractmethod
    def _check_head(self, request: web.Request) -> None:
        """Refuse a request by its head alone. Errors: FakeError."""

    @abstractmethod
    def _headers(self, request: web.Request) -> dict[str, str]:
        """Return what every answer has in its head."""

    @abstractmethod
    def _error_body(self, request: web.Request, error: FakeError) -> bytes:
        """Tell an error in the vendor's JSON."""

    @abstractmethod
    def _asked_for(self, directive: Directive) -> FakeError:
        """Return the error that a directive asked for, in the vendor's words."""

    def application(self) -> web.Application:
        """Build the application, once per event loop."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._account])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/__stats", self._stats),
                web.get("/__requests", self._requests),
                web.post("/v1/fake/echo", self._echo),
                *self._routes(),
            ]
        )
        return app

    @web.middleware
    async def _account(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count each request of the API, give it its id, and turn errors into answers."""
        request[REQUEST_ID] = f"req_fake{next(self._numbers):016d}"
        if not request.path.startswith(_API_PATHS):
            return await self._answer(request, handler)
        self.tally.begin()
        resource = request.match_info.route.resource
        self.tally.paths[resource.canonical if resource is not None else "elsewhere"] += 1
        try:
            response = await self._answer(request, handler)
            if not request.get(playing.SPOILED):
                await response.prepare(request)
                await response.write_eof()
        except (asyncio.CancelledError, ConnectionError):
            self.tally.disconnected += 1
            raise
        else:
            self.tally.statuses[response.status] += 1
            if request.get(playing.SPOILED):
                self.tally.misbehaved += 1
            else:
                self.tally.completed += 1
            return response
        finally:
            self.tally.active -= 1

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path.startswith(_API_PATHS):
                self._check_head(request)
            return await handler(request)
        except FakeError as error:
            return self._refusal(request, error)
        except DirectiveError as error:
            return self._refusal(request, FakeError(400, str(error)))
        except web.HTTPRequestEntityTooLarge:
            return self._refusal(request, FakeError(413, "Request exceeds the maximum size"))
        except web.HTTPException as error:
            refusal = self._refusal(request, self._unrouted(request, error))
            if "Allow" in error.headers:
                refusal.headers["Allow"] = error.headers["Allow"]
            return refusal

    def _unrouted(self, request: web.Request, error: web.HTTPException) -> FakeError:  # noqa: ARG002 - for vendors that tell the path
        """Return the error for a path or method that the API does not have."""
        return FakeError(error.status, error.reason)

    def _json(self, request: web.Request, value: Any, status: int = 200) -> web.Response:
        return self._bytes(request, json.dumps(value, ensure_ascii=False).encode(), status)

    def _bytes(self, request: web.Request, body: bytes, status: int = 200) -> web.Response:
        sums = {"x-fake-body-sha256": hashlib.sha256(body).hexdigest()}
        headers = self._headers(request) | sums
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    def _refusal(self, request: web.Request, error: FakeError) -> web.Response:
        response = self._bytes(request, self._error_body(request, error), error.status)
        if error.retry_after_seconds is not None:
            response.headers["retry-after"] = str(error.retry_after_seconds)
        if error.status in {429, 529}:
            response.headers["x-should-retry"] = "true"
        return response

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise FakeError(413, "Request exceeds the maximum size")
        body = await request.read()
        self._remember(request, len(body), hashlib.sha256(body).hexdigest(), body)
        return body

    def _remember(self, request: web.Request, size: int, digest: str, body: bytes | None = None) -> None:
        self.tally.remember(
            {
                "request_id": request[REQUEST_ID],
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
                "body_bytes": size,
                "body_sha256": digest,
            },
            body if body is not None and size <= MAX_KEPT_BODY_BYTES else None,
        )

    async def _discarded(self, request: web.Request) -> str:
        """Read a body without looking at it; returns its SHA-256."""
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
        self._remember(request, size, digest.hexdigest())
        return digest.hexdigest()

    async def _play(
        self,
        request: web.Request,
        directive: Directive,
        plan: Callable[[], Hashable],
        write: Callable[[Any], Script],
    ) -> web.StreamResponse:
        """Answer as the directive says; `plan` is only made if there is an answer, and `write` is cached."""
        if directive.misbehave is Misbehavior.SLOW_HEADERS:
            await asyncio.sleep(directive.hold_seconds)
        if directive.error == 502:
            return web.Response(body=HTML_502, status=502, content_type="text/html")
        if directive.error is not None:
            await asyncio.sleep(directive.seconds)
            raise self._asked_for(directive)
        script = self._cached(write, plan())
        if not directive.stream:
            return await playing.document(request, script, directive, self._headers(request))
        self.tally.streams_started += 1
        try:
            response = await playing.stream(request, script, directive, self._headers(request))
        except (asyncio.CancelledError, ConnectionError):
            self.tally.streams_disconnected += 1
            raise
        if not request.get(playing.SPOILED):
            self.tally.streams_completed += 1
        return response

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        """Send the body back chunk by chunk while it still comes in: a passthrough that goes both ways at once."""
        response = web.StreamResponse(headers=self._headers(request))
        response.content_type = request.content_type
        await response.prepare(request)
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
            await response.write(chunk)
        self._remember(request, size, digest.hexdigest())
        await response.write_eof()
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.json_response(self.tally.snapshot())

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(self.tally.requests_told(bodies=request.query.get("bodies") == "1"))


def _written(write: Callable[[Any], Script], plan: Hashable) -> Script:
    return write(plan)


def key_of(headers: Mapping[str, str]) -> str:
    """Return the key of an `authorization` header; empty without one."""
    return headers.get("authorization", "").removeprefix("Bearer ")
