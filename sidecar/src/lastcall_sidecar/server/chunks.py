"""A body in chunks (RFC 9112, 7.1), decoded as it comes. Pure; used by `http1.py`.

Extensions and trailers are read over and dropped: nothing that we serve asks for them.
"""

import re

from .heads import HEAD_END, MAX_HEAD_BYTES, TOKEN, VALUE, BadRequest, check_fields

#: Bytes of the line before a chunk; extensions hardly exist.
MAX_LINE_BYTES = 4096
#: Size in up to 15 digits, blanks that some clients pad it with, extensions that are thrown away.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15}+)[ \t]*+(?:;%b)?" % VALUE)
_TRAILERS = re.compile(rb"(?:%b:%b\r\n)*+" % (TOKEN, VALUE))
_CRLF = b"\r\n"


class Chunks:
    """Decodes one body: `feed` gives what is in it, `over` says that it ended, `rest` what came behind it."""

    __slots__ = ("_buffer", "_left", "over", "rest")

    def __init__(self) -> None:
        self._buffer = bytearray()
        #: Bytes of this chunk that have not come yet, its line end included; 0 between chunks, -1 in the trailers.
        self._left = 0
        self.over = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in `data`, and in what was waiting for it. Not to be called when it is over.

        Errors: BadRequest.
        """
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at = 0
        while not self.over:
            if self._left > 0:
                step = self._in_chunk(at, found)
            elif self._left == 0:
                step = self._line(at)
            else:
                step = self._trailers(at)
            if step == 0:
                break
            at += step
        del buffer[:at]
        if self.over:
            self.rest = bytes(buffer)
            buffer.clear()
        return b"".join(found)

    def _in_chunk(self, at: int, found: list[bytes]) -> int:
        """Take of a chunk what is there; at its end, its line end, of which one byte alone waits for the other."""
        step = 0
        if self._left > len(_CRLF):
            piece = bytes(self._buffer[at : at + self._left - len(_CRLF)])
            found.append(piece)
            step = len(piece)
            self._left -= step
        if self._left <= len(_CRLF) and len(self._buffer) > at + step:
            end = bytes(self._buffer[at + step : at + step + len(_CRLF)])
            if not _CRLF.startswith(end):
                raise BadRequest(400, "a chunk is longer than its size says")
            if len(end) == len(_CRLF):
                self._left = 0
                step += len(_CRLF)
        return step

    def _line(self, at: int) -> int:
        end = self._buffer.find(_CRLF, at, at + MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) - at >= MAX_LINE_BYTES or b"\n" in self._buffer[at:]:
                raise BadRequest(400, "the line before a chunk is too long, or has no proper end")
            return 0
        match = _SIZE.fullmatch(self._buffer, at, end)
        if match is None:
            raise BadRequest(400, "a chunk's size must be a hexadecimal number")
        size = int(match[1], 16)
        self._left = size + len(_CRLF) if size else -1
        return end + len(_CRLF) - at

    def _trailers(self, at: int) -> int:
        """Read over what stands behind the last chunk; it ends with an empty line."""
        if self._buffer.startswith(_CRLF, at):
            self.over = True
            return len(_CRLF)
        end = self._buffer.find(HEAD_END, at, at + MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) - at >= MAX_HEAD_BYTES:
                raise BadRequest(431, "the trailers are too large")
            return 0
        check_fields(self._buffer.count(_CRLF, at, end + len(_CRLF)))
        if not _TRAILERS.fullmatch(self._buffer, at, end + len(_CRLF)):
            raise BadRequest(400, "the trailers are none")
        self.over = True
        return end + len(HEAD_END) - at
