"""The head of an answer: what frames its body, whether the connection goes on, and all of it as bytes.

Used by `cycle.py`. The application decides what is said, we decide how it is framed: a length if it names one, chunks
for HTTP/1.1, the connection's end for HTTP/1.0.
"""

import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from wsgiref.handlers import format_date_time

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
#: The connection is another protocol's from here on (RFC 9110, 15.2.2).
SWITCHING_PROTOCOLS = 101
#: Statuses whose answers have no body (RFC 9112, 6.3).
_BODILESS = frozenset({204, 304})
#: It may not even speak of a length (RFC 9110, 8.6).
NO_CONTENT = 204


class BadAnswer(Exception):  # noqa: N818 - it says what was given
    """The application's answer cannot be sent: a bug of ours."""


@dataclass(slots=True)
class AnswerHead:
    """A head, ready to leave, and what it said."""

    data: bytes
    #: Whether the body goes in chunks; if not, its length, or None when the connection's end is its end.
    chunked: bool
    length: int | None
    #: Whether there is no body whatever the application sends.
    bodiless: bool
    #: Whether the connection ends with this answer.
    close: bool
    #: Whether the body is another protocol's bytes.
    tunnel: bool = False


def frame(
    status: int, headers: Iterable[tuple[bytes, bytes]], *, is_head: bool, chunks: bool, close: bool
) -> AnswerHead:
    """Make a head. `chunks`: the client knows them; `close`: the connection will not be kept in any case.

    Of what the headers say about the connection itself, only that it is to close counts, and an `Upgrade`.

    Errors: BadAnswer.
    """
    parts: list[bytes] = []
    length: int | None = None
    dated = upgrades = False
    lines = 0
    for name, value in headers:
        lower = name.lower()
        if lower not in _FRAMING:
            parts += (name, b": ", value, b"\r\n")
            lines += 1
            dated = dated or lower == b"date"
            upgrades = upgrades or lower == b"upgrade"
        elif lower == b"content-length":
            if length is not None or not value.isdigit():
                raise BadAnswer("one Content-Length, in digits")
            length = int(value)
        elif lower == b"connection" and b"close" in value.lower():
            close = True
    others = b"".join(parts)
    if others.count(b"\n") != lines or others.count(b"\r") != lines or b"\0" in others:
        raise BadAnswer("a header of the answer holds a line end")
    if status == NO_CONTENT:
        length = None
    tunnel = status == SWITCHING_PROTOCOLS
    bodiless = (is_head and not tunnel) or status in _BODILESS
    chunked = length is None and chunks and status not in _BODILESS and not tunnel
    close = close or (length is None and not chunked and not bodiless)
    first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    data = b"%b%b%b%b%b%b\r\n" % (
        first,
        b"content-length: %d\r\n" % length if length is not None else b"",
        b"transfer-encoding: chunked\r\n" if chunked else b"",
        _connection(close=close and not tunnel, upgrades=upgrades),
        others,
        b"" if dated else _date_line(int(time.time())),
    )
    return AnswerHead(data, chunked, length, bodiless, close, tunnel)


def _connection(*, close: bool, upgrades: bool) -> bytes:
    """The line about the connection; who names a protocol to change to must say that it is meant for this hop."""
    if upgrades:
        return b"connection: close, upgrade\r\n" if close else b"connection: upgrade\r\n"
    return b"connection: close\r\n" if close else b""


@functools.lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    """The time, as HTTP writes it (RFC 9110, 5.6.7); made once a second."""
    return b"date: %b\r\n" % format_date_time(second).encode("ascii")
