"""Refuse what api.openai.com refuses of a Responses request, with its wording where that is known. Pure.

Less of it than of Chat Completions: nothing is translated to this API; items of built-in tools pass unlooked at.
"""

from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai import checks
from lastcall_sidecar.testing.openai.chat_request import EFFORTS
from lastcall_sidecar.testing.openai.checks import known_only, named, number, one_of, typed
from lastcall_sidecar.testing.openai.errors import (
    missing,
    mistyped,
    no_such_model,
    unsupported,
    unsupported_value,
)

_KNOWN_FIELDS = (
    "access_programs background background_options context_management conversation image include input instructions "
    "max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt "
    "prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store "
    "stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user"
)
#: Every field that a request may have.
FIELDS = frozenset(_KNOWN_FIELDS.split())

_ROLES = ("user", "assistant", "system", "developer")
_PARTS = ("input_text", "input_image", "input_file", "output_text", "refusal")
_MIN_OUTPUT_TOKENS = 16


def responses_request(request: Mapping[str, Any]) -> None:
    """Check a request for a response."""
    model = typed("", request, "model", str, required=True)
    if not checks.is_served(model):
        raise no_such_model(model)
    known_only("", request, FIELDS)
    responses_shape(request)


def responses_shape(request: Mapping[str, Any]) -> None:
    """Check what every server of this API must be able to read."""
    given = {name: value for name, value in request.items() if value is not None}
    _input(given)
    number(given, "temperature", 0, 2)
    number(given, "top_p", 0, 1)
    number(given, "max_output_tokens", _MIN_OUTPUT_TOKENS, 2**31, whole=True)
    for name in ("stream", "store", "background", "parallel_tool_calls"):
        typed("", given, name, bool)
    checks.metadata(given.get("metadata"))
    _reasoning(given)
    _tools(given)
    _format(given)
    before = typed("", given, "previous_response_id", str)
    if before is not None and not before.startswith("resp_fake"):
        raise FakeError(
            400,
            f"Previous response with id '{before}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )


def _input(request: Mapping[str, Any]) -> None:
    found = request.get("input")
    if found is None:
        if "prompt" in request or "conversation" in request:
            return
        raise missing("input")
    if isinstance(found, str):
        return
    if not isinstance(found, list):
        raise mistyped("input", "one of a string or array of objects", found)
    calls: set[str] = set()
    results: set[str] = set()
    for index, item in enumerate(found):
        if not isinstance(item, dict):
            raise mistyped(f"input[{index}]", "an object", item)
        _item(f"input[{index}]", item, calls, results)
    if "previous_response_id" in request:
        return
    if calls - results:
        message = f"No tool output found for function call {min(calls - results)}."
        raise FakeError(400, message, param="input")
    if results - calls:
        message = f"No tool call found for function call output with call_id {min(results - calls)}."
        raise FakeError(400, message, param="input")


def _item(path: str, item: Mapping[str, Any], calls: set[str], results: set[str]) -> None:
    match item.get("type", "message"):
        case "message":
            one_of(f"{path}.role", typed(path, item, "role", str, required=True), _ROLES)
            _content(path, item)
        case "function_call":
            calls.add(typed(path, item, "call_id", str, required=True))
            named(f"{path}.name", typed(path, item, "name", str, required=True))
            typed(path, item, "arguments", str, required=True)
        case "function_call_output":
            results.add(typed(path, item, "call_id", str, required=True))
            if not isinstance(item.get("output"), str | list):
                raise missing(f"{path}.output")
        case "reasoning":
            typed(path, item, "id", str, required=True)
            typed(path, item, "summary", list, required=True)


def _content(path: str, item: Mapping[str, Any]) -> None:
    content = item.get("content")
    if content is None:
        raise missing(f"{path}.content")
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise mistyped(f"{path}.content", "one of an array of objects or string", content)
    for index, part in enumerate(content):
        where = f"{path}.content[{index}]"
        if not isinstance(part, dict):
            raise mistyped(where, "an object", part)
        kind = typed(where, part, "type", str, required=True)
        if kind not in _PARTS:
            raise unsupported_value(f"{where}.type", kind, _PARTS)
        if kind in {"input_text", "output_text"}:
            typed(where, part, "text", str, required=True)


def _reasoning(request: Mapping[str, Any]) -> None:
    asked = typed("", request, "reasoning", dict)
    if asked is None:
        return
    one_of("reasoning.effort", asked.get("effort"), EFFORTS)
    if asked.get("effort") is not None and not checks.may_reason(request["model"]):
        raise unsupported("reasoning.effort")


def _tools(request: Mapping[str, Any]) -> None:
    names = []
    for index, tool in enumerate(typed("", request, "tools", list) or ()):
        path = f"tools[{index}]"
        if not isinstance(tool, dict):
            raise mistyped(path, "an object", tool)
        if typed(path, tool, "type", str, required=True) != "function":
            continue
        name = typed(path, tool, "name", str, required=True)
        named(f"{path}.name", name)
        names.append(name)
        parameters = tool.get("parameters")
        if parameters is not None:
            # strict is the default here
            strict = tool.get("strict") is not False
            checks.function_schema(f"{path}.parameters", name, parameters, strict=strict)
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, dict) and choice.get("type") == "function" and choice.get("name") not in names:
        raise FakeError(400, f"Tool choice '{choice.get('name')}' not found in 'tools' parameter.", param="tool_choice")
    if isinstance(choice, str):
        one_of("tool_choice", choice, ("none", "auto", "required"))
        if choice == "required" and not request.get("tools"):
            raise FakeError(
                400, "Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice"
            )


def _format(request: Mapping[str, Any]) -> None:
    text = typed("", request, "text", dict) or {}
    wanted = typed("text", text, "format", dict)
    if wanted is None:
        return
    kind = typed("text.format", wanted, "type", str, required=True)
    one_of("text.format.type", kind, ("json_object", "json_schema", "text"))
    if kind == "json_schema":
        name = typed("text.format", wanted, "name", str, required=True)
        named("text.format.name", name)
        schema = typed("text.format", wanted, "schema", dict, required=True)
        checks.answer_schema("text.format.schema", name, schema, strict=bool(wanted.get("strict")))
