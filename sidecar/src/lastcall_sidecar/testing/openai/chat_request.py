"""Refuse what api.openai.com refuses of a Chat Completions request, with its wording where that is known. Pure.

Each check raises `FakeError` for the first thing that is wrong. What vLLM refuses is in `vllm_request`.
"""

import json
from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai import checks
from lastcall_sidecar.testing.openai.chat_messages import conversation
from lastcall_sidecar.testing.openai.checks import known_only, named, number, one_of, typed
from lastcall_sidecar.testing.openai.errors import (
    empty,
    missing,
    mistyped,
    no_such_model,
    too_long,
    unsupported,
    unsupported_value,
)

#: Fields that may be null, and others.
_NULLABLE = (
    "audio frequency_penalty logit_bias logprobs max_completion_tokens max_tokens metadata modalities moderation n "
    "prediction presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort safety_identifier seed "
    "service_tier stop store stream stream_options temperature top_logprobs top_p verbosity"
)
_OTHERS = (
    "messages model function_call functions parallel_tool_calls prompt_cache_options response_format tool_choice tools "
    "user web_search_options"
)
#: Every field that a request may have.
FIELDS = frozenset(f"{_NULLABLE} {_OTHERS}".split())

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
_MAX_TOOLS = 128
_MAX_STOPS = 4
_MAX_TOKENS = 2**31
#: What models that reason do not take, other than with these values.
_FIXED: Mapping[str, float] = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}


def chat_request(request: Mapping[str, Any]) -> None:
    """Check a request for a chat completion."""
    model = typed("", request, "model", str, required=True)
    if not checks.is_served(model):
        raise no_such_model(model)
    known_only("", request, FIELDS)
    given = {name: value for name, value in request.items() if value is not None or name in _OTHERS.split()}
    conversation(typed("", given, "messages", list, required=True))
    _numbers(given)
    _switches(given)
    _words(given)
    tools(given)
    _format(given)
    _of_model(given)


def _numbers(request: Mapping[str, Any]) -> None:
    number(request, "temperature", 0, 2)
    number(request, "top_p", 0, 1)
    number(request, "presence_penalty", -2, 2)
    number(request, "frequency_penalty", -2, 2)
    number(request, "n", 1, 128, whole=True)
    number(request, "seed", -(2**63), 2**63 - 1, whole=True)
    number(request, "top_logprobs", 0, 20, whole=True)
    number(request, "max_tokens", 1, _MAX_TOKENS, whole=True)
    number(request, "max_completion_tokens", 1, _MAX_TOKENS, whole=True)
    if "max_tokens" in request and "max_completion_tokens" in request:
        raise FakeError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    if "top_logprobs" in request and not request.get("logprobs"):
        raise FakeError(
            400,
            "Invalid value for 'top_logprobs': 'top_logprobs' is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )


def _switches(request: Mapping[str, Any]) -> None:
    for name in ("stream", "store", "logprobs", "parallel_tool_calls"):
        typed("", request, name, bool)
    options = typed("", request, "stream_options", dict)
    if options is not None:
        if not request.get("stream"):
            raise FakeError(
                400,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        known_only("stream_options", options, frozenset({"include_usage", "include_obfuscation"}))
        typed("stream_options", options, "include_usage", bool)


def _words(request: Mapping[str, Any]) -> None:
    one_of("reasoning_effort", request.get("reasoning_effort"), EFFORTS)
    one_of("service_tier", request.get("service_tier"), _TIERS)
    one_of("verbosity", request.get("verbosity"), ("low", "medium", "high"))
    typed("", request, "user", str)
    typed("", request, "logit_bias", dict)
    checks.metadata(request.get("metadata"))
    if request.get("metadata") and not request.get("store"):
        raise FakeError(400, "The 'metadata' parameter is only allowed when 'store' is enabled.", param="metadata")
    stop = request.get("stop")
    if isinstance(stop, list):
        if len(stop) > _MAX_STOPS:
            raise too_long("stop", "array", _MAX_STOPS, len(stop))
        for index, text in enumerate(stop):
            if not isinstance(text, str):
                raise mistyped(f"stop[{index}]", "a string", text)
    elif not isinstance(stop, str | None):
        raise mistyped("stop", "one of an array of strings or string", stop)


def tools(request: Mapping[str, Any]) -> None:
    """Check the tools, and how one of them is chosen."""
    found = typed("", request, "tools", list)
    if found is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in request:
                message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise FakeError(400, message, param=name)
        return
    if not found:
        raise empty("tools")
    if len(found) > _MAX_TOOLS:
        raise too_long("tools", "array", _MAX_TOOLS, len(found))
    names = [_tool(f"tools[{index}]", tool) for index, tool in enumerate(found)]
    _choice(request.get("tool_choice", "auto"), names)


def _tool(path: str, tool: Any) -> str:
    if not isinstance(tool, dict):
        raise mistyped(path, "an object", tool)
    kind = typed(path, tool, "type", str, required=True)
    if kind not in {"function", "custom"}:
        raise unsupported_value(f"{path}.type", kind, ("function", "custom"))
    known_only(path, tool, frozenset({"type", kind}))
    function = typed(path, tool, kind, dict, required=True)
    path = f"{path}.{kind}"
    name: str = typed(path, function, "name", str, required=True)
    named(f"{path}.name", name)
    typed(path, function, "description", str)
    if kind == "custom":
        known_only(path, function, frozenset({"name", "description", "format"}))
        return name
    known_only(path, function, frozenset({"name", "description", "parameters", "strict"}))
    parameters = typed(path, function, "parameters", dict)
    if parameters is not None:
        checks.function_schema(f"{path}.parameters", name, parameters, strict=bool(function.get("strict")))
    return name


def _choice(choice: Any, names: list[str]) -> None:
    if isinstance(choice, str):
        if choice not in {"none", "auto", "required"}:
            raise unsupported_value("tool_choice", choice, ("none", "auto", "required"))
        return
    if not isinstance(choice, dict):
        raise mistyped("tool_choice", "one of a string or an object", choice)
    kind = typed("tool_choice", choice, "type", str, required=True)
    if kind == "allowed_tools":
        typed("tool_choice", choice, "allowed_tools", dict, required=True)
        return
    if kind not in {"function", "custom"}:
        raise unsupported_value("tool_choice.type", kind, ("function", "allowed_tools", "custom"))
    known_only("tool_choice", choice, frozenset({"type", kind}))
    function = typed("tool_choice", choice, kind, dict, required=True)
    if typed(f"tool_choice.{kind}", function, "name", str, required=True) not in names:
        raise FakeError(
            400, "Invalid value for 'tool_choice': no function named in 'tools' has that name.", param="tool_choice"
        )


def _format(request: Mapping[str, Any]) -> None:
    wanted = typed("", request, "response_format", dict)
    if wanted is None:
        return
    kind = typed("response_format", wanted, "type", str, required=True)
    one_of("response_format.type", kind, ("json_object", "json_schema", "text"))
    if kind != "json_schema":
        known_only("response_format", wanted, frozenset({"type"}))
        if kind == "json_object" and "json" not in json.dumps(request["messages"]).lower():
            raise FakeError(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
                param="messages",
            )
        return
    known_only("response_format", wanted, frozenset({"type", "json_schema"}))
    path = "response_format.json_schema"
    described = typed("response_format", wanted, "json_schema", dict, required=True)
    known_only(path, described, frozenset({"name", "description", "schema", "strict"}))
    name = typed(path, described, "name", str, required=True)
    named(f"{path}.name", name)
    schema = typed(path, described, "schema", dict)
    if schema is None:
        raise missing(f"{path}.schema")
    checks.answer_schema("response_format", name, schema, strict=bool(described.get("strict")))


def _of_model(request: Mapping[str, Any]) -> None:
    """Refuse what the model does not have: reasoning, or the options that reasoning takes the place of."""
    model = request["model"]
    if "reasoning_effort" in request and not checks.may_reason(model):
        raise FakeError(400, "Unrecognized request argument supplied: reasoning_effort")
    if request.get("tools"):
        _beside_tools(request, model)
    if not checks.reasons(model):
        return
    if "max_tokens" in request:
        raise unsupported("max_tokens", "max_completion_tokens")
    if request.get("reasoning_effort") == "none":
        return
    for name, only in _FIXED.items():
        if request.get(name, only) != only:
            raise FakeError(
                400,
                f"Unsupported value: '{name}' does not support {request[name]:g} with this model. Only the default "
                f"({only:g}) value is supported.",
                param=name,
                code="unsupported_value",
            )
    for name in ("stop", "logprobs", "logit_bias"):
        if request.get(name):
            raise unsupported(name)


def _beside_tools(request: Mapping[str, Any], model: str) -> None:
    """Refuse what a model takes alone, but not beside tools."""
    efforts = checks.effort_beside_tools(model)
    if efforts is not None and request.get("reasoning_effort") not in efforts:
        way_out = "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        raise FakeError(
            400,
            f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
            f"{way_out if 'none' in efforts else 'Please use /v1/responses instead.'}",
            param="reasoning_effort",
        )
    if "parallel_tool_calls" in request and not checks.takes_parallel(model):
        raise unsupported("parallel_tool_calls")
