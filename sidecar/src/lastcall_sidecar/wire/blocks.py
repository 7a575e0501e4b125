"""One block of a message's content, put together from its start and its deltas.

Called by `accumulate.py`. Text grows as the JSON that it comes in, so that both halves of a character that was sent in
two deltas meet again; a tool's input is JSON within JSON, and is read at the end.
"""

import msgspec

from lastcall_sidecar.wire.cut_json import completed
from lastcall_sidecar.wire.raw_json import NULL, items, text, written, written_list
from lastcall_sidecar.wire.translation import TranslationError

#: Blocks whose `input` comes in deltas.
_WITH_INPUT = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class Block:
    """A block under way. A delta that its type does not know, or that we do not, changes nothing: so in the SDK."""

    __slots__ = ("_citations", "_fields", "_grown", "_input", "_type")

    def __init__(self, fields: dict[str, bytes]) -> None:
        self._fields = fields
        self._type = text(fields.get("type"))
        #: Strings that have grown: the JSON between the quotes.
        self._grown: dict[str, bytearray] = {}
        self._citations: list[bytes] = []
        #: As `_grown`: the JSON string that holds the input's JSON.
        self._input = bytearray()

    def take(self, delta: dict[str, bytes]) -> None:
        """Add what a `content_block_delta` brings.

        Errors: TranslationError.
        """
        match self._type, text(delta.get("type")):
            case "text", "text_delta":
                self._grow("text", delta)
            case "thinking", "thinking_delta":
                self._grow("thinking", delta)
            case "thinking", "signature_delta":
                self._fields["signature"] = delta.get("signature", NULL)
            case "text", "citations_delta":
                self._citations.append(delta.get("citation", NULL))
            case "compaction", "compaction_delta":
                for name in ("content", "encrypted_content"):
                    self._fields[name] = delta.get(name, NULL)
            case kind, "input_json_delta" if kind in _WITH_INPUT:
                self._input += _inside(delta.get("partial_json"))

    def _grow(self, name: str, delta: dict[str, bytes]) -> None:
        if name not in self._grown:
            self._grown[name] = bytearray(_inside(self._fields.get(name, b'""')))
        self._grown[name] += _inside(delta.get(name))

    @property
    def cut_input(self) -> str | None:
        """The text of a tool's input that is no whole JSON, and so not all in the block; None if it is."""
        source = self._input_text()
        return source.decode() if source and not _is_whole(source) else None

    def written(self, *, keep_cut_strings: bool) -> bytes:
        """Return the block as JSON.

        Errors: TranslationError where a tool's input is no JSON, not even the begin of it.
        """
        fields = dict(self._fields)
        for name, grown in self._grown.items():
            fields[name] = b'"' + grown + b'"'
        if self._citations:
            # What the start has counts for nothing where it is null or empty.
            before = fields.get("citations", NULL)
            fields["citations"] = written_list([*(items(before) if before != NULL else ()), *self._citations])
        source = self._input_text()
        if source:
            fields["input"] = _read_input(source, keep_cut_strings=keep_cut_strings)
        return written(fields)

    def _input_text(self) -> bytes:
        source = text(b'"' + self._input + b'"')
        if source is None:
            raise TranslationError("the upstream sent half a character in a tool's input")
        return source.encode()


def _inside(raw: bytes | None) -> bytes:
    """Return the JSON between the quotes of a string."""
    if raw is None or not raw.startswith(b'"'):
        raise TranslationError("the upstream sent a delta without its text")
    return raw[1:-1]


def _is_whole(source: bytes) -> bool:
    try:
        msgspec.json.decode(source, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _read_input(source: bytes, *, keep_cut_strings: bool) -> bytes:
    if _is_whole(source):
        return source
    try:
        return completed(source, keep_cut_strings=keep_cut_strings)
    except ValueError:
        raise TranslationError("the upstream sent a tool's input that is no JSON") from None
