"""Tools, and which of them must or may be called."""

from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages.schemas import closed
from lastcall_sidecar.wire.chat_on_messages.shapes import Function, Request, Tool, ToolChoice, given, read

_ANY_OBJECT = Raw(b'{"type":"object"}')


def tools(request: Request) -> dict[str, Any]:
    """Return `tools` and `tool_choice` as far as they are needed; BodyError on a kind of either that is not there."""
    choice = _choice(request.tool_choice)
    if not request.tools:
        if choice and choice["type"] in {"any", "tool"}:
            raise BodyError("tool_choice: there are no tools")
        return {}
    made: dict[str, Any] = {"tools": [_tool(tool, f"tools.{index}") for index, tool in enumerate(request.tools)]}
    if request.parallel_tool_calls is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice:
        made["tool_choice"] = choice
    return made


def _tool(tool: Tool, where: str) -> dict[str, Any]:
    function = tool.function
    if function is None and tool.name is not None and given(tool.input_schema):
        function = Function(tool.name, tool.description, tool.input_schema)
    elif tool.type != "function" or function is None:
        raise BodyError(f"{where}.type: must be a function's")
    place = f"{where}.function.parameters"
    schema = _schema(function.parameters, place)
    made: dict[str, Any] = {
        "name": function.name,
        "input_schema": _schema(closed(schema, place), place) if function.strict else schema,
    }
    if function.description:
        made["description"] = function.description
    if function.strict:
        made["strict"] = True
    for cache_control in (tool.cache_control, function.cache_control):
        if given(cache_control):
            made["cache_control"] = cache_control
    return made


def _schema(parameters: Raw, where: str) -> Raw:
    """Return the schema as it was written; only `type`, which OpenAI does not ask for, may be added."""
    if not given(parameters):
        return _ANY_OBJECT
    fields = read(parameters, dict[str, Raw], where)
    if "type" in fields:
        return parameters
    return Raw(msgspec.json.encode({"type": "object", **fields}))


def _choice(choice: ToolChoice | str | None) -> dict[str, Any] | None:
    match choice:
        case None:
            return None
        case "none" | "auto":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case ToolChoice(type="function", function=function) if function is not None:
            return {"type": "tool", "name": function.name}
        case _:
            raise BodyError("tool_choice: must be none, auto, required, or name a function")
