"""An HTTP/1.1 client that hides nothing: it sends the bytes it is given and says exactly how each answer ended.

    async with await RawClient.connect(url) as client:
        await client.request("POST", "/v1/messages", [("x-api-key", "k")], body)
        answer = await client.answer()          # .head, .body, .end, .framing, .arrivals, .events()

`answer.end` is COMPLETE only when the framing itself said so: the last chunk, the whole content-length, or, where a
body is ended by closing, FIN. EOF is a FIN before that, RESET an RST. It shares no parser with what it judges.
"""

import asyncio
import re
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
_BOUNDARY = re.compile(rb"(?:\r\n|\r(?!\n)|\n)(?:\r\n|\r(?!\n)|\n)")


class End(StrEnum):
    """How a body ended."""

    COMPLETE = "complete"
    EOF = "eof"
    RESET = "reset"


class NoAnswerError(Exception):
    """The connection ended before a whole head had come: `end` says how, `got` what had."""

    def __init__(self, end: End, got: bytes) -> None:
        self.end, self.got = end, got
        super().__init__(f"{end} before a whole head: {got[:200]!r}")


@dataclass(frozen=True)
class Head:
    """Status line and headers, also as they came."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    raw: bytes
    version: str = "HTTP/1.1"

    def get(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Answer:
    """A whole answer. `arrivals`: (`time.monotonic()`, length of the body by then) for each read that brought some."""

    head: Head
    framing: str
    body: bytearray = field(default_factory=bytearray)
    end: End = End.EOF
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    ended_at: float = 0.0

    def events(self) -> list[tuple[float, bytes]]:
        """Each complete event block of an event stream, its blank line included, with the time when it was whole."""
        found, start, arrival = [], 0, 0
        for boundary in _BOUNDARY.finditer(self.body):
            while self.arrivals[arrival][1] < boundary.end():
                arrival += 1
            found.append((self.arrivals[arrival][0], bytes(self.body[start : boundary.end()])))
            start = boundary.end()
        return found


class RawClient:
    """One connection. Everything waits for at most `timeout_seconds` without progress."""

    def __init__(self, wire: "_Wire", host: str, timeout_seconds: float) -> None:
        self._wire, self._host, self._timeout_seconds = wire, host, timeout_seconds
        self.informational: list[Head] = []

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        receive_buffer_bytes: int | None = None,
        limit_bytes: int = 64 * 1024,
    ) -> Self:
        """Connect to the host and port of a URL.

        We take at most about `limit_bytes` from the kernel before somebody asks for them; together with a small
        `receive_buffer_bytes` (SO_RCVBUF) that makes a client whose not reading is felt soon.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        connection = socket.socket(socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each second write waits for 40 ms
        if receive_buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await loop.sock_connect(connection, (parts.hostname, parts.port or 80))
            _, wire = await loop.create_connection(lambda: _Wire(limit_bytes), sock=connection)
        except BaseException:
            connection.close()
            raise
        return cls(wire, parts.netloc, timeout_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def local_port(self) -> int:
        port: int = self._wire.transport.get_extra_info("sockname")[1]
        return port

    @property
    def ended(self) -> End | None:
        """How the server ended the connection, as far as we know: None while it is open."""
        return self._wire.ended

    @property
    def unread_bytes(self) -> int:
        """How many bytes have come that nobody has asked for yet."""
        return len(self._wire.buffer)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are; `ConnectionError` when the connection is gone."""
        async with asyncio.timeout(self._timeout_seconds):
            await self._wire.send(data)

    async def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> None:
        """Send a whole request; Host, and Content-Length where there is a body, are added."""
        await self.send(self.request_bytes(method, target, headers, body))

    def request_bytes(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")

    async def head(self) -> Head:
        """Read the next final head; 1xx heads before it go to `informational`. `NoAnswerError` if none comes."""
        while True:
            try:
                raw = await self._through(b"\r\n\r\n")
            except _EndedError as error:
                raise NoAnswerError(error.end, bytes(self._wire.buffer)) from error
            head = _parse(raw)
            if head.status >= 200 or head.status == 101:
                return head
            self.informational.append(head)

    async def begin(self, method: str = "POST") -> Answer:
        """Read the head and return an answer whose body is still to be read, with `chunks` or `finish`."""
        head = await self.head()
        return Answer(head, _framing(head, method))

    async def chunks(self, answer: Answer) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they come, and note arrivals and end in the answer. Stop asking to stop reading."""
        try:
            async for data in self._body(answer):
                answer.body += data
                answer.arrivals.append((self._wire.taken_at, len(answer.body)))
                yield data
            answer.end = End.COMPLETE
        except _EndedError as error:
            answer.end = error.end
        answer.ended_at = time.monotonic()

    async def finish(self, answer: Answer) -> Answer:
        """Read the rest of a body."""
        async for _ in self.chunks(answer):
            pass
        return answer

    async def answer(self, method: str = "POST") -> Answer:
        """Read a whole answer to a request of that method."""
        return await self.finish(await self.begin(method))

    async def read_slowly(self, bytes_per_second: float, seconds: float) -> bytes:
        """Read raw bytes (framing and all) at a rate, for so long or until the end."""
        got, started = bytearray(), time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            due = int(elapsed * bytes_per_second) - len(got)
            if due <= 0:
                await asyncio.sleep(min(1 / bytes_per_second, 0.1))
                continue
            try:
                got += await self._some(due)
            except _EndedError:
                break
        return bytes(got)

    async def wait_end(self) -> End:
        """Read and forget all that still comes: EOF for a FIN, RESET for an RST."""
        while True:
            try:
                await self._some(1 << 20)
            except _EndedError as error:
                return error.end

    @property
    def received_bytes(self) -> int:
        """All that has been taken from the kernel so far."""
        return self._wire.received_bytes

    def stop_reading(self) -> None:
        """Take nothing more from the kernel until `go_on_reading`; the server's end is not seen either."""
        self._wire.hold(True)

    def go_on_reading(self) -> None:
        self._wire.hold(False)

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self._wire.transport.write_eof()

    def reset(self) -> None:
        """Send RST."""
        connection = self._wire.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.transport.abort()

    async def close(self) -> None:
        """Close at once: bytes that were not sent yet are forgotten, and a peer that is gone is no error."""
        self._wire.transport.abort()
        await asyncio.sleep(0)

    async def _body(self, answer: Answer) -> AsyncIterator[bytes]:
        if answer.framing == "none":
            return
        if answer.framing == "length":
            left = int(answer.head.get("content-length") or 0)
            async for data in self._counted(left):
                yield data
        elif answer.framing == "chunked":
            async for data in self._chunked():
                yield data
        else:
            while True:
                try:
                    data = await self._some(65536)
                except _EndedError as error:
                    if error.end is End.EOF:
                        return
                    raise
                yield data

    async def _counted(self, left: int) -> AsyncIterator[bytes]:
        while left:
            data = await self._some(left)
            left -= len(data)
            yield data

    async def _chunked(self) -> AsyncIterator[bytes]:
        while True:
            size = int((await self._through(b"\r\n")).split(b";")[0], 16)
            async for data in self._counted(size):
                yield data
            if await self._through(b"\r\n") != b"\r\n":
                raise ValueError("a chunk does not end in CRLF (or there are trailers, which nobody here sends)")
            if size == 0:
                return

    async def _through(self, mark: bytes) -> bytes:
        """Take all up to a mark, and the mark."""
        while (at := self._wire.buffer.find(mark)) < 0:
            await self._more()
        return self._wire.take(at + len(mark))

    async def _some(self, most: int) -> bytes:
        """Take between 1 and so many bytes."""
        while not self._wire.buffer:
            await self._more()
        return self._wire.take(most)

    async def _more(self) -> None:
        async with asyncio.timeout(self._timeout_seconds):
            await self._wire.more()


class _EndedError(Exception):
    """No more bytes will come."""

    def __init__(self, end: End) -> None:
        self.end = end


class _Wire(asyncio.Protocol):
    """Bytes in both directions. Unlike a `StreamReader` it keeps what came before a reset, and when it came."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._held = False
        self._taken = 0
        #: For each read: the position in the whole stream where it ended, and when it came.
        self._marks: deque[tuple[int, float]] = deque()
        self.buffer = bytearray()
        self.ended: End | None = None
        #: When the last byte that `take` returned had come.
        self.taken_at = 0.0

    @property
    def received_bytes(self) -> int:
        return self._taken + len(self.buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._marks.append((self.received_bytes, time.monotonic()))
        self._pace()
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = self.ended or End.EOF
        self._changed.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or (End.EOF if exc is None else End.RESET)
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def hold(self, held: bool) -> None:
        self._held = held
        self._pace()

    async def send(self, data: bytes) -> None:
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is gone")
        self.transport.write(data)
        await self._writable.wait()
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is gone")

    async def more(self) -> None:
        """Wait for more bytes."""
        before = len(self.buffer)
        while len(self.buffer) == before:
            if self.ended is not None:
                raise _EndedError(self.ended)
            self._changed.clear()
            await self._changed.wait()

    def take(self, most: int) -> bytes:
        data = bytes(self.buffer[:most])
        del self.buffer[:most]
        self._taken += len(data)
        while self._marks and self._marks[0][0] < self._taken:
            self._marks.popleft()
        self.taken_at = self._marks[0][1] if self._marks else self.taken_at
        self._pace()
        return data

    def _pace(self) -> None:
        if self.transport.is_closing() or self.ended is not None:
            return
        if self._held or len(self.buffer) >= self._limit_bytes:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


def _parse(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    version, status, *reason = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Head(int(status), reason[0] if reason else "", headers, raw, version)


def _framing(head: Head, method: str) -> str:
    if method == "HEAD" or head.status in {204, 304}:
        return "none"
    if (head.get("transfer-encoding") or "").lower() == "chunked":
        return "chunked"
    return "length" if head.get("content-length") is not None else "close"
