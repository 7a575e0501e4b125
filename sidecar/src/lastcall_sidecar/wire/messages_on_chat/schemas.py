"""JSON schemas, of which OpenAI takes less than Anthropic, and in its strict mode less still.

https://platform.openai.com/docs/guides/structured-outputs
"""

import json
import re
from typing import Any

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import read

#: Classes of characters that JavaScript's patterns know, and Python's do not.
_CLASS = re.compile(r"\\[pP]\{")
_ESCAPED_CLASS = re.compile(rb"\\\\[pP]\{")


def of_arguments(schema: msgspec.Raw, path: str) -> msgspec.Raw:
    """Return the schema of a function's arguments at `path`, portable and with `properties`. Errors: BodyError.

    OpenAI refuses an object without (maximhq/bifrost#1752).
    """
    schema = portable(schema)
    fields = read(schema, dict[str, msgspec.Raw], path)
    return schema if "properties" in fields else msgspec.Raw(msgspec.json.encode({**fields, "properties": {}}))


def portable(schema: msgspec.Raw) -> msgspec.Raw:
    """Return the schema as it came, but without patterns that only JavaScript reads.

    Claude Code has one, and OpenAI refuses every request with it (raine/claude-code-proxy#141). The client looks at
    what it is given itself.
    """
    if not _ESCAPED_CLASS.search(schema):
        return schema
    try:
        made = json.loads(bytes(schema), parse_int=_digits, parse_float=_digits)
    except RecursionError:
        return schema
    waiting = [made]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if isinstance(part.get("pattern"), str) and _CLASS.search(part["pattern"]):
                del part["pattern"]
            waiting += part.values()
    return msgspec.Raw(msgspec.json.encode(made))


def _digits(number: str) -> msgspec.Raw:
    return msgspec.Raw(number)


def can_be_strict(schema: msgspec.Raw) -> bool:
    """Whether each object in it wants all of its properties, and no others. When in doubt, it does not."""
    try:
        waiting = [msgspec.json.decode(schema)]
    except (msgspec.ValidationError, RecursionError):  # a number that no float holds, or something bottomless
        return False
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            if ("properties" in part or part.get("type") == "object") and not _is_closed(part):
                return False
    return True


def _is_closed(described: dict[str, Any]) -> bool:
    properties, required = described.get("properties", {}), described.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    wanted = {name for name in required if isinstance(name, str)}
    return described.get("additionalProperties") is False and properties.keys() <= wanted
