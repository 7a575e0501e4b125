"""The fields of a request: translated, left out or refused, each as its table says."""

import contextlib
import hashlib
import json

import pydantic
import pytest
from anthropic import transform_schema
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as BetaParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming as Params
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.messages_on_chat.judges import MODEL, request

from lastcall_sidecar.testing.openai import checks
from lastcall_sidecar.wire.body import BodyError, scan
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.messages_on_chat.fields import FIELDS
from lastcall_sidecar.wire.translation import Asked, Handling, Options

PLAIN = request()
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "schema": SCHEMA}
TOOL = {"name": "f", "description": "Does it.", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": SCHEMA}}


def new(found):
    """What a request has beside the plainest one."""
    return {name: value for name, value in found.items() if PLAIN.get(name) != value}


def translated(model=MODEL, **fields):
    return new(request(model, **fields))


def refused(model=MODEL, **fields):
    with pytest.raises(BodyError) as raised:
        request(model, **fields)
    return str(raised.value)


def test_the_plainest_request():
    assert PLAIN == {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


def test_the_table_has_every_field_of_the_api():
    assert {*Params.__annotations__, *BetaParams.__annotations__, "temperature", "top_p", "top_k"} - set(
        FIELDS
    ) == set()


TRANSLATED = {
    "max_tokens": ({"max_tokens": 5}, {"max_tokens": 5}),
    "temperature": ({"temperature": 0.5}, {"temperature": 0.5}),
    "top_p": ({"top_p": 0.5}, {"top_p": 0.5}),
    "top_k": ({"top_k": 5}, {"top_k": 5}),
    "stop_sequences": ({"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}),
    "no stop_sequences": ({"stop_sequences": []}, {}),
    "stream": ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    "no stream": ({"stream": False}, {}),
    "metadata": ({"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
    "a user of 64 characters": ({"metadata": {"user_id": "u" * 64}}, {"user": "u" * 64}),
    "a long user": ({"metadata": {"user_id": "ü" * 65}}, {"user": hashlib.sha256(("ü" * 65).encode()).hexdigest()}),
    "an empty user": ({"metadata": {"user_id": ""}}, {}),
    "no user": ({"metadata": {}}, {}),
    "tools": ({"tools": [TOOL]}, {"tools": [FUNCTION]}),
    "no tools": ({"tools": []}, {}),
    "output_config": ({"output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
    "output_config.format": (
        {"output_config": {"format": FORMAT}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    "output_format": (
        {"output_format": FORMAT},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    "both formats": (
        {"output_config": {"format": FORMAT}, "output_format": {"type": "json_schema", "schema": {}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
            }
        },
    ),
}


@pytest.mark.parametrize(("fields", "expected"), TRANSLATED.values(), ids=TRANSLATED)
def test_a_field_is_translated(fields, expected):
    assert translated(**fields) == expected


@pytest.mark.parametrize("name", set(FIELDS) - {"model", "messages"})
def test_null_is_as_if_it_were_not_there(name):
    assert translated(**{name: None}) == {}


DROPPED = {
    "betas": ["fine-grained-tool-streaming-2025-05-14"],
    "billing_policy": {"type": "x"},
    "cache_control": {"type": "ephemeral"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "diagnostics": {"previous_message_id": "msg_1"},
    "fallback_credit_token": "x",
    "fallbacks": "default",
    "inference_geo": "eu",
    "service_tier": "auto",
    "speed": "fast",
    "user_profile_id": "x",
    "workspace_id": "x",
}


def test_the_table_drops_what_is_tried_here():
    assert {name for name, rule in FIELDS.items() if rule.handling is Handling.DROP} == set(DROPPED)


@pytest.mark.parametrize(
    ("name", "value"), [*DROPPED.items(), ("of_the_future", {"a": [1]})], ids=[*DROPPED, "unknown"]
)
def test_a_hint_is_left_out(name, value):
    assert translated(**{name: value}) == {}


REFUSED = {
    "compaction": ({"type": "summarize"}, []),
    "container": ({"skills": [{"type": "anthropic", "skill_id": "pdf"}]}, [{}]),
    "mcp_servers": ([{"type": "url", "name": "x", "url": "https://example.com"}], [[]]),
    "thread": ({"type": "create"}, []),
}


def test_the_table_refuses_what_is_tried_here():
    assert {name for name, rule in FIELDS.items() if rule.handling is Handling.REFUSE} == set(REFUSED)


@pytest.mark.parametrize(("name", "value", "neutral"), [(k, *v) for k, v in REFUSED.items()], ids=REFUSED)
def test_what_would_change_the_answer_is_refused_by_name(name, value, neutral):
    assert refused(**{name: value}).startswith(f"{name}: ")
    for nothing in neutral:
        assert translated(**{name: nothing}) == {}


EFFORTS = {
    "low": ({}, "low", "low"),
    "medium": ({}, "medium", "medium"),
    "high": ({}, "high", "high"),
    "xhigh": ({}, "xhigh", "high"),
    "max": ({}, "max", "high"),
    "unknown": ({}, "utmost", None),
    "adaptive": ({"type": "adaptive"}, None, None),
    "adaptive and low": ({"type": "adaptive", "display": "omitted"}, "low", "low"),
    "between tools": ({"type": "between_tools"}, None, None),
    "of the future": ({"type": "of_the_future", "budget_tokens": 9}, None, None),
    "disabled": ({"type": "disabled"}, None, None),
    "disabled and high": ({"type": "disabled"}, "high", None),
    "the least budget": ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
    "4096": ({"type": "enabled", "budget_tokens": 4096}, None, "low"),
    "4097": ({"type": "enabled", "budget_tokens": 4097}, None, "medium"),
    "16384": ({"type": "enabled", "budget_tokens": 16384}, None, "medium"),
    "16385": ({"type": "enabled", "budget_tokens": 16385}, None, "high"),
    "a budget and an effort": ({"type": "enabled", "budget_tokens": 1024}, "max", "high"),
    "no budget": ({"type": "enabled"}, None, None),
}


@pytest.mark.parametrize(("thinking", "effort", "expected"), EFFORTS.values(), ids=EFFORTS)
def test_how_much_is_thought(thinking, effort, expected):
    fields = {"thinking": thinking or None, "output_config": {"effort": effort}}
    assert translated(**fields) == ({"reasoning_effort": expected} if expected else {})


ALL = {
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "output_config": {"effort": "low"},
}
LOCAL = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.5, "top_k": 5, "reasoning_effort": "low"}
CHAT = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.5}
REASONING = {"max_completion_tokens": 5, "reasoning_effort": "low"}
MODELS = {
    "qwen3-32b": LOCAL,
    "meta-llama/Llama-3.3-70B-Instruct": LOCAL,
    "openai/gpt-oss-120b": LOCAL,
    "olmo-2": LOCAL,
    "o": LOCAL,
    "gpt-4o-mini": CHAT,
    "gpt-4.1": CHAT,
    "gpt-3.5-turbo": CHAT,
    "gpt-35-turbo": CHAT,
    "openai/gpt-4o": CHAT,
    "ft:gpt-4o-mini-2024-07-18:acme::abc": CHAT,
    "chatgpt-4o-latest": CHAT,
    "o1": REASONING,
    "o3-mini": REASONING,
    "o4-mini-2025-04-16": REASONING,
    "gpt-5": REASONING,
    "gpt-5.1-codex": REASONING,
    "gpt-10": REASONING,
    "o1-mini": {"max_completion_tokens": 5},
    "o1-preview": {"max_completion_tokens": 5},
    "gpt-5-chat-latest": {"max_completion_tokens": 5, "temperature": 0.5, "top_p": 0.5},
}


@pytest.mark.parametrize(("model", "expected"), MODELS.items(), ids=MODELS)
def test_a_model_is_sent_what_it_takes(model, expected):
    assert request(model, **ALL) == {**PLAIN, "model": model, **expected}


CHOICES = {
    "auto": ({"type": "auto"}, {"tool_choice": "auto"}),
    "any": ({"type": "any"}, {"tool_choice": "required"}),
    "none": ({"type": "none"}, {"tool_choice": "none"}),
    "a tool": ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    "one at a time": (
        {"type": "auto", "disable_parallel_tool_use": True},
        {"tool_choice": "auto", "parallel_tool_calls": False},
    ),
    "several": ({"type": "auto", "disable_parallel_tool_use": False}, {"tool_choice": "auto"}),
}


@pytest.mark.parametrize(("choice", "expected"), CHOICES.values(), ids=CHOICES)
def test_a_choice_of_tools(choice, expected):
    assert translated(tools=[TOOL], tool_choice=choice) == {"tools": [FUNCTION], **expected}


@pytest.mark.parametrize("kind", ["auto", "none"])
def test_without_tools_a_choice_that_asks_for_none_means_nothing(kind):
    assert translated(tool_choice={"type": kind, "disable_parallel_tool_use": True}) == {}


TOOLS = {
    "custom": ({"type": "custom"}, {}),
    "no type": ({"type": None}, {}),
    "strict": ({"strict": True}, {"strict": True}),
    "not strict": ({"strict": False}, {"strict": False}),
    "hints": (
        {
            "cache_control": {"type": "ephemeral"},
            "defer_loading": True,
            "eager_input_streaming": True,
            "input_examples": [{"n": 1}],
            "allowed_callers": ["direct"],
            "strict": None,
        },
        {},
    ),
}


@pytest.mark.parametrize(("more", "expected"), TOOLS.values(), ids=TOOLS)
def test_a_tool_is_a_function(more, expected):
    function = {"type": "function", "function": FUNCTION["function"] | expected}
    assert translated(tools=[TOOL | more]) == {"tools": [function]}


ONE = {"n": {"type": "number"}}
CLOSED = {"additionalProperties": False}
STRICT = {
    "nothing in it": ({"type": "object", "properties": {}, **CLOSED}, True),
    "all wanted": (SCHEMA, True),
    "one not wanted": ({**SCHEMA, "required": []}, False),
    "none wanted": ({"type": "object", "properties": ONE, **CLOSED}, False),
    "open": ({"type": "object", "properties": ONE, "required": ["n"]}, False),
    "an open one within": ({**SCHEMA, "$defs": {"a": {"anyOf": [{"type": "object"}]}}}, False),
    "a closed one within": ({**SCHEMA, "$defs": {"a": {"anyOf": [SCHEMA, {"type": "null"}]}}}, True),
    "no type": ({"properties": ONE, "required": ["n"]}, False),
    "odd properties": ({"type": "object", "properties": 7, **CLOSED}, False),
    "odd names": ({**SCHEMA, "required": [["n"], "n"]}, True),
    "an odd list of names": ({**SCHEMA, "required": 7}, False),
    "a number beyond all": ({**SCHEMA, "maximum": float("inf")}, False),
}


@pytest.mark.parametrize(("schema", "strict"), STRICT.values(), ids=STRICT)
def test_openai_is_held_to_a_schema_of_which_it_takes_that(schema, strict):
    sent = json.dumps(
        {
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "f", "strict": True, "input_schema": schema}],
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
        }
    ).replace("Infinity", "1e999")
    asked = json.loads(MESSAGES_ON_CHAT.request(sent.encode(), Options("gpt-4.1")).body)
    described = [asked["tools"][0]["function"], asked["response_format"]["json_schema"]]
    assert [found["strict"] for found in described] == [strict, strict]
    if strict:
        checks.function_schema("tools.0", "f", schema, strict=True)


def test_what_the_sdk_makes_of_an_optional_field_is_taken():
    class Contact(pydantic.BaseModel):
        name: str
        email: str | None = None

    asked = request("gpt-4.1", output_config={"format": {"type": "json_schema", "schema": transform_schema(Contact)}})
    described = asked["response_format"]["json_schema"]
    checks.answer_schema("response_format", described["name"], described["schema"], strict=described["strict"])


#: As Claude Code has it for the name of a file.
JAVASCRIPTS = {"type": "string", "pattern": "^[^\\p{Cc}]{1,200}$", "maxLength": 200}
PORTABLE = {
    "JavaScript's": (JAVASCRIPTS, {"type": "string", "maxLength": 200}),
    "in a list": ({"anyOf": [JAVASCRIPTS]}, {"anyOf": [{"type": "string", "maxLength": 200}]}),
    "another": ({"type": "string", "pattern": "^\\d+$"}, {"type": "string", "pattern": "^\\d+$"}),
    "a description": ({"description": "no \\p{Cc}", "pattern": "a"}, {"description": "no \\p{Cc}", "pattern": "a"}),
    "a property of that name": (
        {"properties": {"pattern": {"description": "\\p{L}"}}},
        {"properties": {"pattern": {"description": "\\p{L}"}}},
    ),
}


@pytest.mark.parametrize(("part", "expected"), PORTABLE.values(), ids=PORTABLE)
def test_a_pattern_that_only_javascript_reads_is_left_out(part, expected):
    schema, portable = ({"type": "object", "properties": {"n": it}} for it in (part, expected))
    asked = request(
        tools=[{"name": "f", "input_schema": schema}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert asked["tools"][0]["function"]["parameters"] == portable
    assert asked["response_format"]["json_schema"]["schema"] == portable
    checks.function_schema("tools.0", "f", portable, strict=False)


@pytest.mark.parametrize("depth", range(900, 1000))
def test_a_schema_that_is_nearly_too_deep_is_served_or_refused(depth):
    deep = b'{"pattern":"\\\\p{L}","a":' + b"[" * depth + b"]" * depth + b"}"
    body = b'{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":%s}]}' % deep
    with contextlib.suppress(BodyError):
        MESSAGES_ON_CHAT.request(body, Options("gpt-4.1"))


def test_the_schema_of_a_tool_without_arguments_has_properties():
    [tool] = translated(tools=[{"name": "f", "input_schema": {"type": "object"}}])["tools"]
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_tool_may_go_without_description():
    [tool] = translated(tools=[{"name": "f", "input_schema": SCHEMA}])["tools"]
    assert tool["function"] == {"name": "f", "parameters": SCHEMA}


@pytest.mark.parametrize("kind", ["tool_search_tool_regex_20251119", "tool_search_tool_bm25_20251119"])
def test_a_search_for_tools_is_needless_as_all_are_there(kind):
    search = {"type": kind, "name": "search"}
    assert translated(tools=[search, TOOL | {"defer_loading": True}]) == {"tools": [FUNCTION]}
    assert translated(tools=[search]) == {}


BAD = {
    "a server tool": ({"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}, "tools.1.type: "),
    "a client tool of the vendor's": ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type: "),
    "no schema": ({"tools": [{"name": "f"}]}, "tools.0: object missing required field `input_schema`"),
    "a schema that is no object": (
        {"tools": [{"name": "f", "input_schema": 7}]},
        "tools.0.input_schema: expected `object`",
    ),
    "no list of tools": ({"tools": 7}, "tools: expected"),
    "a call without tools": ({"tool_choice": {"type": "any"}}, "tool_choice: there are no tools"),
    "a named call without tools": ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice: there are no tools"),
    "an unknown choice": (
        {"tools": [TOOL], "tool_choice": {"type": "some"}},
        "tool_choice.type: must be one of auto, ",
    ),
    "a choice without name": ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name: required"),
    "an unknown format": (
        {"output_config": {"format": {"type": "xml"}}},
        "output_config.format.type: must be json_schema",
    ),
    "a format without schema": ({"output_format": {"type": "json_schema"}}, "output_format.schema: required"),
    "an odd system": ({"system": 7}, "system: expected `str | array"),
    "an odd user": ({"metadata": {"user_id": 7}}, "metadata.user_id: expected `str"),
    "an odd stop": ({"stop_sequences": ["a", 7]}, "stop_sequences.1: expected `str`"),
    "an odd message": ({"messages": [{"role": "user", "content": "a"}, 7]}, "messages.1: expected `object`"),
    "no messages": ({"messages": None}, "messages: expected `array`"),
}


@pytest.mark.parametrize(("fields", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_served_is_told_with_its_place(fields, message):
    assert refused(**fields).startswith(message)


@pytest.mark.parametrize(
    "body", [b"7", b"[" * 5000, b'{"messages":["\xff"]', b'{"messages'], ids=["7", "deep", "bad", "cut"]
)
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(BodyError, match=r"^the body: "):
        MESSAGES_ON_CHAT.request(body, Options(model=MODEL))


NUMBERS = b'{"a":1.10,"b":-0.0,"c":12345678901234567890123,"d":1E400,"e":[1.0000000000000000001]}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","input_schema":%s}]}',
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"output_format":{"type":"json_schema","schema":%s}}',
    ],
    ids=["a tool's schema", "the output's schema"],
)
@pytest.mark.parametrize("pattern", [b"^a$", rb"\\p{Lu}"], ids=["portable", "left out"])
def test_every_digit_of_a_schema_stays(body, pattern):
    schema = b'{"properties":{"n":%s},"pattern":"%s"}' % (NUMBERS, pattern)
    assert NUMBERS in MESSAGES_ON_CHAT.request(body % schema, Options(model=MODEL)).body


HELLO = b'[{"role":"user","content":"Hello"}]'


def test_every_digit_of_a_sampling_parameter_stays():
    body = b'{"messages":%s,"max_tokens":10,"temperature":0.70,"top_p":1.0,"top_k":40}' % HELLO
    found = MESSAGES_ON_CHAT.request(body, Options(model=MODEL)).body
    assert found.endswith(b'"max_tokens":10,"temperature":0.70,"top_p":1.0,"top_k":40}')


def test_every_digit_of_a_calls_input_stays():
    message = b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input": %s }]}' % NUMBERS
    found = json.loads(MESSAGES_ON_CHAT.request(b'{"messages":[%s]}' % message, Options(model=MODEL)).body)
    assert found["messages"][0]["tool_calls"][0]["function"]["arguments"].encode() == NUMBERS


def test_what_the_answer_must_know_of_the_request():
    body = b'{"model":"claude-x","messages":%s,"stream":true}' % HELLO
    assert MESSAGES_ON_CHAT.request(body, Options(model=MODEL)).asked == Asked(model="claude-x", stream=True)
    assert MESSAGES_ON_CHAT.request(b'{"messages":%s}' % HELLO, Options(model=MODEL)).asked == Asked(
        model=MODEL, stream=False
    )


def test_a_stream_can_be_asked_for_although_the_client_did_not():
    found = MESSAGES_ON_CHAT.request(b'{"model":"m","messages":%s}' % HELLO, Options(model=MODEL, force_stream=True))
    assert found.asked.stream is False
    assert json.loads(found.body)["stream"] is True
    assert json.loads(found.body)["stream_options"] == {"include_usage": True}


#: What Claude Code sends, shortened.
CLAUDE_CODE = {
    "max_tokens": 32000,
    "stream": True,
    "temperature": 1,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.100.7b4; cc_entrypoint=cli; cch=eb6c6;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": "user_" + "a" * 64 + "_account__session_b"},
    "tools": [TOOL | {"eager_input_streaming": True}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>x</system-reminder>"},
                {"type": "text", "text": "hi"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}, "caller": {"type": "direct"}},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {"n": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "two", "is_error": True},
                {"type": "text", "text": "\n", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {"role": "system", "content": "<total_tokens>5 tokens left</total_tokens>"},
    ],
}


def test_what_claude_code_sends_is_served():
    def call(number):
        function = {"name": "f", "arguments": f'{{"n": {number}}}'}
        return {"id": f"toolu_{number}", "type": "function", "function": function}

    scan(json.dumps(CLAUDE_CODE).encode())
    assert request(**CLAUDE_CODE) == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are Claude Code.\n\nBe brief."},
            {"role": "user", "content": "<system-reminder>x</system-reminder>\n\nhi"},
            {"role": "assistant", "content": "I look.", "tool_calls": [call(1), call(2)]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "one"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: two"},
            {
                "role": "user",
                "content": "<system-reminder>\n<total_tokens>5 tokens left</total_tokens>\n</system-reminder>",
            },
        ],
        "tools": [FUNCTION],
        "max_tokens": 32000,
        "temperature": 1,
        "user": hashlib.sha256(CLAUDE_CODE["metadata"]["user_id"].encode()).hexdigest(),
        "reasoning_effort": "medium",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "content", "role"]), inner)
    ),
    max_leaves=8,
)
ANY_FIELDS = st.dictionaries(st.sampled_from([*FIELDS, "other"]), JSON, max_size=5)


@settings(deadline=None)
@given(ANY_FIELDS, st.lists(JSON, max_size=3))
def test_any_request_is_translated_or_refused(fields, messages):
    body = json.dumps({"messages": messages, **fields}).encode()
    try:
        found = MESSAGES_ON_CHAT.request(body, Options(model=MODEL)).body
    except BodyError:
        return
    assert json.loads(found)["model"] == MODEL
