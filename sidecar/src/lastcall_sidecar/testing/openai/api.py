"""The routes of the fake OpenAI API, in the flavors of OpenAI and vLLM. Served by `fake_llm`.

What all fakes do is in `serving`.
"""

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from lastcall_sidecar.testing.directives import Directive, find, parse
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai import catalog, chat, errors, responses
from lastcall_sidecar.testing.openai.chat_request import chat_request
from lastcall_sidecar.testing.openai.planning import chat_plan, last_user_text, responses_plan
from lastcall_sidecar.testing.openai.responses_request import responses_request
from lastcall_sidecar.testing.openai.vendors import VENDORS, vendor_request
from lastcall_sidecar.testing.openai.vllm_request import vllm_request, vllm_responses_request
from lastcall_sidecar.testing.serving import REQUEST_ID, FakeAPI, Options, key_of
from lastcall_sidecar.testing.validate import load

_RATE_LIMITS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-reset-tokens": "300ms",
}


class FakeOpenAI(FakeAPI):
    """One fake with its counts."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._api = options.api
        self._vllm = options.api == "vLLM"
        self._check: Callable[[dict[str, Any]], None] = vllm_request if self._vllm else chat_request
        for vendor in VENDORS:
            if vendor == options.api:
                self._check = functools.partial(vendor_request, vendor)

    def _routes(self) -> Iterable[web.RouteDef]:
        routes = [
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/responses", self._responses),
            web.post("/v1/embeddings", self._embeddings),
            web.get("/v1/models", self._models),
            web.get("/v1/models/{model:.+}", self._model),
        ]
        return [*routes, web.post("/tokenize", self._tokenize)] if self._vllm else routes

    def _check_head(self, request: web.Request) -> None:
        key = key_of(request.headers)
        if self._options.require_key and not key:
            raise FakeError(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if key.startswith("sk-invalid"):
            raise FakeError(401, f"Incorrect API key provided: {key[:10]}***.", code="invalid_api_key")

    def _headers(self, request: web.Request) -> dict[str, str]:
        if self._vllm:
            return {"x-request-id": request[REQUEST_ID]}
        return {
            "x-request-id": request[REQUEST_ID],
            "openai-version": "2020-10-01",
            "openai-organization": "org-fake",
            "openai-processing-ms": "12",
            "set-cookie": "_fake=1; HttpOnly",
            **_RATE_LIMITS,
        }

    def _error_body(self, request: web.Request, error: FakeError) -> bytes:  # noqa: ARG002 - the interface's
        told = errors.told_by_vllm(error) if self._vllm else errors.told(error)
        # Gemini tells its errors in a list (0xsline/OpenChatCut#6)
        return json.dumps([told] if self._api == "Gemini" else told).encode()

    def _asked_for(self, directive: Directive) -> FakeError:
        return errors.asked_for(directive.error or 500, directive.retry_after_seconds)

    def _unrouted(self, request: web.Request, error: web.HTTPException) -> FakeError:
        message = error.reason if self._vllm else f"Invalid URL ({request.method} {request.path})"
        return FakeError(error.status, message)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        directive = parse(request.headers.get("x-fake", ""))
        if directive.discard:
            digest = await self._discarded(request)
            asked: dict[str, Any] = {"model": "fake-llm-1", "messages": [{"role": "user", "content": digest}]}
            return await self._play(request, directive, lambda: chat_plan(asked, directive, self._api), chat.write)
        asked, directive = await self._read(request, self._check)
        return await self._play(request, directive, lambda: chat_plan(asked, directive, self._api), chat.write)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        asked, directive = await self._read(request, vllm_responses_request if self._vllm else responses_request)
        return await self._play(request, directive, lambda: responses_plan(asked, directive), responses.write)

    async def _read(
        self, request: web.Request, check: Callable[[dict[str, Any]], None]
    ) -> tuple[dict[str, Any], Directive]:
        asked = load(await self._body(request))
        check(asked)
        words = request.headers.get("x-fake")
        directive = find(last_user_text(asked)) if words is None else parse(words)
        return asked, replace(directive, stream=bool(asked.get("stream")))

    async def _embeddings(self, request: web.Request) -> web.Response:
        return self._answered(request, catalog.embeddings(load(await self._body(request))))

    async def _tokenize(self, request: web.Request) -> web.Response:
        return self._answered(request, catalog.tokenized(load(await self._body(request))))

    async def _models(self, request: web.Request) -> web.Response:
        return self._answered(request, catalog.models(vllm=self._vllm))

    async def _model(self, request: web.Request) -> web.Response:
        return self._answered(request, catalog.model(request.match_info["model"], vllm=self._vllm))

    def _answered(self, request: web.Request, value: dict[str, Any]) -> web.Response:
        """Answer what is no stream, unless the header asks for an error."""
        directive = parse(request.headers.get("x-fake", ""))
        if directive.error is not None:
            raise self._asked_for(directive)
        return self._json(request, value)
