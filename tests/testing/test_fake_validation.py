"""The fake refuses what the real API refuses, and lets through what the SDK may send."""

import typing

import pytest
from anthropic.types import message_create_params

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.validate import FIELDS, load, message_request

USER = {"role": "user", "content": "Hi"}
GOOD = {"model": "claude-opus-4-6", "max_tokens": 2048, "messages": [USER]}
#: The newest that may be given the beginning of its answer, and the last without adaptive thinking.
OLDER = GOOD | {"model": "claude-sonnet-4-5"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "a", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}]}
TOOL = {"name": "a", "input_schema": {"type": "object"}}


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
    ],
)
def test_a_good_request_passes(request_):
    message_request(request_)


def test_every_field_of_the_sdk_is_known():
    headers = {"anthropic_user_profile_id", "workspace_id"}
    known = set(typing.get_type_hints(message_create_params.MessageCreateParamsStreaming)) - headers
    assert known <= FIELDS


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
