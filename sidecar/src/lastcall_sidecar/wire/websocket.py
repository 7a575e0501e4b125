"""A server's WebSocket frames on their way to a client (RFC 6455, 5.2), as far as a proxy must know them.

Used by `tunnel.py`. Frames leave whole: what is unfinished waits for its end, so that a frame of ours never stands in
another. Nobody can use half a frame but for a large one, which passes as it comes.
"""

#: A frame longer than this is not waited for.
MAX_HELD_BYTES = 65536
#: The longest reason that a close frame has room for, in bytes (RFC 6455, 5.5).
MAX_REASON_BYTES = 123
#: Why a connection ends (RFC 6455, 7.4.1).
GOING_AWAY = 1001
INTERNAL_ERROR = 1011

_CLOSE = 8
_FINAL_CLOSE = 0x88
#: The longest frame whose length is told so, in bytes; a server's is not masked.
_SHORT = 125
#: Lengths that say how many bytes of the real one follow.
_LONGER = {126: 2, 127: 8}


class Frames:
    """Follows the frames of one direction."""

    def __init__(self) -> None:
        self._held = b""
        #: Bytes of a large frame that are still to come.
        self._left = 0
        #: Whether the server has said its last word.
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the server, return what may leave now."""
        if self._held:
            data = self._held + data
        at = min(self._left, len(data))
        self._left -= at
        while True:
            at = self._pass_short(data, at)
            size = _size(data, at)
            if size is None:
                break
            whole = at + size <= len(data)
            if not whole and size <= MAX_HELD_BYTES:
                break
            self.closed = self.closed or data[at] & 0x0F == _CLOSE
            if not whole:
                self._left = at + size - len(data)
                at = len(data)
                break
            at += size
        self._held = data[at:]
        return data[:at]

    def _pass_short(self, data: bytes, at: int) -> int:
        """Pass over whole frames whose length is told in one byte, as nearly all are; returns where they end."""
        last = len(data) - 2
        while at <= last and (told := data[at + 1]) <= _SHORT and at + told <= last:
            if data[at] & 0x0F == _CLOSE:
                self.closed = True
            at += 2 + told
        return at

    def rest(self) -> bytes:
        """Return what was held back, at the end of the server's bytes."""
        rest, self._held = self._held, b""
        return rest

    def last_word(self, code: int, reason: str) -> bytes:
        """A close frame of ours; nothing where it would stand in another frame, or behind the server's own."""
        if self.closed or self._left:
            return b""
        said = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
        return bytes([_FINAL_CLOSE, 2 + len(said)]) + code.to_bytes(2) + said


class Opaque:
    """Bytes of a protocol that we do not know: they pass, and nothing of ours is put between them."""

    closed = False

    def feed(self, data: bytes) -> bytes:
        """All of them."""
        return data

    def rest(self) -> bytes:
        """Nothing was held back."""
        return b""

    def last_word(self, code: int, reason: str) -> bytes:  # noqa: ARG002 - as `Frames` has it
        """The connection's end says it all."""
        return b""


def following(protocol: bytes) -> Frames | Opaque:
    """What follows the server's bytes of the protocol that its 101 names."""
    return Frames() if protocol.strip().lower() == b"websocket" else Opaque()


def _size(data: bytes, at: int) -> int | None:
    """The whole length of the frame that begins there, in bytes; None if not enough of it has come to tell."""
    if len(data) < at + 2:
        return None
    told = data[at + 1]
    length, mask = told & 0x7F, 4 if told & 0x80 else 0
    more = _LONGER.get(length, 0)
    if len(data) < at + 2 + more:
        return None
    if more:
        length = int.from_bytes(data[at + 2 : at + 2 + more])
    return 2 + more + mask + length
