"""What an answer brings that its upstream wants back, gathered for the signature of a thinking block.

Reasoning comes as text (`reasoning_content`: DeepSeek, Kimi, vLLM; `reasoning`: OpenRouter, newer vLLM) and as
`reasoning_details`, in a stream piece by piece (https://openrouter.ai/docs/use-cases/reasoning-tokens).
"""

from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.carried import MAX_STATE_BYTES, Detail, State, TextField, signature
from lastcall_sidecar.wire.messages_on_chat.completion import Said
from lastcall_sidecar.wire.messages_on_chat.reading import NOTHING, answered, is_given
from lastcall_sidecar.wire.openai import text_of
from lastcall_sidecar.wire.translation import TranslationError

#: Fields of an entry that come in pieces, and those of them that a client is shown as thinking.
_GROWING = ("text", "summary", "data")
_SHOWN = frozenset({"text", "summary"})
#: What an entry takes beside its values.
_ENTRY_BYTES = 256
_FIELDS: tuple[TextField, ...] = ("reasoning_content", "reasoning")


class _Entry:
    """One entry of `reasoning_details`."""

    __slots__ = ("fields", "grown", "is_shown", "shown")

    def __init__(self, *, is_shown: bool) -> None:
        self.fields: Detail = {}
        #: Pieces of what grows, and how many characters of it the thinking block has.
        self.grown: dict[str, list[str]] = {}
        self.shown: dict[str, int] = {}
        self.is_shown = is_shown

    def is_continued_by(self, piece: Detail, *, is_shown: bool, brings_text: bool) -> bool:
        """Whether a piece is of this entry: `type` and `index` are the same, and its text is told in the same way.

        What is encrypted is joined by its index only: without one, two of it are two entries.
        """
        kind, index, identity = (piece.get(name, NOTHING) for name in ("type", "index", "id"))
        known = self.fields.get("id", NOTHING)
        return (
            (kind, index) == (self.fields.get("type", NOTHING), self.fields.get("index", NOTHING))
            and (known == identity or not is_given(identity) or not is_given(known))
            and (is_given(index) or "data" not in piece)
            and (self.is_shown == is_shown or not brings_text)
        )


class Gathered:
    """The state of one thinking block."""

    __slots__ = ("_entries", "_has_text", "_size", "calls", "field")

    def __init__(self) -> None:
        self.field: TextField | None = None
        #: `extra_content` of calls whose ids cannot carry it, by these.
        self.calls: dict[str, Raw] = {}
        self._has_text = False
        self._entries: list[_Entry] = []
        self._size = 0

    @property
    def has_state(self) -> bool:
        """Whether there is something that no text tells."""
        return bool(self._entries or self.calls)

    def take(self, said: Said, *, in_pieces: bool) -> None:
        """Note down what a message tells, or a chunk of one (`in_pieces`).

        Errors: TranslationError if it is too much.
        """
        found = [name for name in _FIELDS if isinstance(getattr(said, name), str)]
        told = next((name for name in found if getattr(said, name)), None)
        if told and not self._has_text:
            self.field, self._has_text = told, True
        self.field = self.field or next(iter(found), None)
        details = _details(said.reasoning_details)
        texts = [{name: text for name in _GROWING if (text := _text(detail, name))} for detail in details]
        is_shown = "".join(text for each in texts for name, text in each.items() if name in _SHOWN) == said.thinking
        for detail, grown in zip(details, texts, strict=True):
            self._add(detail, grown, is_shown=is_shown, in_pieces=in_pieces)

    def _add(self, detail: Detail, grown: dict[str, str], *, is_shown: bool, in_pieces: bool) -> None:
        brings_text = not _SHOWN.isdisjoint(grown)
        last = self._entries[-1] if self._entries and in_pieces else None
        if last is None or not last.is_continued_by(detail, is_shown=is_shown, brings_text=brings_text):
            last = _Entry(is_shown=is_shown)
            self._entries.append(last)
            self._size += _ENTRY_BYTES
        for name, value in detail.items():
            if name in grown:
                self._grow(last, name, grown[name])
            elif is_given(value) and name not in _GROWING:
                self._size += len(bytes(value)) if value != last.fields.get(name) else 0
                last.fields[name] = value
            else:
                last.fields.setdefault(name, value)
        if self._size > MAX_STATE_BYTES:
            raise TranslationError("the upstream's reasoning_details are too large to be sent back")

    def _grow(self, entry: _Entry, name: str, text: str) -> None:
        if entry.is_shown and name in _SHOWN:
            entry.shown[name] = entry.shown.get(name, 0) + len(text)
        else:
            entry.grown.setdefault(name, []).append(text)
            self._size += len(text)
        entry.fields[name] = Raw(b'""')

    def signature(self) -> str:
        """Return the signature of the thinking block."""
        details = [
            entry.fields | {name: Raw(msgspec.json.encode("".join(pieces))) for name, pieces in entry.grown.items()}
            for entry in self._entries
        ]
        shown = [
            (number, name, chars) for number, entry in enumerate(self._entries) for name, chars in entry.shown.items()
        ]
        return signature(State(self.field, details, shown, self.calls))


def block(thinking: str, gathered: Gathered) -> dict[str, Any]:
    """Return the thinking block of a whole answer."""
    return {"type": "thinking", "thinking": thinking, "signature": gathered.signature()}


def _details(raw: Raw) -> list[Detail]:
    """Return the entries; none where the upstream has something else there."""
    if not is_given(raw):
        return []
    try:
        return answered(bytes(raw), list[Detail])
    except TranslationError:
        return []


def _text(detail: Detail, name: str) -> str:
    try:
        return text_of(answered(bytes(detail.get(name, NOTHING)), object))
    except TranslationError:
        return ""
