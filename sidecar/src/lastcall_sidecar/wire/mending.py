"""Requests for Anthropic's API of a conversation that other vendors' models had a part in, and that it would refuse.

Two upstreams behind one list of models are a daily case, and a client sends all that was said to whichever it asks
next. Called like a translation for those few bodies in which `foreign.py` has found something, and that go to an
Anthropic upstream in its own protocol: every other body stays byte for byte.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking: `Invalid signature in thinking block`; ids of
calls must match `^[a-zA-Z0-9_-]+$` (maximhq/bifrost#5097), and be unique.
"""

from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import scan
from lastcall_sidecar.wire.call_ids import CallIds
from lastcall_sidecar.wire.carried import is_ours
from lastcall_sidecar.wire.raw_json import items, members, written, written_list
from lastcall_sidecar.wire.splice import splice
from lastcall_sidecar.wire.translation import Asked, Options, Translated

#: In the name of each model of its own, whatever a cloud or a router has put around it.
_ANTHROPICS = "claude"
_SIGNED_KINDS = frozenset({"thinking", "redacted_thinking"})


class _Message(msgspec.Struct):
    role: str
    content: list[Raw] | str


class _Block(msgspec.Struct):
    type: str
    id: Any = None
    tool_use_id: Any = None
    signature: Any = None

    def is_foreign(self, *, may_be_unsigned: bool) -> bool:
        """Whether it is thinking that the model's vendor has not signed."""
        signed = self.signature
        is_signed = isinstance(signed, str) and signed != ""
        return self.type == "thinking" and (is_ours(signed) if is_signed else not may_be_unsigned)


class _Typed(msgspec.Struct):
    type: str = ""


def mended(body: bytes, model: str) -> bytes:
    """Return a body that `body.scan` has accepted as Anthropic's API takes it; the same if nothing is to be changed.

    What is no conversation is left to the API to refuse. Numbers keep their digits. Other vendors serve a `model` of
    their own by Anthropic's protocol, too: many do not sign, and some refuse a call without its thinking
    (farion1231/cc-switch#3351, NousResearch/hermes-agent#16748). Toward those, unsigned thinking stays.
    """
    fields = members(body)
    mender = _Mender(may_be_unsigned=_ANTHROPICS not in model.lower())
    # Held once each: a body may have many megabytes, and the memory of this is accounted for.
    raws = items(fields["messages"])
    fields["messages"] = b""
    messages = [made for raw in raws if (made := mender.message(raw)) is not None]
    if not mender.has_changed:
        return body
    del raws
    fields["messages"] = written_list(messages)
    del messages
    if mender.lacks_thinking and _type(fields.get("thinking", b"{}")) == "enabled":
        # A turn that goes on must begin with thinking then; and this edit may only be asked for while somebody thinks.
        fields["thinking"] = b'{"type":"disabled"}'
        if b"clear_thinking" in fields.get("context_management", b""):
            del fields["context_management"]
    return written(fields)


class Mending:
    """Rewrites a request for an upstream that speaks as its client does."""

    def request(self, body: bytes, options: Options) -> Translated:
        """Mend a body, and have it ask for the model and the stream that the options say."""
        said = scan(body)
        edits = said.edits(model=options.model or None, stream=True if options.force_stream else None)
        made = mended(b"".join(splice([body], edits)), options.model or said.model or "")
        return Translated(made, Asked(options.model, said.stream))


MENDING = Mending()


class _Mender:
    """Takes the messages in their order."""

    def __init__(self, *, may_be_unsigned: bool) -> None:
        self._may_be_unsigned = may_be_unsigned
        self.has_changed = False
        #: The turn under way does not begin with thinking (any more): another vendor's model may have begun it.
        self.lacks_thinking = False
        self._ids = CallIds()
        self._is_begin = True
        self._last_role = ""

    def message(self, raw: bytes) -> bytes | None:
        """Return the message as it is sent, or None if nothing of it is left."""
        try:
            message = msgspec.json.decode(raw, type=_Message)
        except (msgspec.DecodeError, RecursionError):
            return raw
        if message.role == "assistant" and self._last_role != "assistant":
            self._ids.forget()
        self._last_role = message.role
        said = [] if isinstance(message.content, str) else [bytes(block) for block in message.content]
        made = [block for each in said if (block := self._block(each, message.role)) is not None]
        if message.role == "user" and not any(b'"tool_result"' in block for block in made):
            self._is_begin, self.lacks_thinking = True, False
        elif message.role == "assistant" and not said:
            self.lacks_thinking, self._is_begin = self.lacks_thinking or self._is_begin, False
        if made == said:
            return raw
        self.has_changed = True
        if not made:
            return None
        del said
        fields = members(raw)
        fields["content"] = b""
        fields["content"] = written_list(made)
        del made
        return written(fields)

    def _block(self, raw: bytes, role: str) -> bytes | None:
        try:
            block = msgspec.json.decode(raw, type=_Block)
        except (msgspec.DecodeError, RecursionError):
            return raw
        if role == "assistant":
            return self._said(raw, block)
        if block.type == "tool_result" and isinstance(block.tool_use_id, str):
            return _with(raw, "tool_use_id", block.tool_use_id, self._ids.result(block.tool_use_id))
        return raw

    def _said(self, raw: bytes, block: _Block) -> bytes | None:
        if block.is_foreign(may_be_unsigned=self._may_be_unsigned):
            return None
        if self._is_begin:
            self.lacks_thinking = block.type not in _SIGNED_KINDS
            self._is_begin = False
        if block.type == "tool_use" and isinstance(block.id, str):
            return _with(raw, "id", block.id, self._ids.call(block.id))
        return raw


def _with(raw: bytes, name: str, old: str, new: str | None) -> bytes:
    return raw if new in {None, old} else written(members(raw) | {name: msgspec.json.encode(new)})


def _type(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=_Typed).type
    except msgspec.DecodeError:
        return ""
