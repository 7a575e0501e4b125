"""JSON schemas for structured outputs and strict tools, of which the Messages API takes less than OpenAI's.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations: an object must be
closed (`additionalProperties: false`, without which it is a 400; BerriAI/litellm#21016), and bounds are a 400, too. So
this does what the vendor's SDK does (`anthropic.transform_schema`): what is not taken becomes a part of the
description, for the model to follow; the client checks what it gets itself.
"""

import json
from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError

Schema = dict[str, Any]

#: Formats of a text that are taken, as the vendor's SDK has them.
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
#: What says nothing about a value.
_NOT_ABOUT_VALUES = ("$schema", "$id", "$comment", "$anchor")
_DEFINITIONS = ("$defs", "definitions")
_KEPT = ("description", "title")


def closed(schema: Raw, where: str) -> Raw:
    """Return a schema as the API takes it; what has no place in it becomes part of a description.

    Numbers keep their digits. Errors: BodyError for a schema that is no object, or nested too deeply.
    """
    try:
        found = json.loads(bytes(schema), parse_int=_digits, parse_float=_digits)
        if not isinstance(found, dict):
            raise BodyError(f"{where}: expected `object`")
        return Raw(msgspec.json.encode(_closed(_inlined(found))))
    except RecursionError:
        raise BodyError(f"{where}: nested too deeply") from None


def _inlined(root: Schema) -> Schema:
    """Put the definition that the root refers to in its place: a tool's schema must say itself that it is an object."""
    steps = root["$ref"].split("/") if isinstance(root.get("$ref"), str) else []
    place = root.get(steps[1]) if len(steps) == 3 else None
    target = place.get(steps[2]) if isinstance(place, dict) else None
    if not isinstance(target, dict):
        return root
    return {**{name: value for name, value in root.items() if name != "$ref"}, **target}


def _closed(schema: Any) -> Any:
    """One schema, and all within it. `true`, `false` and what is no schema stay as they are."""
    if not isinstance(schema, dict):
        return schema
    left = {name: value for name, value in schema.items() if name not in _NOT_ABOUT_VALUES}
    made: Schema = {}
    for name in _DEFINITIONS:
        if isinstance(left.get(name), dict):
            made[name] = {key: _closed(inner) for key, inner in left.pop(name).items()}
    if "$ref" in left:
        return made | {"$ref": left["$ref"]}
    only = left.get("allOf")
    if isinstance(only, list) and len(only) == 1 and isinstance(only[0], dict) and "type" not in left:
        # as older generators write a reference with a description beside it; `$ref` within `allOf` is not taken
        del left["allOf"]
        return made | _closed({**left, **only[0]})
    made |= _values(left)
    made |= {name: left.pop(name) for name in _KEPT if isinstance(left.get(name), str)}
    kinds = made.get("type")
    for kind, make in _BY_TYPE.items():
        if kind == kinds or (isinstance(kinds, list) and kind in kinds):
            made |= make(left)
    return made | _told(made.get("description"), left)


def _values(left: Schema) -> Schema:
    """What values there are: named ones, one of several kinds, or a type."""
    kind = left.pop("type", None)
    if kind is None and "properties" in left:
        kind = "object"
    made: Schema = {}
    if _are_plain(left.get("enum")):
        made["enum"] = left.pop("enum")
    if "const" in left and _are_plain([left["const"]]):
        made["const"] = left.pop("const")
    for name, called in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if isinstance(left.get(name), list):
            return made | {called: [_closed(inner) for inner in left.pop(name)]}
    return made if made or kind is None else {"type": kind}


def _are_plain(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and not any(isinstance(one, dict | list) for one in values)


def _object(left: Schema) -> Schema:
    properties = left.pop("properties", None)
    left.pop("additionalProperties", None)
    made: Schema = {
        "properties": {key: _closed(inner) for key, inner in properties.items()}
        if isinstance(properties, dict)
        else {},
        "additionalProperties": False,
    }
    return made | ({"required": left.pop("required")} if isinstance(left.get("required"), list) else {})


def _text(left: Schema) -> Schema:
    kind = left.get("format")
    return {"format": left.pop("format")} if isinstance(kind, str) and kind in _FORMATS else {}


def _array(left: Schema) -> Schema:
    made: Schema = {"items": _closed(left.pop("items"))} if isinstance(left.get("items"), dict) else {}
    if left.get("minItems") in (Raw(b"0"), Raw(b"1")):
        made["minItems"] = left.pop("minItems")
    return made


_BY_TYPE = {"object": _object, "string": _text, "array": _array}


def _told(description: str | None, left: Schema) -> Schema:
    """The description, with what is left in it."""
    if not left:
        return {}
    words = ", ".join(f"{name}: {_written(value)}" for name, value in left.items())
    return {"description": (f"{description}\n\n" if description is not None else "") + f"{{{words}}}"}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _digits(number: str) -> Raw:
    return Raw(number)
