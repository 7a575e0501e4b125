"""Content blocks as a stream's events, and what of a block waits for its turn.

https://docs.claude.com/en/docs/build-with-claude/streaming: start, deltas and stop of one block, then the next one's.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.carried import call_id, is_object
from lastcall_sidecar.wire.messages_on_chat.arguments import Arguments
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Function, Ids
from lastcall_sidecar.wire.messages_on_chat.gathering import Gathered
from lastcall_sidecar.wire.translation import TranslationError

UNCLEAR = "the upstream told a call's name more than once, and it is not clear whether it is one call"


def event(name: str, fields: Mapping[str, Any]) -> bytes:
    """One event, complete."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode({"type": name, **fields}))


class Block:
    """One content block. Parts that it was given wait until they are written."""

    __slots__ = ("_delta", "_waiting", "kind", "opened")

    def __init__(self, kind: str, delta: str) -> None:
        self.kind = kind
        #: Its start has been written.
        self.opened = False
        #: The name of what its deltas carry.
        self._delta = delta
        self._waiting: list[str] = []

    def add(self, part: str) -> None:
        """Take the next part."""
        self._waiting.append(part)

    def is_complete(self, *, followed: bool) -> bool:
        """Whether nothing more can come, now that another block has begun or not."""
        return followed

    def ending(self, index: int) -> bytes:  # noqa: ARG002 - for blocks that end with more than their stop
        """Return what is written before the block's stop."""
        return b""

    def write(self, index: int, *, closing: bool) -> bytes:
        """Return events for all that waits; nothing yet if the start is not known, unless it is `closing`."""
        if not self.is_known and not closing:
            return b""
        found = b"" if self.opened else event("content_block_start", {"index": index, "content_block": self._start()})
        self.opened = True
        part = "".join(self._waiting)
        self._waiting.clear()
        if part:
            delta = {"type": f"{self._delta}_delta", self._field(): part}
            found += event("content_block_delta", {"index": index, "delta": delta})
        return found

    @property
    def is_known(self) -> bool:
        """Whether its start can be told."""
        return True

    def _start(self) -> dict[str, Any]:
        return {"type": self.kind, self.kind: ""}

    def _field(self) -> str:
        return self.kind


class ThinkingBlock(Block):
    """Thinking, shown or not. It ends with the signature that carries what its upstream wants back."""

    __slots__ = ("gathered",)

    def __init__(self, gathered: Gathered) -> None:
        super().__init__("thinking", "thinking")
        self.gathered = gathered

    def ending(self, index: int) -> bytes:
        """Return the signature."""
        delta = {"type": "signature_delta", "signature": self.gathered.signature()}
        return event("content_block_delta", {"index": index, "delta": delta})

    def _start(self) -> dict[str, Any]:
        return {"type": "thinking", "thinking": "", "signature": ""}


class ToolBlock(Block):
    """A tool call. It is complete when its arguments are an object that has ended."""

    __slots__ = (
        "_extra",
        "_identity",
        "_ids",
        "_number",
        "_spilled",
        "arguments",
        "before",
        "id",
        "index",
        "is_doubtful",
        "name",
    )

    def __init__(self, ids: Ids, number: int, spilled: dict[str, msgspec.Raw]) -> None:
        super().__init__("tool_use", "input_json")
        #: As the upstream told it; empty until then.
        self.id = ""
        self.name = ""
        #: The last one that it was told with.
        self.index: int | None = None
        self.arguments = Arguments()
        #: It may be the call before it whose name was told once more, or the other way round: its arguments will tell.
        self.is_doubtful = False
        #: The call before it, where both have one id and one name.
        self.before: ToolBlock | None = None
        #: Its place among the answer's calls, and what it is called there once that was asked for.
        self._number = number
        self._ids = ids
        self._identity = ""
        #: What the id carries; what it cannot goes among `spilled`.
        self._extra: msgspec.Raw | None = None
        self._spilled = spilled

    def take(self, call: Call) -> None:
        """Take what is new of the call. Once its start was written, an id is good for finding it again only."""
        function = call.function or Function()
        self.id = self.id or call.id or ""
        self.name = self.name or function.name or ""
        self.add(self.arguments.take(function.arguments))
        if is_object(call.extra_content):
            known = self._known()
            if self.opened or call_id(known, call.extra_content) is None:
                self._spilled[call_id(known) or known] = call.extra_content
            else:
                self._extra = call.extra_content

    def _known(self) -> str:
        self._identity = self._identity or self._ids.own(self.id, self._number)
        return self._identity

    def is_complete(self, *, followed: bool) -> bool:
        """Whether nothing more can come: parts of a call may come behind the begin of another's."""
        return self.opened and self.arguments.ended and (followed or not self.arguments.is_empty)

    def end(self, *, is_cut: bool) -> None:
        """Take note that nothing more comes. One that `is_cut` need not be whole.

        Errors: TranslationError.
        """
        if not self.name and not is_cut:
            raise TranslationError("the upstream's answer has a call without a name")
        if self.is_doubtful and not self.arguments.given:
            raise TranslationError(UNCLEAR)
        self.add(self.arguments.end(is_cut=is_cut))
        if self.before is not None and self.arguments.repeat(self.before.arguments):
            raise TranslationError(UNCLEAR)

    @property
    def is_known(self) -> bool:
        """Whether it has its name."""
        return bool(self.name)

    def _start(self) -> dict[str, Any]:
        known = self._known()
        return {"type": self.kind, "id": call_id(known, self._extra) or known, "name": self.name, "input": {}}

    def _field(self) -> str:
        return "partial_json"
