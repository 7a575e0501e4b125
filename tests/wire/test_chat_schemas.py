"""Schemas of OpenAI's clients for an Anthropic upstream, which takes less: as the vendor's own SDK makes them.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

import enum
import json
from typing import Annotated, Literal

import anthropic
import pydantic
import pytest
from openai.lib._parsing._completions import type_to_response_format_param
from pydantic import BaseModel, Field
from tests.wire.chats import MODEL, USER, body, translated

from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.translation import Options


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    city: str = Field(min_length=1, max_length=80, description="Where.")
    zip: str | None = Field(default=None, pattern="^[0-9]{4}$")


class Review(BaseModel):
    """A review."""

    score: int = Field(ge=1, le=10)
    weight: float = Field(gt=0, lt=1.5, multiple_of=0.5)
    color: Color
    kind: Literal["a", "b"] = "a"
    places: list[Place] = Field(min_length=2, max_length=5)
    one: list[int] = Field(min_length=1)
    either: Annotated[Place | str, Field(description="This or that.")]
    when: pydantic.AwareDatetime
    where: pydantic.AnyUrl
    pair: tuple[int, str]
    child: "Review | None" = None


def formatted(schema, **more):
    """The schema as the upstream gets it, which the strict fake takes."""
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}
    return translated(response_format=wanted)["output_config"]["format"]["schema"]


def tool(schema):
    """The schema of a strict tool as the upstream gets it, which the strict fake takes."""
    function = {"name": "f", "parameters": schema, "strict": True}
    (made,) = translated(tools=[{"type": "function", "function": function}])["tools"]
    assert made["strict"]
    return made["input_schema"]


def undescribed(part):
    """Without descriptions: in them the SDK writes Python, and we JSON."""
    if isinstance(part, dict):
        return {name: undescribed(inner) for name, inner in part.items() if name != "description"}
    return [undescribed(inner) for inner in part] if isinstance(part, list) else part


@pytest.mark.parametrize("make", [formatted, tool], ids=["an answer", "a strict tool"])
@pytest.mark.parametrize("model", [Place, Review])
def test_a_schema_is_what_the_vendors_sdk_makes_of_it(model, make):
    given = model.model_json_schema()
    if "$ref" in given:  # pydantic writes a model that holds itself as a reference; at the root we write it out
        given |= given["$defs"][model.__name__]
        del given["$ref"]
    assert undescribed(make(given)) == undescribed(anthropic.transform_schema(given))


def test_what_openais_sdk_sends_for_a_model_is_taken():
    wanted = type_to_response_format_param(Review)
    made = translated(response_format=wanted)["output_config"]["format"]["schema"]
    assert "Review" in made["$defs"]


CASES = {
    "bounds": (
        {"type": "integer", "minimum": 1, "maximum": 10},
        {"type": "integer", "description": "{minimum: 1, maximum: 10}"},
    ),
    "bounds beside a description": (
        {"type": "number", "description": "How good.", "exclusiveMinimum": 0.50},
        {"type": "number", "description": "How good.\n\n{exclusiveMinimum: 0.5}"},
    ),
    "lengths and a pattern": (
        {"type": "string", "maxLength": 5, "pattern": "^a\\d$"},
        {"type": "string", "description": "{maxLength: 5, pattern: ^a\\d$}"},
    ),
    "an open object": (
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
    ),
    "an object of anything": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": False},
    ),
    "an object without type": (
        {"properties": {}, "required": []},
        {"type": "object", "properties": {}, "additionalProperties": False, "required": []},
    ),
    "an object or nothing": (
        {"type": ["object", "null"], "properties": {"a": {"type": ["string", "null"], "maxLength": 3}}},
        {
            "type": ["object", "null"],
            "properties": {"a": {"type": ["string", "null"], "description": "{maxLength: 3}"}},
            "additionalProperties": False,
        },
    ),
    "one of several": (
        {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        {"anyOf": [{"type": "integer", "description": "{minimum: 1}"}, {"type": "null"}]},
    ),
    "all of several": (
        {"allOf": [{"type": "integer", "minimum": 1}, {"type": "integer"}]},
        {"allOf": [{"type": "integer", "description": "{minimum: 1}"}, {"type": "integer"}]},
    ),
    "all of one": (
        {"allOf": [{"$ref": "#/$defs/A"}], "description": "That."},
        {"$ref": "#/$defs/A"},
    ),
    "all of one that is written out": (
        {"allOf": [{"type": "integer", "minimum": 1}], "title": "T"},
        {"type": "integer", "title": "T", "description": "{minimum: 1}"},
    ),
    "definitions of both names": (
        {"$ref": "#/definitions/A", "definitions": {"A": {"type": "object"}}, "$defs": {"B": {"oneOf": []}}},
        {
            "$ref": "#/definitions/A",
            "definitions": {"A": {"type": "object", "properties": {}, "additionalProperties": False}},
            "$defs": {"B": {"anyOf": []}},
        },
    ),
    "few items": (
        {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
        {
            "type": "array",
            "items": {"type": "integer", "description": "{minimum: 1}"},
            "minItems": 1,
        },
    ),
    "many items": (
        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 5, "uniqueItems": True},
        {"type": "array", "items": {"type": "string"}, "description": "{minItems: 2, maxItems: 5, uniqueItems: true}"},
    ),
    "a list of kinds of items": (
        {"type": "array", "prefixItems": [{"type": "integer"}]},
        {"type": "array", "description": '{prefixItems: [{"type":"integer"}]}'},
    ),
    "a known format": ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    "an unknown format": (
        {"type": "string", "format": "binary"},
        {"type": "string", "description": "{format: binary}"},
    ),
    "an odd format": ({"type": "string", "format": {}}, {"type": "string", "description": "{format: {}}"}),
    "a choice": ({"type": "string", "enum": ["a", None, 1]}, {"enum": ["a", None, 1]}),
    "a choice of objects": (
        {"type": "object", "enum": [{}]},
        {
            "type": "object",
            "properties": {},
            "additionalProperties": False,
            "description": "{enum: [{}]}",
        },
    ),
    "a constant": ({"const": "a", "default": "a"}, {"const": "a", "description": "{default: a}"}),
    "a default": ({"type": "string", "default": None}, {"type": "string", "description": "{default: null}"}),
    "where it is from": (
        {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "string"},
        {"type": "string"},
    ),
    "a property of such a name": (
        {"type": "object", "properties": {"minimum": {"type": "integer"}, "$schema": {"type": "string"}}},
        {
            "type": "object",
            "properties": {"minimum": {"type": "integer"}, "$schema": {"type": "string"}},
            "additionalProperties": False,
        },
    ),
    "anything": ({}, {}),
    "odd parts": (
        {"type": "object", "properties": 7, "required": 7, "description": 7},
        {
            "type": "object",
            "properties": {},
            "additionalProperties": False,
            "description": "{required: 7, description: 7}",
        },
    ),
    "odd types": ({"type": [{"a": 1}, "string"]}, {"type": [{"a": 1}, "string"]}),
    "a property that may be anything": (
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": True}, "additionalProperties": False},
    ),
}


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_what_the_api_does_not_take_is_told_in_words(given, expected):
    outer = {"type": "object", "properties": {"it": given}}
    assert formatted(outer)["properties"]["it"] == expected
    assert tool(outer)["properties"]["it"] == expected


def test_a_tool_that_is_not_strict_keeps_its_schema():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    (made,) = translated(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])["tools"]
    assert made["input_schema"] == schema


def test_numbers_keep_their_digits():
    number = "0.10000000000000000000000000001"
    wanted = {"type": "json_schema", "json_schema": {"schema": {"enum": ["N"]}}}
    asked = body(response_format=wanted).replace(b'"N"', f"{number},1e999".encode())
    assert f"[{number},1e999]".encode() in CHAT_ON_MESSAGES.request(asked, Options(MODEL)).body


BAD = {
    "no object": (b"7", "expected `object`"),
    "bottomless": (b'{"anyOf":[' * 450 + b"{}" + b"]}" * 450, "nested too deeply"),
}


@pytest.mark.parametrize(("schema", "message"), BAD.values(), ids=BAD)
def test_a_schema_that_cannot_be_read_is_refused_with_its_place(schema, message):
    asked = json.dumps({"messages": [USER], "response_format": {"type": "json_schema", "json_schema": {"schema": "S"}}})
    with pytest.raises(ValueError, match=f"^response_format.json_schema.schema: {message}"):
        CHAT_ON_MESSAGES.request(asked.encode().replace(b'"S"', schema), Options(MODEL))


ROOTS = {
    "definitions": {"$ref": "#/definitions/A", "definitions": {"A": {"type": "object", "properties": {}}}},
    "$defs": {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {}}}},
}


@pytest.mark.parametrize("schema", ROOTS.values(), ids=ROOTS)
def test_a_reference_at_the_root_is_written_out(schema):
    for made in (formatted(schema), tool(schema)):
        assert (made["type"], made["additionalProperties"]) == ("object", False)


@pytest.mark.parametrize("ref", ["#", "#/$defs/B", "#/definitions/A", 7])
def test_a_reference_to_nothing_stays(ref):
    assert formatted({"$ref": ref, "$defs": {"A": {}}}) == {"$ref": ref, "$defs": {"A": {}}}
