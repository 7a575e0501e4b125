"""The fake refuses what the real API refuses, and lets through what the SDK may send."""

import typing

import pytest
from anthropic import types
from anthropic.types import message_create_params

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.signing import REDACTED, sign
from lastcall_sidecar.testing.validate import FIELDS, TOOL_CHOICES, TOOL_FIELDS, load, message_request
from lastcall_sidecar.testing.validate_messages import BLOCKS

USER = {"role": "user", "content": "Hi"}
GOOD = {"model": "claude-opus-4-6", "max_tokens": 2048, "messages": [USER]}
#: The newest that may be given the beginning of its answer, and the last without adaptive thinking.
OLDER = GOOD | {"model": "claude-sonnet-4-5"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "a", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}]}
AGAIN = (
    {"role": "assistant", "content": [CALL["content"][0] | {"id": "t2"}]},
    {"role": "user", "content": [RESULT["content"][0] | {"tool_use_id": "t2"}]},
)
TOOL = {"name": "a", "input_schema": {"type": "object"}}
STRICT = {"strict": True, "input_schema": TOOL["input_schema"] | {"additionalProperties": False}}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": sign(1, "Hm")}
HIDDEN = {"type": "redacted_thinking", "data": sign(1, REDACTED)}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
ADAPTIVE = {"thinking": {"type": "adaptive"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "aGk="}
CACHED = {"cache_control": {"type": "ephemeral"}}


def model(name):
    return GOOD | {"model": name}


def said(*blocks):
    """A request whose user says these blocks."""
    return GOOD | {"messages": [{"role": "user", "content": list(blocks)}]}


def image(**source):
    return said({"type": "image", "source": source})


def document(**source):
    return said({"type": "document", "source": source})


def recalled(*blocks):
    """A request whose history has these blocks of the assistant's."""
    return GOOD | {"messages": [USER, {"role": "assistant", "content": list(blocks)}, USER]}


def called(*before, results=(RESULT,)):
    """A request in the middle of a tool loop whose call comes after these blocks."""
    turn = {"role": "assistant", "content": [*before, *CALL["content"]]}
    return GOOD | {"messages": [USER, turn, *results]}


def formed(schema, **more):
    return GOOD | {"output_config": {"format": {"type": "json_schema", "schema": schema, **more}}}


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GOOD, id="plain"),
        pytest.param(GOOD | {"model": "fake-x", "stream": True}, id="fake model"),
        pytest.param(GOOD | {"messages": [USER, CALL, RESULT]}, id="tool result"),
        pytest.param(GOOD | {"messages": [USER, USER]}, id="two users in a row are one turn"),
        pytest.param(OLDER | {"messages": [USER, {"role": "assistant", "content": "So"}]}, id="prefill"),
        pytest.param(GOOD | {"thinking": {"type": "enabled", "budget_tokens": 1024}}, id="thinking"),
        pytest.param(GOOD | {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "a"}}, id="tools"),
        pytest.param(GOOD | {"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, id="server tool"),
        pytest.param(GOOD | {"system": [{"type": "text", "text": "Be brief."}], "temperature": 0}, id="system"),
        pytest.param(GOOD | ADAPTIVE, id="adaptive thinking"),
        pytest.param(model("claude-opus-4-7") | ADAPTIVE, id="adaptive thinking, newer"),
        pytest.param(model("claude-mythos-preview") | ADAPTIVE, id="adaptive thinking, preview"),
        pytest.param(GOOD | {"thinking": {"type": "adaptive", "display": "omitted"}}, id="thinking not shown"),
        pytest.param(GOOD | BUDGET | {"temperature": 1, "top_p": 0.95, "model": "fake-x"}, id="sampling with thinking"),
        pytest.param(called(THOUGHT) | BUDGET, id="thinking, then a call"),
        pytest.param(called(HIDDEN) | BUDGET, id="hidden thinking, then a call"),
        pytest.param(called() | ADAPTIVE, id="adaptive, a call without thinking"),
        pytest.param(called() | {"thinking": {"type": "disabled"}}, id="a call without thinking"),
        pytest.param(recalled({"type": "text", "text": "x"}) | BUDGET, id="an older turn without thinking"),
        pytest.param(
            called(results=(RESULT, {"role": "assistant", "content": "3"}, USER)) | BUDGET, id="an older call"
        ),
        pytest.param(
            GOOD
            | {"messages": [USER, {"role": "assistant", "content": [THOUGHT, *CALL["content"]]}, RESULT, *AGAIN]}
            | BUDGET,
            id="two calls after one thought",
        ),
        pytest.param(formed(SCHEMA), id="structured output"),
        pytest.param(
            formed(SCHEMA | {"$defs": {"x": {"anyOf": [{"type": "array", "items": SCHEMA, "minItems": 1}]}}}),
            id="structured output, nested",
        ),
        pytest.param(model("claude-opus-4-7") | {"output_config": {"effort": "xhigh"}}, id="effort xhigh"),
        pytest.param(model("claude-opus-4-5") | {"output_config": {"effort": "low"}}, id="effort, older"),
        pytest.param(model("claude-opus-4-7") | {"temperature": 1}, id="the only temperature"),
        pytest.param(
            GOOD | {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, id="one call"
        ),
        pytest.param(GOOD | {"tools": [TOOL | CACHED | STRICT | {"description": "x"}]}, id="a tool's fields"),
        pytest.param(GOOD | {"tool_choice": {"type": "none"}}, id="no tools, none chosen"),
        pytest.param(image(**PIXEL), id="image"),
        pytest.param(image(type="url", url="https://a/b.png"), id="image by URL"),
        pytest.param(document(type="base64", media_type="application/pdf", data="aGk="), id="PDF"),
        pytest.param(document(type="text", media_type="text/plain", data=""), id="text document"),
        pytest.param(
            called(
                results=(
                    {
                        "role": "user",
                        "content": [*RESULT["content"], *said({"type": "text", "text": "x"})["messages"][0]["content"]],
                    },
                )
            ),
            id="text after a result",
        ),
        pytest.param(
            called(
                results=(
                    {
                        "role": "user",
                        "content": [RESULT["content"][0] | {"content": [{"type": "image", "source": PIXEL}]}],
                    },
                )
            ),
            id="image in a result",
        ),
        pytest.param(
            called(results=({"role": "user", "content": [RESULT["content"][0] | {"content": ""}]},)), id="empty result"
        ),
        pytest.param(
            GOOD | {"messages": [USER, {"role": "assistant", "content": ""}], "model": "fake-x"}, id="empty prefill"
        ),
        pytest.param(said(*[{"type": "text", "text": "x"} | CACHED] * 4), id="four breakpoints"),
    ],
)
def test_a_good_request_passes(request_):
    message_request(request_)


def test_every_field_of_the_sdk_is_known():
    headers = {"anthropic_user_profile_id", "workspace_id"}
    known = set(typing.get_type_hints(message_create_params.MessageCreateParamsStreaming)) - headers
    assert known <= FIELDS


def all_fields(shape):
    return set(typing.get_type_hints(shape))


@pytest.mark.parametrize("kind", sorted(set(BLOCKS) - {"mcp_tool_use", "mcp_tool_result", "compaction"}))
def test_the_fields_of_each_block_are_those_of_the_sdk(kind):
    name = "".join(word.capitalize() for word in kind.split("_")) + "BlockParam"
    shape = getattr(types, name)
    hints = typing.get_type_hints(shape, include_extras=True)
    assert BLOCKS[kind][0] == {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required} - {
        "type"
    }
    assert BLOCKS[kind][1] == all_fields(shape) - {"type"}


def test_the_fields_of_tools_are_those_of_the_sdk():
    assert all_fields(types.ToolParam) == TOOL_FIELDS
    for kind, fields in TOOL_CHOICES.items():
        assert all_fields(getattr(types, f"ToolChoice{kind.capitalize()}Param")) == fields


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        pytest.param(without("model"), 400, "model: Field required", id="no model"),
        pytest.param(without("max_tokens"), 400, "max_tokens: Field required", id="no max_tokens"),
        pytest.param(without("messages"), 400, "messages: Field required", id="no messages"),
        pytest.param(GOOD | {"max_tokens": 0}, 400, "max_tokens", id="max_tokens 0"),
        pytest.param(GOOD | {"max_tokens": "9"}, 400, "max_tokens", id="max_tokens a string"),
        pytest.param(GOOD | {"max_tokens": True}, 400, "max_tokens", id="max_tokens a boolean"),
        pytest.param(GOOD | {"model": 4}, 400, "model", id="model a number"),
        pytest.param(GOOD | {"model": "gpt-4o"}, 404, "model: gpt-4o", id="unknown model"),
        pytest.param(GOOD | {"stream": "yes"}, 400, "stream", id="stream a string"),
        pytest.param(GOOD | {"temperature": 2}, 400, "temperature", id="temperature"),
        pytest.param(GOOD | {"n": 2}, 400, "n: Extra inputs", id="unknown field"),
        pytest.param(GOOD | {"stop_sequences": [" "]}, 400, "stop_sequences", id="blank stop sequence"),
        pytest.param(GOOD | {"metadata": []}, 400, "metadata", id="metadata a list"),
        pytest.param(GOOD | {"system": 1}, 400, "system", id="system a number"),
        pytest.param(GOOD | {"messages": {}}, 400, "valid list", id="messages a dictionary"),
        pytest.param(GOOD | {"messages": []}, 400, "at least one", id="messages empty"),
        pytest.param(GOOD | {"messages": ["Hi"]}, 400, "messages.0", id="message a string"),
        pytest.param(GOOD | {"messages": [{"role": "user"}]}, 400, "content: Field required", id="no content"),
        pytest.param(GOOD | {"messages": [{"role": "user", "content": 3}]}, 400, "content", id="content a number"),
        pytest.param(GOOD | {"messages": [{"role": "user", "content": " "}]}, 400, "whitespace", id="blank text"),
        pytest.param(
            GOOD | {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "text", id="text missing"
        ),
        pytest.param(GOOD | {"messages": [CALL, RESULT]}, 400, '"user" role', id="assistant first"),
        pytest.param(GOOD | {"messages": [{"role": "system", "content": "x"}]}, 400, "role", id="system role"),
        pytest.param(GOOD | {"messages": [USER, CALL, USER]}, 400, "tool_result", id="call without result"),
        pytest.param(GOOD | {"messages": [RESULT]}, 400, "tool_use_id", id="result without call"),
        pytest.param(
            GOOD | {"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]}, 400, "tag", id="user calls"
        ),
        pytest.param(GOOD | {"thinking": {"type": "a lot"}}, 400, "thinking", id="thinking unknown"),
        pytest.param(GOOD | {"thinking": {"type": "enabled"}}, 400, "budget_tokens", id="thinking, no budget"),
        pytest.param(
            GOOD | {"thinking": {"type": "enabled", "budget_tokens": 2048}}, 400, "greater than", id="budget too big"
        ),
        pytest.param(
            GOOD | {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5},
            400,
            "temperature",
            id="thinking with temperature",
        ),
        pytest.param(GOOD | {"tools": [{"name": "a"}]}, 400, "input_schema", id="tool without schema"),
        pytest.param(GOOD | {"tools": ["a"]}, 400, "tools.0", id="tool a string"),
        pytest.param(GOOD | {"tools": [TOOL, TOOL]}, 400, "unique", id="tool twice"),
        pytest.param(GOOD | {"tool_choice": {"type": "any"}}, 400, "while providing tools", id="choice, no tools"),
        pytest.param(GOOD | {"tools": [TOOL], "tool_choice": {"type": "x"}}, 400, "tool_choice", id="choice unknown"),
        pytest.param(
            GOOD | {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "b"}}, 400, "not found", id="choice absent"
        ),
    ],
)
def test_a_bad_request_is_refused_with_a_sentence(request_, status, words):
    with pytest.raises(FakeError) as found:
        message_request(request_)
    assert found.value.status == status
    assert words in found.value.message


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(
            GOOD | {"metadata": {"trace": "1"}}, "metadata.trace: Extra inputs", id="metadata of another kind"
        ),
        pytest.param(GOOD | {"metadata": {"user_id": "x" * 257}}, "metadata.user_id", id="user too long"),
        pytest.param(GOOD | {"metadata": {"user_id": "a@b.example"}}, "an email address", id="user by address"),
        pytest.param(GOOD | {"service_tier": "default"}, "service_tier", id="OpenAI's service tier"),
        pytest.param(GOOD | {"top_k": -1}, "top_k", id="top_k"),
        pytest.param(GOOD | {"system": [{"type": "text", "text": " "}]}, "non-whitespace", id="blank system"),
        pytest.param(GOOD | {"system": [{"type": "image", "source": PIXEL}]}, "system.0: Input tag", id="system image"),
        pytest.param(GOOD | {"messages": [USER | {"name": "Al"}]}, "messages.0.name: Extra inputs", id="a name"),
        pytest.param(GOOD | {"messages": [USER | {"content": []}]}, "non-empty content", id="no content"),
        pytest.param(GOOD | {"messages": [USER | {"content": ""}]}, "non-empty content", id="empty content"),
        pytest.param(said({"type": "text", "text": "x", "id": 1}), "text.id: Extra inputs", id="a block's field"),
        pytest.param(said({"type": "image_url", "image_url": {}}), "Input tag", id="OpenAI's image"),
        pytest.param(said({"type": "image"}), "image.source: Field required", id="image without source"),
        pytest.param(image(type="data"), "image.source: Input tag", id="source of another type"),
        pytest.param(image(type="base64", data="aGk="), "media_type: Field required", id="image without type"),
        pytest.param(image(**PIXEL | {"media_type": "image/bmp"}), "media_type: Input should be", id="bitmap"),
        pytest.param(image(**PIXEL | {"data": "%"}), "base64 string", id="not base64"),
        pytest.param(image(**PIXEL | {"data": ""}), "base64 string", id="no data"),
        pytest.param(image(**PIXEL | {"detail": "low"}), "base64.detail: Extra inputs", id="detail"),
        pytest.param(image(type="url", url="http://a/b.png"), "Only HTTPS", id="HTTP"),
        pytest.param(document(**PIXEL), "media_type", id="document that is an image"),
        pytest.param(document(type="text", media_type="text/html", data="x"), "text/plain", id="document of HTML"),
        pytest.param(recalled({"type": "tool_use", "name": "a", "input": {}}), "id: Field required", id="call, no id"),
        pytest.param(
            recalled({"type": "tool_use", "id": "a.b", "name": "a", "input": {}}),
            "id: String should",
            id="call, bad id",
        ),
        pytest.param(
            recalled({"type": "tool_use", "id": "a", "name": "", "input": {}}),
            "name: String should",
            id="call, no name",
        ),
        pytest.param(
            recalled({"type": "tool_use", "id": "a", "name": "a", "input": "{}"}),
            "input: Input",
            id="call, input a text",
        ),
        pytest.param(
            GOOD | {"messages": [USER, {"role": "assistant", "content": CALL["content"] * 2}, RESULT]},
            "ids must be unique",
            id="two calls, one id",
        ),
        pytest.param(
            called(results=({"role": "user", "content": [{"type": "text", "text": "x"}, *RESULT["content"]]},)),
            "immediately after",
            id="text before a result",
        ),
        pytest.param(
            called(results=({"role": "user", "content": RESULT["content"] * 2},)), "single result", id="two results"
        ),
        pytest.param(
            called(results=({"role": "user", "content": [RESULT["content"][0] | {"content": "", "is_error": True}]},)),
            "is_error",
            id="an error without words",
        ),
        pytest.param(
            called(results=({"role": "user", "content": [RESULT["content"][0] | {"is_error": 1}]},)),
            "is_error: Input",
            id="is_error a number",
        ),
        pytest.param(
            called(
                results=({"role": "user", "content": [RESULT["content"][0] | {"content": [{"type": "tool_use"}]}]},)
            ),
            "tool_result.content.0: Input tag",
            id="a call in a result",
        ),
        pytest.param(said(RESULT["content"][0] | {"tool_use_id": 1}), "tool_use_id: Input", id="result of a number"),
        pytest.param(recalled(THOUGHT | {"signature": "EqQB"}), "Invalid `signature`", id="another's signature"),
        pytest.param(recalled(THOUGHT | {"thinking": "Ha"}), "Invalid `signature`", id="a thought that was changed"),
        pytest.param(recalled(THOUGHT | {"signature": None}), "valid string", id="signature null"),
        pytest.param(recalled({"type": "thinking", "thinking": "Hm"}), "signature: Field required", id="no signature"),
        pytest.param(recalled(HIDDEN | {"data": "EqQB"}), "Invalid `data`", id="another's redacted thought"),
        pytest.param(recalled(THOUGHT | CACHED), "cache_control: Extra inputs", id="a thought with a breakpoint"),
        pytest.param(called() | BUDGET, "Expected `thinking`", id="a call without thinking"),
        pytest.param(called({"type": "text", "text": "x"}) | BUDGET, "but found `text`", id="a text before a call"),
        pytest.param(
            GOOD | BUDGET | {"messages": [USER, {"role": "assistant", "content": "So"}]}, "found `text`", id="prefill"
        ),
        pytest.param(GOOD | {"thinking": {"type": "adaptive", "budget_tokens": 1024}}, "Extra inputs", id="both"),
        pytest.param(GOOD | {"thinking": {"type": "adaptive", "display": "raw"}}, "display", id="display"),
        pytest.param(GOOD | ADAPTIVE | {"temperature": 0}, "adaptive mode", id="adaptive with temperature"),
        pytest.param(GOOD | BUDGET | {"top_p": 0.9}, "top_p", id="thinking with top_p"),
        pytest.param(GOOD | BUDGET | {"top_k": 5}, "top_k", id="thinking with top_k"),
        pytest.param(
            GOOD | ADAPTIVE | {"tools": [TOOL], "tool_choice": {"type": "any"}}, "forces tool use", id="forced tool"
        ),
        pytest.param(OLDER | ADAPTIVE, "adaptive thinking is not supported", id="adaptive, older"),
        pytest.param(
            model("claude-haiku-4-5-20251001") | ADAPTIVE, "adaptive thinking is not supported", id="adaptive, dated"
        ),
        pytest.param(model("claude-opus-4-7") | BUDGET, "thinking.type.enabled", id="budget, newer"),
        pytest.param(model("claude-opus-5") | BUDGET, "thinking.type.enabled", id="budget, much newer"),
        pytest.param(
            model("claude-opus-4-7") | {"temperature": 0}, "`temperature` is deprecated", id="sampling, newer"
        ),
        pytest.param(model("claude-opus-4-7") | {"top_p": 1}, "`top_p` is deprecated", id="top_p, newer"),
        pytest.param(GOOD | {"temperature": 1, "top_p": 1}, "cannot both be specified", id="two samplers"),
        pytest.param(
            GOOD | {"messages": [USER, {"role": "assistant", "content": "So"}]}, "prefill", id="prefill, newer"
        ),
        pytest.param(
            OLDER | {"messages": [USER, {"role": "assistant", "content": "So "}]}, "trailing", id="prefill with a space"
        ),
        pytest.param(OLDER | {"output_config": {"effort": "low"}}, "effort parameter", id="effort, older"),
        pytest.param(GOOD | {"output_config": {"effort": "minimal"}}, "output_config.effort", id="OpenAI's effort"),
        pytest.param(GOOD | {"output_config": {"effort": "xhigh"}}, "effort level 'xhigh'", id="xhigh"),
        pytest.param(
            model("claude-opus-4-5") | {"output_config": {"effort": "max"}}, "effort level 'max'", id="max, older"
        ),
        pytest.param(GOOD | {"output_config": {"style": 1}}, "output_config.style: Extra", id="output_config"),
        pytest.param(GOOD | {"output_config": {"format": {"type": "json_object"}}}, "Input tag", id="json_object"),
        pytest.param(
            GOOD | {"output_config": {"format": {"type": "json_schema"}}}, "schema: Field required", id="no schema"
        ),
        pytest.param(formed(SCHEMA, name="x"), "format.name: Extra inputs", id="OpenAI's format"),
        pytest.param(formed({"type": "object"}), "additionalProperties", id="schema that is open"),
        pytest.param(formed(SCHEMA | {"additionalProperties": True}), "additionalProperties", id="schema that says so"),
        pytest.param(
            formed(SCHEMA | {"properties": {"a": {"anyOf": [{"type": "object"}]}}}),
            "additionalProperties",
            id="schema open deep within",
        ),
        pytest.param(formed({"type": "integer", "minimum": 1}), "'minimum' is not supported", id="minimum"),
        pytest.param(formed({"type": "array", "minItems": 2}), "'minItems' is not supported", id="minItems"),
        pytest.param(formed({"oneOf": [SCHEMA]}), "oneOf", id="oneOf"),
        pytest.param(formed(SCHEMA) | {"model": "claude-sonnet-4-20250514"}, "structured outputs", id="older"),
        pytest.param(GOOD | {"tools": [TOOL | {"name": "a.b"}]}, "name: String should match", id="tool's name"),
        pytest.param(GOOD | {"tools": [TOOL | {"name": "a" * 129}]}, "name: String should match", id="long name"),
        pytest.param(GOOD | {"tools": [{"input_schema": {"type": "object"}}]}, "name", id="tool without a name"),
        pytest.param(GOOD | {"tools": [TOOL | {"description": None}]}, "description", id="description null"),
        pytest.param(GOOD | {"tools": [TOOL | {"input_schema": {}}]}, "input_schema.type", id="schema without type"),
        pytest.param(GOOD | {"tools": [TOOL | {"parameters": {}}]}, "parameters: Extra", id="OpenAI's tool"),
        pytest.param(GOOD | {"tool_choice": {"type": "auto"}}, "while providing tools", id="auto without tools"),
        pytest.param(
            GOOD | {"tools": [TOOL], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}},
            "tool_choice.none.disable_parallel_tool_use",
            id="none in parallel",
        ),
        pytest.param(
            GOOD | {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}},
            "valid boolean",
            id="parallel a number",
        ),
        pytest.param(said(*[{"type": "text", "text": "x"} | CACHED] * 5), "maximum of 4", id="five breakpoints"),
        pytest.param(
            said({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}),
            "cache_control",
            id="a breakpoint of two hours",
        ),
    ],
)
def test_what_translations_might_get_wrong_is_refused(request_, words):
    with pytest.raises(FakeError) as found:
        message_request(request_)
    assert found.value.status == 400
    assert words in found.value.message


def test_counting_needs_no_max_tokens():
    message_request(without("max_tokens"), counting=True)
    with pytest.raises(FakeError, match="max_tokens: Extra inputs"):
        message_request(GOOD, counting=True)
    with pytest.raises(FakeError, match="at least one"):
        message_request(without("max_tokens") | {"messages": []}, counting=True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"a": 1', id="cut short"),
        pytest.param(b'{"a": 1, "a": 1}', id="a key twice"),
        pytest.param(b'{"a": {"b": 1, "b": 2}}', id="a key twice, deep"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":' + b"[" * 200_000, id="deep"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(FakeError) as found:
        load(body)
    assert found.value.status == 400
