"""Values that satisfy a JSON schema: what the fake models put into tool inputs and structured answers. Pure.

Simple schemas only: types, properties, enums, constants, references within the schema, the first of several choices.
Formats and patterns are not looked at; every property is filled in, wanted or not, except where a schema holds itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A schema that goes deeper than this holds itself; optional properties end there.
_DEEP = 6

_INTEGER = 42
_PLAIN: Mapping[str, Any] = {"number": 4.25, "boolean": True, "null": None}


def example(schema: Mapping[str, Any], word: str = "some") -> Any:
    """Make one value; its texts begin with `word` and name their property."""
    return _Maker(schema, word).value(schema, "value", 0)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the values of one schema."""

    root: Mapping[str, Any]
    word: str

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, Mapping):  # `true` is a schema, too
            return self._text(name)
        if "$ref" in schema:
            return self.value(self._resolved(schema["$ref"]), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for choices in ("anyOf", "oneOf", "allOf"):
            if schema.get(choices):
                # deep down, the last choice is more often the one that ends it (`null`)
                return self.value(schema[choices][-1 if depth > _DEEP else 0], name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kinds = schema.get("type")
        kind = kinds[0] if isinstance(kinds, list) else kinds
        if kind == "object" or (kind is None and "properties" in schema):
            properties = schema.get("properties", {})
            wanted = schema.get("required", ()) if depth > _DEEP else properties
            return {key: self.value(properties.get(key, True), key, depth + 1) for key in wanted}
        if kind == "array":
            count = schema.get("minItems", 0 if depth > _DEEP else 1)
            return [self.value(schema.get("items", True), name, depth + 1) for _ in range(count)]
        if kind == "integer":
            lowest = max(_INTEGER, schema.get("minimum", _INTEGER))
            return min(lowest, schema.get("maximum", lowest))
        return _PLAIN[str(kind)] if kind in _PLAIN else self._text(name)

    def _text(self, name: str) -> str:
        return f"{self.word} {name} – 灯"

    def _resolved(self, reference: str) -> Any:
        """Find `#/$defs/…` in the whole schema."""
        found: Any = self.root
        for step in reference.removeprefix("#").split("/"):
            found = found[step] if step else found
        return found
