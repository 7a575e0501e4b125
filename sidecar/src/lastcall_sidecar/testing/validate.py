"""Refuse what the real Messages API refuses, with its wording where that is known. Pure.

Each check raises `FakeError` for the first thing that is wrong, as the real one does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError

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
_USER_BLOCKS = "text image document tool_result search_result container_upload tool_reference"
_ASSISTANT_BLOCKS = (
    "text thinking redacted_thinking tool_use server_tool_use web_search_tool_result web_fetch_tool_result "
    "code_execution_tool_result bash_code_execution_tool_result text_editor_code_execution_tool_result "
    "mcp_tool_use mcp_tool_result tool_search_tool_result compaction"
)

#: Content blocks by the role that may send them.
_BLOCKS: Mapping[str, frozenset[str]] = {
    "user": frozenset(_USER_BLOCKS.split()),
    "assistant": frozenset(_ASSISTANT_BLOCKS.split()),
}


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
    _messages(request["messages"])
    _thinking(request, counting=counting)
    _tools(request)
    if not _MODEL.fullmatch(request["model"]):
        raise FakeError(404, f"model: {request['model']}")


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
    for name, wanted in (("metadata", dict), ("thinking", dict), ("tool_choice", dict), ("tools", list)):
        if name in request and not isinstance(request[name], wanted):
            raise FakeError(400, f"{name}: Input should be a valid {'list' if wanted is list else 'dictionary'}")
    sequences = request.get("stop_sequences", [])
    if not isinstance(sequences, list) or not all(isinstance(item, str) and item.strip() for item in sequences):
        raise FakeError(400, "stop_sequences: each stop sequence must contain non-whitespace")
    if not isinstance(request.get("system", ""), str | list):
        raise FakeError(400, "system: Input should be a valid string")


def _messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise FakeError(400, "messages: Input should be a valid list")
    if not messages:
        raise FakeError(400, "messages: at least one message is required")
    called: set[str] = set()
    for index, message in enumerate(messages):
        called = _message(index, message, called)


def _message(index: int, message: Any, called: set[str]) -> set[str]:
    """Check one message after the tool calls of the one before it; returns the calls that it makes itself."""
    where = f"messages.{index}"
    if not isinstance(message, dict):
        raise FakeError(400, f"{where}: Input should be a valid dictionary")
    role = str(message.get("role"))
    if role not in _BLOCKS:
        raise FakeError(400, f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
    if index == 0 and role != "user":
        raise FakeError(400, 'messages: first message must use the "user" role')
    if "content" not in message:
        raise FakeError(400, f"{where}.content: Field required")
    blocks = list(_content(where, role, message["content"]))
    answered = {block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"}
    if called - answered:
        raise FakeError(
            400,
            f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(sorted(called - answered))}",
        )
    if answered - called:
        raise FakeError(400, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
    return {block["id"] for block in blocks if block["type"] == "tool_use" and isinstance(block.get("id"), str)}


def _content(where: str, role: str, content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise FakeError(400, f"{where}.content: Input should be a valid string or list")
    for index, block in enumerate(content):
        place = f"{where}.content.{index}"
        if not isinstance(block, dict) or block.get("type") not in _BLOCKS[role]:
            raise FakeError(400, f"{place}: Input tag does not match any of the expected tags")
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            raise FakeError(400, f"{place}.text: Input should be a valid string")
        if block["type"] == "text" and not block["text"].strip():
            raise FakeError(400, "messages: text content blocks must contain non-whitespace text")
        yield block


def _thinking(request: Mapping[str, Any], *, counting: bool) -> None:
    thinking = request.get("thinking")
    if thinking is None:
        return
    if thinking.get("type") not in {"enabled", "disabled", "adaptive", "between_tools"}:
        raise FakeError(400, "thinking: Input tag does not match any of the expected tags")
    if thinking["type"] != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not _is_integer(budget) or budget < 1024:
        raise FakeError(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if not counting and budget >= request["max_tokens"]:
        raise FakeError(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if request.get("temperature", 1) != 1:
        raise FakeError(400, "`temperature` may only be set to 1 when thinking is enabled.")


def _tools(request: Mapping[str, Any]) -> None:
    names = []
    for index, tool in enumerate(request.get("tools", [])):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str | None):
            raise FakeError(400, f"tools.{index}: Input should be a valid dictionary")
        if tool.get("type", "custom") == "custom" and not isinstance(tool.get("input_schema"), dict):
            raise FakeError(400, f"tools.{index}.custom.input_schema: Field required")
        names.append(tool.get("name"))
    if len(set(names)) != len(names):
        raise FakeError(400, "tools: Tool names must be unique.")
    choice = request.get("tool_choice", {"type": "auto"})
    if choice.get("type") not in {"auto", "any", "tool", "none"}:
        raise FakeError(400, "tool_choice: Input tag does not match any of the expected tags")
    if choice["type"] in {"any", "tool"} and not names:
        raise FakeError(400, "tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise FakeError(400, f"Tool '{choice.get('name')}' not found in provided tools")
