"""Bounds for what anybody who reaches the webhook's port may send: the API server shows no credential by default.

An ASGI middleware: a request's body is read here, within a size, a total over all requests and a time, before the
application sees the request at all.
"""

import asyncio

from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPRequestEvent,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Scope,
)

#: Bytes of one body. An object of the API is at most 1.5 MiB (etcd's limit for a request), and a review holds two.
MAX_BODY_BYTES = 3 * 1024 * 1024
#: Bytes of all bodies together: an eighth of the pod's memory limit. Reviews have 10 to 30 KiB.
MAX_TOTAL_BYTES = 64 * 1024 * 1024
#: Seconds for a body. The API server sends one at once, and gives up on the whole request after 3 s, or 10 s.
BODY_SECONDS = 3.0
#: Bytes from which a body is answered alone: read as JSON, it may take fifty times its size.
LARGE_BYTES = 256 * 1024


class _RefusedError(Exception):
    """The status, and a sentence."""


class BoundedBodies:
    """Wraps an application. Refuses with 413 (too large), 408 (too slow) or 503 (too many at once)."""

    def __init__(
        self, app: ASGIFramework, *, total_bytes: int = MAX_TOTAL_BYTES, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._total_bytes, self._body_seconds = total_bytes, body_seconds
        self._held = 0
        self._large = asyncio.Semaphore(1)

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies that are held now."""
        return self._held

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve a request whose body is within the bounds; pass on everything else as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                complete = await self._read(receive, body)
            if complete:
                await self._answer(scope, bytes(body), receive, send)
        except TimeoutError:
            await _refuse(send, 408, f"the body did not come within {self._body_seconds:g} s")
        except _RefusedError as refused:
            await _refuse(send, *refused.args)
        finally:
            self._held -= len(body)

    async def _read(self, receive: ASGIReceiveCallable, body: bytearray) -> bool:
        """Read a whole body; False: the client has gone."""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return False
            piece = message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) + len(piece) > MAX_BODY_BYTES:
                raise _RefusedError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            if self._held + len(piece) > self._total_bytes:
                raise _RefusedError(503, "too many bodies are held")
            self._held += len(piece)
            body += piece
        return True

    async def _answer(self, scope: Scope, body: bytes, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        whole = iter([HTTPRequestEvent(type="http.request", body=body, more_body=False)])

        async def again() -> ASGIReceiveEvent:
            return next(whole, None) or await receive()

        if len(body) < LARGE_BYTES:
            await self._app(scope, again, send)
            return
        async with self._large:
            await self._app(scope, again, send)


async def _refuse(send: ASGISendCallable, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send(HTTPResponseStartEvent(type="http.response.start", status=status, headers=headers, trailers=False))
    await send(HTTPResponseBodyEvent(type="http.response.body", body=f"{sentence}\n".encode(), more_body=False))
