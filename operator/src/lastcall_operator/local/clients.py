"""The clients of the demo: the real Anthropic SDK, sync and async, and raw HTTP, each as people use them.

`traffic.py` drives them. None ever retries. Each can keep its connections alive or take a fresh one for each stream,
and each hands back what it saw as `Evidence`. Importing this module takes a second or two: the SDK is large.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import httpx2
from anthropic.types import Message

from lastcall_operator.local.judgement import Digest, Evidence

_MODEL = "claude-sonnet-4-6"
_API_KEY = "sk-ant-demo"
_TIMEOUT_SECONDS = 120.0
#: Where the response carries its hash: httpx hands extensions through untouched.
_DIGEST = "lastcall.digest"
_EVENTS_PER_SECOND = 8
_TERMINAL_BYTES = b"event: message_stop"
#: The terminal event and what little may follow it.
_TAIL_BYTES = 256
_CONNECTIONS = 1000


@dataclass(frozen=True, slots=True)
class Ask:
    """One stream to ask for: how long it takes, and which text it brings."""

    seconds: float
    seed: int

    def body(self) -> dict[str, Any]:
        """Write the request, without `stream`."""
        events = max(2, round(self.seconds * _EVENTS_PER_SECOND))
        prompt = f"Last orders, please! [fake seconds={self.seconds:.2f} events={events} seed={self.seed}]"
        return {"model": _MODEL, "max_tokens": 4096, "messages": [{"role": "user", "content": prompt}]}


class SdkSync:
    """`anthropic.Anthropic`, blocking: for threads."""

    def __init__(self, url: str, *, keep_alive: bool) -> None:
        transport = _HashingTransport(verify=_no_tls(), limits=_limits(keep_alive=keep_alive))
        self._client = anthropic.Anthropic(
            base_url=url,
            api_key=_API_KEY,
            max_retries=0,
            timeout=_TIMEOUT_SECONDS,
            http_client=anthropic.DefaultHttpxClient(transport=transport),
        )

    def stream(self, ask: Ask) -> Evidence:
        """Run one stream to its end; whatever goes wrong is in the evidence."""
        seen = Evidence()
        try:
            with self._client.messages.stream(**ask.body()) as stream:
                seen.head(stream.response.status_code, stream.response.headers)
                seen.body = stream.response.extensions[_DIGEST]
                for event in stream:
                    seen.terminal = seen.terminal or event.type == "message_stop"
                seen.text = _text(stream.current_message_snapshot) if seen.terminal else ""
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
            _fail(seen, error)
        return seen

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


class SdkAsync:
    """`anthropic.AsyncAnthropic`."""

    def __init__(self, url: str, *, keep_alive: bool) -> None:
        transport = _AsyncHashingTransport(verify=_no_tls(), limits=_limits(keep_alive=keep_alive))
        self._client = anthropic.AsyncAnthropic(
            base_url=url,
            api_key=_API_KEY,
            max_retries=0,
            timeout=_TIMEOUT_SECONDS,
            http_client=anthropic.DefaultAsyncHttpxClient(transport=transport),
        )

    async def stream(self, ask: Ask) -> Evidence:
        """Run one stream to its end; whatever goes wrong is in the evidence."""
        seen = Evidence()
        try:
            async with self._client.messages.stream(**ask.body()) as stream:
                seen.head(stream.response.status_code, stream.response.headers)
                seen.body = stream.response.extensions[_DIGEST]
                async for event in stream:
                    seen.terminal = seen.terminal or event.type == "message_stop"
                seen.text = _text(stream.current_message_snapshot) if seen.terminal else ""
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
            _fail(seen, error)
        return seen

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()


class RawHttp:
    """An HTTP client that knows nothing of the protocol: it counts bytes and looks for the terminal event."""

    def __init__(self, url: str, *, keep_alive: bool) -> None:
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=None if keep_alive else 0)
        self._client = httpx.AsyncClient(
            base_url=url, limits=limits, timeout=_TIMEOUT_SECONDS, trust_env=False, verify=_no_tls()
        )

    async def stream(self, ask: Ask) -> Evidence:
        """Run one stream to its end; whatever goes wrong is in the evidence."""
        seen = Evidence()
        headers = {"x-api-key": _API_KEY, "anthropic-version": "2023-06-01"}
        tail = b""
        try:
            async with self._client.stream(
                "POST", "/v1/messages", json=ask.body() | {"stream": True}, headers=headers
            ) as answer:
                seen.head(answer.status_code, answer.headers)
                async for chunk in answer.aiter_raw():
                    seen.body.update(chunk)
                    tail = (tail + chunk)[-_TAIL_BYTES:]
            seen.terminal = _TERMINAL_BYTES in tail
        except httpx.HTTPError as error:
            seen.failure(error)
        return seen

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()


class _HashingTransport(httpx2.HTTPTransport):
    """Hashes the body's bytes as they come in, before the SDK makes events of them."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)  # noqa: S101  # what a sync transport gives
        tee = _Tee(response.stream)
        response.stream, response.extensions[_DIGEST] = tee, tee.digest
        return response


class _AsyncHashingTransport(httpx2.AsyncHTTPTransport):
    """As `_HashingTransport`, for the async SDK."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # what an async transport gives
        tee = _AsyncTee(response.stream)
        response.stream, response.extensions[_DIGEST] = tee, tee.digest
        return response


class _Tee(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream) -> None:
        self._inner = inner
        self.digest: Digest = Evidence().body

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self.digest.update(chunk)
            yield chunk

    def close(self) -> None:
        self._inner.close()


class _AsyncTee(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner
        self.digest: Digest = Evidence().body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self.digest.update(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _limits(*, keep_alive: bool) -> httpx2.Limits:
    return httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=None if keep_alive else 0)


def _no_tls() -> ssl.SSLContext:
    """Save the tenth of a second that loading certificates takes: nothing here speaks TLS."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _text(message: Message) -> str:
    """Join the text of all text blocks, as the fake hashes it."""
    return "".join(block.text for block in message.content if block.type == "text")


def _fail(seen: Evidence, error: Exception) -> None:
    """Note an error of the SDK, and the status that it carries when there was an answer."""
    if isinstance(error, anthropic.APIStatusError) and seen.status is None:
        seen.status = error.status_code
    seen.failure(error)
