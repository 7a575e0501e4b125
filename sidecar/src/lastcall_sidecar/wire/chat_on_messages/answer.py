"""A message becomes a chat completion."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.chat_on_messages.message import Block, Usage, finish_reason, refusal, text, told
from lastcall_sidecar.wire.chat_on_messages.shapes import NULL
from lastcall_sidecar.wire.stops import Stops
from lastcall_sidecar.wire.translation import Asked


class _Message(msgspec.Struct):
    content: list[Block]
    id: str = ""
    model: str = ""
    stop_reason: Any = None
    stop_details: Any = None
    usage: Raw = NULL


def translate(body: bytes, asked: Asked) -> bytes:
    """Translate a whole message; TranslationError if it is none."""
    message = told(body.decode("utf-8", "replace"), _Message)
    usage = Usage()
    usage.merge(message.usage)
    stops = Stops(asked.stop_sequences)
    said = _chat_message(message, asked.tool_names, stops)
    stopped = stops.hit is not None and "tool_calls" not in said
    choice = {
        "index": 0,
        "message": said,
        "logprobs": None,
        "finish_reason": finish_reason("stop_sequence" if stopped else message.stop_reason),
    }
    completion = {
        "id": message.id,
        "object": "chat.completion",
        "created": asked.created,
        "model": message.model or asked.model,
        "choices": [choice],
        "usage": usage.to_chat(),
    }
    return msgspec.json.encode(completion)


def _chat_message(message: _Message, names: Mapping[str, str], stops: Stops) -> dict[str, Any]:
    """Return the assistant's message, up to a stop sequence, without what a chat has no place for (server tools)."""
    said, thought = "", ""
    details: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in message.content:
        if stops.hit is not None:
            break
        match block.type:
            case "text":
                said += stops.take(text(block.text)) + stops.rest()
            case "thinking":
                thought += text(block.thinking)
                details.append(thinking_detail(block, len(details)))
            case "redacted_thinking":
                details.append(redacted_detail(block, len(details)))
            case "tool_use":
                calls.append(tool_call(block, bytes(block.input).decode(), names))
    return {
        "role": "assistant",
        "content": said or (None if calls else ""),
        "refusal": refusal(message.stop_details),
        **({"reasoning_content": thought} if thought else {}),
        **({"reasoning_details": details} if details else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def thinking_detail(block: Block, index: int) -> dict[str, Any]:
    """Return the entry of `reasoning_details` for a thinking block."""
    return {"type": "reasoning.text", "index": index, "text": text(block.thinking), "signature": text(block.signature)}


def redacted_detail(block: Block, index: int) -> dict[str, Any]:
    """Return the entry of `reasoning_details` for a redacted thinking block."""
    return {"type": "reasoning.encrypted", "index": index, "data": text(block.data)}


def tool_call(block: Block, arguments: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the call that a `tool_use` block is, its arguments being JSON text; `names` as `Asked` has them."""
    name = text(block.name)
    return {
        "id": text(block.id),
        "type": "function",
        "function": {"name": names.get(name, name), "arguments": arguments},
    }
