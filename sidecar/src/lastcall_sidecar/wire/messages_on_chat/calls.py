"""Which call a part of one belongs to. OpenAI numbers them by `index`; not all upstreams do so, or do so rightly."""

import msgspec

from lastcall_sidecar.wire.messages_on_chat.blocks import ToolBlock
from lastcall_sidecar.wire.messages_on_chat.completion import Call, tool_use_id


class Calls:
    """The calls of one answer so far."""

    __slots__ = ("_by_id", "_by_index", "_count", "_last", "_message_id", "spilled")

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._by_id: dict[str, ToolBlock] = {}
        self._by_index: dict[int, ToolBlock] = {}
        self._last: ToolBlock | None = None
        self._count = 0
        #: State of calls that their ids cannot carry, by these.
        self.spilled: dict[str, msgspec.Raw] = {}

    def take(self, call: Call) -> ToolBlock | None:
        """Give a part to its call; return that if it is a new one."""
        found = self._find(call)
        block = found or ToolBlock(tool_use_id(self._message_id, self._count), self.spilled)
        block.take(call)
        self._last = block
        if block.id:
            self._by_id[block.id] = block
        if call.index is not None:
            self._by_index[call.index] = block
        if found:
            return None
        self._count += 1
        return block

    def _find(self, call: Call) -> ToolBlock | None:
        """By its id if that is known. Another id under the same index is another call: some number them all 0."""
        if call.id in self._by_id:
            return self._by_id[call.id]
        if call.index is not None:
            block = self._by_index.get(call.index)
            return None if block and block.id and call.id else block
        return None if call.id or (call.function and call.function.name) else self._last
