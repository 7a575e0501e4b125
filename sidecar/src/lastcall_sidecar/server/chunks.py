"""A body in chunks (RFC 9112, 7.1), decoded as it comes. Pure; used by `http1.py`.

Extensions and trailers are read over and dropped: nothing that we serve asks for them. Chunks of a byte each cost as
much as large ones, so that a client could keep the loop busy with little: small ones are taken in a loop of their own,
at most so many in one turn, and framing must stay in proportion to the body.
"""

import re

from .heads import BARE_LF, HEAD_END, MAX_HEAD_BYTES, TOKEN, VALUE, BadRequest, check_fields

#: Bytes of the line before a chunk; extensions hardly exist.
MAX_LINE_BYTES = 4096
#: Chunks, or pieces of one, that one call decodes: about a millisecond's work at worst.
MAX_STEPS = 512
#: Bytes of framing that a body may have beyond FREE_LINE_BYTES a chunk and twice its content. Go's `net/http` counts so
#: since CVE-2023-39326: extensions of a kilobyte on chunks of a byte are work for nothing.
MAX_EXCESS_BYTES = 16384
FREE_LINE_BYTES = 16
#: Size in up to 15 digits, blanks that some clients pad it with, extensions that are thrown away.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15}+)[ \t]*+(?:;%b)?" % VALUE)
_TRAILERS = re.compile(rb"(?:%b:%b\r\n)*+" % (TOKEN, VALUE))
_CRLF = b"\r\n"
#: The lines before small chunks, and their sizes.
_SMALL = {line % size: size for line in (b"%x\r\n", b"%X\r\n") for size in range(1, 16)}
_SMALL_LINE_BYTES = 3


class Chunks:
    """Decodes one body: `feed` gives what is in it, `over` says that it ended, `rest` what came behind it.

    `behind` says that more of what came could be decoded: another `feed`, of nothing, goes on.
    """

    __slots__ = ("_at", "_buffer", "_excess", "_left", "_seen", "behind", "over", "rest")

    def __init__(self) -> None:
        #: What came and is not decoded begins at `_at`.
        self._buffer = b""
        self._at = 0
        #: Bytes of this chunk that have not come yet, its line end included; 0 between chunks, -1 in the trailers.
        self._left = 0
        self._excess = 0
        #: Bytes of the trailers that have been looked at.
        self._seen = 0
        self.behind = False
        self.over = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in `data`, and in what was waiting for it. Not to be called when it is over.

        Errors: BadRequest.
        """
        if data:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
        found: list[bytes] = []
        steps = MAX_STEPS
        going = True
        while going and steps > 0 and not self.over:
            if self._left == 0:
                steps -= self._take_small(found, steps)
            going = self._step(found)
            steps -= 1
        self.behind = going and not self.over
        if self.over:
            self.rest = self._buffer[self._at :]
        if self.over or self._at == len(self._buffer):
            self._buffer, self._at = b"", 0
        return b"".join(found)

    def _take_small(self, found: list[bytes], most: int) -> int:
        """Take up to so many whole chunks of a few bytes each; returns how many there were."""
        buffer, at, taken = self._buffer, self._at, 0
        while taken < most:
            size = _SMALL.get(buffer[at : at + _SMALL_LINE_BYTES])
            if size is None:
                break
            begin = at + _SMALL_LINE_BYTES
            end = begin + size
            if buffer[end : end + len(_CRLF)] != _CRLF:
                break  # not there yet, or wrong
            found.append(buffer[begin:end])
            at = end + len(_CRLF)
            taken += 1
        self._at = at
        self._excess = max(0, self._excess - taken * (FREE_LINE_BYTES - _SMALL_LINE_BYTES))
        return taken

    def _step(self, found: list[bytes]) -> bool:
        """Go on by a line, or by what is there of a chunk; False when more must come first."""
        if self._left > 0:
            step = self._in_chunk(found)
        elif self._left == 0:
            step = self._line()
        else:
            step = self._trailers()
        self._at += step
        return step > 0

    def _in_chunk(self, found: list[bytes]) -> int:
        """Take of a chunk what is there; at its end, its line end, of which one byte alone waits for the other."""
        at, step = self._at, 0
        if self._left > len(_CRLF):
            piece = self._buffer[at : at + self._left - len(_CRLF)]
            found.append(piece)
            step = len(piece)
            self._left -= step
        if self._left <= len(_CRLF) and len(self._buffer) > at + step:
            end = self._buffer[at + step : at + step + len(_CRLF)]
            if not _CRLF.startswith(end):
                raise BadRequest(400, "a chunk is longer than its size says")
            if len(end) == len(_CRLF):
                self._left = 0
                step += len(_CRLF)
        return step

    def _line(self) -> int:
        at = self._at
        end = self._buffer.find(_CRLF, at, at + MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) - at >= MAX_LINE_BYTES or self._buffer.find(b"\n", at) >= 0:
                raise BadRequest(400, "the line before a chunk is too long, or has no proper end")
            return 0
        match = _SIZE.fullmatch(self._buffer, at, end)
        if match is None:
            raise BadRequest(400, "a chunk's size must be a hexadecimal number")
        size = int(match[1], 16)
        step = end + len(_CRLF) - at
        self._excess = max(0, self._excess + step - FREE_LINE_BYTES - 2 * size)
        if self._excess > MAX_EXCESS_BYTES:
            raise BadRequest(400, "the body has more framing than content")
        self._left = size + len(_CRLF) if size else -1
        return step

    def _trailers(self) -> int:
        """Read over what stands behind the last chunk; it ends with an empty line."""
        at = self._at
        if self._buffer.startswith(_CRLF, at):
            self.over = True
            return len(_CRLF)
        unseen = at + max(0, self._seen - len(_CRLF) - 1)
        self._seen = len(self._buffer) - at
        end = self._buffer.find(HEAD_END, unseen, at + MAX_HEAD_BYTES)
        if end < 0:
            if self._seen >= MAX_HEAD_BYTES:
                raise BadRequest(431, "the trailers are too large")
            if BARE_LF.search(self._buffer, unseen) or self._buffer.startswith(b"\n", at):
                raise BadRequest(400, "the trailers are none")
            return 0
        check_fields(self._buffer.count(_CRLF, at, end + len(_CRLF)))
        if not _TRAILERS.fullmatch(self._buffer, at, end + len(_CRLF)):
            raise BadRequest(400, "the trailers are none")
        self.over = True
        return end + len(HEAD_END) - at
