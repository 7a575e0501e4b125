"""Names of tools that a vendor refuses: short ones upstream, the client's own in the answer, in both directions."""

import dataclasses
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages_on_chat.chunks import DONE, call, delta
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.testing.openai.chat_request import chat_request
from lastcall_sidecar.testing.validate import message_request
from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.messages_on_chat.tokens import tokenize_request
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.tool_names import ANTHROPIC, GEMINI, KIMI, OPENAI, of_chat, of_messages, renamed
from lastcall_sidecar.wire.translation import Asked, Options

#: As Claude Code names the tools of a plugin's server.
LONG = "mcp__plugin_atlassian_atlassian__getConfluencePageFooterCommentChildren"
OTHER = LONG[:-8] + "Siblings"
SCHEMA = {"type": "object", "properties": {}}
USER = {"role": "user", "content": "hi"}

RULES = {
    "gpt-5": OPENAI,
    "qwen3-32b": OPENAI,
    "gemini-2.5-pro": GEMINI,
    "kimi-k2.6": KIMI,
}


@pytest.mark.parametrize(("model", "rule"), RULES.items(), ids=RULES)
def test_a_chat_upstream_has_its_vendors_rule(model, rule):
    assert of_chat(model) is rule


def test_anthropic_takes_128_characters_of_its_own_models_tools():
    assert (of_messages("claude-sonnet-4-6"), of_messages("us.anthropic.claude-opus-4-6-v1:0")) == (ANTHROPIC, OPENAI)


TAKEN = {
    "OpenAI's": (
        OPENAI,
        {"get": True, "9-a_B": True, "a" * 64: True, "a" * 65: False, "a.b": False, "ä": False, "": False},
    ),
    "Gemini's": (GEMINI, {"get": True, "_a.b:c-d": True, "9a": False, "-a": False, "a" * 65: False}),
    "Kimi's": (KIMI, {"get": True, "9a": False, "a.b": False}),
    "Anthropic's": (ANTHROPIC, {"a" * 128: True, "a" * 129: False, "a.b": False, "a\n": False}),
}


@pytest.mark.parametrize(("rule", "names"), TAKEN.values(), ids=TAKEN)
def test_a_name_goes_up_as_it_is_or_as_one_that_is_taken(rule, names):
    found = renamed(names, rule)
    assert {name: name not in found for name in names} == names
    assert all(rule.takes(made) for made in found.values())


@given(st.sets(st.text(min_size=1, max_size=140)), st.sampled_from([OPENAI, GEMINI, KIMI, ANTHROPIC]))
def test_all_names_stay_apart(names, rule):
    found = renamed(names, rule)
    sent = [found.get(name, name) for name in names]
    assert len(set(sent)) == len(names)
    assert all(map(rule.takes, sent))


def test_a_name_that_looks_like_a_shortened_one_stays_its_own():
    (short,) = renamed([LONG], OPENAI).values()
    found = renamed([short, LONG], OPENAI)
    assert set(found) == {LONG}
    assert found[LONG] != short


def test_a_name_is_the_same_in_every_request():
    assert renamed([LONG], OPENAI)[LONG] == renamed([LONG, "a", OTHER], OPENAI)[LONG]
    assert renamed([LONG], OPENAI)[LONG].startswith(LONG[:50])


def messages_request(model="gpt-5", **fields):
    body = {
        "max_tokens": 9,
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": LONG, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]},
        ],
        "tools": [{"name": name, "input_schema": SCHEMA} for name in (LONG, OTHER, "get")],
        "tool_choice": {"type": "tool", "name": LONG},
        **fields,
    }
    made = MESSAGES_ON_CHAT.request(json.dumps(body).encode(), Options(model))
    return json.loads(made.body), made.asked


def test_a_chat_upstream_gets_the_same_short_name_everywhere():
    asked, mapping = messages_request()
    chat_request(asked)
    first, second, third = [tool["function"]["name"] for tool in asked["tools"]]
    assert first != second
    assert third == "get"
    assert asked["tool_choice"]["function"]["name"] == first
    assert asked["messages"][1]["tool_calls"][0]["function"]["name"] == first
    assert mapping.tool_names == {first: LONG, second: OTHER}


def test_the_tokenizer_counts_the_same_prompt():
    asked, _ = messages_request("qwen3-32b")
    body = {"messages": [USER], "tools": [{"name": LONG, "input_schema": SCHEMA}]}
    counted = json.loads(tokenize_request(json.dumps(body).encode(), "qwen3-32b"))
    assert counted["tools"][0]["function"]["name"] == asked["tools"][0]["function"]["name"]


def test_anthropics_client_gets_its_own_name_back():
    asked, mapping = messages_request()
    short = asked["tools"][0]["function"]["name"]
    calls = [call(0, "{}", id="c1", type="function", name=short), call(1, "{}", id="c2", type="function", name="get")]
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}
    whole = MESSAGES_ON_CHAT.answer(json.dumps({"id": "x", "choices": [choice]}).encode(), mapping)
    assert [block.name for block in client(whole).messages.create(**REQUEST).content] == [LONG, "get"]
    translator = MESSAGES_ON_CHAT.stream(mapping)
    stream = delta(role="assistant", tool_calls=calls) + delta("tool_calls") + DONE
    said = b"".join(map(translator.feed, Decoder().feed(stream)))
    with client(said, content_type="text/event-stream").messages.stream(**REQUEST) as events:
        assert [block.name for block in events.get_final_message().content] == [LONG, "get"]


DOTTED = "files.read/äöü"


def chat(**fields):
    body = {
        "messages": [
            USER,
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": DOTTED, "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c2", "name": DOTTED, "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c2", "content": "x"}]},
        ],
        "tools": [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in (DOTTED, "get")],
        "tool_choice": {"type": "function", "function": {"name": DOTTED}},
        **fields,
    }
    made = CHAT_ON_MESSAGES.request(json.dumps(body).encode(), Options("claude-sonnet-4-6"))
    return json.loads(made.body), made.asked


def test_anthropic_gets_the_same_name_that_it_takes_everywhere():
    asked, mapping = chat()
    message_request(asked)
    (made,) = mapping.tool_names
    assert mapping.tool_names == {made: DOTTED}
    assert [tool["name"] for tool in asked["tools"]] == [made, "get"]
    assert asked["tool_choice"]["name"] == made
    calls = [block["name"] for turn in asked["messages"] for block in turn["content"] if block["type"] == "tool_use"]
    assert calls == [made, made]


def test_openais_client_gets_its_own_name_back():
    _, mapping = chat()
    (made,) = mapping.tool_names
    block = {"type": "tool_use", "id": "t1", "name": made, "input": {}}
    whole = json.loads(
        CHAT_ON_MESSAGES.answer(json.dumps({"content": [block], "stop_reason": "tool_use"}).encode(), mapping)
    )
    assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == DOTTED
    translator = CHAT_ON_MESSAGES.stream(mapping)
    events = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    said = b"".join(map(translator.feed, Decoder().feed(stream))).decode()
    assert re.findall(r'"name":"([^"]*)"', said) == [DOTTED]


def test_what_is_told_of_a_request_is_plain_data():
    _, mapping = messages_request(stop_sequences=["END"])
    assert msgspec.convert(json.loads(json.dumps(dataclasses.asdict(mapping))), Asked) == mapping


@pytest.mark.parametrize("name", [{}, {"name": 7}], ids=["none", "a number"])
def test_a_call_in_anthropics_own_words_has_a_name(name):
    call_block = {"type": "tool_use", "id": "c2", "input": {}, **name}
    result = {"type": "tool_result", "tool_use_id": "c2", "content": "x"}
    with pytest.raises(BodyError, match="must have a name"):
        chat(
            messages=[
                USER,
                {"role": "assistant", "content": [call_block]},
                {"role": "user", "content": [result]},
            ]
        )
