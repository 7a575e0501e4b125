"""Stop sequences of OpenAI's clients that are blank, which the Messages API refuses: the text is cut at them here."""

import json
from dataclasses import replace

import pytest
from tests.wire.chats import ASKED, MODEL, chunks_of, translated

from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.translation import Options

START = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}}
END = ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"})
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


def block(index, *parts, start=None):
    yield {"type": "content_block_start", "index": index, "content_block": start or {"type": "text", "text": ""}}
    for part in parts:
        yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": part}}
    yield {"type": "content_block_stop", "index": index}


def streamed(events, *sequences):
    """What is said, why it ended, and the translator."""
    translator = CHAT_ON_MESSAGES.stream(replace(ASKED, stop_sequences=sequences))
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    said = b"".join(map(translator.feed, Decoder().feed(stream)))
    assert said.endswith(b"data: [DONE]\n\n")
    choices = [choice for chunk in chunks_of(said) for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, choices[-1]["finish_reason"], translator


def whole(content, *sequences, stop_reason="end_turn"):
    body = json.dumps({"content": content, "stop_reason": stop_reason}).encode()
    (choice,) = json.loads(CHAT_ON_MESSAGES.answer(body, replace(ASKED, stop_sequences=sequences)))["choices"]
    return choice["message"], choice["finish_reason"]


def test_what_the_api_takes_goes_up_and_blanks_are_looked_for():
    assert translated(stop=["END", "\n\n", ""])["stop_sequences"] == ["END"]
    assert "stop_sequences" not in translated(stop="\n")
    made = CHAT_ON_MESSAGES.request(
        json.dumps({"messages": [{"role": "user", "content": "x"}], "stop": ["END", "\n\n", ""]}).encode(),
        Options(MODEL),
    )
    assert made.asked.stop_sequences == ("\n\n",)


CUTS = {
    "in one part": (["a\n\nb"], "a", True),
    "over two parts": (["a\n", "\nb"], "a", True),
    "none": (["a\n", "b"], "a\nb", False),
    "a beginning at the end": (["a\n"], "a\n", False),
}


@pytest.mark.parametrize(("parts", "expected", "hit"), CUTS.values(), ids=CUTS)
def test_a_text_ends_before_the_sequence(parts, expected, hit):
    text, finish, translator = streamed([START, *block(0, *parts), *END], "\n\n")
    assert (text, finish, translator.enough, translator.over) == (expected, "stop", hit, True)
    message, finish = whole([{"type": "text", "text": "".join(parts)}], "\n\n")
    assert (message["content"], finish) == (expected, "stop")


def test_blocks_do_not_make_a_sequence_together():
    assert streamed([START, *block(0, "a\n"), *block(1, "\nb"), *END], "\n\n")[0] == "a\n\nb"
    texts = [{"type": "text", "text": text} for text in ("a\n", "\nb")]
    assert whole(texts, "\n\n")[0]["content"] == "a\n\nb"


def test_what_is_held_back_is_said_where_a_block_does_not_end():
    events = [*block(0, "a\n")][:-1]
    assert streamed([START, *events, *END], "\n\n")[0] == "a\n"


def test_calls_behind_a_sequence_would_not_have_been_made():
    message, finish = whole([{"type": "text", "text": "a\n\n"}, CALL], "\n\n", stop_reason="tool_use")
    assert (message["content"], finish, "tool_calls" in message) == ("a", "stop", False)


def test_calls_before_a_sequence_are_still_to_be_answered():
    _, finish, _ = streamed([START, *block(0, start=CALL), *block(1, "\n\n"), *END], "\n\n")
    assert finish == "tool_calls"
    message, finish = whole([CALL, {"type": "text", "text": "\n\n"}], "\n\n", stop_reason="tool_use")
    assert (finish, len(message["tool_calls"])) == ("tool_calls", 1)


def test_a_length_that_was_reached_behind_a_sequence_is_none():
    assert whole([{"type": "text", "text": "a\n\nb"}], "\n\n", stop_reason="max_tokens")[1] == "stop"
