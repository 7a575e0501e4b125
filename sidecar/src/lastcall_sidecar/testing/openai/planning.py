"""From a valid request of Chat Completions or Responses, and its directive, to the plan of the answer. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lastcall_sidecar.testing.composing import Plan, ToolCall
from lastcall_sidecar.testing.directives import Directive
from lastcall_sidecar.testing.examples import example
from lastcall_sidecar.testing.openai.vendors import VENDORS, VendorApi
from lastcall_sidecar.testing.planning import input_tokens, seed_of, shape, tool_calls
from lastcall_sidecar.testing.serving import Api

#: What of a Responses request its response repeats, and what it says without it.
_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPlan:
    """A plan, and what only Chat Completions has."""

    plan: Plan
    vllm: bool = False
    vendor: VendorApi | None = None
    #: Calls that the conversation has before these.
    calls_before: int = 0
    choices: int = 1
    include_usage: bool = False
    #: The text is the model's refusal.
    refusal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesPlan:
    """A plan, and what only Responses has; `echoed` is JSON."""

    plan: Plan
    echoed: str
    refusal: bool = False


def last_user_text(request: Mapping[str, Any]) -> str:
    """All text of the last message of the user's, in `messages` or `input`."""
    content = _last_user_content(request)
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def chat_plan(request: Mapping[str, Any], directive: Directive, api: Api) -> ChatPlan:
    """Decide what the answer to a valid Chat Completions request is."""
    asked = {name: value for name, value in request.items() if value is not None}
    choice = asked.get("tool_choice")
    named = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    functions = [tool["function"] for tool in asked.get("tools", ()) if "function" in tool]
    made = _plan(asked, directive, functions, must_call=choice == "required" or named is not None, named=named)
    if made.tools and named is not None and directive.stop is None:
        # told so by OpenAI's guide of function calling, and done so by vLLM
        made = replace(made, stop_reason="stop")
    form = asked.get("response_format", {})
    schema = form.get("json_schema", {}).get("schema")
    return ChatPlan(
        plan=replace(made, fixed_text=_structured(form.get("type"), schema)),
        vllm=api == "vLLM",
        vendor=next((vendor for vendor in VENDORS if vendor == api), None),
        calls_before=sum(len(message.get("tool_calls") or ()) for message in asked["messages"]),
        choices=asked.get("n", 1),
        include_usage=bool(asked.get("stream_options", {}).get("include_usage")),
        refusal=directive.stop == "refusal",
    )


def responses_plan(request: Mapping[str, Any], directive: Directive) -> ResponsesPlan:
    """Decide what the answer to a valid Responses request is."""
    asked = {name: value for name, value in request.items() if value is not None}
    choice = asked.get("tool_choice")
    named = choice.get("name") if isinstance(choice, dict) else None
    functions = [tool for tool in asked.get("tools", ()) if tool["type"] == "function"]
    made = _plan(asked, directive, functions, must_call=choice == "required" or named is not None, named=named)
    form = asked.get("text", {}).get("format", {})
    echoed = {name: asked.get(name, otherwise) for name, otherwise in _ECHOED.items()}
    echoed["tools"] = [{"strict": True, **tool} if tool["type"] == "function" else tool for tool in echoed["tools"]]
    return ResponsesPlan(
        plan=replace(made, fixed_text=_structured(form.get("type"), form.get("schema"))),
        echoed=json.dumps(echoed),
        refusal=directive.stop == "refusal",
    )


def _plan(
    asked: Mapping[str, Any], directive: Directive, functions: list[Any], *, must_call: bool, named: str | None
) -> Plan:
    thinking, text, calls = shape(directive.kind, thinks=False, calls=must_call)
    count = directive.calls if asked.get("parallel_tool_calls", True) else 1
    tools = [(function["name"], function.get("parameters") or {}) for function in functions]
    made = tool_calls(tools, named, count) if calls else ()
    if made and directive.stop == "length":
        made = (*made[:-1], _half(made[-1]))
    stop = {"refusal": "stop", "stop_sequence": "stop"}.get(directive.stop or "", directive.stop)
    stops = asked.get("stop") or ["STOP"]
    return Plan(
        seed=directive.seed if directive.seed is not None else seed_of(_seeding(asked)),
        model=asked["model"],
        events=directive.events,
        thinking=thinking,
        text=text,
        tools=made,
        stop_reason=stop or ("tool_calls" if made else "stop"),
        stop_sequence=(stops if isinstance(stops, str) else stops[0]) if directive.stop == "stop_sequence" else None,
        input_tokens=input_tokens(asked),
        cache_read_tokens=directive.cache_read_tokens,
        cache_write_tokens=directive.cache_write_tokens,
        event_bytes=directive.event_bytes,
        eol=directive.eol,
        noise=directive.noise,
    )


def _half(call: ToolCall) -> ToolCall:
    return replace(call, input_json=call.input_json[: len(call.input_json) // 2])


def _structured(kind: str | None, schema: Mapping[str, Any] | None) -> str | None:
    if kind == "json_object":
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    return json.dumps(example(schema), ensure_ascii=False) if schema is not None else None


def _last_user_content(request: Mapping[str, Any]) -> Any:
    found = request.get("messages", request.get("input", ""))
    if isinstance(found, str):
        return found
    return next((item.get("content") or "" for item in reversed(found) if item.get("role") == "user"), "")


def _seeding(request: Mapping[str, Any]) -> str:
    return request.get("user") or json.dumps(_last_user_content(request))
