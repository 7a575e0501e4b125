"""From a valid request of the Messages API and its directive to the plan of the answer. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lastcall_sidecar.testing.composing import SHAPES, Plan, ToolCall
from lastcall_sidecar.testing.directives import Directive, Kind
from lastcall_sidecar.testing.examples import example

#: What is called where a directive asks for a call and the request has no tools.
_LOOKUP = ("lookup", {"type": "object", "properties": {"query": {"type": "string"}}})


def last_user_text(request: Mapping[str, Any]) -> str:
    """All text blocks of the last user message; empty where it has none (a bare `tool_result`)."""
    content = _last_user_content(request)
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


def input_tokens(request: Mapping[str, Any]) -> int:
    """Count tokens roughly: a quarter of the characters of all that the model would read."""
    read = {key: request[key] for key in ("system", "instructions", "messages", "input", "tools") if key in request}
    return max(len(json.dumps(read, ensure_ascii=False)) // 4, 1)


def plan(request: Mapping[str, Any], directive: Directive) -> Plan:
    """Decide what the answer to a valid request is, before any of it is written."""
    asked = request.get("thinking", {})
    choice = request.get("tool_choice", {})
    thinking, text, calls = shape(
        directive.kind, thinks=asked.get("type") in {"enabled", "adaptive"}, calls=_must_call(request)
    )
    output = (request.get("output_config") or {}).get("format")
    tools = [(tool["name"], tool.get("input_schema", {})) for tool in request.get("tools", []) if "name" in tool]
    count = 1 if choice.get("disable_parallel_tool_use") else directive.calls
    return Plan(
        seed=directive.seed if directive.seed is not None else seed_of(_seeding(request)),
        model=request["model"],
        events=directive.events,
        thinking=thinking,
        thinking_shown=asked.get("display") != "omitted",
        text=text,
        fixed_text=json.dumps(example(output["schema"]), ensure_ascii=False) if output else None,
        tools=tool_calls(tools, choice.get("name"), count) if calls else (),
        rare_blocks=directive.kind is Kind.EVERYTHING,
        stop_reason=directive.stop or ("tool_use" if calls else "end_turn"),
        stop_sequence=next(iter(request.get("stop_sequences") or ["STOP"]))
        if directive.stop == "stop_sequence"
        else None,
        input_tokens=input_tokens(request),
        cache_read_tokens=directive.cache_read_tokens,
        cache_write_tokens=directive.cache_write_tokens,
        event_bytes=directive.event_bytes,
        eol=directive.eol,
        noise=directive.noise,
    )


def shape(kind: Kind, *, thinks: bool, calls: bool) -> tuple[bool, bool, bool]:
    """Tell whether an answer has thinking, text and tool calls: as the directive says, or else the request."""
    return SHAPES.get(kind, (thinks, True, calls))


def seed_of(text: str) -> int:
    """Give equal conversations equal answers, whether they are streamed or not."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def tool_calls(tools: Sequence[tuple[str, Any]], named: str | None, count: int) -> tuple[ToolCall, ...]:
    """Call the tool that was named, else all of them in turn, with one plain value per property of the schema.

    No two calls have equal texts in their inputs.
    """
    wanted = [tool for tool in tools if tool[0] == named] or tools or [_LOOKUP]
    return tuple(_call(index, *wanted[index % len(wanted)]) for index in range(count))


def _call(index: int, name: str, schema: Mapping[str, Any]) -> ToolCall:
    asked = {"type": "object", **(schema if schema.get("properties") else _LOOKUP[1])}
    value = example(asked, f"no. {index + 1}" if index else "some")
    return ToolCall(name=name, input_json=json.dumps(value, ensure_ascii=False))


def _last_user_content(request: Mapping[str, Any]) -> Any:
    return next((message["content"] for message in reversed(request["messages"]) if message["role"] == "user"), "")


def _seeding(request: Mapping[str, Any]) -> str:
    return (request.get("metadata") or {}).get("user_id") or json.dumps(_last_user_content(request))


def _must_call(request: Mapping[str, Any]) -> bool:
    """Tell whether the caller insists on a tool; left to itself, this model answers in words."""
    return bool(request.get("tools")) and request.get("tool_choice", {}).get("type") in {"any", "tool"}
