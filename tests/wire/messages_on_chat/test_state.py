"""State that an upstream wants back: it travels through Anthropic's clients, and returns where it came from."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages_on_chat.chunks import DONE, call, delta
from tests.wire.messages_on_chat.judges import (
    ASKED,
    STREAM,
    accumulated,
    assistant,
    text,
    thought,
    translated,
    turns,
    user,
)

from lastcall_sidecar.wire import carried
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT, tokens
from lastcall_sidecar.wire.messages_on_chat.vendors import VENDORS, vendor_of
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.translation import TranslationError

UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
GET = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}
CHAT_GET = {"id": "toolu_1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}
SIGNED_BY_ANTHROPIC = {"type": "thinking", "thinking": "secret", "signature": "EqQBCkYIBxgCKkBZ"}


def second_turn(*said, model="deepseek-v4-pro"):
    """What the upstream is told of an assistant's turn with the call `toolu_1` in it, and of its result."""
    return turns(user(text("q")), assistant(*said), user(RESULT), model=model)[1:]


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "kimi-k2.6", "Qwen/Qwen3-32B", "moonshotai/kimi-k2-thinking"])
def test_thinking_that_nobody_signed_goes_back_with_the_turn_that_it_came_with(model):
    # musistudio/claude-code-router#1378, QuantumNous/new-api#3121
    assert second_turn(UNSIGNED, GET, model=model) == [
        {"role": "assistant", "content": None, "tool_calls": [CHAT_GET], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "1"},
    ]


@pytest.mark.parametrize("signature", [None, ""], ids=["null", "empty"])
def test_so_does_thinking_whose_signature_is_not_told(signature):
    said = second_turn({**UNSIGNED, "signature": signature}, GET)[0]
    assert said["reasoning_content"] == "hm"


def test_and_thinking_of_another_version_of_ours():
    assert second_turn({**UNSIGNED, "signature": "lastcall.v2.e30"}, GET)[0]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    "signature", ["lastcall.v1.!", "lastcall.v1.AAAA", "lastcall.v1.e30x", "lastcall.v1.eyJmaWVsZCI6MX0"]
)
def test_a_signature_of_ours_that_was_changed_carries_nothing_but_the_text_goes_back(signature):
    assert second_turn({**UNSIGNED, "signature": signature}, GET)[0]["reasoning_content"] == "hm"


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "gpt-5.4", "gemini-3-pro", "qwen3"])
def test_what_anthropic_signed_goes_to_nobody_else(model):
    said = second_turn(SIGNED_BY_ANTHROPIC, {"type": "redacted_thinking", "data": "x"}, GET, model=model)
    assert "secret" not in json.dumps(said)


@pytest.mark.parametrize("model", ["gpt-5.4", "openai/o3", "ft:gpt-4o:me", "chatgpt-4o-latest"])
def test_openais_own_models_are_sent_no_state(model):
    call_id = carried.call_id("call_1", carried.Raw(b'{"google":{"thought_signature":"s"}}'))
    state = thought("hm", field="reasoning", details=[{"type": carried.Raw(b'"reasoning.encrypted"')}])
    said = turns(user(text("q")), assistant(UNSIGNED, state, GET | {"id": call_id}), model=model)[1]
    assert said == {"role": "assistant", "content": None, "tool_calls": [CHAT_GET | {"id": "call_1"}]}


def message(**said):
    """A client's assistant message of a whole answer, and of the stream in which everything comes at once."""
    said = {"role": "assistant", "content": None} | said
    finish = "tool_calls" if said.get("tool_calls") else "stop"
    completion = {"id": "chatcmpl-1", "choices": [{"message": said, "finish_reason": finish}]}
    found = json.loads(MESSAGES_ON_CHAT.answer(json.dumps(completion).encode(), ASKED))["content"]
    return {"role": "assistant", "content": found}


def streamed(*deltas, finish="tool_calls"):
    stream = b"".join([*(delta(**each) for each in deltas), delta(finish), DONE])
    blocks = [block.model_dump(exclude_none=True) for block in accumulated(stream).content]
    return {"role": "assistant", "content": blocks}


def returned(said, model="some-model"):
    """What the upstream gets of an assistant message that the client has sent back, results of its calls behind it."""
    calls = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": "1"} for call in calls]
    sent = turns(user(text("q")), said, user(*results or [text("r")]), model=model)
    if results:
        assert [it["tool_call_id"] for it in sent[2:]] == [it["id"] for it in sent[1]["tool_calls"]]
    return sent[1]


TOOL = {"id": "call_1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
TEXT = {"type": "reasoning.text", "text": "I think.", "format": "anthropic-claude-v1", "index": 0, "signature": "c2ln"}
SUMMARY = {
    "type": "reasoning.summary",
    "summary": "I thought.",
    "id": None,
    "index": 0,
    "format": "openai-responses-v1",
}
SECRET = {"type": "reasoning.encrypted", "data": "ZW5jcnlwdGVk", "id": "rs_1", "index": 1}
SIGNATURE = {"google": {"thought_signature": "AY89a18IwQsQ8in/+=="}}

STATES = {
    "reasoning_content": {"reasoning_content": "I think."},
    "reasoning_content, empty": {"reasoning_content": ""},
    "reasoning": {"reasoning": "I think."},
    "reasoning, empty": {"reasoning": ""},
    "details with a signature": {"reasoning": "I think.", "reasoning_details": [TEXT]},
    "a summary and what is encrypted": {"reasoning": "I thought.", "reasoning_details": [SUMMARY, SECRET]},
    "only what is encrypted": {"reasoning_details": [SECRET]},
    "details that say something else": {"reasoning": "Hm.", "reasoning_details": [TEXT, SECRET]},
    "details of the future": {"reasoning_details": [{"type": "reasoning.odd", "n": 1, "deep": {"a": [1, None]}}]},
    "text in Unicode": {
        "reasoning": "漢🎉é",
        "reasoning_details": [TEXT | {"text": "漢🎉"}, TEXT | {"text": "é", "index": 1}],
    },
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_what_came_with_a_call_goes_back_with_it(state):
    assert returned(message(**state, tool_calls=[TOOL])) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [TOOL],
        **state,
    }


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_so_does_what_was_streamed(state):
    said = streamed({"role": "assistant", "content": None}, state, {"tool_calls": [{"index": 0, **TOOL}]})
    assert {name: value for name, value in returned(said).items() if name in state} == state


@pytest.mark.parametrize("signature", ["short", "x" * 3000], ids=["short", "long"])
@pytest.mark.parametrize("name", ["google", "vertex"])
def test_the_state_of_a_call_goes_back_on_that_call(signature, name):
    # earendil-works/pi#6733: Vertex has it under its own name
    extra = {name: {"thought_signature": signature}}
    calls = [TOOL | {"extra_content": extra}, TOOL | {"id": "call_2"}]
    for said in (
        message(tool_calls=calls),
        streamed({"tool_calls": [{"index": 0, **calls[0]}]}, {"tool_calls": [{"index": 1, **calls[1]}]}),
    ):
        assert returned(said, "gemini-3-pro")["tool_calls"] == calls
        ids = [block["id"] for block in said["content"] if block["type"] == "tool_use"]
        assert all(carried.is_allowed_id(it) and len(it) <= carried.MAX_ID_CHARS for it in ids)


def test_state_that_comes_when_the_call_has_begun_is_not_lost():
    parts = [
        {"tool_calls": [call(0, '{"a"', id="call_1", type="function", name="get")]},
        {"tool_calls": [call(0, ":1}", extra_content=SIGNATURE)]},
    ]
    assert returned(streamed(*parts), "gemini-3-pro")["tool_calls"][0]["extra_content"] == SIGNATURE


def test_details_behind_the_calls_are_not_lost():
    # Gemini's through OpenRouter come so.
    said = streamed(
        {"reasoning": "Hm."}, {"content": "a"}, {"tool_calls": [{"index": 0, **TOOL}]}, {"reasoning_details": [SECRET]}
    )
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use", "thinking"]
    back = returned(said)
    assert (back["reasoning"], back["reasoning_details"]) == ("Hm.", [SECRET])


def test_a_stream_of_details_is_put_together():
    pieces = [
        {"type": "reasoning.text", "text": part, "index": 0, "format": "anthropic-claude-v1"}
        for part in ("I ", "think.")
    ]
    said = streamed(
        *({"reasoning": piece["text"], "reasoning_details": [piece]} for piece in pieces),
        {"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "index": 0, "text": None}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "ZW5", "id": "rs_1", "index": 1}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "jcnlwdGVk", "index": 1}]},
        {"tool_calls": [{"index": 0, **TOOL}]},
    )
    assert returned(said)["reasoning_details"] == [TEXT, SECRET]
    assert said["content"][0]["thinking"] == "I think."
    assert b"think" not in bytes(carried.state_of(said["content"][0]["signature"]).details[0]["text"])


def test_entries_that_cannot_be_told_apart_by_an_index_stay_apart():
    entries = [{"type": "reasoning.encrypted", "data": "YQ"}, {"type": "reasoning.encrypted", "data": "Yg"}]
    texts = [{"type": "reasoning.text", "text": "a", "id": "1"}, {"type": "reasoning.text", "text": "b", "id": "2"}]
    said = streamed(
        *({"reasoning_details": [each]} for each in entries + texts), {"tool_calls": [{"index": 0, **TOOL}]}
    )
    assert returned(said)["reasoning_details"] == entries + texts


def test_text_that_is_told_in_two_ways_is_two_entries():
    shown, hidden = ({"type": "reasoning.text", "text": part, "index": 0} for part in ("a", "b"))
    said = streamed(
        {"reasoning": "a", "reasoning_details": [shown]},
        {"reasoning_details": [hidden]},
        {"tool_calls": [{"index": 0, **TOOL}]},
    )
    assert returned(said)["reasoning_details"] == [shown, hidden]


def test_details_of_a_text_that_the_client_changed_are_left_out():
    said = message(reasoning="I think.", reasoning_details=[TEXT, SECRET], tool_calls=[TOOL])
    said["content"][0]["thinking"] = "You think so."
    back = returned(said)
    assert (back["reasoning"], back["reasoning_details"]) == ("You think so.", [SECRET])


@pytest.mark.parametrize("odd", ["x", {"a": 1}, [1], [[]], 7], ids=str)
def test_odd_details_are_none(odd):
    assert "reasoning_details" not in returned(message(reasoning_details=odd, tool_calls=[TOOL]))
    assert (
        "extra_content"
        not in returned(message(tool_calls=[TOOL | {"extra_content": odd if odd != {"a": 1} else 1}]))["tool_calls"][0]
    )


def test_a_number_that_no_float_holds_is_kept_in_details():
    told = b'{"choices":[{"message":{"reasoning_details":[{"type":"odd","text":1e999}],"tool_calls":[%s]}}]}'
    found = json.loads(MESSAGES_ON_CHAT.answer(told % json.dumps(TOOL).encode(), ASKED))["content"]
    assert bytes(carried.state_of(found[0]["signature"]).details[0]["text"]) == b"1e999"


def test_a_state_that_somebody_made_up_is_read_without_harm():
    made_up = carried.State("reasoning", [{"type": carried.Raw(b'"odd"')}], [(7, "text", 2), (-1, "text", 0)])
    block = {"type": "thinking", "thinking": "hm", "signature": carried.signature(made_up)}
    said = second_turn(block, GET, model="qwen3")[0]
    assert (said["reasoning"], said["reasoning_details"]) == ("hm", [{"type": "odd"}])


def test_an_answer_without_calls_begins_with_its_text():
    for said in (
        message(reasoning_content="", content="Hi", reasoning_details=[SECRET]),
        streamed({"reasoning_content": "", "content": "Hi"}, {"reasoning_details": [SECRET]}, finish="stop"),
    ):
        assert [block["type"] for block in said["content"]] == ["text"]


def test_state_has_a_limit():
    large = {"type": "reasoning.encrypted", "data": "x" * (carried.MAX_STATE_BYTES + 1)}
    with pytest.raises(TranslationError, match="too large"):
        message(reasoning_details=[large], tool_calls=[TOOL])
    with pytest.raises(TranslationError, match="too large"):
        streamed({"reasoning_details": [{"type": "x", "index": 0, "odd": "x" * (carried.MAX_STATE_BYTES + 1)}]})
    with pytest.raises(TranslationError, match="too large"):
        streamed({"reasoning_details": [{"index": number} for number in range(5000)]})


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_every_split_of_a_stream_carries_the_same(cut):
    stream = b"".join(
        [
            delta(role="assistant", content=None, reasoning="", reasoning_details=[]),
            delta(reasoning="I ", reasoning_details=[TEXT | {"text": "I ", "signature": None}]),
            delta(reasoning="think.", reasoning_details=[TEXT | {"text": "think."}]),
            delta(tool_calls=[{"index": 0, **TOOL, "extra_content": SIGNATURE}]),
            delta("tool_calls"),
            DONE,
        ]
    )
    assert translated(stream, split=cut) == translated(stream)
    expected = MESSAGES_ON_CHAT.stream(STREAM)
    events = list(itertools.chain.from_iterable(map(Decoder().feed, [stream])))
    assert b"".join(map(expected.feed, events)) == translated(stream)[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=6,
)
DETAILS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["reasoning.text", "reasoning.summary", "reasoning.encrypted", "odd"])},
        optional={
            "text": VALUES,
            "summary": VALUES,
            "data": VALUES,
            "index": st.integers(0, 3),
            "signature": VALUES,
            "more": VALUES,
        },
    ),
    max_size=4,
)


@given(st.text(st.characters(exclude_categories=["Cs"])), DETAILS, st.dictionaries(st.just("google"), VALUES))
def test_whatever_comes_whole_goes_back_as_it_was(thinking, details, extra):
    back = returned(
        message(reasoning=thinking, reasoning_details=details, tool_calls=[TOOL | {"extra_content": extra}]), "any"
    )
    assert back["reasoning"] == thinking
    assert back.get("reasoning_details", []) == details
    assert back["tool_calls"] == [TOOL | {"extra_content": extra}]


@given(st.text(max_size=60), st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=2))
def test_an_id_is_the_vendors_own_again(identity, extra):
    identity = identity.encode("utf-8", "replace").decode()
    raw = None if extra is None else carried.Raw(json.dumps(extra).encode())
    made = carried.call_id(identity, raw)
    if made is None:
        return
    assert carried.is_allowed_id(made)
    own, brought = carried.own_id(made)
    assert (own, brought and json.loads(bytes(brought))) == (identity, extra)


@pytest.mark.parametrize("identity", ["functions.Bash:0", "日本", "call 1"])
def test_an_id_that_anthropic_would_refuse_is_allowed_for_the_client_and_its_own_again_upstream(identity):
    # maximhq/bifrost#5097; Kimi's own models are trained on their form of ids
    said = message(tool_calls=[TOOL | {"id": identity}])
    assert carried.is_allowed_id(said["content"][0]["id"])
    assert returned(said)["tool_calls"][0]["id"] == identity


def test_an_id_that_is_too_long_to_be_carried_stays_what_it_is():
    said = message(tool_calls=[TOOL | {"id": "a.b" * 100, "extra_content": SIGNATURE}])
    back = returned(said)["tool_calls"][0]
    assert (back["id"], back["extra_content"]) == ("a.b" * 100, SIGNATURE)


@pytest.mark.parametrize("identity", ["lastcall_v1_", "lastcall_v1_!", "lastcall_v1_AAAA", "lastcall_v1_e30"])
def test_an_id_that_only_looks_like_ours_is_another_id(identity):
    assert carried.own_id(identity) == (identity, None)


@pytest.mark.parametrize("model", ["deepseek-v4-flash", "kimi-k2.6", "deepseek/deepseek-v4"])
def test_calls_that_another_model_made_say_that_nothing_was_thought(model):
    # NousResearch/hermes-agent#17341, continuedev/continue#11600
    assert second_turn(SIGNED_BY_ANTHROPIC, GET, model=model)[0]["reasoning_content"] == " "
    assert "reasoning_content" not in turns(user(text("q")), assistant(text("a")), model=model)[1]


@pytest.mark.parametrize(
    "state",
    [{"reasoning": "I think."}, {"reasoning": "I think.", "reasoning_details": [TEXT]}],
    ids=["text", "details"],
)
def test_a_field_that_a_vendor_demands_says_what_another_told_by_another_name(state):
    assert returned(message(**state, tool_calls=[TOOL]), "deepseek-v4-pro")["reasoning_content"] == "I think."


@pytest.mark.parametrize("model", ["gemini-3-pro", "models/gemini-2.5-pro"])
def test_gemini_is_sent_no_field_that_it_does_not_know(model):
    said = message(reasoning="I think.", reasoning_details=[TEXT], tool_calls=[TOOL])
    assert set(returned(said, model)) == {"role", "content", "tool_calls"}


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "kimi-k2.6", "gpt-5.4", "mistral-large"])
def test_state_of_geminis_calls_is_sent_to_none_who_has_no_such_field(model):
    said = message(tool_calls=[TOOL | {"extra_content": SIGNATURE}])
    assert "extra_content" not in json.dumps(returned(said, model))


def test_calls_that_no_gemini_made_say_so():
    # https://ai.google.dev/gemini-api/docs/thought-signatures, FAQs: the first call of a turn
    sent = turns(user(text("q")), assistant(UNSIGNED, GET, GET | {"id": "t2"}), model="google/gemini-3-pro")[1]
    assert sent["tool_calls"] == [
        CHAT_GET | {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}},
        CHAT_GET | {"id": "t2"},
    ]
    assert "reasoning_content" not in sent
    assert "extra_content" not in second_turn(UNSIGNED, GET, model="gemini-2.5-pro")[0]["tool_calls"][0]


def test_reasoning_details_are_enough_for_a_gemini_elsewhere():
    said = message(reasoning_details=[SECRET], tool_calls=[TOOL])
    assert returned(said, "google/gemini-3-pro")["tool_calls"] == [TOOL]


def test_mistral_is_sent_no_field_that_it_refuses():
    # charmbracelet/crush#1590, BerriAI/litellm#30835
    sent = second_turn(UNSIGNED, GET, model="devstral-2512")[0]
    assert set(sent) == {"role", "content", "tool_calls"}


LIMITS = [("gpt-4o", 40), ("openai/gpt-5.4", 40), ("mistral-large-2512", 9), ("mistralai/devstral-small", 9)]


@pytest.mark.parametrize(("model", "chars"), LIMITS)
def test_ids_that_the_vendor_refuses_are_short_and_the_same_in_call_and_result(model, chars):
    long = [f"toolu_{'x' * 60}{number}" for number in (1, 2)]
    calls = [GET | {"id": identity} for identity in long]
    results = [RESULT | {"tool_use_id": identity} for identity in long]
    once = turns(user(text("q")), assistant(*calls), user(*results), model=model)
    ids = [it["id"] for it in once[1]["tool_calls"]]
    assert all(len(identity) <= chars and identity.isalnum() for identity in ids)
    assert len(set(ids)) == 2
    assert [it["tool_call_id"] for it in once[2:]] == ids
    again = turns(user(text("q")), assistant(*calls), user(*results), user(text("r")), model=model)
    assert again[: len(once)] == once


def test_ids_that_it_takes_stay_what_they_are():
    longest = GET | {"id": "x" * 40}
    assert turns(assistant(longest), model="gpt-4o")[0]["tool_calls"][0]["id"] == "x" * 40
    assert turns(assistant(GET | {"id": "abc123XYZ"}), model="mistral-small")[0]["tool_calls"][0]["id"] == "abc123XYZ"
    assert turns(assistant(GET | {"id": "x" * 500}), model="qwen3")[0]["tool_calls"][0]["id"] == "x" * 500


def test_every_row_is_found_by_a_name():
    names = ["gpt-5", "deepseek-chat", "Kimi-K3", "gemini-4-pro", "models/gemini-2.5-pro", "google/gemini-3-pro"]
    names += ["google/gemini-2.5-pro", "codestral-latest", "qwen3"]
    assert [vendor_of(name) for name in names] == list(VENDORS)


def test_a_rough_count_counts_what_was_thought():
    def about(thinking):
        said = [user(text("q")), assistant({**UNSIGNED, "thinking": thinking}, text("a"))]
        return tokens.estimate(json.dumps({"messages": said}).encode(), "deepseek-v4")

    assert about("x" * 400) - about("") == 100
