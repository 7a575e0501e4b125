"""Turns of a Messages request as chat messages.

Neighbors of one role are one turn, as in the API itself: so that all calls of a turn stand in one message and all their
results right behind it, which chat upstreams demand.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any

import msgspec

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat.parts import (
    Part,
    Typed,
    block_parts,
    is_text,
    joined,
    parts_of,
    text_part,
)
from lastcall_sidecar.wire.messages_on_chat.reading import NOTHING, is_given, read
from lastcall_sidecar.wire.messages_on_chat.returning import Returning, result_id
from lastcall_sidecar.wire.messages_on_chat.vendors import Vendor

ChatMessage = dict[str, Any]

#: Claude Code's first system block: a line that differs from request to request, and with which no prefix of the
#: prompt would ever be in the upstream's cache (vllm-project/vllm#36829).
_BILLING_HEADER = "x-anthropic-billing-header:"
#: What a tool's result says in place of what only a user's message can carry.
_ELSEWHERE = {"image_url": "[image: see the next message]", "file": "[document: see the next message]"}
_ERROR = "Error: "


class _Message(msgspec.Struct):
    role: str
    content: str | list[msgspec.Raw]


class _Text(msgspec.Struct):
    text: str


class _Summary(msgspec.Struct):
    content: str | None = None


class _ToolUse(msgspec.Struct):
    id: str
    name: str
    input: msgspec.Raw = NOTHING


class _ToolResult(msgspec.Struct):
    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    role: str
    kind: str
    path: str
    raw: msgspec.Raw


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    #: Of its content.
    path: str
    content: list[msgspec.Raw]

    def blocks(self) -> list[_Block]:
        paths = (f"{self.path}.{index}" for index in range(len(self.content)))
        return [
            _Block(self.role, read(raw, Typed, path).type, path, raw)
            for path, raw in zip(paths, self.content, strict=True)
        ]

    def parts(self) -> list[Part]:
        return parts_of(self.content, self.path)

    def reminder(self) -> _Block:
        text = f"<system-reminder>\n{joined(self.parts())}\n</system-reminder>"
        return _Block("user", "text", self.path, msgspec.Raw(msgspec.json.encode(text_part(text))))


def chat_messages(
    system: str | list[msgspec.Raw] | None, messages: list[msgspec.Raw], vendor: Vendor, *, system_anywhere: bool
) -> list[ChatMessage]:
    """Return the chat messages; the system prompt is the first, if there is one.

    System messages within the conversation stay where they are if the upstream takes them there (`system_anywhere`).
    Elsewhere they become part of the user's turn, marked as Claude Code marks such text: many models' chat templates
    refuse one that is not the first, and moved to the front it would spoil the upstream's cache with every turn.
    Errors: BodyError.
    """
    turns = [_turn(raw, f"messages.{index}") for index, raw in enumerate(messages)]
    leading = list(takewhile(lambda turn: turn.role == "system", turns))
    found = _system([*parts_of(system or "", "system"), *(part for turn in leading for part in turn.parts())])
    blocks: list[_Block] = []
    for turn in turns[len(leading) :]:
        blocks += turn.blocks() if turn.role != "system" or system_anywhere else [turn.reminder()]
    for role, said in groupby(blocks, key=lambda block: block.role):
        found += _MAKERS[role](said, vendor)
    return found


def _turn(raw: msgspec.Raw, path: str) -> _Turn:
    message = read(raw, _Message, path)
    if message.role not in _MAKERS:
        raise BodyError(f"{path}.role: must be one of {', '.join(_MAKERS)}")
    content = message.content
    if isinstance(content, str):
        content = [msgspec.Raw(msgspec.json.encode(text_part(content)))]
    return _Turn(message.role, f"{path}.content", content)


def _system(parts: Iterable[Part]) -> list[ChatMessage]:
    text = joined(part for part in parts if not str(part.get("text", "")).startswith(_BILLING_HEADER))
    return [{"role": "system", "content": text}] if text else []


def _user(blocks: Iterable[_Block], vendor: Vendor) -> list[ChatMessage]:
    results: list[ChatMessage] = []
    moved: list[Part] = []
    rest: list[Part] = []
    for block in blocks:
        if block.kind == "tool_result":
            result, media = _tool_result(block, vendor)
            results.append(result)
            moved += media
        else:
            rest += block_parts(block.raw, block.path)
    said = [part for part in [*moved, *rest] if not is_text(part) or part["text"].strip()]
    if said or not results:
        results.append({"role": "user", "content": joined(said) if all(map(is_text, said)) else said})
    return results


def _tool_result(block: _Block, vendor: Vendor) -> tuple[ChatMessage, list[Part]]:
    """The result's message, and what of it only a user's message can carry."""
    result = read(block.raw, _ToolResult, block.path)
    parts = parts_of(result.content or "", f"{block.path}.content")
    text = joined(part if is_text(part) else text_part(_ELSEWHERE[part["type"]]) for part in parts)
    content = _ERROR + text if result.is_error else text
    message = {"role": "tool", "tool_call_id": result_id(result.tool_use_id, vendor), "content": content}
    return message, [part for part in parts if not is_text(part)]


def _assistant(blocks: Iterable[_Block], vendor: Vendor) -> list[ChatMessage]:
    text = ""
    calls: list[_Block] = []
    returning = Returning(vendor)
    for block in blocks:
        match block.kind:
            case "text":
                text += read(block.raw, _Text, block.path).text
            case "compaction":
                text += read(block.raw, _Summary, block.path).content or ""
            case "tool_use":
                calls.append(block)
            case "thinking":
                returning.think(block.raw, block.path)
    if not calls:
        return [returning.finish({"role": "assistant", "content": text})]
    # Behind all thinking: the state of a call may come after it.
    made = [_call(block, returning) for block in calls]
    return [returning.finish({"role": "assistant", "content": text if text.strip() else None, "tool_calls": made})]


def _call(block: _Block, returning: Returning) -> ChatMessage:
    call = read(block.raw, _ToolUse, block.path)
    arguments = bytes(call.input).decode() if is_given(call.input) else "{}"
    if not arguments.startswith("{"):
        raise BodyError(f"{block.path}.input: must be an object")
    return returning.call(call.id, {"name": call.name, "arguments": arguments})


#: By the role of a turn. Blocks of other types than these functions know are left out.
_MAKERS: Mapping[str, Callable[[Iterable[_Block], Vendor], list[ChatMessage]]] = {
    "user": _user,
    "assistant": _assistant,
    "system": lambda blocks, _: _system(part for block in blocks for part in block_parts(block.raw, block.path)),
}
