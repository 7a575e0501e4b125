"""Which call a part of one belongs to. OpenAI numbers them by `index`; not all upstreams do so, or do so rightly.

Parts find each other by their index; where that is missing, or new and without a name, by their id; else they are of
the call before. Only a name begins another call where there is one: another name, or the same behind whole arguments.
What can be read in two ways is no answer.
"""

import msgspec

from lastcall_sidecar.wire.messages_on_chat.blocks import UNCLEAR, ToolBlock
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Function, Ids
from lastcall_sidecar.wire.translation import TranslationError

#: More calls than this are no model's answer; OpenAI's API takes 128 tools, and they must all be looked at here.
MAX_CALLS = 1024


class Calls:
    """The calls of one answer so far."""

    __slots__ = ("_by_both", "_by_id", "_by_index", "_ids", "_last", "_under_way", "all", "spilled")

    def __init__(self, message_id: str) -> None:
        self._ids = Ids(message_id)
        #: The last one of each id, of each index, and of both.
        self._by_id: dict[str, ToolBlock] = {}
        self._by_index: dict[int, ToolBlock] = {}
        self._by_both: dict[tuple[int, str], ToolBlock] = {}
        self._last: ToolBlock | None = None
        #: Of those with an index, by their last one: whose arguments have not ended. A part may come for each byte.
        self._under_way: dict[int, ToolBlock] = {}
        self.all: list[ToolBlock] = []
        #: State of calls that their ids cannot carry, by these.
        self.spilled: dict[str, msgspec.Raw] = {}

    def take(self, call: Call) -> ToolBlock | None:
        """Give a part to its call; return that if it is a new one.

        Errors: TranslationError for a part of which it cannot be said whose it is.
        """
        function = call.function or Function()
        name, arguments = function.name or "", function.arguments
        found = self._find(call, name)
        begins = found is None or _begins(found, call.id or "", name, arguments)
        block = ToolBlock(self._ids, len(self.all), self.spilled) if found is None or begins else found
        if begins:
            if len(self.all) == MAX_CALLS:
                raise TranslationError(f"the upstream's answer has more than {MAX_CALLS} calls")
            # The name alone, behind a whole call of that name: it may be that one's, whatever its id is.
            block.is_doubtful = found is not None and found.name == name and not arguments.strip()
            # Of one id and one name: another call, unless its arguments turn out to be the same once more.
            is_same = found is not None and bool(call.id) and (call.id, name) == (found.id, found.name)
            block.before = found if is_same else None
            self.all.append(block)
        block.take(call)
        self._remember(block, call)
        return block if begins else None

    def end(self, *, is_cut: bool) -> None:
        """Take note that nothing more comes. Errors: TranslationError for a call that is not whole, unless `is_cut`."""
        for block in self.all:
            block.end(is_cut=is_cut)

    def _remember(self, block: ToolBlock, call: Call) -> None:
        self._last = block
        if call.id:
            self._by_id[call.id] = block
        if call.index is not None:
            self._by_index[call.index] = block
            self._by_both[call.index, block.id] = block
            if block.index is not None:
                self._under_way.pop(block.index, None)
            block.index = call.index
        if block.index is not None and self._by_index[block.index] is block:
            self._under_way[block.index] = block
            if block.arguments.ended:
                del self._under_way[block.index]

    def _find(self, call: Call, name: str) -> ToolBlock | None:
        """The call that there is, and to which this may belong."""
        known = self._by_id.get(call.id) if call.id else None
        if call.index is None:
            return known or self._before()
        found = self._by_both.get((call.index, call.id)) if call.id else None
        return found or self._by_index.get(call.index) or (None if name else known)

    def _before(self) -> ToolBlock | None:
        """The call before, for a part that says nothing of whose it is: of calls with an index it may be any's."""
        if len(self._under_way) > 1:
            raise TranslationError("the upstream sent a part of a call of which it is not clear which one's it is")
        return self._last


def _begins(found: ToolBlock, identity: str, name: str, arguments: str) -> bool:
    """Whether a part begins another call than the one that there is."""
    if not name or not found.name:
        return False
    is_same = bool(identity) and identity == found.id
    is_other = bool(identity and found.id) and not is_same
    if not found.arguments.given:
        # The name once more, or a piece of it; or a call that takes no arguments, and the next one.
        if (name == found.name) is is_other:
            raise TranslationError(UNCLEAR)
        found.is_doubtful = found.is_doubtful or not (is_same or is_other)
        return is_other
    if not found.arguments.ended:
        return is_other and name != found.name
    if name == found.name and found.arguments.is_empty and not is_same and arguments.strip() != "{}":
        # The arguments behind an empty object in their place, or another call; without any, another id tells.
        if arguments.strip() or not is_other:
            raise TranslationError(UNCLEAR)
        return True
    if name == found.name and found.arguments.is_empty and arguments.strip() not in {"", "{}"}:
        return False
    if name == found.name and is_same:
        return bool(arguments.strip()) and not found.arguments.are(arguments)
    return True
