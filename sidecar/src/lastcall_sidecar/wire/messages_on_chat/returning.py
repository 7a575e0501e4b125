"""What of an assistant's turn goes back to the upstream beside its words: reasoning, and the state of its calls."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.carried import Detail, is_object, is_ours, own_id, state_of
from lastcall_sidecar.wire.messages_on_chat.reading import read
from lastcall_sidecar.wire.messages_on_chat.vendors import Vendor

#: For thinking of which nobody says by what name it came: most vendors' name.
_USUAL_FIELD = "reasoning_content"


class _Thinking(msgspec.Struct):
    thinking: str | None = None
    signature: str | None = None


class Returning:
    """The state of one turn."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._texts: dict[str, str] = {}
        self._details: list[Detail] = []
        self._extras: dict[str, Raw] = {}

    def think(self, raw: Raw, path: str) -> None:
        """Take a block of thinking. What Anthropic has signed is for nobody else. Errors: BodyError."""
        thinking = read(raw, _Thinking, path)
        text, signed = thinking.thinking or "", thinking.signature or ""
        if signed and not is_ours(signed):
            return
        state = state_of(signed)
        if state is None:
            self._add(_USUAL_FIELD, text)
            return
        if state.field:
            self._add(state.field, text)
        self._details += state.restored(text)
        self._extras |= {call: extra for call, extra in state.calls.items() if is_object(extra)}

    def _add(self, name: str, text: str) -> None:
        self._texts[name] = self._texts.get(name, "") + text

    def call(self, identity: str, function: dict[str, Any]) -> dict[str, Any]:
        """Return the call that has this id in the client's conversation, with the vendor's id, and state of its own."""
        own, extra = own_id(identity)
        extra = extra or self._extras.get(identity)
        sent = {"id": self._vendor.call_id(own), "type": "function", "function": function}
        return sent | ({"extra_content": extra} if extra and self._vendor.takes_extra_content else {})

    def finish(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the turn's message with what goes back with it."""
        calls: list[dict[str, Any]] = message.get("tool_calls", [])
        thought = {**self._texts, **({"reasoning_details": self._details} if self._details else {})}
        found = {name: value for name, value in thought.items() if name not in self._vendor.refused}
        if calls:
            # By whatever name it came: another vendor's may be told by another.
            thought_aloud = "".join(self._texts.values())
            found = {name: thought_aloud or nothing for name, nothing in self._vendor.lacking.items()} | found
        if calls and not found and not _any_has("extra_content", calls):
            calls[0] |= self._vendor.call_lacking
        return message | found


def result_id(identity: str, vendor: Vendor) -> str:
    """Return the id of the call that a result belongs to, as `Returning.call` has sent it."""
    return vendor.call_id(own_id(identity)[0])


def _any_has(name: str, calls: Iterable[dict[str, Any]]) -> bool:
    return any(name in call for call in calls)
