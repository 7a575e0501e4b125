"""The fake refuses what api.openai.com refuses, and what vLLM does, and lets through what the SDK may send."""

import typing

import pytest
from openai.types import chat, embedding_create_params, responses
from openai.types.chat import chat_completion_content_part_param, completion_create_params
from tests.support.openai_sdk import FORCED_WEATHER, WEATHER_TOOL

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.catalog import EMBEDDING_FIELDS, embeddings, tokenized
from lastcall_sidecar.testing.openai.chat_messages import MESSAGE_FIELDS, PART_FIELDS
from lastcall_sidecar.testing.openai.chat_request import FIELDS, chat_request
from lastcall_sidecar.testing.openai.responses_request import FIELDS as RESPONSES_FIELDS
from lastcall_sidecar.testing.openai.responses_request import responses_request
from lastcall_sidecar.testing.openai.vllm_request import vllm_request, vllm_responses_request

USER = {"role": "user", "content": "Hi"}
GOOD = {"model": "gpt-4o", "messages": [USER]}
REASONING = {"model": "gpt-5", "messages": [USER]}
FUNCTION = {"name": "f", "arguments": "{}"}
CALL = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}]}
TWO_CALLS = {"role": "assistant", "tool_calls": [{"id": c, "type": "function", "function": FUNCTION} for c in "ab"]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOLS = {"tools": [WEATHER_TOOL]}


def result(call="c1", **more):
    return {"role": "tool", "tool_call_id": call, "content": "3", **more}


def chatted(*messages):
    return GOOD | {"messages": list(messages)}


def said(*parts):
    return chatted({"role": "user", "content": list(parts)})


def image(url, **more):
    return said({"type": "image_url", "image_url": {"url": url, **more}})


def called(**fields):
    """A call with other fields, and its result."""
    return chatted(USER, {"role": "assistant", "tool_calls": [CALL["tool_calls"][0] | fields]}, result())


def tool(**fields):
    return GOOD | {"tools": [{"type": "function", "function": {"name": "f", **fields}}]}


def formed(schema, **more):
    return GOOD | {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}}


def hints(shape):
    return set(typing.get_type_hints(shape))


@pytest.mark.parametrize(
    ("known", "shape"),
    [
        pytest.param(FIELDS, completion_create_params.CompletionCreateParamsStreaming, id="chat"),
        pytest.param(RESPONSES_FIELDS, responses.response_create_params.ResponseCreateParamsStreaming, id="responses"),
        pytest.param(EMBEDDING_FIELDS, embedding_create_params.EmbeddingCreateParams, id="embeddings"),
        *(
            pytest.param(
                MESSAGE_FIELDS[role],
                getattr(chat, f"ChatCompletion{role.capitalize()}MessageParam"),
                id=f"{role} message",
            )
            for role in ("system", "developer", "user", "tool", "function")
        ),
        pytest.param(PART_FIELDS["text"], chat.ChatCompletionContentPartTextParam, id="text"),
        pytest.param(PART_FIELDS["image_url"], chat.ChatCompletionContentPartImageParam, id="image_url"),
        pytest.param(PART_FIELDS["input_audio"], chat.ChatCompletionContentPartInputAudioParam, id="input_audio"),
        pytest.param(PART_FIELDS["file"], chat_completion_content_part_param.File, id="file"),
        pytest.param(PART_FIELDS["refusal"], chat.ChatCompletionContentPartRefusalParam, id="refusal"),
    ],
)
def test_the_known_fields_are_those_of_the_sdk(known, shape):
    assert known == hints(shape)


def test_an_assistants_message_may_be_sent_back_as_it_came():
    # `annotations` is no parameter of the SDK's, but part of each message that it returns.
    wanted = hints(chat.ChatCompletionAssistantMessageParam) | {"annotations"}
    assert MESSAGE_FIELDS["assistant"] == wanted


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GOOD, id="plain"),
        pytest.param(chatted({"role": "system", "content": "Be brief."}, USER), id="system"),
        pytest.param(chatted({"role": "developer", "content": [{"type": "text", "text": "x"}]}, USER), id="developer"),
        pytest.param(chatted(USER | {"name": "Al"}, USER), id="two users in a row, one with a name"),
        pytest.param(chatted(USER, {"role": "assistant", "content": "So"}), id="prefill"),
        pytest.param(chatted(USER, CALL, result()), id="tool result"),
        pytest.param(chatted(USER, TWO_CALLS, result("b"), result("a"), USER), id="two results in any order"),
        pytest.param(chatted(USER, CALL | {"content": None, "refusal": None}, result()), id="content null"),
        pytest.param(chatted(USER, {"role": "assistant", "refusal": "No.", "content": None}), id="refusal"),
        pytest.param(
            chatted(USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}), id="part"
        ),
        pytest.param(called(function=FUNCTION | {"arguments": "not JSON"}), id="arguments that are no JSON"),
        pytest.param(image("https://a/b.png", detail="low"), id="image"),
        pytest.param(image("data:image/png;base64,aGk="), id="image as data"),
        pytest.param(said({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}), id="audio"),
        pytest.param(
            said({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}}),
            id="PDF",
        ),
        pytest.param(said({"type": "file", "file": {"file_id": "file-1"}}), id="file"),
        pytest.param(GOOD | {"temperature": 2, "top_p": 0, "n": 128, "seed": -1, "stop": ["a"] * 4}, id="limits"),
        pytest.param(GOOD | {"temperature": None, "stop": None, "n": None, "metadata": None}, id="nulls"),
        pytest.param(GOOD | {"stream": True, "stream_options": {"include_usage": True}}, id="usage in a stream"),
        pytest.param(GOOD | {"metadata": {"a": "b"}, "store": True}, id="metadata"),
        pytest.param(GOOD | {"logprobs": True, "top_logprobs": 20}, id="logprobs"),
        pytest.param(GOOD | {"max_tokens": 100}, id="max_tokens"),
        pytest.param(REASONING | {"max_completion_tokens": 100, "reasoning_effort": "low"}, id="reasoning"),
        pytest.param(REASONING | {"temperature": 1, "top_p": 1, "presence_penalty": 0}, id="reasoning, neutral values"),
        pytest.param(REASONING | {"temperature": 0, "reasoning_effort": "none"}, id="not reasoning after all"),
        pytest.param({**GOOD, "model": "gpt-5-chat-latest", "temperature": 0, "max_tokens": 5}, id="a chat model"),
        pytest.param({**GOOD, "model": "fake-llm-1", "reasoning_effort": "high", "max_tokens": 5}, id="fake model"),
        pytest.param(GOOD | TOOLS | {"tool_choice": "auto", "parallel_tool_calls": False}, id="tools"),
        pytest.param(GOOD | TOOLS | {"tool_choice": FORCED_WEATHER}, id="a named tool"),
        pytest.param(
            GOOD | TOOLS | {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            id="allowed tools",
        ),
        pytest.param(GOOD | {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, id="custom tool"),
        pytest.param(tool(), id="tool without parameters"),
        pytest.param(tool(parameters=SCHEMA, strict=True), id="strict tool"),
        pytest.param(tool(parameters={"type": "object", "properties": {"a": {"type": "string"}}}), id="lax tool"),
        pytest.param(formed(SCHEMA, strict=True), id="strict schema"),
        pytest.param(formed({"type": "object"}), id="lax schema"),
        pytest.param(GOOD | {"response_format": {"type": "text"}}, id="text format"),
        pytest.param(
            GOOD | {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "As JSON"}]},
            id="json_object",
        ),
    ],
)
def test_a_good_chat_passes(request_):
    chat_request(request_)


@pytest.mark.parametrize(
    ("request_", "param", "code"),
    [
        pytest.param({"messages": [USER]}, "model", "missing_required_parameter", id="no model"),
        pytest.param(GOOD | {"model": 4}, "model", "invalid_type", id="model a number"),
        pytest.param({"model": "gpt-4o"}, "messages", "missing_required_parameter", id="no messages"),
        pytest.param(chatted(), "messages", "empty_array", id="no message"),
        pytest.param(GOOD | {"messages": "Hi"}, "messages", "invalid_type", id="messages a text"),
        pytest.param(chatted("Hi"), "messages[0]", "invalid_type", id="message a text"),
        pytest.param(GOOD | {"system": "x"}, "system", "unknown_parameter", id="Anthropic's system"),
        pytest.param(GOOD | {"thinking": None}, "thinking", "unknown_parameter", id="Anthropic's thinking"),
        pytest.param(chatted({"content": "x"}), "messages[0].role", "missing_required_parameter", id="no role"),
        pytest.param(chatted(USER | {"role": "model"}), "messages[0].role", "invalid_value", id="unknown role"),
        pytest.param(
            chatted(USER | {"cache_control": {}}), "messages[0].cache_control", "unknown_parameter", id="cache_control"
        ),
        pytest.param(
            chatted(USER, {"role": "assistant", "content": "x", "reasoning_details": []}),
            "messages[1].reasoning_details",
            "unknown_parameter",
            id="reasoning_details",
        ),
        pytest.param(chatted(USER | {"name": "A l"}), "messages[0].name", "invalid_value", id="a name with a space"),
        pytest.param(chatted({"role": "user"}), "messages[0].content", "missing_required_parameter", id="no content"),
        pytest.param(chatted(USER | {"content": None}), "messages[0].content", None, id="content null"),
        pytest.param(chatted(USER | {"content": 3}), "messages[0].content", "invalid_type", id="content a number"),
        pytest.param(chatted(USER | {"content": []}), "messages[0].content", "empty_array", id="content empty"),
        pytest.param(chatted(USER, {"role": "assistant"}), "messages[1].content", None, id="assistant says nothing"),
        pytest.param(said("x"), "messages[0].content[0]", "invalid_type", id="part a text"),
        pytest.param(said({"type": "image"}), "messages[0].content[0].type", "invalid_value", id="Anthropic's image"),
        pytest.param(
            said({"type": "text"}), "messages[0].content[0].text", "missing_required_parameter", id="text missing"
        ),
        pytest.param(
            said({"type": "text", "text": "x", "cache_control": {}}),
            "messages[0].content[0].cache_control",
            "unknown_parameter",
            id="cache_control of a part",
        ),
        pytest.param(image("data:image/bmp;base64,aGk="), None, "invalid_image_format", id="bitmap"),
        pytest.param(image("ftp://a"), None, None, id="image by FTP"),
        pytest.param(
            image("https://a", detail="much"), "messages[0].content[0].image_url.detail", "invalid_value", id="detail"
        ),
        pytest.param(
            said({"type": "input_audio", "input_audio": {"data": "x", "format": "ogg"}}),
            "messages[0].content[0].input_audio.format",
            "invalid_value",
            id="audio format",
        ),
        pytest.param(
            said({"type": "file", "file": {"file_data": "aGk=", "filename": "a.pdf"}}),
            "messages[0].content[0].file",
            "invalid_value",
            id="file that is no data URL",
        ),
        pytest.param(
            said({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}),
            "messages[0].content[0].file.filename",
            "missing_required_parameter",
            id="file without a name",
        ),
        pytest.param(
            chatted(USER, CALL, result(content=[{"type": "image_url", "image_url": {"url": "https://a"}}])),
            "messages[2]",
            "invalid_value",
            id="image in a result",
        ),
        pytest.param(chatted(USER, result()), "messages.[1].role", None, id="result without call"),
        pytest.param(chatted(USER, CALL), "messages.[2].role", None, id="call without result"),
        pytest.param(chatted(USER, CALL, USER), "messages.[2].role", None, id="call, then no result"),
        pytest.param(chatted(USER, TWO_CALLS, result("a"), USER), "messages.[3].role", None, id="one result missing"),
        pytest.param(chatted(USER, CALL, result("c2")), "messages.[2].tool_call_id", None, id="another's result"),
        pytest.param(chatted(USER, CALL, result(), result()), None, None, id="result twice"),
        pytest.param(chatted(USER, CALL, USER, result()), "messages.[2].role", None, id="result too late"),
        pytest.param(
            chatted(USER, CALL, {"role": "tool", "content": "3"}),
            "messages[2].tool_call_id",
            "missing_required_parameter",
            id="no tool_call_id",
        ),
        pytest.param(
            chatted(USER, CALL, result("c" * 41)), "messages[2].tool_call_id", "string_above_max_length", id="long id"
        ),
        pytest.param(
            chatted(USER, {"role": "assistant", "content": "x", "tool_calls": []}),
            "messages[1].tool_calls",
            "empty_array",
            id="no calls",
        ),
        pytest.param(
            chatted(USER, {"role": "assistant", "content": "x", "tool_calls": None}),
            "messages[1].tool_calls",
            "invalid_type",
            id="calls null",
        ),
        pytest.param(
            chatted(USER, {"role": "assistant", "tool_calls": ["c1"]}),
            "messages[1].tool_calls[0]",
            "invalid_type",
            id="call a text",
        ),
        pytest.param(called(type="tool_use"), "messages[1].tool_calls[0].type", "invalid_value", id="call's type"),
        pytest.param(called(index=0), "messages[1].tool_calls[0].index", "unknown_parameter", id="a call's index"),
        pytest.param(
            called(function={"name": "f", "arguments": {}}),
            "messages[1].tool_calls[0].function.arguments",
            "invalid_type",
            id="arguments an object",
        ),
        pytest.param(
            called(function=FUNCTION | {"name": "f.g"}),
            "messages[1].tool_calls[0].function.name",
            "invalid_value",
            id="a call's name",
        ),
        pytest.param(GOOD | {"temperature": 2.1}, "temperature", "decimal_above_max_value", id="temperature"),
        pytest.param(GOOD | {"temperature": True}, "temperature", "invalid_type", id="temperature a boolean"),
        pytest.param(GOOD | {"top_p": -0.1}, "top_p", "decimal_below_min_value", id="top_p"),
        pytest.param(GOOD | {"n": 0}, "n", "integer_below_min_value", id="n 0"),
        pytest.param(GOOD | {"n": 129}, "n", "integer_above_max_value", id="n 129"),
        pytest.param(GOOD | {"n": 1.5}, "n", "invalid_type", id="n a decimal"),
        pytest.param(GOOD | {"max_tokens": 0}, "max_tokens", "integer_below_min_value", id="max_tokens 0"),
        pytest.param(
            GOOD | {"max_tokens": 1, "max_completion_tokens": 1},
            None,
            "invalid_parameter_combination",
            id="both limits",
        ),
        pytest.param(GOOD | {"top_logprobs": 1}, "top_logprobs", None, id="top_logprobs alone"),
        pytest.param(GOOD | {"stop": ["a"] * 5}, "stop", "array_above_max_length", id="five stops"),
        pytest.param(GOOD | {"stop": [1]}, "stop[0]", "invalid_type", id="stop a number in a list"),
        pytest.param(GOOD | {"stop": 1}, "stop", "invalid_type", id="stop a number"),
        pytest.param(GOOD | {"stream": "yes"}, "stream", "invalid_type", id="stream a text"),
        pytest.param(
            GOOD | {"stream_options": {"include_usage": True}}, "stream_options", None, id="options without a stream"
        ),
        pytest.param(
            GOOD | {"stream": True, "stream_options": {"usage": True}},
            "stream_options.usage",
            "unknown_parameter",
            id="stream option",
        ),
        pytest.param(GOOD | {"service_tier": "standard_only"}, "service_tier", "invalid_value", id="service tier"),
        pytest.param(GOOD | {"reasoning_effort": "low"}, None, None, id="effort, not reasoning"),
        pytest.param(REASONING | {"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", id="effort"),
        pytest.param(REASONING | {"max_tokens": 5}, "max_tokens", "unsupported_parameter", id="reasoning, max_tokens"),
        pytest.param(
            {**GOOD, "model": "o3-mini", "max_tokens": 5}, "max_tokens", "unsupported_parameter", id="o3, max_tokens"
        ),
        pytest.param(REASONING | {"temperature": 0}, "temperature", "unsupported_value", id="reasoning, temperature"),
        pytest.param(REASONING | {"stop": "x"}, "stop", "unsupported_parameter", id="reasoning, stop"),
        pytest.param(REASONING | {"logprobs": True}, "logprobs", "unsupported_parameter", id="reasoning, logprobs"),
        pytest.param(GOOD | {"metadata": {"a": "b"}}, "metadata", None, id="metadata without store"),
        pytest.param(
            GOOD | {"metadata": {"a": 1}, "store": True}, "metadata.a", "invalid_type", id="metadata a number"
        ),
        pytest.param(GOOD | {"metadata": []}, "metadata", "invalid_type", id="metadata a list"),
        pytest.param(
            GOOD | {"metadata": {"a": "x" * 513}}, "metadata.a", "string_above_max_length", id="long metadata"
        ),
        pytest.param(GOOD | {"metadata": {str(n): "" for n in range(17)}}, "metadata", None, id="much metadata"),
        pytest.param(GOOD | {"user": None}, "user", "invalid_type", id="user null"),
        pytest.param(GOOD | {"tools": []}, "tools", "empty_array", id="no tools"),
        pytest.param(GOOD | {"tools": None}, "tools", "invalid_type", id="tools null"),
        pytest.param(GOOD | {"tools": [WEATHER_TOOL] * 129}, "tools", "array_above_max_length", id="129 tools"),
        pytest.param(GOOD | {"tools": ["f"]}, "tools[0]", "invalid_type", id="tool a text"),
        pytest.param(
            GOOD | {"tools": [{"name": "f", "input_schema": {}}]},
            "tools[0].type",
            "missing_required_parameter",
            id="Anthropic's",
        ),
        pytest.param(GOOD | {"tools": [{"type": "web"}]}, "tools[0].type", "invalid_value", id="tool's type"),
        pytest.param(
            tool(name="f" * 65), "tools[0].function.name", "string_above_max_length", id="tool's name too long"
        ),
        pytest.param(tool(name="f.g"), "tools[0].function.name", "invalid_value", id="tool's name"),
        pytest.param(tool(input_schema={}), "tools[0].function.input_schema", "unknown_parameter", id="tool's schema"),
        pytest.param(
            tool(parameters={}), "tools[0].function.parameters", "invalid_function_parameters", id="schema without type"
        ),
        pytest.param(
            tool(parameters={"type": "object", "properties": {"a": {"type": "array"}}}),
            "tools[0].function.parameters",
            "invalid_function_parameters",
            id="array without items",
        ),
        pytest.param(
            tool(parameters={"type": "object"}),
            "tools[0].function.parameters",
            "invalid_function_parameters",
            id="object without properties",
        ),
        pytest.param(
            formed(SCHEMA | {"properties": {"a": {"type": "string", "pattern": "\\p{L}"}}}),
            "response_format",
            None,
            id="pattern of JavaScript's",
        ),
        pytest.param(
            tool(parameters={"type": "object", "properties": {}}, strict=True),
            "tools[0].function.parameters",
            "invalid_function_parameters",
            id="strict, but open",
        ),
        pytest.param(GOOD | {"tool_choice": "auto"}, "tool_choice", None, id="choice without tools"),
        pytest.param(GOOD | {"parallel_tool_calls": True}, "parallel_tool_calls", None, id="parallel without tools"),
        pytest.param(GOOD | TOOLS | {"tool_choice": "any"}, "tool_choice", "invalid_value", id="Anthropic's choice"),
        pytest.param(GOOD | TOOLS | {"tool_choice": 1}, "tool_choice", "invalid_type", id="choice a number"),
        pytest.param(
            GOOD | TOOLS | {"tool_choice": {"type": "tool"}}, "tool_choice.type", "invalid_value", id="choice's type"
        ),
        pytest.param(
            GOOD | TOOLS | {"tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            None,
            id="choice absent",
        ),
        pytest.param(formed([]), "response_format.json_schema.schema", "invalid_type", id="schema a list"),
        pytest.param(formed({"type": "array"}), "response_format", None, id="schema of an array"),
        pytest.param(formed({"type": "object"}, strict=True), "response_format", None, id="strict schema, open"),
        pytest.param(
            formed(SCHEMA | {"required": []}, strict=True), "response_format", None, id="strict schema, optional field"
        ),
        pytest.param(
            formed(SCHEMA | {"properties": {"a": {"anyOf": [{"type": "object"}]}}}, strict=True),
            "response_format",
            None,
            id="strict schema, open deep within",
        ),
        pytest.param(
            formed(SCHEMA, name="a b"), "response_format.json_schema.name", "invalid_value", id="schema's name"
        ),
        pytest.param(
            GOOD | {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
            id="no schema",
        ),
        pytest.param(
            GOOD | {"response_format": {"type": "json_schema", "schema": SCHEMA}},
            "response_format.schema",
            "unknown_parameter",
            id="Anthropic's format",
        ),
        pytest.param(GOOD | {"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", id="format"),
        pytest.param(GOOD | {"response_format": {"type": "json_object"}}, "messages", None, id="JSON, unsaid"),
    ],
)
def test_a_bad_chat_is_refused(request_, param, code):
    with pytest.raises(FakeError) as found:
        chat_request(request_)
    assert (found.value.status, found.value.param, found.value.code) == (400, param, code)


@pytest.mark.parametrize(
    "check", [chat_request, responses_request, embeddings], ids=["chat", "responses", "embeddings"]
)
def test_an_unknown_model_is_a_404(check):
    with pytest.raises(FakeError, match=r"404 The model `claude-opus-4-6` does not exist"):
        check({"model": "claude-opus-4-6", "messages": [USER], "input": "Hi"})


def test_the_words_are_the_vendors():
    with pytest.raises(FakeError, match=r"array too long. Expected an array with maximum length 128, but got an array"):
        chat_request(GOOD | {"tools": [WEATHER_TOOL] * 129})
    with pytest.raises(FakeError, match="Use 'max_completion_tokens' instead"):
        chat_request(REASONING | {"max_tokens": 5})
    with pytest.raises(FakeError, match=r"'temperature' does not support 0.5 with this model. Only the default \(1\)"):
        chat_request(REASONING | {"temperature": 0.5})


VLLM = {"model": "fake-llm-1", "messages": [USER]}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(VLLM | {"cache_control": {}, "top_k": 5, "chat_template_kwargs": {}}, id="unknown fields"),
        pytest.param(VLLM | {"model": "Qwen/Qwen3-32B", "max_tokens": 5, "reasoning_effort": "low"}, id="options"),
        pytest.param(VLLM | {"messages": [USER | {"name": "A l", "x": 1}, result()]}, id="a message of any kind"),
        pytest.param(VLLM | {"messages": [USER, CALL | {"content": None}, USER]}, id="no result"),
        pytest.param(VLLM | {"tools": [], "tool_choice": "none"}, id="no tools"),
        pytest.param(VLLM | TOOLS | {"tool_choice": FORCED_WEATHER}, id="a named tool"),
        pytest.param(VLLM | {"max_tokens": 131072 - 40}, id="the whole context"),
    ],
)
def test_vllm_is_lenient(request_):
    vllm_request(request_)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        pytest.param(VLLM | {"model": "gpt-4o"}, 404, "does not exist", id="unknown model"),
        pytest.param({"messages": [USER]}, 400, "valid string", id="no model"),
        pytest.param(VLLM | {"messages": []}, 400, "at least 1 item", id="no messages"),
        pytest.param(VLLM | {"messages": [{"content": "x"}]}, 400, "role", id="no role"),
        pytest.param(VLLM | {"messages": [USER | {"content": 1}]}, 400, "content", id="content a number"),
        pytest.param(
            VLLM | {"messages": called(function={"name": "f", "arguments": "{"})["messages"]},
            400,
            "arguments",
            id="arguments cut short",
        ),
        pytest.param(
            VLLM | {"messages": called(function={"name": "f", "arguments": "[]"})["messages"]},
            400,
            "mapping",
            id="arguments a list",
        ),
        pytest.param(VLLM | {"temperature": -1}, 400, "temperature", id="temperature"),
        pytest.param(VLLM | {"max_tokens": 0}, 400, "max_tokens", id="max_tokens 0"),
        pytest.param(VLLM | {"max_completion_tokens": 131072}, 400, "131072 tokens", id="more than the context"),
        pytest.param(VLLM | {"stream_options": {"include_usage": True}}, 400, "stream=True", id="options, no stream"),
        pytest.param(VLLM | {"reasoning_effort": "xhigh"}, 400, "Input should be", id="effort"),
        pytest.param(VLLM | {"tool_choice": "auto"}, 400, "`tools` must be set", id="choice without tools"),
        pytest.param(VLLM | TOOLS | {"tool_choice": {"type": "any"}}, 400, "does not match", id="choice absent"),
    ],
)
def test_vllm_refuses(request_, status, words):
    with pytest.raises(FakeError) as found:
        vllm_request(request_)
    assert found.value.status == status
    assert words in found.value.message


ASKED = {"model": "gpt-4o", "input": "Hi"}
CALLED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
ANSWERED = {"type": "function_call_output", "call_id": "c1", "output": "3"}
FLAT = {"type": "function", "name": "f", "parameters": SCHEMA}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(ASKED, id="plain"),
        pytest.param(ASKED | {"input": [USER, {"role": "assistant", "content": "x"}, USER]}, id="messages"),
        pytest.param(
            ASKED | {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]}, id="parts"
        ),
        pytest.param(ASKED | {"input": [USER, CALLED, ANSWERED]}, id="a call and its result"),
        pytest.param(ASKED | {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}, USER]}, id="reasoning"),
        pytest.param(ASKED | {"input": [ANSWERED], "previous_response_id": "resp_fake1"}, id="going on"),
        pytest.param({"model": "gpt-4o", "conversation": "conv_1"}, id="no input"),
        pytest.param(ASKED | {"tools": [FLAT, {"type": "web_search"}], "tool_choice": "required"}, id="tools"),
        pytest.param(
            ASKED | {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
            id="form",
        ),
        pytest.param({"model": "gpt-5", "input": "Hi", "reasoning": {"effort": "low"}}, id="effort"),
    ],
)
def test_a_good_response_passes(request_):
    responses_request(request_)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        pytest.param({"model": "gpt-4o"}, "input", id="no input"),
        pytest.param(ASKED | {"input": 1}, "input", id="input a number"),
        pytest.param(ASKED | {"input": ["x"]}, "input[0]", id="item a text"),
        pytest.param(ASKED | {"messages": []}, "messages", id="messages"),
        pytest.param(ASKED | {"max_tokens": 5}, "max_tokens", id="max_tokens"),
        pytest.param(ASKED | {"max_output_tokens": 5}, "max_output_tokens", id="limit too small"),
        pytest.param(ASKED | {"input": [USER | {"role": "tool"}]}, "input[0].role", id="role"),
        pytest.param(ASKED | {"input": [{"role": "user"}]}, "input[0].content", id="no content"),
        pytest.param(ASKED | {"input": [USER | {"content": 1}]}, "input[0].content", id="content a number"),
        pytest.param(ASKED | {"input": [USER | {"content": ["x"]}]}, "input[0].content[0]", id="part a text"),
        pytest.param(
            ASKED | {"input": [USER | {"content": [{"type": "text", "text": "x"}]}]},
            "input[0].content[0].type",
            id="part of Chat Completions",
        ),
        pytest.param(ASKED | {"input": [CALLED]}, "input", id="call without result"),
        pytest.param(ASKED | {"input": [ANSWERED]}, "input", id="result without call"),
        pytest.param(ASKED | {"input": [CALLED, ANSWERED | {"output": None}]}, "input[1].output", id="no output"),
        pytest.param(ASKED | {"reasoning": {"effort": "low"}}, "reasoning.effort", id="effort, not reasoning"),
        pytest.param(ASKED | {"tools": [WEATHER_TOOL]}, "tools[0].name", id="tool of Chat Completions"),
        pytest.param(ASKED | {"tools": ["f"]}, "tools[0]", id="tool a text"),
        pytest.param(ASKED | {"tools": [FLAT | {"parameters": {"type": "object"}}]}, "tools[0].parameters", id="open"),
        pytest.param(ASKED | {"tool_choice": "required"}, "tool_choice", id="choice without tools"),
        pytest.param(ASKED | {"tool_choice": {"type": "function", "name": "g"}}, "tool_choice", id="choice absent"),
        pytest.param(ASKED | {"text": {"format": {"type": "xml"}}}, "text.format.type", id="format"),
        pytest.param(
            ASKED | {"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", id="no schema"
        ),
        pytest.param(ASKED | {"previous_response_id": "resp_1"}, "previous_response_id", id="unknown response"),
    ],
)
def test_a_bad_response_is_refused(request_, param):
    with pytest.raises(FakeError) as found:
        responses_request(request_)
    assert (found.value.status, found.value.param) == (400, param)


def test_vllm_is_lenient_with_responses_too():
    vllm_responses_request({"model": "fake-llm-1", "input": "Hi", "top_k": 5})
    with pytest.raises(FakeError, match="404"):
        vllm_responses_request(ASKED)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="no input"),
        pytest.param({"input": []}, id="input empty"),
        pytest.param({"input": [""]}, id="input blank"),
        pytest.param({"input": 1}, id="input a number"),
        pytest.param({"input": "x", "n": 1}, id="unknown field"),
        pytest.param({"input": "x", "encoding_format": "hex"}, id="encoding"),
        pytest.param({"input": "x", "dimensions": 0}, id="dimensions"),
    ],
)
def test_a_bad_request_for_embeddings_is_refused(fields):
    with pytest.raises(FakeError, match="400"):
        embeddings({"model": "text-embedding-3-small", **fields})


def test_tokens_are_those_that_the_usage_tells():
    found = tokenized(VLLM)
    assert found["count"] == len(found["tokens"]) == 12
    assert tokenized({"model": "fake-llm-1", "prompt": "x" * 40})["count"] == 10
    with pytest.raises(FakeError, match="prompt"):
        tokenized({"model": "fake-llm-1"})
