"""The whole of an answer of the Messages API, known before its first byte leaves: events, JSON, hashes.

Pure and deterministic: equal plans give equal bytes, today and in another process. `fake_llm` plays a script;
a test may build the same one to know what must arrive.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lastcall_sidecar.testing.composing import Part, PartKind, Plan, ToolCall, compact, compose
from lastcall_sidecar.testing.framing import Script, event, noisy, seal
from lastcall_sidecar.testing.signing import REDACTED, sign

__all__ = ["Plan", "Script", "ToolCall", "write"]

_OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_FAILURE = b"event: error\ndata: " + json.dumps(_OVERLOADED).encode() + b"\n\n"
_SEARCH = {"query": "last call"}
_FOUND = {
    "type": "web_search_result",
    "url": "https://example.org/last-call",
    "title": "Last call – 灯",
    "encrypted_content": "ZmFrZQ==",
    "page_age": None,
}
_CITED = "A last call is announced before the bar closes."
_CITATION = {
    "type": "web_search_result_location",
    "url": _FOUND["url"],
    "title": _FOUND["title"],
    "encrypted_index": "ZmFrZQ==",
    "cited_text": _CITED,
}


@dataclass(frozen=True, slots=True)
class _Block:
    """A content block as it ends up, as it starts, and the deltas between."""

    whole: dict[str, Any]
    start: dict[str, Any]
    deltas: list[dict[str, Any]] = field(default_factory=list)


def write(plan: Plan) -> Script:
    """Write the answer to a plan."""
    blocks = list(_blocks(plan))
    events = _events(plan, blocks)
    content = [block.whole for block in blocks]
    ending = _ending(plan)
    document = _message(plan, content, ending, plan.output_tokens)
    if plan.rare_blocks:
        document["usage"] |= _SERVER_USAGE
    text = "".join(block["text"] for block in content if block["type"] == "text")
    return seal(
        noisy(events, _noise(plan)) if plan.noise else events,
        compact(document).encode(),
        text,
        _FAILURE,
    )


_SERVER_USAGE = {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}


def _ending(plan: Plan) -> dict[str, Any]:
    ending: dict[str, Any] = {"stop_reason": plan.stop_reason, "stop_sequence": plan.stop_sequence}
    if plan.stop_reason == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": "The fake was asked to refuse."}
    return ending


def _message(plan: Plan, content: list[dict[str, Any]], ending: dict[str, Any], output_tokens: int) -> dict[str, Any]:
    return {
        "id": f"msg_fake{plan.seed:020d}",
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "content": content,
        **ending,
        "usage": {
            "input_tokens": plan.input_tokens,
            "cache_creation_input_tokens": plan.cache_write_tokens,
            "cache_read_input_tokens": plan.cache_read_tokens,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _blocks(plan: Plan) -> Iterator[_Block]:
    """Yield each content block; without the rare ones they have `plan.events` deltas together."""
    number = 0
    for part in compose(plan):
        if part.kind is PartKind.THINKING:
            yield _thinking(plan, part)
            if plan.rare_blocks:
                redacted = {"type": "redacted_thinking", "data": sign(plan.seed, REDACTED)}
                yield _Block(redacted, redacted)
        elif part.call is None:
            yield _Block(
                {"type": "text", "text": part.text},
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": piece} for piece in part.pieces],
            )
            if plan.rare_blocks:
                yield from _searched(plan)
        else:
            identity = f"toolu_fake{plan.seed:020d}" + (f"_{number}" if number else "")
            number += 1
            yield _called("tool_use", identity, part.call.name, part.pieces)


def _thinking(plan: Plan, part: Part) -> _Block:
    text = part.text if plan.thinking_shown else ""
    signature = sign(plan.seed, text)
    pieces = part.pieces if plan.thinking_shown else ()
    return _Block(
        {"type": "thinking", "thinking": text, "signature": signature},
        {"type": "thinking", "thinking": "", "signature": ""},
        [
            *({"type": "thinking_delta", "thinking": piece} for piece in pieces),
            {"type": "signature_delta", "signature": signature},
        ],
    )


def _called(kind: str, identity: str, name: str, pieces: tuple[str, ...]) -> _Block:
    block = {"type": kind, "id": identity, "name": name}
    return _Block(
        {**block, "input": json.loads("".join(pieces))},
        {**block, "input": {}},
        [{"type": "input_json_delta", "partial_json": piece} for piece in pieces],
    )


def _searched(plan: Plan) -> Iterator[_Block]:
    """A search that the server ran by itself, and a text that cites what it found."""
    identity = f"srvtoolu_fake{plan.seed:020d}"
    yield _called("server_tool_use", identity, "web_search", ("", compact(_SEARCH)))
    result = {"type": "web_search_tool_result", "tool_use_id": identity, "content": [_FOUND]}
    yield _Block(result, result)
    cited = {"type": "text", "text": _CITED, "citations": [_CITATION]}
    yield _Block(
        cited,
        {"type": "text", "text": "", "citations": []},
        [{"type": "citations_delta", "citation": _CITATION}, {"type": "text_delta", "text": _CITED}],
    )


def _events(plan: Plan, blocks: list[_Block]) -> Iterator[bytes]:
    def named(kind: str, fields: dict[str, Any]) -> bytes:
        return event(plan.eol, compact({"type": kind, **fields}), kind)

    started = {"stop_reason": None, "stop_sequence": None}
    yield named("message_start", {"message": _message(plan, [], started, 1)})
    for index, block in enumerate(blocks):
        yield named("content_block_start", {"index": index, "content_block": block.start})
        if index == 0:
            yield named("ping", {})
        for delta in block.deltas:
            yield named("content_block_delta", {"index": index, "delta": delta})
        yield named("content_block_stop", {"index": index})
    usage = {"output_tokens": plan.output_tokens} | (_SERVER_USAGE if plan.rare_blocks else {})
    yield named("message_delta", {"delta": _ending(plan), "usage": usage})
    yield named("message_stop", {})


def _noise(plan: Plan) -> tuple[bytes, ...]:
    """What the SSE standard allows and few servers send: comments, `id`, `retry`, an event that nobody knows."""
    eol = plan.eol.characters
    return (
        b": keep-alive" + eol,
        b"id: %d" + eol,
        b"retry: 3000" + eol,
        b"event: weather" + eol + b'data: {"type":"weather",' + eol + b'data: "sky":"clear"}' + eol + eol,
        b":" + eol + eol,
    )
