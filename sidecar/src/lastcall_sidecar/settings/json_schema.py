"""The JSON schema of the configuration file (draft 2020-12), made from `schema.py`."""

from typing import Any

import msgspec

from .checks import RESTART
from .schema import LogFormat, LogLevel, Mode, Provider, Readiness, Settings


def json_schema() -> dict[str, Any]:
    """The schema, whole: no references, so that an editor, a CRD or a chart can take any part of it."""
    made = msgspec.json.schema(Settings, ref_template="{name}")
    definitions = made["$defs"]
    for enum in (Mode, Provider, Readiness, LogLevel, LogFormat):  # in the order of their making, not of the alphabet
        definitions[enum.__name__]["enum"] = [member.value for member in enum]
    settings = _inline(made, definitions)
    for path in RESTART:
        _at(settings, path)["description"] += " Cannot change without a restart."
    needs_url = {"required": ["upstream"], "properties": {"upstream": {"required": ["url"]}}}
    one_upstream = {"properties": {"upstreams": {"maxItems": 0}}}
    no_models = {"properties": {"upstream": {"properties": {"models": {"maxProperties": 0}}}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lastcall-sidecar",
        **settings,
        "allOf": [
            {"if": _is(mode={"const": "Ingress"}), "then": {"allOf": [needs_url, one_upstream]}},
            {
                "if": _is(upstream=_is(provider={"const": "Any"})),
                "then": {"allOf": [needs_url, one_upstream, no_models]},
            },
        ],
    }


def _at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for key in path.split("."):
        schema = schema["properties"][key]
    return schema


def _is(**properties: Any) -> dict[str, Any]:
    return {"required": list(properties), "properties": properties}


def _inline(part: Any, definitions: dict[str, Any]) -> Any:
    """Put each definition where it is referred to; what is said there (a description, a default) wins."""
    if isinstance(part, list | tuple):
        return [_inline(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    whole = {key: value for key, value in part.items() if key not in {"$ref", "$defs"}}
    if "$ref" in part:
        whole = {**definitions[part["$ref"]], **whole}
        del whole["title"]
    if whole.get("required") == []:
        del whole["required"]
    return {key: _inline(value, definitions) for key, value in whole.items()}
