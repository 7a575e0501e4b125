"""Requests and answers of httpx' kind that cost little: raw headers, and httpx' own `Headers` only if somebody asks.

httpx decodes, folds and copies each header a few times when a message is made; that is a tenth of a short request.
"""

from typing import Any

import httpx

RawHeaders = list[tuple[bytes, bytes]]


class AnswerStream(httpx.AsyncByteStream):
    """An answer's body as it arrives, in the pieces that the socket gave."""

    async def read_some(self) -> bytes:
        """The bytes that are there, at least one; empty at a cleanly framed end.

        Errors: httpx.ReadError (reset), httpx.RemoteProtocolError (the body is cut short).
        """
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        """Send bytes of the protocol to which the upstream has changed; waits while it takes no more."""
        raise NotImplementedError


class UpstreamRequest(httpx.Request):
    """A request for `PooledTransport`: its headers go out as they are, its target is `extensions["target"]`."""

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        raw_headers: RawHeaders,
        stream: httpx.AsyncByteStream | httpx.ByteStream,
        target: bytes,
        *,
        upgrade: bool = False,
    ) -> None:
        # Not `super().__init__`: saving what that does is what this class is for.
        self.method = method
        self.url = url
        self.raw_headers = raw_headers
        self.stream = stream
        self.extensions = {"target": target}
        #: Whether the upstream may answer 101 and change the protocol.
        self.upgrade = upgrade

    def __getattr__(self, name: str) -> Any:
        if name != "headers":
            raise AttributeError(name)
        self.headers = httpx.Headers(self.raw_headers)
        return self.headers


class UpstreamResponse(httpx.Response):
    """An answer whose body is read with `stream.read_some()`, and only so."""

    #: The body; closing it gives the connection back, or ends it.
    stream: AnswerStream

    def __init__(
        self, status_code: int, raw_headers: RawHeaders, stream: AnswerStream, reason: bytes, header: dict[bytes, bytes]
    ) -> None:
        # Not `super().__init__`, as above.
        self.status_code = status_code
        self.raw_headers = raw_headers
        #: By lower-case name; several of one name are joined with commas.
        self.header = header
        self.stream = stream
        self.extensions = {"reason_phrase": reason}
        self.is_closed = False
        self.is_stream_consumed = False

    async def aclose(self) -> None:
        """Close the body."""
        self.is_closed = True
        await self.stream.aclose()

    def __getattr__(self, name: str) -> Any:
        if name != "headers":
            raise AttributeError(name)
        self.headers = httpx.Headers(self.raw_headers)
        return self.headers
