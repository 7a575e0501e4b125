"""What the fake models put into tool inputs and structured answers satisfies the schema that asked for it."""

import jsonschema
import pytest

from lastcall_sidecar.testing.examples import example

TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "rest": {"type": "array", "items": {"$ref": "#/$defs/leaf"}},
    },
    "required": ["name", "left", "rest"],
    "additionalProperties": False,
    "$defs": {
        "leaf": {"type": "object", "properties": {"leaves": {"type": "array", "items": {"$ref": "#/$defs/leaf"}}}}
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "string"}, id="string"),
        pytest.param({"type": "integer"}, id="integer"),
        pytest.param({"type": "integer", "minimum": 100}, id="integer, minimum"),
        pytest.param({"type": "integer", "maximum": 3}, id="integer, maximum"),
        pytest.param({"type": "number"}, id="number"),
        pytest.param({"type": "boolean"}, id="boolean"),
        pytest.param({"type": "null"}, id="null"),
        pytest.param({"type": ["string", "null"]}, id="several types"),
        pytest.param({"enum": [7, "x"]}, id="enum"),
        pytest.param({"const": {"a": 1}}, id="const"),
        pytest.param({"type": "array", "items": {"type": "integer"}, "minItems": 3}, id="array"),
        pytest.param({"type": "array"}, id="array of anything"),
        pytest.param({"type": "object"}, id="object of nothing"),
        pytest.param({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, id="object without a type"),
        pytest.param({"anyOf": [{"type": "integer"}, {"type": "string"}]}, id="anyOf"),
        pytest.param({"oneOf": [{"type": "boolean"}]}, id="oneOf"),
        pytest.param({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "integer"}}}, id="allOf, reference"),
        pytest.param({"type": "object", "properties": {"any": True}, "required": ["any"]}, id="a schema that is true"),
        pytest.param(TREE, id="a schema that holds itself"),
    ],
)
def test_an_example_satisfies_its_schema(schema):
    jsonschema.validate(example(schema), schema)


def test_an_example_fills_in_what_need_not_be_there():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {}}}}
    assert example(schema) == {"a": 42, "b": ["some b – 灯"]}


def test_texts_begin_with_the_word():
    assert example({"type": "string"}, "another") == "another value – 灯"
