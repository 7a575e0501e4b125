"""The transport through a proxy that the environment names: an aiohttp session, which knows CONNECT and all of that.

It costs a few times as much per request as `pool.py`, with the same promises: the target goes out byte for byte,
bodies are never decompressed, nothing is added to the headers, and nothing is ever sent twice. Each request has a
connection of its own: aiohttp keeps one of which the end is not certain (a 204 with a length), and takes what comes to
an idle one for the next request's answer.
"""

import errno
import functools
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from lastcall_sidecar.sockets import set_keep_alive
from lastcall_sidecar.wire.headers import joined

from .connection import MAX_LINE_BYTES, READ_AHEAD_BYTES
from .dial import RECEIVE_BUFFER_BYTES
from .messages import AnswerStream, UpstreamResponse
from .pool import PooledTransport


class ProxiedTransport(PooledTransport):
    """Requests by way of the environment's proxy."""

    def __init__(self, session: aiohttp.ClientSession, origin: httpx.URL, proxy: str) -> None:
        super().__init__(origin)
        self._session = session
        self._proxy = proxy
        self._scheme = origin.scheme
        self._host = origin.host
        self._port = origin.port or (443 if origin.scheme == "https" else 80)

    async def handle_async_request(self, request: httpx.Request) -> UpstreamResponse:
        """Send a request and return the answer as soon as its head is there; its stream must be closed.

        Errors: httpx.ConnectError, ConnectTimeout (nothing was sent), ReadError, WriteError, RemoteProtocolError.
        """
        target: bytes = request.extensions["target"]
        url = URL.build(
            scheme=self._scheme, host=self._host, port=self._port, path=target.decode("ascii"), encoded=True
        )
        # Of headers that differ in nothing but their case, aiohttp would keep the last one only.
        spelled: dict[bytes, str] = {}
        headers = CIMultiDict(
            (spelled.setdefault(name.lower(), name.decode("ascii")), _text(value))
            for name, value in request.headers.raw
        )
        body = request.stream
        try:
            answer = await self._session.request(
                request.method,
                url,
                headers=headers,
                data=_payload(body),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except aiohttp.ClientError as error:
            raise _translate(error) from error
        except OSError as error:
            raise httpx.ReadError(str(error) or type(error).__name__) from error
        raw = list(answer.raw_headers)
        reason = (answer.reason or "").encode("latin-1", "replace")
        return UpstreamResponse(answer.status, raw, _Body(answer), reason, joined(raw))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


def _text(value: bytes) -> str:
    """A header's value as aiohttp, which writes UTF-8, gives the same bytes; what is no UTF-8 is taken for Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _payload(body: httpx.SyncByteStream | httpx.AsyncByteStream | None) -> bytes | AsyncIterator[bytes] | None:
    if isinstance(body, httpx.ByteStream):
        whole = b"".join(body)
        return whole or None
    if isinstance(body, httpx.AsyncByteStream):
        return body.__aiter__()
    return None


class _Connection(ResponseHandler):
    """Tells whoever reads a body of two failures that aiohttp keeps to itself."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Note a failure of the connection. Bytes that are no HTTP end a body; aiohttp leaves its reader waiting."""
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))
        self._fail_body(aiohttp.ClientPayloadError("the framing is broken"))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is gone. A reset is no clean end, not even of a body that closing ends."""
        if exc is not None:
            self._fail_body(aiohttp.ClientOSError(*exc.args))
        super().connection_lost(exc)

    def _fail_body(self, failure: aiohttp.ClientError) -> None:
        if self._payload is not None and not self._payload.is_eof() and self._payload.exception() is None:
            self._payload.set_exception(failure)


class _Connector(aiohttp.TCPConnector):
    """Makes connections of our own kind."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: type[ResponseHandler] = _Connection
        self._factory = functools.partial(make, loop=self._loop)


class _Body(AnswerStream):
    """An answer's body as it arrives, in the pieces that the socket gave."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def read_some(self) -> bytes:
        """The bytes that are there, at least one; empty at a cleanly framed end.

        Errors: httpx.ReadError (reset), httpx.RemoteProtocolError (the body is cut short).
        """
        try:
            return await self._answer.content.readany()
        except aiohttp.ClientError as error:
            raise _translate(error) from error
        except OSError as error:
            raise httpx.ReadError(str(error) or type(error).__name__) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read_some():
            yield chunk

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end; otherwise close it."""
        self._answer.close()


def _translate(error: aiohttp.ClientError) -> httpx.TransportError:
    """What happened, as httpx says it. What was never sent is a ConnectError; everything else may have arrived."""
    text = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in time")
        case aiohttp.ClientConnectorDNSError():
            return httpx.ConnectError("its name has no address")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return httpx.ConnectError(f"TLS failed: {error.os_error if hasattr(error, 'os_error') else error}")
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(errno.errorcode.get(error.errno or 0, error.strerror or text))
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("it closed the connection before its answer")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("its answer was cut short")
        case aiohttp.ClientResponseError():
            # The first line says what is wrong; the others repeat what the upstream sent.
            what = error.message.partition("\n")[0].rstrip(":")
            return httpx.RemoteProtocolError(f"its answer is not HTTP: {what}")
        case _:
            return httpx.ReadError(text)


def make_proxied(
    origin: httpx.URL,
    tls: ssl.SSLContext | None,
    proxy: str,
    *,
    connect_timeout_seconds: float,
    stall_seconds: float,
) -> ProxiedTransport:
    """A transport to one origin by way of the proxy that the environment names. Needs a running event loop."""
    connector = _Connector(
        limit=0,
        force_close=True,
        ssl=tls or True,
        use_dns_cache=False,  # a name whose addresses failed must be asked for anew
        socket_factory=functools.partial(_socket, stall_seconds=stall_seconds),
    )
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_seconds),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=READ_AHEAD_BYTES,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
    )
    # aiohttp sends a GET again when a reused connection breaks. It may have arrived the first time, and there is no
    # public switch (its own test client sets the same attribute).
    session._retry_connection = False  # noqa: SLF001
    return ProxiedTransport(session, origin, proxy)


def _socket(address: aiohttp.connector.AddrInfoType, *, stall_seconds: float) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    set_keep_alive(made, stall_seconds)
    return made
