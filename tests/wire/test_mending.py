"""What of a conversation with other vendors' models Anthropic's API would refuse is mended, and all else stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.signing import sign
from lastcall_sidecar.testing.validate import load, message_request
from lastcall_sidecar.wire import carried, mending
from lastcall_sidecar.wire.body import scan
from lastcall_sidecar.wire.foreign import MAX_LOOKS, may_need_mending
from lastcall_sidecar.wire.mending import MENDING
from lastcall_sidecar.wire.translation import Options

USER = {"role": "user", "content": "Hello"}
OURS = {"type": "thinking", "thinking": "hm", "signature": carried.signature(carried.State("reasoning_content"))}
EMPTY = {"type": "thinking", "thinking": "hm", "signature": ""}
SIGNED = {"type": "thinking", "thinking": "Hm", "signature": sign(1, "Hm")}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


def mended(asked, model="claude-sonnet-4-5"):
    return mending.mended(asked, model)


def said(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def call(identity="toolu_1", **fields):
    return {"type": "tool_use", "id": identity, "name": "get", "input": {"n": 1.10}, **fields}


def results(*ids):
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": it, "content": "1"} for it in ids]}


def body(*messages, model="claude-sonnet-4-5", **fields):
    return json.dumps({"model": model, "max_tokens": 2048, "messages": [USER, *messages], **fields}).encode()


def sent(*messages, **fields):
    """The request as Anthropic's API gets it, which the strict fake takes."""
    asked = body(*messages, **fields)
    assert scan(asked).may_need_mending
    found = load(mended(asked))
    message_request(found)
    return found


TEXT = {"type": "text", "text": "Hi."}
MESSAGES = {
    "thinking that carries another vendor's state": ([said(OURS, TEXT), USER], [said(TEXT), USER]),
    "thinking that nobody signed": ([said(EMPTY, TEXT), USER], [said(TEXT), USER]),
    "null in place of a signature": ([said(EMPTY | {"signature": None}, TEXT), USER], [said(TEXT), USER]),
    "no signature": ([said({"type": "thinking", "thinking": "hm"}, TEXT), USER], [said(TEXT), USER]),
    "beside what Anthropic signed": ([said(SIGNED, EMPTY, TEXT), USER], [said(SIGNED, TEXT), USER]),
    "nothing but such": ([said(OURS), USER], [USER]),
    "within a tool loop": (
        [said(OURS, call()), results("toolu_1")],
        [said(call()), results("toolu_1")],
    ),
    "an id of other characters": (
        [said(call("functions.get:0")), results("functions.get:0")],
        [said(call("functions_get_0")), results("functions_get_0")],
    ),
    "an id that comes twice": (
        [said(call("c")), results("c"), said(call("c"), call("d")), results("d", "c")],
        [said(call("c")), results("c"), said(call("c_2"), call("d")), results("d", "c_2")],
    ),
    "results in two messages": (
        [said(call("a.")), said(call("b.")), results("a."), results("b.")],
        None,
    ),
}


@pytest.mark.parametrize(("messages", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_what_the_api_would_refuse_is_mended(messages, expected):
    if expected is None:
        found = json.loads(mended(body(*messages)))["messages"]
        blocks = [block for message in found[1:] for block in message["content"]]
        assert [block.get("id") or block["tool_use_id"] for block in blocks] == ["a_", "b_", "a_", "b_"]
        return
    with pytest.raises(FakeError):
        message_request(load(body(*messages)))
    assert sent(*messages)["messages"][1:] == expected


def test_an_id_that_carries_state_is_the_vendors_own_again():
    identity = carried.call_id("a:0", carried.Raw(b'{"google":{"thought_signature":"s"}}'))
    assert sent(said(call(identity)), results(identity))["messages"][1:] == [said(call("a_0")), results("a_0")]


ORDINARY = {
    "text": [said(TEXT), USER],
    "plain text": [{"role": "assistant", "content": "Hi."}, USER],
    "text beside a result": [
        said(call()),
        {"role": "user", "content": [*results("toolu_1")["content"], TEXT, {"type": "tool_result", "tool_use_id": 7}]},
    ],
    "signed thinking in a tool loop": [
        said(SIGNED, call()),
        results("toolu_1"),
        said(call("toolu_2")),
        results("toolu_2"),
    ],
    "a text about all of it": [
        said({"type": "text", "text": json.dumps([EMPTY, OURS, results("a.b", "a.b")])}, call()),
        results("toolu_1"),
    ],
    "odd messages": [{"role": "assistant"}, 7, {"role": "assistant", "content": [8, {"type": 9}]}],
}


@pytest.mark.parametrize("messages", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_body_stays_byte_for_byte(messages):
    asked = body(*messages)
    assert mended(asked) == asked
    assert MENDING.request(asked, Options("claude-sonnet-4-5")).body == asked


@pytest.mark.parametrize("name", ["text", "plain text", "signed thinking in a tool loop"])
def test_and_is_not_even_looked_into(name):
    assert not may_need_mending(body(*ORDINARY[name]))
    assert not may_need_mending(json.dumps(json.loads(body(*ORDINARY[name])), separators=(",", ":")).encode())


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,", " :\n")], ids=["dense", "loose", "odd"])
@pytest.mark.parametrize("messages", [pair[0] for pair in MESSAGES.values()], ids=MESSAGES)
def test_it_is_found_however_it_is_written(messages, separators):
    assert may_need_mending(json.dumps(json.loads(body(*messages)), separators=separators).encode())


def test_numbers_keep_their_digits_and_other_messages_their_bytes():
    asked = body(said(OURS, call()), results("toolu_1")).replace(b'"n": 1.1', b'"n":  1.10000000000000000001')
    assert b'"n":  1.10000000000000000001' in mended(asked)


def test_a_turn_whose_thinking_is_left_out_goes_on_without_where_the_api_demands_it():
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    loop = [said(OURS, call()), results("toolu_1")]
    found = json.loads(mended(body(*loop, thinking=BUDGET, context_management=edits)))
    assert found["thinking"] == {"type": "disabled"}
    assert "context_management" not in found
    assert sent(*loop, thinking=BUDGET)["thinking"] == {"type": "disabled"}


KEPT = {
    "a new turn": ([said(OURS, TEXT), USER], BUDGET),
    "a turn that began with its thinking": (
        [said(SIGNED, call()), results("toolu_1"), said(OURS, call("b")), results("b")],
        BUDGET,
    ),
    "an answer of the user's beside results": ([said(OURS, call()), results("toolu_1"), said(TEXT), USER], BUDGET),
    "adaptive": ([said(OURS, call()), results("toolu_1")], {"type": "adaptive"}),
    "odd": ([said(OURS, call()), results("toolu_1")], 7),
    "none": ([said(OURS, call()), results("toolu_1")], None),
}


@pytest.mark.parametrize(("messages", "thinking"), KEPT.values(), ids=KEPT)
def test_elsewhere_thinking_stays_as_it_was_asked_for(messages, thinking):
    found = json.loads(mended(body(*messages, thinking=thinking, context_management={"edits": []})))
    assert (found["thinking"], found["context_management"]) == (thinking, {"edits": []})


BEGUN = {
    "by text": [{"role": "assistant", "content": "I look."}, said(OURS, call()), results("toolu_1")],
    "by a call": [said(call("a.")), results("a.")],
}


@pytest.mark.parametrize("messages", BEGUN.values(), ids=BEGUN)
def test_nor_has_a_turn_its_thinking_that_another_vendors_model_began_without(messages):
    assert json.loads(mended(body(*messages, thinking=BUDGET)))["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize("thinking", [EMPTY, {"type": "thinking", "thinking": "hm"}], ids=["empty", "no signature"])
def test_other_vendors_models_get_the_thinking_back_that_their_api_did_not_sign(thinking):
    """https://github.com/farion1231/cc-switch/issues/3351: "thinking is enabled but reasoning_content is missing"."""
    asked = body(said(thinking, call()), results("toolu_1"), model="kimi-k2.6", thinking=BUDGET)
    assert scan(asked).may_need_mending
    assert MENDING.request(asked, Options("")).body == asked
    mapped = body(said(thinking, call()), results("toolu_1"), model="claude-sonnet-4-5", thinking=BUDGET)
    assert MENDING.request(mapped, Options("kimi-k2.6")).body == mapped.replace(b"claude-sonnet-4-5", b"kimi-k2.6")
    assert b"hm" not in MENDING.request(asked, Options("anthropic.claude-sonnet-4-5")).body


def test_but_not_what_we_signed_for_another_protocol():
    asked = body(said(OURS, TEXT), USER, model="kimi-k2.6")
    assert json.loads(MENDING.request(asked, Options("")).body)["messages"][1:] == [said(TEXT), USER]


def test_an_edit_that_has_nothing_to_do_with_thinking_stays():
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    found = json.loads(mended(body(said(OURS, call()), results("toolu_1"), thinking=BUDGET, context_management=edits)))
    assert found["context_management"] == edits


def test_model_and_stream_are_what_the_configuration_says():
    made = MENDING.request(body(said(OURS, TEXT), USER, model="a"), Options("claude-b", force_stream=True))
    found = json.loads(made.body)
    assert (found["model"], found["stream"]) == ("claude-b", True)
    assert json.loads(MENDING.request(body(said(OURS, TEXT), USER), Options("")).body)["model"] == "claude-sonnet-4-5"


def test_more_is_not_looked_at_than_a_conversation_has():
    good, bad = b'{"tool_use_id":"a%d"},', b'{"tool_use_id":"a.b"}'
    assert not may_need_mending(b"".join(good % number for number in range(MAX_LOOKS)) + bad)


@given(
    st.lists(st.sampled_from([OURS, EMPTY, SIGNED, TEXT, call("a"), call("a."), call("b:1")]), max_size=6),
    st.integers(1, 3),
)
def test_whatever_comes_is_taken_by_the_api_and_mended_once(blocks, times):
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    turn = [said(*blocks), results(*ids) if ids else USER] if blocks else []
    once = mended(body(*turn * times))
    message_request(load(once))
    assert mended(once) == once
