"""One connection to an upstream: HTTP/1.1 over an `asyncio.Protocol`, parsed by llhttp.

Made by `pool.py`, which gives it one request at a time. The bytes of an answer collect in its `Body`, which outlives
the connection's interest in it: as soon as an answer is whole its connection may serve the next request. A
connection is only used again when nothing about it is odd: the answer was HTTP/1.1's and framed, it was read to its
end, nothing came before it was asked for or behind it, and all of the request was taken. Where an answer has no body
and its head speaks of one (a 204 with a length, say), a body may come all the same: it would be the next request's
answer.

Nothing is ever sent twice.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from lastcall_sidecar.wire.headers import joined

from .messages import AnswerStream, RawHeaders

#: Bytes read ahead of a client that is slower than its upstream; per stream.
READ_AHEAD_BYTES = 65536
#: The longest line of an answer's head, and all of it; also of what comes with a body and is none of it.
MAX_LINE_BYTES = 65536
MAX_HEAD_BYTES = 131072
#: Header fields of an answer, and trailer fields of a body; vendors send 30.
MAX_FIELDS = 200
#: These answers have no body, whatever their headers say (RFC 9112, 6.3).
BODILESS = frozenset({204, 304})
SWITCHING_PROTOCOLS = 101
#: What llhttp reads over without a word between two answers.
LINE_ENDS = (b"\r", b"\n")
#: The end of a body in chunks, and of nothing more: two line ends, and no third one. All of it is in its last bytes.
CHUNKS_END = re.compile(rb"[^\r\n]\r?\n\r?\n\Z")
CHUNKS_END_BYTES = 5

NO_ANSWER = "it closed the connection before its answer"
CUT_SHORT = "its answer was cut short"
NOT_HTTP = "its answer is not HTTP"
SPEAKS_TLS = "it speaks TLS on this port: its URL must begin with https://"
#: How a server that expects TLS answers plain bytes: the first byte of an alert (RFC 8446, 5.1).
TLS_ALERT = b"\x15"


class Body(AnswerStream):
    """An answer: its head, its body's bytes as they come, and how it ended."""

    __slots__ = ("_connection", "_waiter", "chunks", "ended", "failure", "header", "raw", "reason", "size", "status")

    def __init__(self, connection: "Connection") -> None:
        self._connection: Connection | None = connection
        self._waiter: asyncio.Future[None] | None = None
        self.raw: RawHeaders = []
        self.header: dict[bytes, bytes] = {}
        self.reason = b""
        #: 0 until the head is there.
        self.status = 0
        #: What has come and is not yet read, and its bytes.
        self.chunks: list[bytes] = []
        self.size = 0
        #: The last byte has come, or none will; then `failure` says whether that is clean.
        self.ended = False
        self.failure: Exception | None = None

    async def head(self) -> None:
        """Wait for the head.

        Errors: httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError; what the request's body raises.
        """
        while not self.status:
            if self.failure is not None:
                raise self.failure
            await self._change()

    async def read_some(self) -> bytes:
        """The bytes that are there, at least one; empty at a cleanly framed end.

        Errors: httpx.ReadError (reset), httpx.RemoteProtocolError (the body is cut short).
        """
        while not self.size:
            if self.failure is not None:
                raise self.failure
            if self.ended:
                return b""
            await self._change()
        chunks = self.chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.size = 0
        if self._connection is not None:
            self._connection.read_on()
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read_some():
            yield chunk

    async def write(self, data: bytes) -> None:
        """As `AnswerStream` says; what nobody is there to take is thrown away."""
        if self._connection is not None:
            await self._connection.write(data)

    async def aclose(self) -> None:
        """End the connection, unless the answer is whole: then it has gone its way already."""
        self.close()

    def close(self) -> None:
        """As `aclose`."""
        if self._connection is not None:
            self._connection.abort()

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # Told by the connection.

    def wake(self) -> None:
        """Something has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more will come."""
        self.ended, self.failure, self._connection = True, failure, None
        self.wake()


class Connection(asyncio.Protocol):
    """A connection, in use or idle. `release` gets it back when it may be used again, `lost` when it is gone."""

    __slots__ = (
        "_barren",
        "_bodiless",
        "_body",
        "_broken",
        "_chunked",
        "_complete",
        "_drained",
        "_early",
        "_headers",
        "_keep",
        "_lost",
        "_parser",
        "_paused",
        "_reading",
        "_release",
        "_socket",
        "_to_the_end",
        "_transport",
        "_tunnel",
        "_upgrade",
        "_upload",
        "idle_since",
    )

    def __init__(
        self,
        sock: socket.socket,
        release: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._socket = sock
        self._release = release
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        #: The answer that is awaited or coming; None while idle.
        self._body: Body | None = None
        self._upload: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._reading = True
        #: Something came before the first request: whose answer the next bytes are is not certain.
        self._early = False
        self._headers: RawHeaders = []
        self._reset()
        #: Loop time, by the pool.
        self.idle_since = 0.0

    def _reset(self) -> None:
        self._bodiless = self._to_the_end = self._chunked = self._complete = self._keep = False
        self._upgrade = self._tunnel = False
        self._broken: str | None = None
        self._barren = 0

    def __repr__(self) -> str:
        state = "closed" if self._transport is None else "idle" if self._body is None else "in use"
        return f"<Connection {state}>"

    # For the pool.

    def usable(self) -> bool:
        """Whether an idle connection still is: nothing has come, not even an end that the loop has not yet seen."""
        if self._transport is None or self._transport.is_closing():
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def mistrust_early_bytes(self) -> None:
        """New: what has come already was not asked for. What is under TLS may be TLS' own."""
        if self._transport is not None and self._transport.get_extra_info("ssl_object") is None:
            self._early = not self.usable()

    def send(
        self,
        head: bytes,
        body: httpx.AsyncByteStream | None,
        length: int | None,
        *,
        bodiless: bool,
        upgrade: bool = False,
    ) -> Body:
        """Begin a request: the head, with all of a small body behind it; a larger one follows.

        `length` is what the head says of `body` in bytes, None for chunks; `bodiless`: the answer will have none.
        """
        self._reset()
        self._bodiless = bodiless
        self._upgrade = upgrade
        answer = self._body = Body(self)
        if self._transport is None or self._transport.is_closing():
            self._gone(None)
            return answer
        self._transport.write(head)
        if body is not None:
            self._upload = asyncio.get_running_loop().create_task(self._send_body(body, length))
        return answer

    def abort(self) -> None:
        """Close at once; what is not yet sent is not."""
        self._cancel_upload()
        if self._body is not None:
            body, self._body = self._body, None
            body.end(httpx.ReadError("closed"))
        if self._transport is not None:
            self._transport.abort()

    def read_on(self) -> None:
        """There is room again for what comes."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # The request's body.

    async def _send_body(self, body: httpx.AsyncByteStream, length: int | None) -> None:
        sent = 0
        try:
            async for chunk in body:
                if not chunk:
                    continue
                sent += len(chunk)
                if length is not None and sent > length:
                    break
                if self._transport is None:
                    return
                self._transport.write(chunk if length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk))
                del chunk
                if self._paused:
                    await self._drain()
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer is told
            self._fail(error)
            return
        if length is None:
            if self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
        elif sent != length:
            self._fail(httpx.LocalProtocolError("the request's body is not as long as its head says"))
            return
        self._upload = None

    async def _drain(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    def _cancel_upload(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    # The protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, idle."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """The upstream takes no more for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse what came. Whatever comes to an idle connection is not asked for, and its end."""
        body = self._body
        if body is None:
            self.abort()
            return
        tunnel = self._tunnel
        if tunnel:
            self._pass(body, data)
            return
        if self._parser is None:
            self._parser = HttpResponseParser(self)
            # As servers are: a line may end in LF, and a chunk's size in blanks. Neither moves a border.
            self._parser.set_dangerous_leniencies(
                lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
            )
        if not body.status and data.startswith(TLS_ALERT):
            self._fail(httpx.RemoteProtocolError(SPEAKS_TLS))
            return
        before = body.size
        try:
            self._feed(self._parser, data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._parser = None
            self._keep = False
            if self._tunnel and isinstance(error, HttpParserUpgrade):
                self._pass(body, data[error.args[0] :])
                return
            if not self._complete and self._broken is None:
                self._broken = f"{NOT_HTTP}: {error}" if not body.status else CUT_SHORT
        if body.size != before:
            self._barren = 0
        else:
            self._barren += len(data)
            if self._barren > MAX_HEAD_BYTES and self._broken is None:
                self._broken = CUT_SHORT if body.status else f"{NOT_HTTP}: its head is too long"
        self._judge(body)

    def _feed(self, parser: HttpResponseParser, data: bytes) -> None:
        """Parse. A line end that is not the answer's last one is not passed over, though llhttp would do that."""
        if self._upgrade or not data.endswith(LINE_ENDS):
            parser.feed_data(data)
            return
        if self._chunked and len(data) >= CHUNKS_END_BYTES:
            # Each chunk ends in a line end: one look at the last of them is cheaper than two turns for each.
            parser.feed_data(data)
            if self._complete and not CHUNKS_END.search(data[-CHUNKS_END_BYTES:]):
                self._keep = False
            return
        parser.feed_data(memoryview(data)[:-1])
        if self._complete:
            self._keep = False
        else:
            parser.feed_data(data[-1:])

    def _pass(self, body: Body, data: bytes) -> None:
        """Bytes of the protocol to which the upstream has changed."""
        if data:
            body.chunks.append(data)
            body.size += len(data)
        self._judge(body)

    async def write(self, data: bytes) -> None:
        """Send bytes of that protocol; waits while the upstream takes no more."""
        if self._transport is not None:
            self._transport.write(data)
            if self._paused:
                await self._drain()

    def _judge(self, body: Body) -> None:
        """Act on what has been parsed."""
        if self._complete:
            self._finish(body)
        elif self._broken is not None:
            self._fail(httpx.RemoteProtocolError(self._broken))
        else:
            if body.status:
                body.wake()
            if body.size > READ_AHEAD_BYTES and self._reading and self._transport is not None:
                self._reading = False
                self._transport.pause_reading()

    def eof_received(self) -> None:
        """The upstream has ended: a clean end of a body that closing ends, and of nothing else."""
        self._gone(None)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._gone(exc)
        self._transport = self._parser = None
        self._lost(self)

    def _gone(self, error: Exception | None) -> None:
        body, self._body = self._body, None
        self._cancel_upload()
        if body is None:
            return
        if error is not None:
            body.end(httpx.ReadError(str(error) or type(error).__name__))
        elif not body.status:
            body.end(httpx.RemoteProtocolError(NO_ANSWER))
        else:
            body.end(None if self._to_the_end else httpx.RemoteProtocolError(CUT_SHORT))

    def _fail(self, error: Exception) -> None:
        """End the answer with an error, and the connection with it."""
        body, self._body = self._body, None
        if body is not None:
            body.end(error)
        self.abort()

    def _finish(self, body: Body) -> None:
        """The answer is whole: use the connection again if nothing speaks against it."""
        self._body = None
        body.end()
        transport = self._transport
        if self._keep and self._upload is None and transport is not None and not transport.get_write_buffer_size():
            self.read_on()
            self._release(self)
        else:
            self.abort()

    # The parser.

    def on_message_begin(self) -> None:
        """Another answer begins, or bytes that look like it; behind the whole one nobody asked for it."""
        if self._complete:
            self._keep = False
        self._headers = []

    def on_status(self, reason: bytes) -> None:
        """A part of the reason phrase."""
        if self._body is not None and not self._complete:
            self._body.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is of no use to anybody here."""
        if len(self._headers) < MAX_FIELDS:
            self._headers.append((name, value))
        elif self._broken is None and self._body is not None:
            self._broken = CUT_SHORT if self._body.status else f"{NOT_HTTP}: more than {MAX_FIELDS} header fields"

    def on_headers_complete(self) -> None:
        """The head is there: decide how its body is framed."""
        body, parser = self._body, self._parser
        if body is None or parser is None or self._complete or self._broken is not None:
            return
        raw, self._headers = [(name, value.rstrip(b" \t")) for name, value in self._headers], []
        header = joined(raw)
        status = parser.get_status_code()
        coding = header.get(b"transfer-encoding")
        self._tunnel = status == SWITCHING_PROTOCOLS and self._upgrade
        self._broken = _objection(status, raw, body.reason, parser.get_http_version(), coding, asked=self._tunnel)
        if self._broken is not None:
            return
        if self._tunnel:
            self._to_the_end = True
            body.raw, body.header, body.status = raw, header, status
            return
        if status < 200:
            if coding is not None or b"content-length" in header:
                self._broken = f"{NOT_HTTP}: an interim answer with a body"
            body.reason = b""
            return
        body.raw, body.header = raw, header
        body.status = status
        stays = not self._early and not self._upgrade and _stays(header, parser)
        if self._bodiless or status in BODILESS:
            # The parser would wait for a body: the next answer gets another one.
            self._complete, self._parser = True, None
            self._keep = stays and coding is None and header.get(b"content-length", b"0").strip(b"0") == b""
        else:
            self._chunked = coding is not None
            self._to_the_end = coding is None and b"content-length" not in header
            self._keep = stays and not self._to_the_end

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._complete or self._body is None:
            self._keep = False
        elif self._broken is None:
            self._body.chunks.append(data)
            self._body.size += len(data)

    def on_message_complete(self) -> None:
        """The answer is whole, if it was one; interim ones are not."""
        if self._body is not None and self._body.status and self._broken is None:
            self._complete = not self._tunnel


def _stays(header: dict[bytes, bytes], parser: HttpResponseParser) -> bool:
    """Whether a connection stays open by its answer's head. HTTP/1.0 knows no framing that all its servers mean."""
    return parser.get_http_version() == "1.1" and b"close" not in header.get(b"connection", b"").lower()


def _objection(
    status: int, raw: RawHeaders, reason: bytes, version: str, coding: bytes | None, *, asked: bool
) -> str | None:
    """What is wrong with a head that llhttp finds in order."""
    if not version.startswith("1.") or not 100 <= status <= 999:
        return f"{NOT_HTTP}: its version or status"
    if status == SWITCHING_PROTOCOLS and not asked:
        return "it answered 101, unasked"
    sizes = [len(name) + len(value) for name, value in raw]
    if sum(sizes) + len(reason) > MAX_HEAD_BYTES or max(sizes, default=0) > MAX_LINE_BYTES:
        return f"{NOT_HTTP}: its head is too long"
    if coding is not None and coding.lower() != b"chunked":
        return f"{NOT_HTTP}: a transfer coding that nobody asked for"
    return None
