"""An example of each block that the vendor's SDK knows, and streams of any of them."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from tests.wire import sequences
from tests.wire.sequences import anthropic_event, block_delta, block_start, block_stop

_RESULT = {"type": "code_execution_result", "stdout": "1", "stderr": "", "return_code": 0, "content": []}

#: By type, as they start.
BLOCKS: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "redacted_thinking": {"data": "EmwKAhgB"},
    "tool_use": {"id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "direct"}},
    "server_tool_use": {"id": "srvtoolu_1", "name": "web_search", "input": {}},
    "mcp_tool_use": {"id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
    "web_search_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": [
            {
                "type": "web_search_result",
                "title": "t",
                "url": "https://e.org",
                "encrypted_content": "E",
                "page_age": None,
            }
        ],
    },
    "web_fetch_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"},
    },
    "code_execution_tool_result": {"tool_use_id": "srvtoolu_1", "content": _RESULT},
    "bash_code_execution_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": {**_RESULT, "type": "bash_code_execution_result"},
    },
    "text_editor_code_execution_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "text_editor_code_execution_create_result", "is_file_update": False},
    },
    "tool_search_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "tool_search_tool_search_result", "tool_references": []},
    },
    "advisor_tool_result": {
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "advisor_result", "text": "a", "stop_reason": None},
    },
    "mcp_tool_result": {"tool_use_id": "mcptoolu_1", "is_error": False, "content": [{"type": "text", "text": "hi"}]},
    "mcp_tool_listing": {"mcp_server_name": "s", "tools": []},
    "container_upload": {"file_id": "file_1"},
    "compaction": {"content": None, "encrypted_content": None},
    "fallback": {
        "from": {"model": "claude-opus-4-7"},
        "to": {"model": "claude-sonnet-4-5"},
        "trigger": {"type": "refusal", "category": None},
    },
    "of_the_future": {"input": {}, "data": {"a": [1.5, None]}},
}
#: One of each type.
CITATIONS: Mapping[str, Mapping[str, Any]] = {
    "char_location": {"document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1},
    "page_location": {"document_index": 0, "document_title": "d", "start_page_number": 1, "end_page_number": 2},
    "content_block_location": {"document_index": 0, "start_block_index": 0, "end_block_index": 1, "file_id": "f"},
    "web_search_result_location": {"encrypted_index": "E", "title": None, "url": "https://e.org"},
    "search_result_location": {"search_result_index": 0, "source": "s", "start_block_index": 0, "end_block_index": 1},
}
DELTA_TYPES = ("text_delta", "input_json_delta", "citations_delta", "thinking_delta", "signature_delta")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text(max_size=12) | st.sampled_from(["\n\n", "data: x\r\n", '"', "\\", "🎉"])
#: What may stand between any two events.
NOISE = st.sampled_from(
    [
        sequences.PING,
        b": a comment\n\n",
        anthropic_event({"type": "of_the_future", "index": 0, "delta": {"type": "text_delta", "text": "no"}}),
        b"event: content_block_delta\ndata: {}\n\n",
        b"event: ping\ndata: no JSON\n\n",
        b"event: x\ndata:\n\n",
    ]
)
COUNTS = st.integers(0, 10**7) | st.none()
CHANGES = {
    "container": st.sampled_from([None, {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}]),
    "stop_reason": st.sampled_from(["end_turn", "max_tokens", "refusal", "of_the_future", None]),
    "stop_sequence": st.none() | TEXTS,
    "stop_details": st.sampled_from([None, {"type": "refusal", "category": "bio", "explanation": None}]),
}
USAGE = {
    "input_tokens": COUNTS,
    "cache_creation_input_tokens": COUNTS,
    "cache_read_input_tokens": COUNTS,
    "server_tool_use": st.sampled_from([None, {"web_search_requests": 1, "web_fetch_requests": 0}]),
    "output_tokens_details": st.sampled_from([None, {"thinking_tokens": 3}]),
    "iterations": st.sampled_from([None, [], [{"type": "message", "input_tokens": 1, "output_tokens": 2}]]),
}
BESIDE = {
    "context_management": st.sampled_from([None, {"applied_edits": []}]),
    "input_transformations": st.sampled_from([None, []]),
}


def cut_in_pieces(draw, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def deltas(draw, kind: str) -> list[Mapping[str, Any]]:
    """What may come for a block of this type, and now and then what is for another."""
    found: list[Mapping[str, Any]] = []
    if kind in {"tool_use", "server_tool_use", "mcp_tool_use"}:
        text = json.dumps(draw(st.dictionaries(st.text(max_size=5), VALUES, max_size=4)))
        text = text[: draw(st.integers(1, len(text)))] if draw(st.booleans()) else text
        found += [{"type": "input_json_delta", "partial_json": piece} for piece in cut_in_pieces(draw, text)]
    if kind == "thinking":
        found += [{"type": "thinking_delta", "thinking": text} for text in draw(st.lists(TEXTS, max_size=3))]
        found += [{"type": "signature_delta", "signature": text} for text in draw(st.lists(TEXTS, max_size=2))]
    if kind == "text":
        found += [{"type": "text_delta", "text": text} for text in draw(st.lists(TEXTS, max_size=4))]
        names = draw(st.lists(st.sampled_from(list(CITATIONS)), max_size=2))
        cited = [{"type": name, "cited_text": "a", **CITATIONS[name]} for name in names]
        found += [{"type": "citations_delta", "citation": citation} for citation in cited]
        found = draw(st.permutations(found))
    if kind == "compaction":
        found.append({"type": "compaction_delta", "content": draw(TEXTS), "encrypted_content": draw(st.none() | TEXTS)})
    if draw(st.booleans()):
        found = [*found, {"type": "of_the_future", "text": "no", "partial_json": "no"}]
    if kind not in {"tool_use", "server_tool_use", "mcp_tool_use"} and draw(st.booleans()):
        found = [*found, {"type": "input_json_delta", "partial_json": "no JSON"}]
    return found


@st.composite
def streams(draw) -> bytes:
    """A stream of any blocks, whole or without its last events."""
    start: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    start |= {"usage": {"input_tokens": 1, "output_tokens": draw(COUNTS), "service_tier": "standard"}}
    start |= draw(st.fixed_dictionaries({}, optional=CHANGES | BESIDE | {"of_the_future": VALUES}))
    events = [anthropic_event({"type": "message_start", "message": start})]
    for index, kind in enumerate(draw(st.lists(st.sampled_from(list(BLOCKS)), max_size=4))):
        events.append(block_start(index, {"type": kind, **BLOCKS[kind]}))
        events += [block_delta(index, delta) for delta in draw(deltas(kind))]
        events.append(block_stop(index))
    for _ in range(draw(st.integers(0, 2))):
        usage = {"output_tokens": draw(st.integers(0, 99)), **draw(st.fixed_dictionaries({}, optional=USAGE))}
        change = draw(st.fixed_dictionaries({}, optional=CHANGES))
        beside = draw(st.fixed_dictionaries({}, optional=BESIDE))
        events.append(anthropic_event({"type": "message_delta", "delta": change, "usage": usage, **beside}))
    for noise in draw(st.lists(NOISE, max_size=3)):
        events.insert(draw(st.integers(0, len(events))), noise)
    return b"".join([*events, sequences.MESSAGE_STOP] if draw(st.booleans()) else events)
