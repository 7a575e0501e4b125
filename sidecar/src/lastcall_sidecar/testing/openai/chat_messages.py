"""The messages of a Chat Completions request: roles, parts, tool calls and their results.

Pure. Called by `chat_request`.
"""

from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.checks import known_only, named, typed
from lastcall_sidecar.testing.openai.errors import empty, missing, mistyped, too_long, unsupported_value

#: Fields of a message by its role.
MESSAGE_FIELDS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset(
        {"role", "content", "name", "audio", "function_call", "refusal", "tool_calls", "annotations"}
    ),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
#: Fields of a part of content by its type.
PART_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "prompt_cache_breakpoint"}),
    "image_url": frozenset({"type", "image_url", "prompt_cache_breakpoint"}),
    "input_audio": frozenset({"type", "input_audio", "prompt_cache_breakpoint"}),
    "file": frozenset({"type", "file", "prompt_cache_breakpoint"}),
    "refusal": frozenset({"type", "refusal"}),
}
_PARTS: Mapping[str, tuple[str, ...]] = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
}
#: The vendor's limit of a tool call's id.
_MAX_ID_CHARS = 40
_IMAGES = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "gif", "webp"))
_PDF = "data:application/pdf;base64,"


def conversation(messages: list[Any]) -> None:
    """Check all messages; the list is there. Errors: FakeError."""
    if not messages:
        raise empty("messages")
    #: Calls of the last assistant message that have no result yet, and those that have one.
    waiting: list[str] = []
    answered: list[str] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise mistyped(f"messages[{index}]", "an object", message)
        _message(f"messages[{index}]", message)
        if message["role"] == "tool":
            _result(index, message["tool_call_id"], waiting, answered)
        else:
            _all_answered(waiting, index)
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
            answered = []
    _all_answered(waiting, len(messages))


def _result(index: int, call: str, waiting: list[str], answered: list[str]) -> None:
    if not waiting and not answered:
        raise FakeError(
            400,
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            param=f"messages.[{index}].role",
        )
    if call in answered:
        raise FakeError(400, f"Duplicate value for 'tool_call_id' of '{call}' in message[{index}]")
    if call not in waiting:
        raise FakeError(
            400,
            f"Invalid parameter: 'tool_call_id' of '{call}' not found in 'tool_calls' of previous message.",
            param=f"messages.[{index}].tool_call_id",
        )
    waiting.remove(call)
    answered.append(call)


def _all_answered(waiting: list[str], index: int) -> None:
    if waiting:
        raise FakeError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=f"messages.[{index}].role",
        )


def _message(path: str, message: Mapping[str, Any]) -> None:
    role = typed(path, message, "role", str, required=True)
    if role not in MESSAGE_FIELDS:
        raise unsupported_value(f"{path}.role", role, tuple(MESSAGE_FIELDS))
    known_only(path, message, MESSAGE_FIELDS[role])
    if message.get("name") is not None:
        named(f"{path}.name", typed(path, message, "name", str))
    if role == "function":
        typed(path, message, "name", str, required=True)
    if role == "tool":
        _identity(f"{path}.tool_call_id", typed(path, message, "tool_call_id", str, required=True))
    if role == "assistant":
        _assistant(path, message)
    elif "content" not in message:
        raise missing(f"{path}.content")
    elif message["content"] is None and role != "function":
        raise _nothing_said(path)
    _content(path, role, message.get("content"))


def _assistant(path: str, message: Mapping[str, Any]) -> None:
    said = [message.get(name) for name in ("content", "tool_calls", "function_call", "refusal", "audio")]
    if all(value is None for value in said):
        raise _nothing_said(path)
    if "tool_calls" not in message:
        return
    calls = typed(path, message, "tool_calls", list)
    if not calls:
        raise empty(f"{path}.tool_calls")
    for index, call in enumerate(calls):
        _call(f"{path}.tool_calls[{index}]", call)


def _nothing_said(path: str) -> FakeError:
    return FakeError(400, "Invalid value for 'content': expected a string, got null.", param=f"{path}.content")


def _call(path: str, call: Any) -> None:
    if not isinstance(call, dict):
        raise mistyped(path, "an object", call)
    _identity(f"{path}.id", typed(path, call, "id", str, required=True))
    kind = typed(path, call, "type", str, required=True)
    if kind not in {"function", "custom"}:
        raise unsupported_value(f"{path}.type", kind, ("function", "custom"))
    known_only(path, call, frozenset({"id", "type", kind}))
    function = typed(path, call, kind, dict, required=True)
    content = "arguments" if kind == "function" else "input"
    known_only(f"{path}.{kind}", function, frozenset({"name", content}))
    named(f"{path}.{kind}.name", typed(f"{path}.{kind}", function, "name", str, required=True))
    typed(f"{path}.{kind}", function, content, str, required=True)


def _identity(path: str, identity: str) -> None:
    if len(identity) > _MAX_ID_CHARS:
        raise too_long(path, "string", _MAX_ID_CHARS, len(identity))


def _content(path: str, role: str, content: Any) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise mistyped(f"{path}.content", "one of a string or array of objects", content)
    if not content:
        raise empty(f"{path}.content")
    for index, part in enumerate(content):
        _part(path, f"{path}.content[{index}]", role, part)


def _part(message: str, path: str, role: str, part: Any) -> None:
    if not isinstance(part, dict):
        raise mistyped(path, "an object", part)
    kind = typed(path, part, "type", str, required=True)
    if kind == "image_url" and role != "user":
        raise FakeError(
            400,
            f"Invalid '{message}'. Image URLs are only allowed for messages with role 'user', but this message with "
            f"role '{role}' contains an image URL.",
            param=message,
            code="invalid_value",
        )
    allowed = _PARTS.get(role, ("text",))
    if kind not in allowed:
        raise unsupported_value(f"{path}.type", kind, allowed)
    known_only(path, part, PART_FIELDS[kind])
    if kind in {"text", "refusal"}:
        typed(path, part, kind, str, required=True)
        return
    inner = typed(path, part, kind, dict, required=True)
    {"image_url": _image, "input_audio": _audio, "file": _file}[kind](f"{path}.{kind}", inner)


def _image(path: str, image: Mapping[str, Any]) -> None:
    known_only(path, image, frozenset({"url", "detail"}))
    url = typed(path, image, "url", str, required=True)
    if url.startswith("data:") and not url.startswith(_IMAGES):
        raise FakeError(
            400,
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', "
            "'jpeg', 'gif', 'webp'].",
            code="invalid_image_format",
        )
    if not url.startswith(("data:", "http://", "https://")):
        raise FakeError(400, f"Invalid '{path}.url'. Expected a valid URL, but got a value with an invalid format.")
    if image.get("detail", "auto") not in {"auto", "low", "high", "original"}:
        raise unsupported_value(f"{path}.detail", image["detail"], ("low", "high", "auto", "original"))


def _audio(path: str, audio: Mapping[str, Any]) -> None:
    known_only(path, audio, frozenset({"data", "format"}))
    typed(path, audio, "data", str, required=True)
    if typed(path, audio, "format", str, required=True) not in {"wav", "mp3"}:
        raise unsupported_value(f"{path}.format", audio["format"], ("wav", "mp3"))


def _file(path: str, file: Mapping[str, Any]) -> None:
    known_only(path, file, frozenset({"file_data", "file_id", "filename"}))
    if file.get("file_id") is not None:
        return
    data = typed(path, file, "file_data", str, required=True)
    typed(path, file, "filename", str, required=True)
    if not data.startswith(_PDF):
        raise FakeError(
            400,
            f"Invalid '{path}.file_data'. Expected a base64-encoded data URL with an application/pdf MIME type (e.g. "
            "'data:application/pdf;base64,aW1nIGJ5dGVzIGhlcmU='), but got unsupported MIME type.",
            param=path,
            code="invalid_value",
        )
