"""HTTP/1.1 on one connection, strictly: requests one after another, never a second one at a time.

Stands where Hypercorn has its `H11Protocol`. Called by `connection.py` with the bytes of one client; starts the
application on each request (`cycle.py`). What it adds, and why:

- What two readers could understand in two ways is a 400 (`heads.py`, `chunks.py`).
- HTTP/2 without TLS is refused: a drain needs GOAWAY there. An offer to upgrade to it is ignored, as RFC 9110, 7.8
  allows; any other is the application's to answer: with a 101 the connection is a tunnel, and its bytes are the body.
- A second request before the first is answered closes the connection after that answer. Hypercorn would park the
  reader, and then nobody sees the client leave.
- An empty line before the next request is passed over, as some clients send one behind a body (RFC 9112, 2.2); the
  connection's first byte is a request's.
- `100 Continue` goes out when the application first asks for the body, not before it had a chance to refuse.

Nothing here waits: bytes go in, and what follows from them has happened when `feed` returns.
"""

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog

from .answers import frame
from .chunks import Chunks
from .cycle import Cycle
from .heads import HEAD_END, MAX_HEAD_BYTES, BadRequest, check_beginning, parse_head
from .refusals import refusal

if TYPE_CHECKING:
    from .connection import Connection

log = structlog.get_logger(__name__)


#: Empty lines that are passed over before a request; RFC 9112, 2.2 asks for one at least.
MAX_EMPTY_LINES = 4
_LINE_END = b"\r\n"


class Reading(Enum):
    """What the next byte of the client belongs to."""

    #: A request's head; or nothing yet.
    HEAD = auto()
    #: The body of the request under way.
    BODY = auto()
    #: The next request, too early: the one under way has been read to its end.
    AHEAD = auto()
    #: Another protocol: the application has answered 101.
    TUNNEL = auto()
    #: Nothing that anybody looks at: the connection is to be closed.
    NOTHING = auto()


class HTTP1:
    """The requests of one connection."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.reading = Reading.HEAD
        #: Whether the connection ends with the answer under way.
        self.close_after = False
        self._cycle: Cycle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffer = bytearray()
        #: Empty lines that may still come before the next request.
        self._empty_lines = 0
        self._left = 0
        self._chunks: Chunks | None = None
        self._catches_up = False

    @property
    def read_whole(self) -> bool:
        """Whether the request under way has been read to its end."""
        return self.reading is not Reading.BODY

    @property
    def in_head(self) -> bool:
        """Whether a head has begun to come, and not ended."""
        return self.reading is Reading.HEAD and bool(self._buffer)

    @property
    def waits(self) -> bool:
        """Whether nothing of a request has come yet."""
        return self.reading is Reading.HEAD and not self._buffer

    # What comes in.

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        try:
            if self.reading is Reading.HEAD:
                self._take_head(data)
            elif self.reading is Reading.BODY:
                self._take_body(data)
            elif self.reading is Reading.AHEAD:
                self._take_early(data)
            elif self.reading is Reading.TUNNEL:
                self._take_tunnelled(data)
        except BadRequest as bad:
            self.refuse(bad.status, bad.message)

    def _take_head(self, data: bytes) -> None:
        seen = len(self._buffer)
        if seen:
            self._buffer += data
            data = bytes(self._buffer)
        if self._empty_lines and data.startswith(b"\r"):
            data, seen = self._behind_empty_lines(data), 0
            if not data:
                return
        end = data.find(HEAD_END, max(0, seen - len(HEAD_END)), MAX_HEAD_BYTES)
        if end < 0:
            if not seen:
                self._buffer += data
            check_beginning(data, seen)
            return
        end += len(HEAD_END)
        self._buffer.clear()
        self._empty_lines = 0
        head = parse_head(data[:end])
        self.connection.is_busy()
        self.close_after = not head.keep_alive
        cycle = self._cycle = Cycle(self, head)
        task = self.connection.loop.create_task(self._serve(cycle))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        rest = data[end:]
        if head.length == 0:
            self._read_whole(cycle, b"", rest)
            return
        self.reading = Reading.BODY
        self._left = head.length or 0
        self._chunks = Chunks() if head.length is None else None
        if rest:
            self._take_body(rest)

    def _behind_empty_lines(self, data: bytes) -> bytes:
        """What stands behind them; nothing where there may be more of them."""
        self._buffer.clear()
        while self._empty_lines and data.startswith(_LINE_END):
            data = data[len(_LINE_END) :]
            self._empty_lines -= 1
        if self._empty_lines and data == b"\r":
            self._buffer += data
            return b""
        return data

    def _take_body(self, data: bytes) -> None:
        cycle = self._cycle
        if cycle is None:  # pragma: no cover - an answer to a body that is still coming ends the connection
            raise RuntimeError
        if self._chunks is not None:
            body = self._chunks.feed(data)
            if self._chunks.over:
                self._read_whole(cycle, body, self._chunks.rest)
                return
        elif len(data) >= self._left:
            self._read_whole(cycle, data[: self._left], data[self._left :])
            return
        else:
            body = data
            self._left -= len(data)
        if body:
            cycle.put(body, True)
        if cycle.full:
            self.connection.pause_reading()
        elif self._is_behind():
            self._catch_up_soon()

    def _is_behind(self) -> bool:
        """Whether more of what came could be decoded. Others have their turn first."""
        return self._chunks is not None and self._chunks.behind

    def _catch_up_soon(self) -> None:
        self.connection.pause_reading()
        if not self._catches_up:
            self._catches_up = True
            self.connection.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._catches_up = False
        if self._is_behind() and self.reading is Reading.BODY:
            self.feed(b"")
        if not self._catches_up and not (self._cycle is not None and self._cycle.full):
            self.connection.resume_reading()

    def _read_whole(self, cycle: Cycle, body: bytes, rest: bytes) -> None:
        self.reading = Reading.AHEAD
        self._chunks = None
        cycle.put(body, False)
        if rest:
            self._take_early(rest)

    def _take_early(self, data: bytes) -> None:
        """The next request, before the one under way is done with."""
        self._buffer += data
        if self._cycle is not None and (self._cycle.answered or self._cycle.may_switch):
            if len(self._buffer) > MAX_HEAD_BYTES:
                self.connection.pause_reading()
        elif (_LINE_END * MAX_EMPTY_LINES).startswith(self._buffer):
            pass  # no request yet
        else:
            # It is never looked at.
            self._buffer.clear()
            self.close_after = True
            self.reading = Reading.NOTHING

    def begin_tunnel(self) -> None:
        """The application answers 101: what comes is another protocol's."""
        self.reading = Reading.TUNNEL
        early = bytes(self._buffer)
        self._buffer.clear()
        self._take_tunnelled(early)

    def _take_tunnelled(self, data: bytes) -> None:
        if self._cycle is not None and data:
            self._cycle.put(data, True)
            self.connection.pause_reading()

    def wants_more(self) -> None:
        """The application took what was waiting for it."""
        if self._is_behind():
            self._catch_up_soon()
        else:
            self.connection.resume_reading()

    def leave(self) -> None:
        """The client is gone."""
        self.reading = Reading.NOTHING
        if self._cycle is not None:
            self._cycle.leave()

    def refuse_late_head(self) -> None:
        """Answer a head that takes too long."""
        if self.in_head:
            self.refuse(408, "the request's head took too long")

    def refuse(self, status: int, message: str) -> None:
        """Answer what is no proper request, and close."""
        cycle, self._cycle = self._cycle, None
        self.leave()
        if cycle is None or cycle.answer is None:
            headers, body = refusal(status, message)
            self.connection.write(frame(status, headers, is_head=False, chunks=True, close=True).data + body)
        if cycle is not None:
            cycle.leave()
        self.connection.begin_close()

    # The application.

    async def _serve(self, cycle: Cycle) -> None:
        try:
            await self.connection.asgi(cycle.scope, cycle.receive, cycle.send)
        except Exception:
            log.exception("the application raised while it served a request")
        finally:
            if self._cycle is cycle:
                self._unfinished(cycle)

    def finished(self, cycle: Cycle) -> None:
        """The answer is whole and with the transport."""
        if self._cycle is not cycle:
            return  # the client left while the last bytes waited for it
        self._cycle = None
        cycle.leave()
        answer = cycle.answer
        if self.reading is not Reading.AHEAD or self.close_after or answer is None or answer.close:
            self._end()
            return
        self.reading = Reading.HEAD
        self._empty_lines = MAX_EMPTY_LINES
        self.connection.is_idle()
        self.connection.resume_reading()
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            self.connection.take(data)

    def _unfinished(self, cycle: Cycle) -> None:
        """The application is done, the answer is not."""
        self._cycle = None
        answer = cycle.answer
        if not cycle.gone:
            if answer is None:
                self.connection.write(
                    frame(500, [(b"content-length", b"0")], is_head=False, chunks=True, close=True).data
                )
            elif not answer.chunked and answer.length is None and not answer.bodiless:
                # Nothing but the end of the connection ends this body: only a reset can say that it is not whole.
                self.connection.reset()
        cycle.leave()
        self._end()

    def _end(self) -> None:
        self.reading = Reading.NOTHING
        self.connection.begin_close()
        self.connection.resume_reading()

    async def ended(self) -> None:
        """Wait for the applications; cancelled, it cancels them first."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            raise
