"""The transport to one origin: kept-alive connections, one request on each at a time.

httpx' own pool (httpcore) scans and polls every connection twice per request: with 200 idle connections it makes 30
requests a second; aiohttp's client costs as much as all the rest of a short request. `pipeline.py` calls
`handle_async_request` directly: no cookies, redirects or auth flow.

The request's target is taken from `request.extensions["target"]` (raw bytes, as httpcore has it) and goes out byte for
byte, as do the headers. Bodies are never decompressed, and nothing is ever sent twice.
"""

import asyncio
import ssl

import httpx

from .connection import Connection
from .dial import Dialer
from .messages import UpstreamRequest, UpstreamResponse

#: Requests with these methods have no body unless they say so (RFC 9110, 8.6).
NO_CONTENT_EXPECTED = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class PooledTransport(httpx.AsyncBaseTransport):
    """Requests over kept-alive connections; each failure is the httpx exception that says what happened."""

    def __init__(self, origin: httpx.URL) -> None:
        #: Where requests go; their own URL is not looked at.
        self.origin = origin
        #: A 404 of this origin's was logged: once is enough to find a wrong path.
        self.has_said_404 = False

    async def handle_async_request(self, request: httpx.Request) -> UpstreamResponse:
        """Send a request and return the answer as soon as its head is there; its stream must be closed.

        Errors: httpx.ConnectError, ConnectTimeout (nothing was sent), ReadError, WriteError, RemoteProtocolError,
        LocalProtocolError (the request would be no HTTP).
        """
        raise NotImplementedError


class DirectTransport(PooledTransport):
    """Connections of our own. Needs a running event loop."""

    def __init__(
        self,
        origin: httpx.URL,
        tls: ssl.SSLContext | None,
        *,
        connect_timeout_seconds: float,
        stall_seconds: float,
        idle_seconds: float,
    ) -> None:
        super().__init__(origin)
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(
            origin.raw_host.decode("ascii"),
            origin.port or (443 if origin.scheme == "https" else 80),
            tls,
            connect_timeout_seconds=connect_timeout_seconds,
            stall_seconds=stall_seconds,
        )
        self._idle_seconds = idle_seconds
        # Ordered by when each became idle: the newest is used next, the oldest is closed first.
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<DirectTransport {self.origin}, {len(self._open)} open, {len(self._idle)} idle>"

    async def handle_async_request(self, request: httpx.Request) -> UpstreamResponse:
        """As `PooledTransport` says."""
        head, body, length = _written(request)
        upgrade = isinstance(request, UpstreamRequest) and request.upgrade
        connection = None if upgrade else self._take()
        if connection is None:
            connection = await self._dialer.connect(
                lambda sock: Connection(sock, release=self._release, lost=self._forget)
            )
            connection.mistrust_early_bytes()
            self._open.add(connection)
            if self._closed:
                connection.abort()
        answer = connection.send(head, body, length, bodiless=request.method == "HEAD", upgrade=upgrade)
        try:
            await answer.head()
        except BaseException:
            answer.close()
            raise
        return UpstreamResponse(answer.status, answer.raw, answer, answer.reason, answer.header)

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        self._dialer.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()

    def _take(self) -> Connection | None:
        oldest_good = self._loop.time() - self._idle_seconds
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.idle_since > oldest_good and connection.usable():
                return connection
            connection.abort()
        return None

    def _release(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle[connection] = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        due = self._loop.time() - self._idle_seconds
        while self._idle:
            oldest = next(iter(self._idle))
            if oldest.idle_since > due:
                self._timer = self._loop.call_at(oldest.idle_since + self._idle_seconds, self._sweep)
                return
            del self._idle[oldest]
            oldest.abort()

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)


def _written(request: httpx.Request) -> tuple[bytes, httpx.AsyncByteStream | None, int | None]:
    """The bytes that begin a request, the body that follows them, and its length (None: in chunks).

    Errors: httpx.LocalProtocolError for what would be more than one line in a line.
    """
    raw = request.raw_headers if isinstance(request, UpstreamRequest) else request.headers.raw
    method = request.method.encode("ascii")
    lines = [method + b" " + request.extensions["target"] + b" HTTP/1.1"]
    length: int | None = None
    for name, value in raw:
        if len(name) == 14 and name.lower() == b"content-length":
            length = int(value)
        lines.append(name + b": " + value)
    stream = request.stream
    body: httpx.AsyncByteStream | None = None
    whole = b""
    if isinstance(stream, httpx.ByteStream):
        (whole,) = stream
        if length is None and (whole or request.method not in NO_CONTENT_EXPECTED):
            length = len(whole)
            lines.append(b"content-length: %d" % length)
        if (length or 0) != len(whole):
            raise httpx.LocalProtocolError("the request's body is not as long as its head says")
    elif isinstance(stream, httpx.AsyncByteStream):
        body = stream
        if length is None:
            lines.append(b"transfer-encoding: chunked")
    head = b"\r\n".join(lines)
    ends = len(lines) - 1
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise httpx.LocalProtocolError("a line of the request's head holds a line end")
    return head + b"\r\n\r\n" + whole, body, length
