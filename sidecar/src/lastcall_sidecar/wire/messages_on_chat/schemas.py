"""Whether OpenAI can be held to a JSON schema: its strict mode wants more of one than Anthropic's.

https://platform.openai.com/docs/guides/structured-outputs. Elsewhere `strict` counts for little or nothing.
"""

from typing import Any

import msgspec


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
