"""Server-sent events: where a stream may be cut, what it says, and how we say something.

Called by the relay (`Framer`: bytes in, the same bytes out, never decoded), by the side accounts and whoever must read
a stream (`Decoder`), and by the protocols (`encode`). The rules are the WHATWG's: lines end with CR, LF or CRLF, an
empty line ends an event, a line that starts with a colon is a comment, one BOM may open the stream.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar

#: An unfinished event is held back up to here; a client could not use it before its end anyhow.
MAX_HELD_BYTES = 64 * 1024

#: The largest event that `Decoder` takes: a 24 MiB file in base64 fits, and memory stays bounded.
MAX_EVENT_BYTES = 32 * 1024 * 1024

#: Whatever came before, a block with one of these ends ends an event. (So does `\r\r`, but a `\n` may still follow.)
EVENT_ENDS = (b"\n\n", b"\r\n\r\n")

#: A `retry` of more digits than this (30,000 years) is no reconnection time; `int` refuses 4,300 digits itself.
_MAX_RETRY_DIGITS = 15

_BOM = b"\xef\xbb\xbf"
_CR = 0x0D
_LF = 0x0A
_COLON = 0x3A
#: Complete comment lines in a row. Possessive: a million of them need no memory to go back to.
_COMMENT_LINES = re.compile(rb"(?::[^\r\n]*+(?:\r\n?+|\n))*+")
#: The same, and empty lines: between two events neither means anything.
_NOISE = re.compile(rb"(?:(?::[^\r\n]*+)?+(?:\r\n?+|\n))*+")
_LINE_END = re.compile(r"\r\n|\r|\n")
#: A whole event as nearly all are sent: at most a name, one line of data, and the empty line.
_USUAL = re.compile(rb"(?:event: ([^\r\n]*+)\n)?+data: ([^\r\n]*+)\n\n")
#: One line with its end, or the begin of one at the end of what there is.
_LINE = re.compile(rb"([^\r\n]*+)(\r\n?+|\n|\Z)")


class EventTooLargeError(ValueError):
    """The upstream sent an event that is larger than we are ready to hold."""


class _Tail(Enum):
    """What stands after the last event boundary."""

    #: Nothing has come yet, or the first bytes of what may be a BOM.
    START = auto()
    #: Nothing, or only complete comment lines, which have left.
    EMPTY = auto()
    #: A comment line without its end.
    COMMENT = auto()
    #: At least the first byte of a line that belongs to an event.
    EVENT = auto()


class Framer:
    """Says which bytes of a stream may leave now. All that it hands out, joined, is the input, always.

    Bytes leave up to the last event boundary and, behind it, whole comment lines: all that a client can use. The rest
    waits for the end of its event, up to `max_held_bytes`; what is larger leaves as it comes.
    """

    __slots__ = ("_held", "_last", "_max_held_bytes", "_overflowing", "_resting", "_tail", "insertable")

    #: What passes verbatim passes to its end.
    enough: ClassVar[bool] = False

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_held_bytes = max_held_bytes
        self._held = bytearray()
        #: The last byte that came in. Before the first one, we stand at the start of a line, as after an LF.
        self._last = _LF
        self._tail = _Tail.START
        #: The beginning of the unfinished event has left already.
        self._overflowing = False
        #: Nothing is held, the last event is over and its last line, too: the state in which `feed` has a short way.
        self._resting = False
        #: True while events of our own may be put behind what has left.
        self.insertable = True

    def __repr__(self) -> str:
        return f"Framer({self._tail.name.lower()}, held={self.held}, insertable={self.insertable})"

    @property
    def held(self) -> int:
        """How many bytes wait for the end of their event."""
        return len(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """Take what came from the upstream, return what may leave now."""
        if self._resting and chunk.endswith(EVENT_ENDS):
            return chunk
        if not chunk:
            return b""
        if self._tail is _Tail.START:
            return self._feed_first(chunk)
        return self._feed(chunk)

    def finish(self) -> bytes:
        """Return the held tail as it is, as the stream has ended. Who wants it discarded does not ask for it."""
        tail = bytes(self._held)
        self._held.clear()
        self._resting = False
        if tail:
            self.insertable = False
        return tail

    def _feed_first(self, chunk: bytes) -> bytes:
        """As `_feed`, while a BOM may be under way. It leaves alone: nothing may ever be inserted before it."""
        chunk = bytes(self._held) + chunk
        self._held.clear()
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._held += chunk
            self.insertable = False
            return b""
        self._tail = _Tail.EMPTY
        self.insertable = True
        if not chunk.startswith(_BOM):
            return self._feed(chunk)
        rest = chunk[len(_BOM) :]
        return _BOM + self._feed(rest) if rest else _BOM

    def _feed(self, chunk: bytes) -> bytes:
        cut = self._boundary(chunk)
        if cut:
            self._tail = _Tail.EMPTY
        elif self._tail is _Tail.EMPTY and chunk[0] == _LF:
            cut = 1  # no empty line: the second half of a CRLF, whose CR has left
        elif self._tail is _Tail.COMMENT:
            cut = _line_end(chunk, 0)
            if cut:
                self._tail = _Tail.EMPTY
        if self._tail is _Tail.EMPTY:
            cut = self._pass_comments(chunk, cut)
        self._last = chunk[-1]
        return self._cut(chunk, cut)

    def _boundary(self, chunk: bytes) -> int:
        """Where in `chunk` the last empty line ends; 0 if there is none."""
        start = chunk.rfind(b"\n\n")
        if b"\r" in chunk:
            start = max(start, chunk.rfind(b"\r\r"), chunk.rfind(b"\n\r"))
        if start >= 0:
            end = start + 2
        elif (chunk[0] == _LF and self._last == _LF) or (chunk[0] == _CR and self._last in {_CR, _LF}):
            end = 1
        else:
            return 0
        return end + 1 if chunk[end - 1] == _CR and chunk[end : end + 1] == b"\n" else end

    def _pass_comments(self, chunk: bytes, start: int) -> int:
        """Where the comment lines that begin at `start` end; notes what stands behind them."""
        comments = _COMMENT_LINES.match(chunk, start)
        end = comments.end() if comments else start
        if end < len(chunk):
            self._tail = _Tail.COMMENT if chunk[end] == _COLON else _Tail.EVENT
        return end

    def _cut(self, chunk: bytes, cut: int) -> bytes:
        """Let the held bytes and `chunk[:cut]` leave and hold the rest, or let it leave, too, if it is too much."""
        if cut:
            self._overflowing = False
        waiting = len(chunk) - cut + (0 if cut else len(self._held))
        if self._overflowing or waiting > self._max_held_bytes:
            self._overflowing = True
            cut = len(chunk)
        self.insertable = not self._overflowing
        self._resting = self._tail is _Tail.EMPTY and self._last == _LF
        if not cut:
            self._held += chunk
            return b""
        leaving = bytes(self._held) + chunk[:cut] if self._held else chunk[:cut]
        self._held.clear()
        self._held += chunk[cut:]
        return leaving


def _line_end(chunk: bytes, start: int) -> int:
    """Where the line that stands at `start` ends, its line end included; 0 if it does not."""
    lf = chunk.find(b"\n", start)
    cr = chunk.find(b"\r", start, lf if lf >= 0 else len(chunk))
    if cr < 0:
        return lf + 1
    return cr + 2 if cr + 1 == lf else cr + 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a client sees it."""

    #: The `event` field, or "message" where there was none.
    event: str
    #: The `data` lines joined by LF.
    data: str
    #: The last event id of the stream so far, if it ever had one.
    id: str | None = None
    #: The reconnection time in milliseconds that came with this event.
    retry: int | None = None
    #: Data was left out, as the event is larger than the decoder keeps.
    truncated: bool = False


class Decoder:
    """Events out of bytes that may be split anywhere, after the WHATWG's rules. Bad UTF-8 becomes U+FFFD.

    Data, or a line of any kind, of more than `max_event_bytes` raises `EventTooLargeError`, then and from then on.
    With `truncate` it keeps what it had by then instead, and nothing is ever raised.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_event",
        "_id",
        "_line",
        "_line_cut",
        "_max_bytes",
        "_retry",
        "_start",
        "_truncate",
        "_truncated",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, *, truncate: bool = False) -> None:
        self._max_bytes = max_event_bytes
        self._truncate = truncate
        #: The line without its end so far, and whether the rest of it was left out.
        self._line = bytearray()
        self._line_cut = False
        #: The last byte was a CR: an LF that follows belongs to it.
        self._after_cr = False
        #: The first line, which may open with a BOM, has not ended yet.
        self._start = True
        self._id: str | None = None
        self._event = ""
        #: The data lines of the event so far, each with an LF: empty if and only if there were none.
        self._data = bytearray()
        self._retry: int | None = None
        self._truncated = False

    @property
    def held(self) -> int:
        """Bytes of an event, or of a line, that wait for the rest."""
        return len(self._line) + len(self._data)

    @property
    def pending(self) -> bool:
        """Whether something of an event, or of a line, waits for the rest."""
        return bool(self._line or self._data or self._event or self._retry is not None)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take any part of the stream, return the events that it completed."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk[1:] if chunk[0] == _LF else chunk
        events: list[Event] = []
        position = self._pass_usual(chunk, self._pass_noise(chunk, 0), events)
        while position < len(chunk) and (line := _LINE.match(chunk, position)):
            content, position = line[1], line.end()
            if self._line or not line[2] or len(content) > self._max_bytes:
                self._hold(content)
                if not line[2]:
                    break
                content = bytes(self._line)
                self._line.clear()
            event = self._end_line(content)
            if event:
                events.append(event)
            if not content or content[0] == _COLON:
                position = self._pass_usual(chunk, self._pass_noise(chunk, position), events)
        if chunk.endswith(b"\r"):
            self._after_cr = True
        return events

    def _pass_noise(self, chunk: bytes, position: int) -> int:
        """Where the comments and empty lines end that begin here, and belong to no event: a million take no time."""
        if self._line or self._start or (len(chunk) - position > self._max_bytes and not self._truncate):
            return position  # a comment that is too long is refused as any line is
        noise = (_COMMENT_LINES if self.pending else _NOISE).match(chunk, position)
        return noise.end() if noise else position

    def _pass_usual(self, chunk: bytes, position: int, events: list[Event]) -> int:
        """Where the events end that begin here, and are sent as nearly all are; they are added to `events`."""
        if self._line or self._start or self.pending:
            return position
        while (usual := _USUAL.match(chunk, position)) and usual.end() - position <= self._max_bytes:
            name, data = usual.groups()
            events.append(Event(_text(name or b"") or "message", _text(data), self._id))
            position = usual.end()
        return position

    def _hold(self, content: bytes) -> None:
        room = self._max_bytes - len(self._line)
        if len(content) > room:
            self._refuse()
            self._line_cut = True
        self._line += content[:room]

    def _refuse(self) -> None:
        if not self._truncate:
            self._max_bytes = -1  # whatever follows is no less too large
            raise EventTooLargeError("the upstream sent an event that is too large")

    def _end_line(self, line: bytes) -> Event | None:
        if self._start:
            self._start = False
            line = line.removeprefix(_BOM)
        cut, self._line_cut = self._line_cut, False
        if line:
            self._take_field(line, cut=cut)
            return None
        return self._dispatch()

    def _take_field(self, line: bytes, *, cut: bool) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._take_data(value.removeprefix(b" "), cut=cut)
        elif name == b"event":
            self._event = _text(value.removeprefix(b" "))
        elif name == b"id":
            if b"\0" not in value:
                self._id = _text(value.removeprefix(b" "))
        elif name == b"retry":
            value = value.removeprefix(b" ")
            if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self._retry = int(value)

    def _take_data(self, value: bytes, *, cut: bool) -> None:
        value += b"\n"
        room = self._max_bytes - len(self._data)
        if len(value) > room:
            self._refuse()
            cut = True
        self._data += value[:room]
        self._truncated = self._truncated or cut

    def _dispatch(self) -> Event | None:
        event = None
        if self._data:
            data = _text(self._data.removesuffix(b"\n"))
            event = Event(self._event or "message", data, self._id, self._retry, self._truncated)
        self._event = ""
        self._data.clear()
        self._retry = None
        self._truncated = False
        return event


def _text(value: bytes | bytearray) -> str:
    return value.decode("utf-8", "replace")


def encode(event: str | None, data: str) -> bytes:
    """One event, complete. Line ends within `data` become LF; a line end in `event` is a ValueError."""
    if event is not None and _LINE_END.search(event):
        raise ValueError("an event's name is one line")
    name = f"event: {event}\n" if event is not None else ""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"{name}{lines}\n".encode("utf-8", "replace")
