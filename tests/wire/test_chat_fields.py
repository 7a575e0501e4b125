"""Each field of a chat completion's request: translated, dropped or refused, as the table says."""

import typing
from hashlib import sha256

import msgspec
import pytest
from openai.types.chat import completion_create_params
from tests.wire.chats import MODEL, USER, body, refused, translated

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES, content
from lastcall_sidecar.wire.chat_on_messages.fields import FIELDS, PARTS
from lastcall_sidecar.wire.translation import Handling, Options

PLAIN = {
    "model": MODEL,
    "max_tokens": 8192,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
}
FUNCTION = {
    "name": "look",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"x": {"const": 1.0}}},
}
TOOL = {"type": "function", "function": FUNCTION}
TOLD_TOOL = {"name": "look", "description": "Look.", "input_schema": FUNCTION["parameters"]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "additionalProperties": False}


def test_the_table_names_every_field_of_the_sdk():
    streaming = typing.get_type_hints(completion_create_params.CompletionCreateParamsStreaming)
    assert set(FIELDS) == set(streaming)


TRANSLATED = {
    "model": ({}, {}),
    "messages": ({"messages": [USER]}, {}),
    "stream": ({"stream": True}, {"stream": True}),
    "stream false": ({"stream": False}, {}),
    "stream null": ({"stream": None}, {}),
    "stream_options": ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    "max_completion_tokens": ({"max_completion_tokens": 5, "max_tokens": 7}, {"max_tokens": 5}),
    "max_tokens": ({"max_tokens": 7}, {"max_tokens": 7}),
    "no limit": ({"max_completion_tokens": None, "max_tokens": None}, {"max_tokens": 8192}),
    "temperature": ({"temperature": 0.25}, {"temperature": 0.25}),
    "temperature 0": ({"temperature": 0}, {"temperature": 0}),
    "temperature, the default": ({"temperature": 1}, {}),
    "temperature above theirs": ({"temperature": 1.5}, {}),
    "temperature null": ({"temperature": None}, {}),
    "top_p": ({"top_p": 0.5}, {"top_p": 0.5}),
    "top_p, the default": ({"top_p": 1.0, "temperature": 0.5}, {"temperature": 0.5}),
    "top_p beside a temperature": ({"top_p": 0.5, "temperature": 0.5}, {"temperature": 0.5}),
    "top_p beside the default temperature": ({"top_p": 0.5, "temperature": 1}, {"top_p": 0.5}),
    "stop": ({"stop": "END"}, {"stop_sequences": ["END"]}),
    "stop, several": ({"stop": ["a", "b\n"]}, {"stop_sequences": ["a", "b\n"]}),
    "stop, none": ({"stop": []}, {}),
    "stop null": ({"stop": None}, {}),
    "reasoning_effort": (
        {"reasoning_effort": "low"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    ),
    "response_format": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "response_format beside an effort": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}, "reasoning_effort": "high"},
        {
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
    "response_format text": ({"response_format": {"type": "text"}}, {}),
    "tools": ({"tools": [TOOL]}, {"tools": [TOLD_TOOL]}),
    "tools, none": ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": False}, {}),
    "tools null": ({"tools": None, "tool_choice": "none"}, {}),
    "a tool without parameters": (
        {"tools": [{"type": "function", "function": {"name": "f", "description": None}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    ),
    "a tool whose schema has no type": (
        {"tools": [{"function": {"name": "f", "parameters": {"properties": {}}, "strict": False}}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]},
    ),
    "a strict tool": (
        {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
        {
            "tools": [
                {
                    **TOLD_TOOL,
                    "input_schema": {**FUNCTION["parameters"], "additionalProperties": False},
                    "strict": True,
                }
            ]
        },
    ),
    "a tool to be cached": (
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**TOLD_TOOL, "cache_control": {"type": "ephemeral"}}]},
    ),
    "a function to be cached": (
        {"tools": [{"type": "function", "function": {**FUNCTION, "cache_control": {"type": "ephemeral"}}}]},
        {"tools": [{**TOLD_TOOL, "cache_control": {"type": "ephemeral"}}]},
    ),
    "tool_choice auto": (
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "auto"}},
    ),
    "tools of Anthropic's own": ({"tools": [TOLD_TOOL]}, {"tools": [TOLD_TOOL]}),
    "tools of Anthropic's own, with a type": ({"tools": [{**TOLD_TOOL, "type": "custom"}]}, {"tools": [TOLD_TOOL]}),
    "tool_choice none": (
        {"tools": [TOOL], "tool_choice": "none"},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "none"}},
    ),
    "tool_choice": (
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "any"}},
    ),
    "tool_choice null": ({"tools": [TOOL], "tool_choice": None}, {"tools": [TOLD_TOOL]}),
    "tool_choice by name": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "tool", "name": "look"}},
    ),
    "parallel_tool_calls": (
        {"tools": [TOOL], "parallel_tool_calls": False},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "parallel_tool_calls beside a choice": (
        {"tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "required"},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    "parallel_tool_calls beside none": (
        {"tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "none"},
        {"tools": [TOLD_TOOL], "tool_choice": {"type": "none"}},
    ),
    "parallel_tool_calls true": ({"tools": [TOOL], "parallel_tool_calls": True}, {"tools": [TOLD_TOOL]}),
    "safety_identifier": ({"safety_identifier": "s", "user": "u"}, {"metadata": {"user_id": "s"}}),
    "user": ({"user": "u"}, {"metadata": {"user_id": "u"}}),
    "user of 256 characters": ({"user": "u" * 256}, {"metadata": {"user_id": "u" * 256}}),
    "a long user": ({"user": "u" * 257}, {"metadata": {"user_id": sha256(b"u" * 257).hexdigest()}}),
    "a user by address": ({"user": "a@b.example"}, {"metadata": {"user_id": sha256(b"a@b.example").hexdigest()}}),
}


@pytest.mark.parametrize(("given", "expected"), TRANSLATED.values(), ids=TRANSLATED.keys())
def test_a_field_is_translated(given, expected):
    assert translated(**given) == {**PLAIN, **expected}


def test_every_translated_field_is_among_these_cases():
    assert {name for name, rule in FIELDS.items() if rule.handling is Handling.TRANSLATE} <= set(TRANSLATED)


DROPPED = {
    "metadata": {"a": "b"},
    "store": True,
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "seed": 7,
    "service_tier": "flex",
    "verbosity": "low",
    "of_the_future": {"n": [1]},
}


@pytest.mark.parametrize(("name", "value"), DROPPED.items(), ids=DROPPED.keys())
def test_a_field_is_dropped(name, value):
    assert translated(**{name: value}) == PLAIN


def test_every_dropped_field_is_among_these_cases():
    assert {name for name, rule in FIELDS.items() if rule.handling is Handling.DROP} | {"of_the_future"} == set(DROPPED)


REFUSED = {
    "n": (2, [1, None]),
    "logprobs": (True, [False, None]),
    "top_logprobs": (3, [0, None]),
    "logit_bias": ({"50256": -100}, [{}, None]),
    "frequency_penalty": (0.5, [0, 0.0, None]),
    "presence_penalty": (-0.5, [0, 0.0, None]),
    "modalities": (["text", "audio"], [["text"], None]),
    "audio": ({"voice": "alloy", "format": "wav"}, [None]),
    "moderation": ({"model": "m"}, [None]),
    "web_search_options": ({}, [None]),
    "functions": ([FUNCTION], [[], None]),
    "function_call": ({"name": "look"}, ["auto", "none", None]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (value, _) in REFUSED.items()], ids=REFUSED.keys())
def test_a_field_is_refused_by_its_name(name, value):
    assert refused(**{name: value}).startswith(f"{name}: cannot be served, ")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, values) in REFUSED.items() for value in values], ids=str
)
def test_a_neutral_value_of_a_refused_field_means_nothing(name, value):
    assert translated(**{name: value}) == PLAIN


def test_the_table_of_parts_tells_what_the_code_does():
    served = {name for name, rule in PARTS.items() if rule.handling is Handling.TRANSLATE}
    assert served == set(content._PARTS) == content.SYSTEM | content.ASSISTANT | content.USER
    refused_parts = {name for name, rule in PARTS.items() if rule.handling is Handling.REFUSE}
    assert refused_parts == set(content._REFUSED)


def test_every_refused_field_is_among_these_cases():
    assert {name for name, rule in FIELDS.items() if rule.handling is Handling.REFUSE} == set(REFUSED)


@pytest.mark.parametrize(
    "value", [b"1e400", b'{"a":' * 5_000 + b"1" + b"}" * 5_000], ids=["a number without a float", "a bottomless one"]
)
def test_a_refused_field_is_refused_whatever_is_in_it(value):
    with pytest.raises(BodyError, match=r"^(n: cannot|the body is nested too deeply)"):
        CHAT_ON_MESSAGES.request(b'{"n":' + value + b"," + body()[1:], Options(MODEL))


BAD = {
    "no limit at all": ({"max_tokens": 0}, "max_tokens: expected `int` >= 1"),
    "a limit that is no number": (
        {"max_completion_tokens": "7"},
        "max_completion_tokens: expected `int | null`, got `str`",
    ),
    "a temperature that is too high": ({"temperature": 2.1}, "temperature: must be between 0 and 2"),
    "a temperature below 0": ({"temperature": -1}, "temperature: must be between 0 and 2"),
    "a temperature that is no number": ({"temperature": "hot"}, "temperature: expected `float`, got `str`"),
    "a top_p that is too high": ({"top_p": 1.1}, "top_p: must be between 0 and 1"),
    "many blank stops": ({"stop": [" \n"] * 65}, "stop: at most 64 for this model"),
    "a long blank stop": ({"stop": " " * 257}, "stop: at most 256 characters each for this model"),
    "stops that are no strings": ({"stop": [1]}, "stop.0: expected `str`, got `int`"),
    "an effort that does not exist": (
        {"reasoning_effort": "secret"},
        "reasoning_effort: must be one of none, minimal, low, medium, high, xhigh, max",
    ),
    "json_object": (
        {"response_format": {"type": "json_object"}},
        "response_format.type: the Messages API has no json_object; use json_schema",
    ),
    "a format that does not exist": (
        {"response_format": {"type": "secret"}},
        "response_format.type: must be text or json_schema",
    ),
    "a format without its schema": (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema.schema: required",
    ),
    "a format whose schema is null": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": None}}},
        "response_format.json_schema.schema: required",
    ),
    "a format without a type": ({"response_format": {}}, "response_format: object missing required field `type`"),
    "a custom tool": ({"tools": [TOOL, {"type": "custom", "custom": {}}]}, "tools.1.type: must be a function's"),
    "a tool without its function": ({"tools": [{"type": "function"}]}, "tools.0.type: must be a function's"),
    "a tool without a name": (
        {"tools": [{"type": "function", "function": {}}]},
        "tools.0.function: object missing required field `name`",
    ),
    "parameters that are no schema": (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        "tools.0.function.parameters: expected `object`, got `array`",
    ),
    "a choice that does not exist": (
        {"tools": [TOOL], "tool_choice": "secret"},
        "tool_choice: must be none, auto, required, or name a function",
    ),
    "a choice among several": (
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        "tool_choice: must be none, auto, required, or name a function",
    ),
    "a choice without its function": (
        {"tools": [TOOL], "tool_choice": {"type": "function"}},
        "tool_choice: must be none, auto, required, or name a function",
    ),
    "a choice without tools": ({"tool_choice": "required"}, "tool_choice: there are no tools"),
    "a named tool without tools": (
        {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        "tool_choice: there are no tools",
    ),
    "a user that is no string": ({"user": 7}, "user: expected `str | null`, got `int`"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_refused_with_its_place(given, message):
    assert refused(**given) == message


def test_no_limit_is_the_configured_one():
    assert translated(options=Options(MODEL, default_max_tokens=99))["max_tokens"] == 99


def test_the_model_is_the_upstreams():
    assert translated(options=Options("claude-opus-4-6"))["model"] == "claude-opus-4-6"


@pytest.mark.parametrize(
    ("fields", "stream", "include_usage"),
    [
        ({}, False, False),
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}}, True, True),
    ],
    ids=["whole", "a stream", "a stream with options", "a stream with its usage"],
)
def test_what_its_answer_must_know_is_noted(fields, stream, include_usage):
    asked = CHAT_ON_MESSAGES.request(body(**fields), Options(MODEL)).asked
    assert (asked.model, asked.stream, asked.include_usage) == (MODEL, stream, include_usage)


def test_a_stream_is_asked_for_on_demand():
    made = CHAT_ON_MESSAGES.request(body(), Options(MODEL, force_stream=True))
    assert msgspec.json.decode(made.body)["stream"] is True
    assert not made.asked.stream


def test_numbers_keep_their_digits():
    number = b"[1.0,1e400,12345678901234567890123,0.10,-0.0]"
    raw = (
        b'{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":'
        b'"function","function":{"name":"f","arguments":"{\\"x\\":'
        + number
        + b'}"}}]},{"role":"tool","tool_call_id":"a",'
        b'"content":"y"}],"temperature":0.50,"tools":[{"type":"function","function":{"name":"f","parameters":{"default":'
        + number
        + b'}}}],"response_format":{"type":"json_schema","json_schema":{"schema":{"enum":'
        + number
        + b"}}}}"
    )
    made = CHAT_ON_MESSAGES.request(raw, Options(MODEL)).body
    assert b'"input":{"x":' + number + b"}" in made
    assert b'"input_schema":{"type":"object","default":' + number + b"}" in made
    assert b'"schema":{"enum":' + number + b"}" in made
    assert b'"temperature":0.50' in made
