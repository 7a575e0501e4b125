"""Changes in a JSON body that leave every other byte as it came: no number is written anew, no key moves.

Called by `body.py`, which looks where the values stand, and by whoever sends a body on with another `model` or
`stream`. A body of 64 MiB is held in chunks; those that an edit does not touch stay the objects that they are.
"""

import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

#: From this byte on, and up to the one before that.
Span = tuple[int, int]
#: A part of a body: its bytes, or a view of a file that is mapped into memory.
Piece = bytes | memoryview

_TO_THE_FIRST_FIELD = re.compile(rb"[ \t\n\r]*+\{")
_TO_A_VALUE = re.compile(rb'[ \t\n\r,]*+"(?:[^"\\]++|\\.)*+"[ \t\n\r]*+:[ \t\n\r]*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `new` in the place of a span; of an empty one, to insert it."""

    span: Span
    new: bytes


def first_field(body: bytes | mmap.mmap) -> int:
    """Where a field may be inserted into an object that has others, with a comma behind it: after its brace."""
    return _end(_TO_THE_FIRST_FIELD, body, 0)


def spans(body: bytes | mmap.mmap, sizes: Iterable[int]) -> Iterator[Span]:
    """Where the values of an object stand, in order, of which the sizes in bytes are known.

    `body` must be a JSON object, with as many fields. Only keys are looked at, so that a large value costs nothing.
    """
    position = first_field(body)
    for size in sizes:
        begin = _end(_TO_A_VALUE, body, position)
        position = begin + size
        yield begin, position


def splice(chunks: Sequence[Piece], edits: Iterable[Edit]) -> list[Piece]:
    """Return the chunks of the edited body; none of them is empty, and those without an edit are not copied.

    Edits may come in any order; insertions at one place stay in theirs.
    Errors: ValueError if spans overlap, or if the body has no such bytes.
    """
    cutter = _Cutter(chunks)
    spliced: list[Piece] = []
    for edit in sorted(edits, key=lambda edit: edit.span):
        begin, end = edit.span
        spliced += cutter.take(begin)
        cutter.take(end)
        spliced.append(edit.new)
    spliced += cutter.take(sum(map(len, chunks)))
    return [chunk for chunk in spliced if chunk]


class _Cutter:
    """Takes a body in chunks apart, from its begin to its end."""

    def __init__(self, chunks: Sequence[Piece]) -> None:
        self._chunks = chunks
        #: The chunk that is next, and where in it.
        self._index = 0
        self._offset = 0
        #: The same place in the body.
        self._position = 0

    def take(self, end: int) -> list[Piece]:
        """Return everything up to `end`."""
        if end < self._position:
            raise ValueError("two edits of the same bytes")
        taken: list[Piece] = []
        while self._position < end:
            if self._index == len(self._chunks):
                raise ValueError("an edit behind the end")
            chunk = self._chunks[self._index]
            size = min(len(chunk) - self._offset, end - self._position)
            taken.append(chunk if size == len(chunk) else chunk[self._offset : self._offset + size])
            self._offset += size
            self._position += size
            if self._offset == len(chunk):
                self._index += 1
                self._offset = 0
        return taken


def _end(pattern: re.Pattern[bytes], body: bytes | mmap.mmap, position: int) -> int:
    found = pattern.match(body, position)
    if not found:
        raise ValueError("no JSON object, or of fewer fields")
    return found.end()
