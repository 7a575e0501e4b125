"""The conversation of a Messages request: roles, blocks and their fields, tool results, signatures of thinking.

Pure. Called by `validate`. Each check raises `FakeError` for the first thing that is wrong.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.signing import REDACTED, is_signed

#: Fields of each content block, the required ones first up to the bar.
_BLOCK_FIELDS: Mapping[str, str] = {
    "text": "text | cache_control citations",
    "image": "source | cache_control transformations",
    "document": "source | cache_control citations context title",
    "tool_result": "tool_use_id | cache_control content is_error toolset_name",
    "search_result": "content source title | cache_control citations",
    "container_upload": "file_id | cache_control",
    "tool_reference": "tool_name | cache_control",
    "thinking": "signature thinking |",
    "redacted_thinking": "data |",
    "tool_use": "id input name | cache_control caller toolset_name",
    "server_tool_use": "id input name | cache_control caller",
    "web_search_tool_result": "content tool_use_id | cache_control caller",
    "web_fetch_tool_result": "content tool_use_id | cache_control caller",
    "code_execution_tool_result": "content tool_use_id | cache_control",
    "bash_code_execution_tool_result": "content tool_use_id | cache_control",
    "text_editor_code_execution_tool_result": "content tool_use_id | cache_control",
    "tool_search_tool_result": "content tool_use_id | cache_control",
    "mcp_tool_use": "id input name server_name | cache_control",
    "mcp_tool_result": "tool_use_id | cache_control content is_error",
    "compaction": "content | cache_control",
}
#: Block → (required, all) fields, `type` aside.
BLOCKS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(fields.partition("|")[0].split()), frozenset(fields.replace("|", " ").split()))
    for kind, fields in _BLOCK_FIELDS.items()
}

_USER_BLOCKS = "text image document tool_result search_result container_upload tool_reference"
_ASSISTANT_BLOCKS = (
    "text thinking redacted_thinking tool_use server_tool_use web_search_tool_result web_fetch_tool_result "
    "code_execution_tool_result bash_code_execution_tool_result text_editor_code_execution_tool_result "
    "mcp_tool_use mcp_tool_result tool_search_tool_result compaction"
)
_BY_ROLE: Mapping[str, frozenset[str]] = {
    "user": frozenset(_USER_BLOCKS.split()),
    "assistant": frozenset(_ASSISTANT_BLOCKS.split()),
    # Within a conversation, as Claude Code tells of its surroundings.
    "system": frozenset({"text"}),
}
_FIELDS = frozenset({"role", "content"})
#: What changes from here on (beta `per-turn-control`); Claude Code sends it.
_SYSTEM_FIELDS = _FIELDS | {"output_config", "thinking"}
_IN_RESULTS = frozenset({"text", "image", "document", "search_result", "tool_reference"})

#: Source → its fields, `type` aside.
_IMAGE_SOURCES: Mapping[str, tuple[str, ...]] = {
    "base64": ("media_type", "data"),
    "url": ("url",),
    "file": ("file_id",),
}
_DOCUMENT_SOURCES: Mapping[str, tuple[str, ...]] = {
    **_IMAGE_SOURCES,
    "text": ("media_type", "data"),
    "content": ("content",),
}
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_IDENTITY = re.compile(r"[a-zA-Z0-9_-]+")


def conversation(messages: Any) -> None:
    """Check all messages of a request."""
    if not isinstance(messages, list):
        raise FakeError(400, "messages: Input should be a valid list")
    if not messages:
        raise FakeError(400, "messages: at least one message is required")
    called: set[str] = set()
    used: set[str] = set()
    for index, message in enumerate(messages):
        called = _message(index, message, called, last=index == len(messages) - 1)
        if called & used:
            raise FakeError(400, f"messages.{index}: `tool_use` ids must be unique")
        used |= called


def thinking_first(messages: list[dict[str, Any]]) -> None:
    """Demand that the turn under way begins with thinking: the assistant's, since the user last said something new.

    That is for thinking with a budget; in adaptive mode the real API does not ask for it.
    """
    begins = len(messages)
    while begins > 0 and (messages[begins - 1]["role"] == "assistant" or _only_answers(messages[begins - 1])):
        begins -= 1
    if begins == len(messages):
        return
    content = messages[begins]["content"]
    kind = content[0]["type"] if isinstance(content, list) and content else "text"
    if kind not in {"thinking", "redacted_thinking"}:
        raise FakeError(
            400,
            f"messages.{begins}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement, disable `thinking`.",
        )


def _only_answers(message: Mapping[str, Any]) -> bool:
    """Tell whether a message goes on with the turn: it brings tool results."""
    content = message["content"]
    return isinstance(content, list) and any(block["type"] == "tool_result" for block in content)


def _message(index: int, message: Any, called: set[str], *, last: bool) -> set[str]:
    """Check one message after the tool calls of the one before it; returns the calls that it makes itself."""
    where = f"messages.{index}"
    if not isinstance(message, dict):
        raise FakeError(400, f"{where}: Input should be a valid dictionary")
    role = str(message.get("role"))
    if role not in _BY_ROLE:
        raise FakeError(400, f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
    if index == 0 and role != "user":
        raise FakeError(400, 'messages: first message must use the "user" role')
    nothing_else(where, message, _SYSTEM_FIELDS if role == "system" else _FIELDS)
    if "content" not in message:
        raise FakeError(400, f"{where}.content: Field required")
    if message["content"] in ("", []) and not (last and role == "assistant"):
        raise FakeError(400, f"{where}: all messages must have non-empty content except for the optional final message")
    blocks = list(blocks_of(f"{where}.content", _BY_ROLE[role], message["content"]))
    _answers(where, blocks, called)
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if len(set(calls)) != len(calls):
        raise FakeError(400, f"{where}: `tool_use` ids must be unique")
    return set(calls)


def _answers(where: str, blocks: list[dict[str, Any]], called: set[str]) -> None:
    """Hold the results against the calls: all of them, no others, and before anything else."""
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    leading = {block["tool_use_id"] for block in blocks[: len(results)] if block["type"] == "tool_result"}
    if called - leading:
        raise FakeError(
            400,
            f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(sorted(called - leading))}. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message.",
        )
    if set(results) - called:
        raise FakeError(400, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
    if len(set(results)) != len(results):
        raise FakeError(400, f"{where}: each tool_use must have a single result. Found multiple `tool_result` blocks")


def blocks_of(where: str, allowed: frozenset[str], content: Any) -> Iterator[dict[str, Any]]:
    """Check content, a text or a list of blocks, and yield its blocks."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise FakeError(400, f"{where}: Input should be a valid string or list")
    for index, block in enumerate(content):
        place = f"{where}.{index}"
        if not isinstance(block, dict) or block.get("type") not in allowed:
            raise FakeError(400, f"{place}: Input tag does not match any of the expected tags")
        _block(place, block)
        yield block


def _block(place: str, block: Mapping[str, Any]) -> None:
    kind = block["type"]
    required, known = BLOCKS[kind]
    for name in sorted(required):
        if name not in block:
            raise FakeError(400, f"{place}.{kind}.{name}: Field required")
    nothing_else(f"{place}.{kind}", block, known | {"type"})
    if kind in _CHECKS:
        _CHECKS[kind](place, block)


def _text(place: str, block: Mapping[str, Any]) -> None:
    text = block["text"]
    if not isinstance(text, str):
        raise FakeError(400, f"{place}.text: Input should be a valid string")
    if not text.strip():
        raise FakeError(400, "messages: text content blocks must contain non-whitespace text")


def _image(place: str, block: Mapping[str, Any]) -> None:
    _source(f"{place}.image.source", block["source"], _IMAGE_SOURCES, _IMAGE_TYPES)


def _document(place: str, block: Mapping[str, Any]) -> None:
    _source(f"{place}.document.source", block["source"], _DOCUMENT_SOURCES, frozenset({"application/pdf"}))


def _redacted(place: str, block: Mapping[str, Any]) -> None:
    if not isinstance(block["data"], str) or not is_signed(REDACTED, block["data"]):
        raise FakeError(400, f"{place}: Invalid `data` in `redacted_thinking` block")


def _signed(place: str, block: Mapping[str, Any]) -> None:
    if not isinstance(block["thinking"], str) or not isinstance(block["signature"], str):
        raise FakeError(400, f"{place}.thinking: Input should be a valid string")
    if not is_signed(block["thinking"], block["signature"]):
        raise FakeError(400, f"{place}: Invalid `signature` in `thinking` block")


def _call(place: str, block: Mapping[str, Any]) -> None:
    place = f"{place}.{block['type']}"
    if not isinstance(block["id"], str) or not _IDENTITY.fullmatch(block["id"]):
        raise FakeError(400, f"{place}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block["name"], str) or not 1 <= len(block["name"]) <= 200:
        raise FakeError(400, f"{place}.name: String should have between 1 and 200 characters")
    if not isinstance(block["input"], dict):
        raise FakeError(400, f"{place}.input: Input should be a valid dictionary")


def _result(place: str, block: Mapping[str, Any]) -> None:
    place = f"{place}.tool_result"
    if not isinstance(block["tool_use_id"], str):
        raise FakeError(400, f"{place}.tool_use_id: Input should be a valid string")
    failed = block.get("is_error", False)
    if not isinstance(failed, bool):
        raise FakeError(400, f"{place}.is_error: Input should be a valid boolean")
    content = block.get("content", "")
    if failed and not content:
        raise FakeError(400, "messages: content cannot be empty if `is_error` is true")
    if isinstance(content, str):  # a result may be blank
        return
    list(blocks_of(f"{place}.content", _IN_RESULTS, content))


def _source(place: str, source: Any, known: Mapping[str, tuple[str, ...]], types: frozenset[str]) -> None:
    if not isinstance(source, dict) or source.get("type") not in known:
        raise FakeError(400, f"{place}: Input tag does not match any of the expected tags")
    kind = source["type"]
    for name in known[kind]:
        if name not in source:
            raise FakeError(400, f"{place}.{kind}.{name}: Field required")
    nothing_else(f"{place}.{kind}", source, frozenset({"type", *known[kind]}))
    if kind == "base64":
        if source["media_type"] not in types:
            raise FakeError(400, f"{place}.base64.media_type: Input should be {', '.join(sorted(map(repr, types)))}")
        _encoded(f"{place}.base64.data", source["data"])
    if kind == "text" and (source["media_type"] != "text/plain" or not isinstance(source["data"], str)):
        raise FakeError(400, f"{place}.text.media_type: Input should be 'text/plain'")
    if kind == "url" and not str(source["url"]).startswith("https://"):
        raise FakeError(400, f"{place}.url.url: Only HTTPS URLs are supported.")


def _encoded(place: str, data: Any) -> None:
    if not isinstance(data, str) or not data or not _is_base64(data):
        raise FakeError(400, f"{place}: Input should be a valid base64 string")


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        return False
    return True


#: What a block must be beyond having its fields.
_CHECKS: Mapping[str, Callable[[str, Mapping[str, Any]], None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _signed,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "server_tool_use": _call,
    "tool_result": _result,
}


def cache_control(where: str, mark: Any) -> None:
    """Check one breakpoint of the cache."""
    if not isinstance(mark, dict) or mark.get("type") != "ephemeral" or mark.get("ttl", "5m") not in {"5m", "1h"}:
        raise FakeError(400, f"{where}: Input should be an ephemeral cache control")
    nothing_else(where, mark, frozenset({"type", "ttl"}))


def nothing_else(where: str, found: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse a field that nobody knows."""
    for name in found:
        if name not in known:
            raise FakeError(400, f"{where}.{name}: Extra inputs are not permitted")
