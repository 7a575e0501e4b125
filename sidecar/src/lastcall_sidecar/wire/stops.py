"""Stop sequences that the upstream is not told, since it would refuse them: the answer's text is cut at them here.

As the API has it: the answer ends with the first sequence that is complete, and that sequence is not part of it.
"""

from collections.abc import Sequence

from lastcall_sidecar.wire.body import BodyError

#: All of them are looked for in each part of an answer: so many, and so long ones, take 20 µs.
MAX_SEQUENCES = 64
MAX_SEQUENCE_CHARS = 256


def check(sequences: Sequence[str], name: str) -> None:
    """Refuse what would take too long to look for. Errors: BodyError with the field's `name`."""
    if len(sequences) > MAX_SEQUENCES:
        raise BodyError(f"{name}: at most {MAX_SEQUENCES} for this model")
    if any(len(sequence) > MAX_SEQUENCE_CHARS for sequence in sequences):
        raise BodyError(f"{name}: at most {MAX_SEQUENCE_CHARS} characters each for this model")


class Stops:
    """The text of one answer, as it comes in parts."""

    __slots__ = ("_begins", "_held", "_longest", "_sequences", "hit")

    def __init__(self, sequences: Sequence[str]) -> None:
        #: The sequence that ended the text; None until one does.
        self.hit: str | None = None
        self._sequences = sequences
        #: Every true beginning of a sequence.
        self._begins = frozenset(text[:size] for text in sequences for size in range(1, len(text)))
        self._longest = max(map(len, sequences), default=0)
        #: What may be the beginning of a sequence.
        self._held = ""

    def take(self, part: str) -> str:
        """Return what of the text may leave now that this part has come; nothing more once there was a hit."""
        if self.hit is not None:
            return ""
        text = self._held + part
        end = len(text) + 1
        begin = 0
        for sequence in self._sequences:
            found = text.find(sequence, 0, end)
            if found < 0:
                continue
            if found + len(sequence) < end or found < begin:
                begin, end, self.hit = found, found + len(sequence), sequence
        if self.hit is not None:
            self._held = ""
            return text[:begin]
        sizes = range(min(len(text), self._longest - 1), 0, -1)
        held = next((size for size in sizes if text[len(text) - size :] in self._begins), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """Return what was held back, as the text has ended."""
        rest, self._held = self._held, ""
        return rest
