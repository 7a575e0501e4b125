"""The routes of the fake Anthropic API. Served by `fake_llm`; what all fakes do is in `serving`."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from lastcall_sidecar.testing import catalog, planning
from lastcall_sidecar.testing.directives import Directive, find, parse
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.script import write
from lastcall_sidecar.testing.serving import REQUEST_ID, FakeAPI, Options, key_of
from lastcall_sidecar.testing.validate import load, message_request

_RATE_LIMITS = {
    f"anthropic-ratelimit-{what}-{key}": value
    for what, limit in (("requests", 4000), ("input-tokens", 2_000_000), ("output-tokens", 400_000))
    for key, value in (("limit", str(limit)), ("remaining", str(limit - 1)), ("reset", "2030-01-01T00:00:00Z"))
}


class FakeLLM(FakeAPI):
    """One fake with its counts and batches."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._batches = catalog.Batches()

    def _routes(self) -> Iterable[web.RouteDef]:
        batch = "/v1/messages/batches/{batch}"
        return [
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
        ]

    def _check_head(self, request: web.Request) -> None:
        key = request.headers.get("x-api-key") or key_of(request.headers)
        if self._options.require_key and not key:
            raise FakeError(401, "x-api-key header is required")
        if key.startswith("sk-invalid"):
            raise FakeError(401, "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            raise FakeError(400, "anthropic-version: header is required")

    def _headers(self, request: web.Request) -> dict[str, str]:
        return {
            "request-id": request[REQUEST_ID],
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "set-cookie": "_fake=1; HttpOnly",
            **_RATE_LIMITS,
        }

    def _error_body(self, request: web.Request, error: FakeError) -> bytes:
        return error.body(request[REQUEST_ID])

    def _asked_for(self, directive: Directive) -> FakeError:
        return FakeError(directive.error or 500, retry_after_seconds=directive.retry_after_seconds)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        directive = parse(request.headers.get("x-fake", ""))
        if directive.discard:
            digest = await self._discarded(request)
            asked: dict[str, Any] = {"model": "fake-llm-1", "messages": [{"role": "user", "content": digest}]}
            return await self._play(request, directive, lambda: planning.plan(asked, directive), write)
        asked = load(await self._body(request))
        message_request(asked)
        directive = replace(self._directive(request, asked), stream=bool(asked.get("stream")))
        return await self._play(request, directive, lambda: planning.plan(asked, directive), write)

    def _directive(self, request: web.Request, asked: dict[str, Any]) -> Directive:
        if "x-fake" in request.headers:
            return parse(request.headers["x-fake"])
        return find(planning.last_user_text(asked))

    async def _count_tokens(self, request: web.Request) -> web.Response:
        asked = load(await self._body(request))
        message_request(asked, counting=True)
        directive = self._directive(request, asked)
        if directive.error is not None:
            raise self._asked_for(directive)
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


def _here(request: web.Request) -> tuple[str, float]:
    return f"{request.scheme}://{request.host}", asyncio.get_running_loop().time()
