"""From a valid request and its directive to the plan of the answer. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.directives import Directive, Kind
from lastcall_sidecar.testing.script import Plan, ToolCall

_EXAMPLES: Mapping[str, Any] = {
    "integer": 42,
    "number": 4.25,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


def last_user_text(request: Mapping[str, Any]) -> str:
    """All text blocks of the last user message; empty where it has none (a bare `tool_result`)."""
    content = _last_user_content(request)
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


def input_tokens(request: Mapping[str, Any]) -> int:
    """Count tokens roughly: a quarter of the characters of all that the model would read."""
    read = {key: request[key] for key in ("system", "messages", "tools") if key in request}
    return max(len(json.dumps(read, ensure_ascii=False)) // 4, 1)


def plan(request: Mapping[str, Any], directive: Directive) -> Plan:
    """Decide what the answer to a valid request is, before any of it is written."""
    thinks = request.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    calls = _must_call(request)
    kind = directive.kind
    thinking = kind in {Kind.THINKING, Kind.MIXED} or (kind is Kind.AUTO and thinks)
    tool = kind in {Kind.TOOLS, Kind.MIXED} or (kind is Kind.AUTO and calls)
    return Plan(
        seed=directive.seed if directive.seed is not None else _seed(request),
        model=request["model"],
        events=directive.events,
        thinking=thinking,
        tool=_tool_call(request) if tool else None,
        stop_reason=directive.stop or ("tool_use" if tool else "end_turn"),
        stop_sequence=next(iter(request.get("stop_sequences") or ["STOP"]))
        if directive.stop == "stop_sequence"
        else None,
        input_tokens=input_tokens(request),
        event_bytes=directive.event_bytes,
        eol=directive.eol,
        noise=directive.noise,
    )


def _last_user_content(request: Mapping[str, Any]) -> Any:
    return next((message["content"] for message in reversed(request["messages"]) if message["role"] == "user"), "")


def _seed(request: Mapping[str, Any]) -> int:
    """Give equal conversations equal answers, whether they are streamed or not."""
    user = (request.get("metadata") or {}).get("user_id") or json.dumps(_last_user_content(request))
    return int.from_bytes(hashlib.sha256(user.encode()).digest()[:7], "big")


def _must_call(request: Mapping[str, Any]) -> bool:
    """Tell whether the caller insists on a tool; left to itself, this model answers in words."""
    return bool(request.get("tools")) and request.get("tool_choice", {}).get("type") in {"any", "tool"}


def _tool_call(request: Mapping[str, Any]) -> ToolCall:
    """Call the tool that was asked for, else the first, with one plain value per property of its schema."""
    tools: list[dict[str, Any]] = [tool for tool in request.get("tools", []) if "name" in tool]
    wanted = request.get("tool_choice", {}).get("name")
    fallback: dict[str, Any] = tools[0] if tools else {"name": "lookup"}
    tool = next((tool for tool in tools if tool["name"] == wanted), fallback)
    properties = tool.get("input_schema", {}).get("properties") or {"query": {"type": "string"}}
    values = {name: _example(name, schema) for name, schema in properties.items()}
    return ToolCall(name=tool["name"], input_json=json.dumps(values, ensure_ascii=False))


def _example(name: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    return _EXAMPLES.get(str(schema.get("type")), f"some {name} – 灯")
