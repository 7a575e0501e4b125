"""Stop sequences that the upstream is not told: text ends where the first of them is complete, at every split."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages_on_chat.chunks import DONE, HEAD, call, chunk, delta, usage
from tests.wire.messages_on_chat.judges import ASKED, STREAM, check_order, events_of
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.stops import Stops


def streamed(stream, *sequences):
    """The message of a stream as the SDK has it, and the translator that made it."""
    translator = MESSAGES_ON_CHAT.stream(replace(STREAM, stop_sequences=sequences))
    found = b"".join(translator.feed(event) for event in Decoder().feed(stream)) + translator.finish()
    check_order(found)
    with client(found, content_type="text/event-stream").messages.stream(**REQUEST) as events:
        return events.get_final_message(), translator


def whole(message, *sequences, finish_reason="stop"):
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    body = json.dumps(HEAD | {"object": "chat.completion", "choices": [choice], "usage": {"completion_tokens": 9}})
    found = MESSAGES_ON_CHAT.answer(body.encode(), replace(ASKED, stop_sequences=sequences))
    return client(found).messages.create(**REQUEST)


def told(message):
    content = [block.model_dump(include={"type", "text", "thinking", "name"}) for block in message.content]
    return content, message.stop_reason, message.stop_sequence


def text(words):
    return {"type": "text", "text": words}


CUTS = {
    "in one part": (["one END two"], ("END",), "one ", "END"),
    "over three parts": (["one E", "N", "D two"], ("END",), "one ", "END"),
    "at the end of a part": (["one END", " two"], ("END",), "one ", "END"),
    "at once": (["END"], ("END",), "", "END"),
    "a beginning that is none": (["E", "N", "TER"], ("END",), "ENTER", None),
    "a beginning at the end": (["one EN"], ("END",), "one EN", None),
    "a beginning within a beginning": (["aa", "ab", "!"], ("aab",), "a", "aab"),
    "the first that is complete": (["xabcd"], ("abcd", "bc"), "xa", "bc"),
    "the longer of two": (["xab"], ("b", "ab"), "x", "ab"),
    "the longer of two, named first": (["xab"], ("ab", "b"), "x", "ab"),
    "none": (["one two"], ("END",), "one two", None),
    "of one character": (["a\n", "b"], ("\n",), "a", "\n"),
    "beyond the basic plane": (["a🎉", "🎊b"], ("🎉🎊",), "a", "🎉🎊"),
}


@pytest.mark.parametrize(("parts", "sequences", "words", "hit"), CUTS.values(), ids=CUTS)
def test_a_text_ends_before_the_first_sequence(parts, sequences, words, hit):
    expected = ([text(words)], "stop_sequence" if hit else "end_turn", hit)
    stream = b"".join(delta(content=part) for part in parts) + delta("stop") + usage() + DONE
    message, translator = streamed(stream, *sequences)
    assert told(message) == expected
    assert translator.over
    assert translator.enough == (hit is not None)
    assert told(whole({"role": "assistant", "content": "".join(parts)}, *sequences)) == expected


def test_the_end_is_told_in_the_same_call_and_what_follows_says_nothing():
    translator = MESSAGES_ON_CHAT.stream(replace(STREAM, stop_sequences=("END",)))
    first, second, *rest = Decoder().feed(
        delta(role="assistant", content="one E") + delta(content="ND") + delta(content="two") + DONE
    )
    assert b"one " in translator.feed(first)
    kinds = [event.type for event in events_of(translator.feed(second))]
    assert kinds == ["content_block_stop", "message_delta", "message_stop"]
    assert [translator.feed(event) for event in rest] == [b"", b""]
    assert translator.finish() == b""


def test_no_more_is_held_back_than_may_begin_a_sequence():
    stops = Stops(("END", "\n\nHuman:"))
    assert [stops.take(part) for part in ("one\n", "two E", "x", "\n\nHu", "go")] == [
        "one",
        "\ntwo ",
        "Ex",
        "",
        "\n\nHugo",
    ]
    assert stops.rest() == ""


def test_without_sequences_nothing_is_held_back():
    stops = Stops(())
    assert (stops.take("one"), stops.rest(), stops.hit) == ("one", "", None)


def test_a_hit_ends_a_text_for_good():
    stops = Stops(("x",))
    assert [stops.take(part) for part in ("axb", "cxd")] == ["a", ""]
    assert stops.rest() == ""


def test_what_was_held_back_stands_before_a_call():
    stream = delta(content="one E") + delta(tool_calls=[call(0, "{}", id="a", name="f")]) + delta("tool_calls") + DONE
    message, _ = streamed(stream, "END")
    assert told(message) == ([text("one E"), {"type": "tool_use", "name": "f"}], "tool_use", None)


def test_what_was_held_back_stands_before_thinking():
    stream = delta(content="one E") + delta(reasoning_content="END") + delta(content="ND") + delta("stop") + DONE
    message, _ = streamed(stream, "END")
    content = [text("one E"), {"type": "thinking", "thinking": "END"}, text("ND")]
    assert told(message) == (content, "end_turn", None)


def test_what_was_held_back_is_said_where_only_the_protocols_end_tells_the_end():
    message, _ = streamed(delta(content="one E") + DONE, "END")
    assert told(message) == ([text("one E")], "end_turn", None)


def test_a_sequence_in_thinking_or_in_arguments_ends_nothing():
    calls = [call(0, '{"a":"END"}', id="a", name="f")]
    said = {"reasoning_content": "END", "tool_calls": calls}
    content = [{"type": "thinking", "thinking": "END"}, {"type": "tool_use", "name": "f"}]
    message, _ = streamed(delta(**said) + delta("tool_calls") + DONE, "END")
    assert told(message) == (content, "tool_use", None)
    assert told(whole({"role": "assistant", "content": None, **said}, "END")) == (content, "tool_use", None)


def test_calls_behind_a_sequence_would_not_have_been_made():
    said = {"content": "one END", "tool_calls": [call(0, "{}", id="a", name="f")]}
    expected = ([text("one ")], "stop_sequence", "END")
    assert told(streamed(delta("tool_calls", **said) + usage() + DONE, "END")[0]) == expected
    assert told(whole({"role": "assistant", **said}, "END", finish_reason="tool_calls")) == expected


def test_calls_before_a_sequence_are_still_to_be_answered():
    stream = delta(tool_calls=[call(0, "{}", id="a", name="f")]) + delta(content="END") + DONE
    message, _ = streamed(stream, "END")
    assert [block.type for block in message.content][:1] == ["tool_use"]
    assert message.stop_reason == "tool_use"


def test_the_tokens_told_until_then_are_told():
    stream = chunk(choices=[{"index": 0, "delta": {"content": "one END"}}], usage={"prompt_tokens": 7}) + usage() + DONE
    message, _ = streamed(stream, "END")
    assert message.usage.input_tokens == 7


WORDS = st.text(alphabet="abc", max_size=12)


@given(st.lists(WORDS, max_size=6), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_split_gives_the_same(parts, sequences):
    together, apart = Stops(sequences), Stops(sequences)
    joined = "".join(parts)
    expected = together.take(joined) + together.rest()
    assert "".join(map(apart.take, parts)) + apart.rest() == expected
    assert apart.hit == together.hit
    assert (together.hit is None) == (not any(sequence in joined for sequence in sequences))
    assert not any(sequence in expected for sequence in sequences)
    assert joined.startswith(expected + (together.hit or ""))
