"""A TCP server that plays a script, byte for byte, on each connection that it accepts.

    script = steps(read_request(), send(sse_head(), chunk(b"data: 1\\n\\n")), reset())
    async with ScriptedUpstream(script) as upstream:
        ...                                     # talk to upstream.url
    connection = upstream.connections[0]        # connection.received, .disconnected_at, .requests

The first connection plays the first script, the second the second, and all further ones the last. A script is a
coroutine function of a `Connection`; `steps(...)` makes one of parts. What a script leaves open stays open (and is
still read) until the server is left. Whatever a script raises, other than that its peer is gone, is raised on leaving.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

TIMEOUT_SECONDS = 20.0
#: Bytes that we hold for a peer that does not read, before `send` waits.
_HIGH_WATER = 64 * 1024


class PeerGoneError(Exception):
    """The other side closed or reset while the script still wanted something from it."""


@dataclass(frozen=True)
class Request:
    """One request as it came: the head's bytes, its parts, and the body with its transfer coding undone."""

    raw_head: bytes
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw_body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class Connection:
    """One accepted connection. Times are `time.monotonic()`."""

    transport: asyncio.Transport
    accepted_at: float
    received: bytearray = field(default_factory=bytearray)
    requests: list[Request] = field(default_factory=list)
    #: When, and how ("eof": a FIN, "reset": an RST or error), the peer left; None while it is there.
    disconnected_at: float | None = None
    disconnect: str | None = None
    bytes_sent: int = 0
    _taken: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writable: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def peer_port(self) -> int:
        port: int = self.transport.get_extra_info("peername")[1]
        return port

    @property
    def unsent_bytes(self) -> int:
        """How many of the bytes sent the kernel has not taken yet."""
        return self.transport.get_write_buffer_size()

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting for a peer that does not read."""
        await self._writable.wait()
        if self.transport.is_closing():
            raise PeerGoneError("the connection is closed")
        self.transport.write(data)
        self.bytes_sent += len(data)

    async def read_request(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Request:
        """Wait for one whole request and take it from what was received."""
        async with asyncio.timeout(timeout_seconds):
            await self._holds(b"\r\n\r\n", self._taken)
            end = self.received.index(b"\r\n\r\n", self._taken) + 4
            head = bytes(self.received[self._taken : end])
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            method, target, _ = first.split(" ")
            pairs = [line.split(":", 1) for line in lines]
            headers = [(name, value.strip()) for name, value in pairs]
            named = {name.lower(): value for name, value in headers}
            if named.get("transfer-encoding", "").lower() == "chunked":
                body, stop = await self._chunked(end)
            else:
                stop = end + int(named.get("content-length", "0"))
                await self._reaches(stop)
                body = bytes(self.received[end:stop])
        self._taken = stop
        request = Request(head, method, target, headers, body, bytes(self.received[end:stop]))
        self.requests.append(request)
        return request

    async def read_head(self, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
        """Wait for a request's head, without taking it; the body may still be on its way."""
        async with asyncio.timeout(timeout_seconds):
            await self._holds(b"\r\n\r\n", self._taken)
        return bytes(self.received[self._taken : self.received.index(b"\r\n\r\n", self._taken) + 4])

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, asked again whenever bytes arrive; `PeerGoneError` when no more can come."""
        while not holds():
            if self.disconnected_at is not None:
                raise PeerGoneError(f"the peer left ({self.disconnect}) after {len(self.received)} bytes")
            self._changed.clear()
            await self._changed.wait()

    async def wait_gone(self, timeout_seconds: float = TIMEOUT_SECONDS) -> float:
        """Wait until the peer has left; returns when that was."""
        async with asyncio.timeout(timeout_seconds):
            await self._gone.wait()
        assert self.disconnected_at is not None
        return self.disconnected_at

    def stop_reading(self) -> None:
        """Let the peer's bytes pile up in the kernel. A FIN or RST is then not seen either."""
        self.transport.pause_reading()

    def go_on_reading(self) -> None:
        self.transport.resume_reading()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.transport.write_eof()

    def close(self) -> None:
        """Close in order, once everything is sent."""
        self.transport.close()

    def reset(self) -> None:
        """Send RST at once; what the peer has not read yet may be lost."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def _holds(self, mark: bytes, start: int) -> None:
        await self.until(lambda: self.received.find(mark, start) >= 0)

    async def _reaches(self, size: int) -> None:
        await self.until(lambda: len(self.received) >= size)

    async def _chunked(self, start: int) -> tuple[bytes, int]:
        body, at = bytearray(), start
        while True:
            await self._holds(b"\r\n", at)
            line_end = self.received.index(b"\r\n", at)
            size = int(bytes(self.received[at:line_end]).split(b";")[0], 16)
            stop = line_end + 2 + size + 2
            await self._reaches(stop)
            body += self.received[line_end + 2 : stop - 2]
            at = stop
            if size == 0:
                return bytes(body), at

    def _note_gone(self, how: str) -> None:
        if self.disconnected_at is None:
            self.disconnected_at, self.disconnect = time.monotonic(), how
        self._gone.set()
        self._changed.set()
        self._writable.set()


Script = Callable[[Connection], Awaitable[None]]
Step = Script


def steps(*parts: Step) -> Script:
    """One script of several parts, played in order."""

    async def play(connection: Connection) -> None:
        for part in parts:
            await part(connection)

    return play


def repeat(part: Step) -> Step:
    """Play a part for ever: a keep-alive connection that answers each request alike."""

    async def play(connection: Connection) -> None:
        while True:
            await part(connection)

    return play


def read_request() -> Step:
    async def play(connection: Connection) -> None:
        await connection.read_request()

    return play


def read_head() -> Step:
    async def play(connection: Connection) -> None:
        await connection.read_head()

    return play


def send(*pieces: bytes) -> Step:
    """Send pieces, each in its own write."""

    async def play(connection: Connection) -> None:
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(0)

    return play


def sleep(seconds: float) -> Step:
    async def play(_: Connection) -> None:
        await asyncio.sleep(seconds)

    return play


def wait(event: asyncio.Event, timeout_seconds: float = TIMEOUT_SECONDS) -> Step:
    """Wait until the test sets the event."""

    async def play(_: Connection) -> None:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()

    return play


def tell(event: asyncio.Event) -> Step:
    """Set an event that the test waits for."""

    async def play(_: Connection) -> None:
        event.set()

    return play


def stop_reading() -> Step:
    async def play(connection: Connection) -> None:
        connection.stop_reading()

    return play


def half_close() -> Step:
    async def play(connection: Connection) -> None:
        connection.half_close()

    return play


def close() -> Step:
    async def play(connection: Connection) -> None:
        connection.close()

    return play


def reset() -> Step:
    async def play(connection: Connection) -> None:
        connection.reset()

    return play


def hang() -> Step:
    """Do nothing until the peer leaves."""

    async def play(connection: Connection) -> None:
        await connection.wait_gone(3600)

    return play


def head(status: str = "200 OK", *headers: str) -> bytes:
    """A response's head: `head("200 OK", "content-length: 2")`."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def sse_head(*headers: str) -> bytes:
    """The head of an event stream in chunks."""
    return head("200 OK", "content-type: text/event-stream", "transfer-encoding: chunked", *headers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def json_response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole JSON response with its length."""
    return head(status, "content-type: application/json", f"content-length: {len(body)}", *headers) + body


class ScriptedUpstream:
    """The server; an async context manager. `url` and `port` are there once it is entered."""

    def __init__(self, *scripts: Script, receive_buffer_bytes: int | None = None) -> None:
        if not scripts:
            raise ValueError("at least one script")
        self._scripts: Sequence[Script] = scripts
        self._receive_buffer_bytes = receive_buffer_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self.connections: list[Connection] = []
        self.errors: list[BaseException] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """All requests over all connections that scripts have taken."""
        return [request for connection in self.connections for request in connection.requests]

    async def connection(self, index: int = 0, timeout_seconds: float = TIMEOUT_SECONDS) -> Connection:
        """Wait for the so-many-th connection."""
        async with asyncio.timeout(timeout_seconds):
            while len(self.connections) <= index:
                self._arrived.clear()
                await self._arrived.wait()
        return self.connections[index]

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each second write waits for 40 ms
        if self._receive_buffer_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        self._server = await asyncio.get_running_loop().create_server(lambda: _Protocol(self), sock=listener)
        self.port = listener.getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            connection.transport.abort()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self._server.wait_closed()
        if self.errors and error is None:
            raise BaseExceptionGroup("scripts failed", self.errors)

    def _accepted(self, connection: Connection) -> None:
        script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
        self.connections.append(connection)
        self._arrived.set()
        task = asyncio.get_running_loop().create_task(self._play(script, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, script: Script, connection: Connection) -> None:
        try:
            await script(connection)
        except PeerGoneError:
            return
        except Exception as error:
            self.errors.append(error)
            connection.transport.abort()
            raise


class _Protocol(asyncio.Protocol):
    """Feeds a `Connection` from the event loop."""

    def __init__(self, server: ScriptedUpstream) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        taken = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        taken.set_write_buffer_limits(high=_HIGH_WATER)
        self.connection = Connection(taken, time.monotonic())
        self.connection._writable.set()
        self._server._accepted(self.connection)

    def data_received(self, data: bytes) -> None:
        self.connection.received += data
        self.connection._changed.set()

    def pause_writing(self) -> None:
        self.connection._writable.clear()

    def resume_writing(self) -> None:
        self.connection._writable.set()

    def eof_received(self) -> bool:
        self.connection._note_gone("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection._note_gone("eof" if exc is None else "reset")
