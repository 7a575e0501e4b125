"""Refuse what the real Messages API refuses, with its wording where that is known. Pure.

Each check raises `FakeError` for the first thing that is wrong, as the real one does. The messages themselves are
`validate_messages`' part, what depends on the model is `abilities`'.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lastcall_sidecar.testing import abilities
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.validate_messages import (
    blocks_of,
    cache_control,
    conversation,
    nothing_else,
    thinking_first,
)

#: Names of models that are served: the vendor's families, and `fake-…` for anything.
_MODEL = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-\d[\w.-]*|claude-mythos-preview|fake-[\w.-]+")

_KNOWN_FIELDS = (
    "model messages max_tokens cache_control container context_management diagnostics inference_geo mcp_servers "
    "metadata output_config output_format service_tier speed stop_sequences stream system temperature thinking "
    "tool_choice tools top_k top_p user_profile_id fallbacks"
)
#: Every field that a request may have.
FIELDS = frozenset(_KNOWN_FIELDS.split())
#: Those that make no sense where only tokens are counted.
_NOT_COUNTED = frozenset({"max_tokens", "stream", "temperature", "top_k", "top_p", "metadata", "stop_sequences"})
_MAX_CACHE_CONTROLS = 4
_MAX_USER_ID_CHARS = 256

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
#: Fields of a tool of the client's.
TOOL_FIELDS = frozenset(
    {
        "type",
        "name",
        "description",
        "input_schema",
        "cache_control",
        "strict",
        "allowed_callers",
        "defer_loading",
        "eager_input_streaming",
        "input_examples",
    }
)
#: Fields of each way to choose a tool.
TOOL_CHOICES: Mapping[str, frozenset[str]] = {
    "auto": frozenset({"type", "disable_parallel_tool_use"}),
    "any": frozenset({"type", "disable_parallel_tool_use"}),
    "tool": frozenset({"type", "name", "disable_parallel_tool_use"}),
    "none": frozenset({"type"}),
}
#: What structured outputs do not support in a schema ("JSON Schema limitations").
_UNSUPPORTED = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


def load(body: bytes) -> dict[str, Any]:
    """Parse a request body: strict UTF-8, one JSON object, no key twice, no NaN."""
    try:
        parsed = json.loads(body.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise FakeError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise FakeError(400, "The request body must be a JSON object")
    return parsed


def message_request(request: Mapping[str, Any], *, counting: bool = False) -> None:
    """Check a request for a message, or for the tokens of one (`counting`: no `max_tokens` there)."""
    for name in request:
        if name not in FIELDS or (counting and name in _NOT_COUNTED):
            raise FakeError(400, f"{name}: Extra inputs are not permitted")
    for name in ("model", "messages", *(() if counting else ("max_tokens",))):
        if name not in request:
            raise FakeError(400, f"{name}: Field required")
    if not isinstance(request["model"], str):
        raise FakeError(400, "model: Input should be a valid string")
    if not counting:
        _limits(request)
    _options(request)
    _system(request.get("system", ""))
    conversation(request["messages"])
    _thinking(request, counting=counting)
    _tools(request)
    _output(request)
    _cached(request)
    if not _MODEL.fullmatch(request["model"]):
        raise FakeError(404, f"model: {request['model']}")
    abilities.check(request)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_constants(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _limits(request: Mapping[str, Any]) -> None:
    if not _is_integer(request["max_tokens"]):
        raise FakeError(400, "max_tokens: Input should be a valid integer")
    if request["max_tokens"] < 1:
        raise FakeError(400, "max_tokens: must be greater than or equal to 1")


def _options(request: Mapping[str, Any]) -> None:
    if not isinstance(request.get("stream", False), bool):
        raise FakeError(400, "stream: Input should be a valid boolean")
    for name, highest in (("temperature", 1.0), ("top_p", 1.0)):
        value = request.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise FakeError(400, f"{name}: range: 0..{highest:g}")
    if not _is_integer(request.get("top_k", 0)) or request.get("top_k", 0) < 0:
        raise FakeError(400, "top_k: Input should be greater than or equal to 0")
    wanted = {"metadata": dict, "thinking": dict, "tool_choice": dict, "output_config": dict, "tools": list}
    for name, kind in wanted.items():
        if name in request and not isinstance(request[name], kind):
            raise FakeError(400, f"{name}: Input should be a valid {'list' if kind is list else 'dictionary'}")
    sequences = request.get("stop_sequences", [])
    if not isinstance(sequences, list) or not all(isinstance(item, str) and item.strip() for item in sequences):
        raise FakeError(400, "stop_sequences: each stop sequence must contain non-whitespace")
    if request.get("service_tier", "auto") not in {"auto", "standard_only"}:
        raise FakeError(400, "service_tier: Input should be 'auto' or 'standard_only'")
    _metadata(request.get("metadata", {}))


def _metadata(metadata: Mapping[str, Any]) -> None:
    nothing_else("metadata", metadata, frozenset({"user_id"}))
    user = metadata.get("user_id") or ""
    if not isinstance(user, str) or len(user) > _MAX_USER_ID_CHARS:
        raise FakeError(400, f"metadata.user_id: String should have at most {_MAX_USER_ID_CHARS} characters")
    if "@" in user:
        raise FakeError(400, "metadata.user_id: user_id appears to contain an email address")


def _system(system: Any) -> None:
    if not isinstance(system, str | list):
        raise FakeError(400, "system: Input should be a valid string")
    if isinstance(system, list):
        list(blocks_of("system", frozenset({"text"}), system))


def _thinking(request: Mapping[str, Any], *, counting: bool) -> None:
    thinking = request.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    known: Mapping[str, frozenset[str]] = {
        "enabled": frozenset({"type", "budget_tokens", "display"}),
        "adaptive": frozenset({"type", "display"}),
        "disabled": frozenset({"type"}),
        "between_tools": frozenset({"type"}),
    }
    if kind not in known:
        raise FakeError(400, "thinking: Input tag does not match any of the expected tags")
    nothing_else(f"thinking.{kind}", thinking, known[kind])
    if thinking.get("display") not in {None, "summarized", "omitted", "updates"}:
        raise FakeError(400, f"thinking.{kind}.display: Input should be 'summarized', 'omitted' or 'updates'")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not _is_integer(budget) or budget < 1024:
            raise FakeError(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if not counting and budget >= request["max_tokens"]:
            raise FakeError(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
        thinking_first(request["messages"])
    if kind in {"enabled", "adaptive"}:
        _beside_thinking(request)


def _beside_thinking(request: Mapping[str, Any]) -> None:
    if request.get("temperature", 1) != 1:
        raise FakeError(400, "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.")
    if request.get("top_p", 1) < 0.95:
        raise FakeError(400, "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
    if "top_k" in request:
        raise FakeError(400, "`top_k` must be unset when thinking is enabled.")
    if request.get("tool_choice", {}).get("type") in {"any", "tool"}:
        raise FakeError(400, "Thinking may not be enabled when tool_choice forces tool use.")


def _tools(request: Mapping[str, Any]) -> None:
    names = []
    for index, tool in enumerate(request.get("tools", [])):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str | None):
            raise FakeError(400, f"tools.{index}: Input should be a valid dictionary")
        if (tool.get("type") or "custom") == "custom":
            _tool(f"tools.{index}.custom", tool)
        names.append(tool.get("name"))
    if len(set(names)) != len(names):
        raise FakeError(400, "tools: Tool names must be unique.")
    choice = request.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in TOOL_CHOICES:
        raise FakeError(400, "tool_choice: Input tag does not match any of the expected tags")
    nothing_else(f"tool_choice.{kind}", choice, TOOL_CHOICES[kind])
    if not isinstance(choice.get("disable_parallel_tool_use", False), bool):
        raise FakeError(400, f"tool_choice.{kind}.disable_parallel_tool_use: Input should be a valid boolean")
    if kind != "none" and not names:
        raise FakeError(400, "tool_choice may only be specified while providing tools.")
    if kind == "tool" and choice.get("name") not in names:
        raise FakeError(400, f"Tool '{choice.get('name')}' not found in provided tools")


def _tool(where: str, tool: Mapping[str, Any]) -> None:
    nothing_else(where, tool, TOOL_FIELDS)
    if not _TOOL_NAME.fullmatch(tool.get("name") or ""):
        raise FakeError(400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(tool.get("description", ""), str):
        raise FakeError(400, f"{where}.description: Input should be a valid string")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise FakeError(400, f"{where}.input_schema: Field required")
    if schema.get("type") != "object":
        raise FakeError(400, f"{where}.input_schema.type: Input should be 'object'")
    if tool.get("strict"):  # earendil-works/pi#9953
        for inner in _schemas(schema):
            _supported(where, inner)


def _output(request: Mapping[str, Any]) -> None:
    config = request.get("output_config", {})
    nothing_else("output_config", config, frozenset({"effort", "format"}))
    if config.get("effort") not in {None, *abilities.EFFORTS}:
        raise FakeError(400, "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    wanted = config.get("format")
    if wanted is None:
        return
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise FakeError(400, "output_config.format: Input tag does not match any of the expected tags")
    nothing_else("output_config.format", wanted, frozenset({"type", "schema"}))
    if not isinstance(wanted.get("schema"), dict):
        raise FakeError(400, "output_config.format.schema: Field required")
    for schema in _schemas(wanted["schema"]):
        _supported("output_config.format.schema", schema)


def _schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for several in ("properties", "$defs", "definitions"):
        found = schema.get(several)
        for inner in found.values() if isinstance(found, dict) else ():
            yield from _schemas(inner)
    for choices in ("anyOf", "allOf", "oneOf"):
        found = schema.get(choices)
        for inner in found if isinstance(found, list) else ():
            yield from _schemas(inner)
    yield from _schemas(schema.get("items"))


def _supported(where: str, schema: Mapping[str, Any]) -> None:
    kind = schema.get("type")
    if "oneOf" in schema:
        raise FakeError(400, f"{where}: Schema type 'oneOf' is not supported")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise FakeError(
            400,
            f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false",
        )
    for name in _UNSUPPORTED:
        if name in schema and not (name == "minItems" and schema[name] in {0, 1}):
            raise FakeError(400, f"{where}: For '{kind}' type, property '{name}' is not supported")


def _cached(request: Mapping[str, Any]) -> None:
    """Count the cache's breakpoints over the whole request."""
    system, tools = request.get("system", ""), request.get("tools", [])
    found = [*(system if isinstance(system, list) else ()), *tools]
    for message in request["messages"]:
        if isinstance(message["content"], list):
            found.extend(message["content"])
    marked = [item["cache_control"] for item in found if item.get("cache_control")]
    for mark in marked:
        cache_control("cache_control", mark)
    if len(marked) > _MAX_CACHE_CONTROLS:
        raise FakeError(
            400, f"A maximum of {_MAX_CACHE_CONTROLS} blocks with cache_control may be provided. Found {len(marked)}."
        )
