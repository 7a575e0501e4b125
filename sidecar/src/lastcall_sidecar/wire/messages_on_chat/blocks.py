"""Content blocks as a stream's events, and what of a block waits for its turn.

https://docs.claude.com/en/docs/build-with-claude/streaming: start, deltas and stop of one block, then the next one's.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.messages_on_chat.arguments import ArgumentStream
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Function


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

    def write(self, index: int, *, closing: bool) -> bytes:
        """Return events for all that waits; nothing yet if the start is not known, unless it is `closing`."""
        if not self._is_known() and not closing:
            return b""
        found = b"" if self.opened else event("content_block_start", {"index": index, "content_block": self._start()})
        self.opened = True
        part = "".join(self._waiting)
        self._waiting.clear()
        if part:
            delta = {"type": f"{self._delta}_delta", self._field(): part}
            found += event("content_block_delta", {"index": index, "delta": delta})
        return found

    def _is_known(self) -> bool:
        return True

    def _start(self) -> dict[str, Any]:
        return {"type": self.kind, self.kind: ""} | ({"signature": ""} if self.kind == "thinking" else {})

    def _field(self) -> str:
        return self.kind


class ToolBlock(Block):
    """A tool call. It is complete when its arguments are an object that has ended."""

    __slots__ = ("_arguments", "_name", "_otherwise", "id")

    def __init__(self, otherwise: str) -> None:
        super().__init__("tool_use", "input_json")
        #: As the upstream told it; empty until then.
        self.id = ""
        self._otherwise = otherwise
        self._name = ""
        self._arguments = ArgumentStream()

    def take(self, call: Call) -> None:
        """Take what is new of the call. Once its start was written, an id is good for finding it again only."""
        function = call.function or Function()
        self.id = self.id or call.id or ""
        self._name = self._name or function.name or ""
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        self.add(self._arguments.take(arguments or ""))

    def is_complete(self, *, followed: bool) -> bool:  # noqa: ARG002 - the interface's
        """Whether nothing more can come: parts of a call may come behind the begin of another's."""
        return self.opened and self._arguments.complete

    def _is_known(self) -> bool:
        return bool(self._name)

    def _start(self) -> dict[str, Any]:
        return {"type": self.kind, "id": self.id or self._otherwise, "name": self._name, "input": {}}

    def _field(self) -> str:
        return "partial_json"
