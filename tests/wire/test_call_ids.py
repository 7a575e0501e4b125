"""Ids of tool calls: unique for Anthropic's API, which refuses one that comes twice; the same in call and result."""

from hypothesis import given
from hypothesis import strategies as st
from tests.wire.chats import USER, refused, translated

from lastcall_sidecar.wire import carried
from lastcall_sidecar.wire.call_ids import CallIds


def call(identity):
    return {"id": identity, "type": "function", "function": {"name": "get", "arguments": "{}"}}


def calls(*ids):
    return {"role": "assistant", "content": None, "tool_calls": [call(it) for it in ids]}


def result(identity, content="1"):
    return {"role": "tool", "tool_call_id": identity, "content": content}


def ids_of(*messages):
    """The ids of calls, turn by turn, and of results: the strict fake has taken them."""
    found = translated(messages=[USER, *messages])["messages"]
    blocks = [[block for block in turn["content"] if block["type"].startswith("tool_")] for turn in found]
    made = [[block["id"] for block in turn if block["type"] == "tool_use"] for turn in blocks]
    answered = [
        [(block["tool_use_id"], block.get("content")) for block in turn if "tool_use_id" in block] for turn in blocks
    ]
    return [turn for turn in made if turn], [turn for turn in answered if turn]


def test_one_id_in_two_turns_is_two_ids():
    made, answered = ids_of(calls("call_0"), result("call_0", "a"), calls("call_0"), result("call_0", "b"))
    assert made == [["call_0"], ["call_0_2"]]
    assert [[identity for identity, _ in turn] for turn in answered] == made


def test_a_conversation_that_goes_on_begins_with_the_same_ids():
    turn = [calls("call_0"), result("call_0")]
    assert ids_of(*turn, *turn, *turn)[0][:2] == ids_of(*turn, *turn)[0]


def test_an_id_that_is_there_already_is_not_made():
    made, _ = ids_of(calls("a_2", "a"), result("a_2"), result("a"), calls("a"), result("a"))
    assert made == [["a_2", "a"], ["a_3"]]


def test_ids_that_differ_only_in_what_the_api_refuses_stay_different():
    made, answered = ids_of(calls("f.a:0", "f:a.0"), result("f:a.0", "second"), result("f.a:0", "first"))
    assert made == [["f_a_0", "f_a_0_2"]]
    assert [[identity for identity, _ in turn] for turn in answered] == [["f_a_0_2", "f_a_0"]]


def test_two_calls_of_one_turn_with_one_id_are_answered_in_their_order():
    made, answered = ids_of(calls("a", "a"), result("a", "first"), result("a", "second"))
    assert made == [["a", "a_2"]]
    assert [identity for identity, _ in answered[0]] == ["a", "a_2"]
    text = [content[0]["text"] for _, content in answered[0]]
    assert text == ["first", "second"]


def test_one_result_for_two_calls_with_one_id_is_too_few():
    messages = [USER, calls("a", "a"), result("a"), {"role": "user", "content": "And?"}]
    assert refused(messages=messages).startswith("messages.1.tool_calls: each must be answered")


def test_an_id_that_carries_state_for_another_vendor_is_that_vendors_own_again():
    made = carried.call_id("functions.get:0", carried.Raw(b'{"google":{}}'))
    assert ids_of(calls(made), result(made))[0] == [["functions_get_0"]]


def test_cursors_own_blocks_are_treated_alike():
    # router-for-me/CLIProxyAPI#1165
    turn = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c:1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c:1", "content": "x"}]},
    ]
    assert ids_of(*turn, *turn)[0] == [["c_1"], ["c_1_2"]]


@given(
    st.lists(st.lists(st.sampled_from(["a", "a.", "a:", "a_", "a_2", "日", ""]), min_size=1, max_size=4), max_size=5)
)
def test_whatever_comes_is_allowed_and_unique_and_answered(turns):
    ids = CallIds()
    seen = []
    for turn in turns:
        made = [ids.call(identity) for identity in turn]
        assert not ids.is_answered
        assert sorted(filter(None, map(ids.result, turn))) == sorted(made)
        assert ids.is_answered
        seen += made
    assert len(set(seen)) == len(seen)
    assert all(map(carried.is_allowed_id, seen))
    assert ids.result("a") is None


def test_what_was_not_answered_in_its_turn_is_forgotten():
    ids = CallIds()
    ids.call("a")
    ids.forget()
    assert ids.is_answered
    assert ids.result("a") is None
