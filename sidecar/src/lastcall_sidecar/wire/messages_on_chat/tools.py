"""Tools of a Messages request as functions, and which of them may be called.

Only tools that the client runs and describes itself can be served: what a server tool would find, the upstream cannot,
and of the vendor's own client tools (bash, text editor, computer) only the vendor's models know the schema.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat.reading import read
from lastcall_sidecar.wire.messages_on_chat.schemas import can_be_strict, of_arguments

#: The search among tools that are not loaded yet: here all of them are there from the beginning.
_NEEDLESS = "tool_search_tool_"

_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


class _Typed(msgspec.Struct):
    type: str | None = None


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct):
    """The request's `tool_choice`."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


def functions(tools: list[msgspec.Raw]) -> list[dict[str, Any]]:
    """Return the functions. Errors: BodyError for a tool that the upstream cannot have."""
    return [function for index, raw in enumerate(tools) for function in _functions(raw, f"tools.{index}")]


def choice(asked: ToolChoice | None, *, has_tools: bool) -> dict[str, Any]:
    """Return the fields that say which function may, or must, be called; none without functions. Errors: BodyError."""
    if asked is None:
        return {}
    if asked.type not in (*_CHOICES, "tool"):
        raise BodyError(f"tool_choice.type: must be one of {', '.join(_CHOICES)}, tool")
    if asked.type == "tool" and asked.name is None:
        raise BodyError("tool_choice.name: required")
    if not has_tools:
        if asked.type in ("any", "tool"):
            raise BodyError("tool_choice: there are no tools")
        return {}
    named = {"type": "function", "function": {"name": asked.name}}
    fields: dict[str, Any] = {"tool_choice": _CHOICES.get(asked.type, named)}
    return fields | ({"parallel_tool_calls": False} if asked.disable_parallel_tool_use else {})


def _functions(raw: msgspec.Raw, path: str) -> list[dict[str, Any]]:
    kind = read(raw, _Typed, path).type or "custom"
    if kind.startswith(_NEEDLESS):
        return []
    if kind != "custom":
        raise BodyError(f"{path}.type: the upstream takes tools of type custom only")
    tool = read(raw, _Tool, path)
    parameters = of_arguments(tool.input_schema, f"{path}.input_schema")
    function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict and can_be_strict(parameters)
    return [{"type": "function", "function": function}]
