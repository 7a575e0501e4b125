"""A conversation: OpenAI's list of messages becomes Anthropic's system prompt and alternating turns.

Anthropic wants a user's turn first, roles by turns, and each turn of tool calls answered at the head of the next one.
OpenAI has a message for each result, and allows neighbors of one role.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeGuard

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.call_ids import CallIds
from lastcall_sidecar.wire.carried import is_ours
from lastcall_sidecar.wire.chat_on_messages import content
from lastcall_sidecar.wire.chat_on_messages.content import Block
from lastcall_sidecar.wire.chat_on_messages.shapes import Detail, Message, ToolCall, given
from lastcall_sidecar.wire.cut_json import completed

_EMPTY_OBJECT = Raw(b"{}")
_THINKING = ("thinking", "redacted_thinking")
#: OpenRouter's word for what Anthropic's models signed; those that we tell have none.
_OWN_FORMAT = "anthropic-claude"


@dataclass(slots=True)
class Turn:
    """What one side says in one go."""

    role: str
    #: The first message of it, by its place in the request.
    index: int
    blocks: list[Block] = field(default_factory=list)

    def has(self, kind: str) -> bool:
        """Whether there is a block of this type."""
        return any(_is_a(block, kind) for block in self.blocks)

    def begins_with_thinking(self) -> bool:
        """Whether the model thought before it said this, and the client has sent that along."""
        first = self.blocks[0]
        return isinstance(first, dict) and first["type"] in _THINKING

    def without_thinking(self) -> list[Block]:
        """Return the blocks for a request in which nobody thinks."""
        return [block for block in self.blocks if not (isinstance(block, dict) and block["type"] in _THINKING)]


class Conversation:
    """Take the messages in their order, then `end`."""

    def __init__(self) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self._ids = CallIds()
        #: The message that made the last calls.
        self._caller = 0

    def take(self, index: int, message: Message) -> None:
        """Add the message with this place in the request; BodyError if it cannot stand there, or not be translated."""
        where = f"messages.{index}"
        match message.role:
            case "system" | "developer":
                self.system += content.mark(
                    content.blocks(message.content, where, content.SYSTEM), message.cache_control
                )
            case "user":
                said = content.blocks(message.content, where, content.USER)
                for block in said:
                    self._answer(block, f"{where}.content.tool_use_id")
                self._check_answered()
                said.sort(key=lambda block: not _is_a(block, "tool_result"))
                self._add("user", index, content.mark(said, message.cache_control))
            case "assistant":
                self._check_answered()
                self._add("assistant", index, self._assistant(index, message))
            case "tool":
                result = _result(message, where)
                self._answer(result, f"{where}.tool_call_id")
                self._add("user", index, content.mark([result], message.cache_control))
            case "function":
                raise BodyError(f"{where}.role: superseded: use `tools`, and a message of role `tool`")
            case _:
                raise BodyError(f"{where}.role: must be one of system, developer, user, assistant, tool")

    def end(self) -> None:
        """Check what can only be seen at the end; BodyError."""
        self._check_answered()
        if not self.turns:
            raise BodyError("messages: nobody says anything but the system")
        if self.turns[0].role != "user":
            raise BodyError(f"messages.{self.turns[0].index}.role: the first turn must be the user's")
        self._trim(self.turns[-1])

    def _trim(self, last: Turn) -> None:
        """An answer that is begun may not end in white space, which the API refuses."""
        said = last.blocks[-1]
        if last.role == "assistant" and isinstance(said, dict) and said["type"] == "text":
            last.blocks[-1] = {**said, "text": said["text"].rstrip()}

    def lacks_thinking(self) -> bool:
        """Whether a turn of the assistant's is under way of which the thinking that began it was not sent along.

        That is a loop of tool calls, or an answer begun. A model that thinks between calls need not do so each time: it
        is the beginning that counts.
        """
        under_way = takewhile(lambda turn: turn.role == "assistant" or turn.has("tool_result"), reversed(self.turns))
        said = [turn for turn in under_way if turn.role == "assistant"]
        return bool(said) and not said[-1].begins_with_thinking()

    def _add(self, role: str, index: int, said: list[Block]) -> None:
        if not said:
            return
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(Turn(role, index))
        self.turns[-1].blocks += said

    def _check_answered(self) -> None:
        if not self._ids.is_answered:
            raise BodyError(f"messages.{self._caller}.tool_calls: each must be answered by a message of role `tool`")

    def _assistant(self, index: int, message: Message) -> list[Block]:
        where = f"messages.{index}"
        if given(message.function_call):
            raise BodyError(f"{where}.function_call: superseded: use `tool_calls`")
        if given(message.audio):
            raise BodyError(f"{where}.audio: the Messages API knows no audio")
        said = content.blocks(message.content, where, content.ASSISTANT) + content.text(message.refusal or "")
        said += [_tool_use(call, f"{where}.tool_calls.{place}") for place, call in enumerate(message.tool_calls or ())]
        for block in said:
            if _is_a(block, "tool_use"):
                block["id"] = self._ids.call(block["id"])
                self._caller = index
        content.mark(said, message.cache_control)
        return _thinking(message.reasoning_details or []) + said if said else []

    def _answer(self, block: Block, where: str) -> None:
        """Note which call is answered, if the block is that; `where` is the place of the call's id."""
        if _is_a(block, "tool_result"):
            call = self._ids.result(block["tool_use_id"])
            if call is None:
                raise BodyError(f"{where}: must be of a call right before, answered once")
            block["tool_use_id"] = call


def _is_a(block: Block, kind: str) -> TypeGuard[dict[str, Any]]:
    return isinstance(block, dict) and block["type"] == kind


def _result(message: Message, where: str) -> Block:
    said = content.blocks(message.content, where, content.RESULT)
    return {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id or "",
        **({"content": said} if said else {}),
    }


def _tool_use(call: ToolCall, where: str) -> Block:
    if call.type != "function" or call.function is None:
        raise BodyError(f"{where}.type: must be a function's")
    if not call.id:
        raise BodyError(f"{where}.id: must not be empty")
    arguments = _arguments(call.function.arguments, f"{where}.function.arguments")
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": arguments}


def _arguments(json: str, where: str) -> Raw:
    """Return the object as it was written: no number in it is read. Of one that was cut short, what is complete.

    A call is cut where an answer ran out of tokens, and clients send it back as it was.
    """
    if not json.strip():
        return _EMPTY_OBJECT
    try:
        msgspec.json.decode(json, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        with suppress(ValueError):
            whole = completed(json.encode())
            if whole.startswith(b"{"):
                return Raw(whole)
        raise BodyError(f"{where}: must be a JSON object") from None
    return Raw(json)


def _thinking(details: list[Detail]) -> list[Block]:
    """Return the blocks that `reasoning_details` stand for.

    Pieces with the same `index` are put together: a client may have kept a stream's. What no Anthropic model has
    signed, or is of a type yet unknown, is left out: the API refuses a signature that is not its own, and other
    vendors sign and encrypt in the same fields, by another `format` (https://openrouter.ai/docs/use-cases/reasoning-tokens).
    """
    pieces: dict[tuple[str, int], list[Detail]] = {}
    for place, detail in enumerate(details):
        if detail.format is not None and not detail.format.startswith(_OWN_FORMAT):
            continue
        key = (detail.type, -1 - place if detail.index is None else detail.index)
        pieces.setdefault(key, []).append(detail)
    made: list[Block] = []
    for (kind, _), found in pieces.items():
        signature = "".join(piece.signature or "" for piece in found)
        data = "".join(piece.data or "" for piece in found)
        if kind == "reasoning.text" and signature and not is_ours(signature):
            text = "".join(piece.text or "" for piece in found)
            made.append({"type": "thinking", "thinking": text, "signature": signature})
        elif kind == "reasoning.encrypted" and data:
            made.append({"type": "redacted_thinking", "data": data})
    return made
