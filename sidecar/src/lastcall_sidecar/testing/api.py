"""The routes of the fake Anthropic API: who asks, what is answered, what is counted. Served by `fake_llm`."""

import asyncio
import functools
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from lastcall_sidecar.testing import catalog, planning, playing
from lastcall_sidecar.testing.directives import Directive, DirectiveError, Misbehavior, find, parse
from lastcall_sidecar.testing.errors import HTML_502, FakeError
from lastcall_sidecar.testing.script import Script, write
from lastcall_sidecar.testing.tally import Tally
from lastcall_sidecar.testing.validate import load, message_request

#: The vendor's limit of a request ("Request size limits": 32 MB).
MAX_BODY_BYTES = 32 * 1024 * 1024
#: Scripts kept for requests that come again; a load test asks for few different ones.
_CACHED_SCRIPTS = 256

_RATE_LIMITS = {
    f"anthropic-ratelimit-{what}-{key}": value
    for what, limit in (("requests", 4000), ("input-tokens", 2_000_000), ("output-tokens", 400_000))
    for key, value in (("limit", str(limit)), ("remaining", str(limit - 1)), ("reset", "2030-01-01T00:00:00Z"))
}
_REQUEST_ID = web.RequestKey("request_id", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How strict the fake is. `require_key`: a request without a key gets a 401."""

    require_key: bool = True


class FakeLLM:
    """One fake with its counts and batches; `application()` is what serves it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._numbers = itertools.count(1)
        self._batches = catalog.Batches()
        self._write: Callable[..., Script] = functools.lru_cache(_CACHED_SCRIPTS)(write)
        self.tally = Tally()

    def application(self) -> web.Application:
        """Build the application, once per event loop."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._account])
        batch = "/v1/messages/batches/{batch}"
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/__stats", self._stats),
                web.get("/__requests", self._requests),
                web.post("/v1/messages", self._messages),
                web.post("/v1/messages/count_tokens", self._count_tokens),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model}", self._model),
                web.post("/v1/messages/batches", self._create_batch),
                web.get("/v1/messages/batches", self._list_batches),
                web.get(batch, self._retrieve_batch),
                web.delete(batch, self._delete_batch),
                web.post(batch + "/cancel", self._cancel_batch),
                web.get(batch + "/results", self._results),
                web.post("/v1/fake/echo", self._echo),
            ]
        )
        return app

    @web.middleware
    async def _account(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Count each request of the API, give it its id, and turn errors into answers."""
        request[_REQUEST_ID] = f"req_fake{next(self._numbers):016d}"
        if not request.path.startswith("/v1/"):
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

    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            if request.path.startswith("/v1/"):
                self._check_head(request)
            return await handler(request)  # type: ignore[no-any-return]  # aiohttp's own Handler, untyped here
        except FakeError as error:
            return self._refusal(request, error)
        except DirectiveError as error:
            return self._refusal(request, FakeError(400, str(error)))
        except web.HTTPRequestEntityTooLarge:
            return self._refusal(request, FakeError(413, "Request exceeds the maximum size"))
        except web.HTTPException as error:
            return self._refusal(request, FakeError(error.status, error.reason))

    def _check_head(self, request: web.Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or bearer
        if self._options.require_key and not key:
            raise FakeError(401, "x-api-key header is required")
        if key.startswith("sk-invalid"):
            raise FakeError(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise FakeError(400, "anthropic-version: header is required")

    def _headers(self, request: web.Request) -> dict[str, str]:
        return {
            "request-id": request[_REQUEST_ID],
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "set-cookie": "_fake=1; HttpOnly",
            **_RATE_LIMITS,
        }

    def _json(self, request: web.Request, value: Any, status: int = 200) -> web.Response:
        return self._bytes(request, json.dumps(value, ensure_ascii=False).encode(), status)

    def _bytes(self, request: web.Request, body: bytes, status: int = 200) -> web.Response:
        sums = {"x-fake-body-sha256": hashlib.sha256(body).hexdigest()}
        headers = self._headers(request) | sums
        return web.Response(body=body, status=status, content_type="application/json", headers=headers)

    def _refusal(self, request: web.Request, error: FakeError) -> web.Response:
        response = self._bytes(request, error.body(request[_REQUEST_ID]), error.status)
        if error.retry_after_seconds is not None:
            response.headers["retry-after"] = str(error.retry_after_seconds)
        if error.status in {429, 529}:
            response.headers["x-should-retry"] = "true"
        return response

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise FakeError(413, "Request exceeds the maximum size")
        body = await request.read()
        self._remember(request, len(body), hashlib.sha256(body).hexdigest())
        return body

    def _remember(self, request: web.Request, size: int, digest: str) -> None:
        self.tally.recent.append(
            {
                "request_id": request[_REQUEST_ID],
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers],
                "body_bytes": size,
                "body_sha256": digest,
            }
        )

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        directive = parse(request.headers.get("x-fake", ""))
        if directive.discard:
            digest, size = hashlib.sha256(), 0
            async for chunk in request.content.iter_any():
                digest.update(chunk)
                size += len(chunk)
            self._remember(request, size, digest.hexdigest())
            asked = {"model": "fake-llm-1", "messages": [{"role": "user", "content": digest.hexdigest()}]}
            return await self._play(request, asked, directive)
        asked = load(await self._body(request))
        message_request(asked)
        directive = replace(self._directive(request, asked), stream=bool(asked.get("stream")))
        return await self._play(request, asked, directive)

    def _directive(self, request: web.Request, asked: dict[str, Any]) -> Directive:
        if "x-fake" in request.headers:
            return parse(request.headers["x-fake"])
        return find(planning.last_user_text(asked))

    async def _play(self, request: web.Request, asked: dict[str, Any], directive: Directive) -> web.StreamResponse:
        if directive.misbehave is Misbehavior.SLOW_HEADERS:
            await asyncio.sleep(directive.hold_seconds)
        if directive.error == 502:
            return web.Response(body=HTML_502, status=502, content_type="text/html")
        if directive.error is not None:
            await asyncio.sleep(directive.seconds)
            raise FakeError(directive.error, retry_after_seconds=directive.retry_after_seconds)
        script = self._write(planning.plan(asked, directive))
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

    async def _count_tokens(self, request: web.Request) -> web.Response:
        asked = load(await self._body(request))
        message_request(asked, counting=True)
        directive = self._directive(request, asked)
        if directive.error is not None:
            raise FakeError(directive.error, retry_after_seconds=directive.retry_after_seconds)
        return self._json(request, {"input_tokens": planning.input_tokens(asked)})

    async def _models(self, request: web.Request) -> web.Response:
        return self._json(request, catalog.models(request.query))

    async def _model(self, request: web.Request) -> web.Response:
        return self._json(request, catalog.model(request.match_info["model"]))

    async def _create_batch(self, request: web.Request) -> web.Response:
        body = load(await self._body(request))
        return self._json(request, self._batches.create(body, *_here(request)))

    async def _list_batches(self, request: web.Request) -> web.Response:
        return self._json(request, self._batches.listing(request.query, *_here(request)))

    async def _retrieve_batch(self, request: web.Request) -> web.Response:
        return self._json(request, self._batches.retrieve(request.match_info["batch"], *_here(request)))

    async def _delete_batch(self, request: web.Request) -> web.Response:
        return self._json(request, self._batches.delete(request.match_info["batch"], _here(request)[1]))

    async def _cancel_batch(self, request: web.Request) -> web.Response:
        return self._json(request, self._batches.cancel(request.match_info["batch"], *_here(request)))

    async def _results(self, request: web.Request) -> web.StreamResponse:
        lines = self._batches.results(request.match_info["batch"], _here(request)[1])
        digest = hashlib.sha256(b"".join(lines)).hexdigest()
        headers = self._headers(request) | {"x-fake-body-sha256": digest}
        response = web.StreamResponse(headers=headers)
        response.content_type = "application/x-jsonl"
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        await response.write_eof()
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

    async def _requests(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.tally.recent))


def _here(request: web.Request) -> tuple[str, float]:
    return f"{request.scheme}://{request.host}", asyncio.get_running_loop().time()
