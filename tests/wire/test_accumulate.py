"""A stream becomes the message that the vendor's SDK makes of it; an error, or what is no stream, is told."""

import json
import time
from typing import get_args

import pytest
from anthropic.types.beta import BetaContentBlock, BetaRawContentBlockDelta
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire import contents, sequences
from tests.wire.judge import FINE_GRAINED, JUDGE, accumulated, accumulator
from tests.wire.sequences import anthropic_event, block_delta, block_start, block_stop

from lastcall_sidecar.wire.accumulate import STATUSES, MessageAccumulator
from lastcall_sidecar.wire.sse import Event
from lastcall_sidecar.wire.translation import TranslationError

START = sequences.message_start()
TEXT_BLOCK = {"type": "text", "text": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def stream(*events, start=START):
    return start + b"".join(events)


def json_deltas(*pieces, index=0):
    return b"".join(block_delta(index, {"type": "input_json_delta", "partial_json": piece}) for piece in pieces)


def as_wire(kind, **fields):
    """An event of which the data are as they stand here."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def every_type(union):
    """The `type` of each variant that the SDK knows."""
    return {get_args(variant.model_fields["type"].annotation)[0] for variant in get_args(get_args(union)[0])}


def a_delta(kind):
    return {
        "text_delta": {"text": "Hello"},
        "thinking_delta": {"thinking": "Let me see."},
        "signature_delta": {"signature": "EqQB"},
        "input_json_delta": {"partial_json": '{"a": 1}'},
        "citations_delta": {"citation": {"type": "page_location", **contents.CITATIONS["page_location"]}},
        "compaction_delta": {"content": "summary", "encrypted_content": "E"},
        "of_the_future": {"text": "no", "thinking": "no", "partial_json": "no"},
    }[kind] | {"type": kind}


DELTAS = [*sorted(every_type(BetaRawContentBlockDelta)), "of_the_future"]


def test_there_is_an_example_of_each_block_that_the_sdk_knows():
    assert every_type(BetaContentBlock) | {"of_the_future"} == set(contents.BLOCKS)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("kind", contents.BLOCKS)
def test_each_block_takes_each_delta_as_in_the_sdk(kind, delta):
    block = {"type": kind, **contents.BLOCKS[kind]}
    blocks = [
        block_start(0, block),
        block_stop(0),
        block_start(1, block),
        block_delta(1, a_delta(delta)),
        block_stop(1),
    ]
    whole = stream(*blocks, sequences.message_delta(), sequences.MESSAGE_STOP)
    found = accumulated([whole])
    assert found == JUDGE.message(whole)
    assert found["content"][0] == block


STREAMS = {
    "text": sequences.TEXT,
    "tools and thinking": sequences.TOOLS,
    "fooling text": sequences.FOOLING,
    "unknown events": sequences.UNKNOWN_EVENTS,
}


@pytest.mark.parametrize("whole", STREAMS.values(), ids=STREAMS.keys())
def test_at_every_split_it_is_what_either_api_of_the_sdk_makes_of_it(whole):
    expected = JUDGE.message(whole)
    assert JUDGE.message(whole, beta=False) == expected
    for chunks in sequences.splits(whole):
        assert accumulated(chunks) == expected


@given(contents.streams(), st.data())
@settings(deadline=None, max_examples=150)
def test_any_stream_in_any_chunks_is_what_the_sdk_makes_of_it(whole, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    if data.draw(st.booleans()):
        assert accumulated(chunks, keep_cut_strings=True) == JUDGE.message(whole, betas=[FINE_GRAINED])
    else:
        assert accumulated(chunks) == JUDGE.message(whole)
    assert accumulator(chunks).over == whole.endswith(sequences.MESSAGE_STOP)


@pytest.mark.parametrize("betas", [(), (FINE_GRAINED,)], ids=["whole strings", "cut strings, too"])
def test_a_tools_input_cut_anywhere_is_what_the_sdk_makes_of_it(betas):
    text = '{"place": "Zürich 🎉", "days": [1, 2.50, {"a": null}], "x": true}'
    for end in range(len(text) + 1):
        whole = stream(block_start(0, TOOL), json_deltas(text[: end // 2], text[end // 2 : end]))
        whole += sequences.message_delta("max_tokens") + sequences.MESSAGE_STOP
        assert accumulated([whole], keep_cut_strings=bool(betas)) == JUDGE.message(whole, betas=betas)


def test_the_text_of_a_cut_input_can_be_had():
    found = accumulator(
        [
            stream(
                block_start(0, TEXT_BLOCK),
                block_start(1, TOOL),
                json_deltas('{"a": "', "ä", index=1),
                block_start(2, TOOL),
                json_deltas('{"a": 1}', index=2),
                block_start(3, TOOL),
            )
        ]
    )
    assert found.cut_inputs == {1: '{"a": "ä'}
    assert [block.get("input") for block in json.loads(found.message())["content"]] == [None, {}, {"a": 1}, {}]


DIGITS = b'{"a":1.0,"b":1e400,"c":12345678901234567890,"d":-0.0,"e":0.1000}'


@pytest.mark.parametrize("end", [b"", b" , "], ids=["whole", "cut short"])
def test_every_number_keeps_its_digits(end):
    usage = b'"usage":{"input_tokens":1.0,"output_tokens":1e400,"x":12345678901234567890.10}'
    source = (DIGITS[:-1] + end if end else DIGITS).decode()
    whole = START.replace(b'"usage": {', b'"n": ' + DIGITS + b', "usage": {')
    whole += block_start(0, TOOL).replace(b'"input": {}', b'"input": {}, "n": ' + DIGITS) + json_deltas(source)
    whole += b'event: message_delta\ndata: {"type":"message_delta","delta":{"x":1.50},' + usage + b"}\n\n"
    message = accumulator([whole]).message()
    assert message.count(DIGITS) == 3
    assert b'"input":' + DIGITS in message
    assert b'"input_tokens":1.0,' in message
    assert b'"output_tokens":1e400,"x":12345678901234567890.10}' in message
    assert b'"x":1.50' in message


def test_usage_that_no_sdk_knows_yet_is_merged_likewise():
    delta = anthropic_event({"type": "message_delta", "delta": {}, "usage": {"of_the_future": 2, "gone": None}})
    message = accumulated([START, delta])
    assert message["usage"] == {
        "input_tokens": 25,
        "cache_read_input_tokens": 7,
        "output_tokens": 1,
        "of_the_future": 2,
    }


def test_a_character_in_two_halves_is_whole_again():
    halves = [
        as_wire("content_block_delta", index=0, delta={"type": "text_delta", "text": half}) for half in "\ud83c\udf89"
    ]
    assert accumulated([stream(block_start(0, TEXT_BLOCK), *halves)])["content"][0]["text"] == "🎉"
    pieces = [
        as_wire("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece})
        for piece in ['{"a":"\ud83c', '\udf89"}']
    ]
    assert accumulated([stream(block_start(0, TOOL), *pieces)])["content"][0]["input"] == {"a": "🎉"}
    assert accumulated([stream(block_start(0, TEXT_BLOCK), halves[0])])["content"][0]["text"] == "\ud83c"


def test_content_that_a_message_starts_with_stays_and_takes_deltas():
    first, second = (
        {"type": kind, "cited_text": "a", **contents.CITATIONS[kind]} for kind in ("page_location", "char_location")
    )
    block = {"type": "text", "text": "He", "citations": [first]}
    start = START.replace(b'"content": []', b'"content": [' + json.dumps(block).encode() + b"]")
    citation = block_delta(0, {"type": "citations_delta", "citation": second})
    whole = stream(sequences.text_delta("llo"), citation, start=start)
    found = accumulated([whole])
    assert found["content"] == [{"type": "text", "text": "Hello", "citations": [first, second]}]
    assert found == JUDGE.message(whole)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"id": "m"}, {"id": "m", "content": []}),
        ({"content": None, "usage": None}, {"content": [], "usage": None}),
        ({"usage": {}}, {"usage": {}, "content": []}),
        ({"\ud83d": "\ud83d"}, {"\ud83d": "\ud83d", "content": []}),
    ],
    ids=["neither content nor usage", "null", "empty", "half a character"],
)
def test_a_meager_start_is_taken(message, expected):
    whole = as_wire("message_start", message=message)
    assert accumulated([whole]) == expected


def test_a_delta_without_usage_and_a_fallback_without_a_model_change_nothing():
    whole = stream(anthropic_event({"type": "message_delta"}), block_start(0, {"type": "fallback", "to": {}}))
    assert accumulated([whole])["usage"] == {"input_tokens": 25, "cache_read_input_tokens": 7, "output_tokens": 1}
    assert accumulated([whole])["model"] == "claude-sonnet-4-6"


def test_only_the_first_message_counts_and_nothing_after_the_end():
    again = sequences.message_start(1).replace(b"msg_01", b"msg_02")
    assert accumulated([sequences.TEXT, again]) == accumulated([sequences.TEXT])
    assert accumulated([START, again, sequences.TEXT[len(START) :]]) == accumulated([sequences.TEXT])
    found = accumulator([sequences.TEXT, sequences.OVERLOADED, b"data: [DONE]\n\n"])
    assert found.error is None


def test_events_without_names_are_known_by_their_type():
    nameless = sequences.TEXT.replace(b"event: ", b"x-event: ")
    assert accumulated([nameless]) == accumulated([sequences.TEXT])
    assert accumulator([sequences.OVERLOADED.replace(b"event: ", b"x-event: ")]).error is not None


def test_it_is_over_with_its_last_event_and_not_before():
    for whole in (sequences.TEXT, sequences.TOOLS, sequences.FAILING):
        for end in range(len(whole)):
            found = accumulator([whole[:end]])
            assert not found.over
            assert found.error is None
        assert accumulator([whole]).over


@pytest.mark.parametrize("type_", [*STATUSES, "of_the_future"])
def test_an_error_is_told_with_its_status(type_):
    error = {"type": type_, "message": "No more.", "details": {"n": 1}}
    found = accumulator([START, as_wire("error", error=error, request_id="req_1"), sequences.MESSAGE_STOP])
    assert found.over
    assert (found.error.type, found.error.message) == (type_, "No more.")
    assert found.error.status == STATUSES.get(type_, 500)
    assert json.loads(found.error.raw) == error


def test_statuses_are_those_of_the_vendors_documentation():
    assert set(STATUSES.values()) == {400, 401, 402, 403, 404, 413, 429, 500, 504, 529}
    assert STATUSES["overloaded_error"] == 529


@pytest.mark.parametrize(
    ("data", "type_", "message"),
    [
        ("oops", "api_error", "The upstream ended the stream with an error"),
        ("", "api_error", "The upstream ended the stream with an error"),
        ('{"error": "boom"}', "api_error", "The upstream ended the stream with an error"),
        ('{"error": {"type": "rate_limit_error"}}', "rate_limit_error", "The upstream ended the stream with an error"),
        ('{"error": {"message": "m", "type": 7}}', "api_error", "m"),
        ('{"error": null}', "api_error", "The upstream ended the stream with an error"),
    ],
    ids=["text", "nothing", "a string", "no message", "an odd type", "null"],
)
def test_an_odd_error_is_one_all_the_same(data, type_, message):
    found = accumulator([START, f"event: error\ndata: {data}\n\n".encode()])
    assert found.over
    assert (found.error.type, found.error.message) == (type_, message)
    assert json.loads(found.error.raw) == {"type": type_, "message": message}


def test_an_error_without_name_and_type_is_one():
    found = accumulator([START, b'data: {"error": {"type": "overloaded_error", "message": "m"}}\n\n'])
    assert (found.error.type, found.error.status) == ("overloaded_error", 529)


def test_events_without_data_are_passed_over():
    found = accumulator([START, b"data:  \n\n", b"data:\ndata:\n\n", b'data: {"error": null}\n\n'])
    assert not found.over


NO_STREAMS = {
    "a delta without a start": sequences.text_delta("a"),
    "a block without a start": block_start(0, TEXT_BLOCK),
    "a change without a start": sequences.message_delta(),
    "an end without a start": sequences.MESSAGE_STOP,
    "a delta without its block": stream(sequences.text_delta("a")),
    "a delta to a block that comes later": stream(block_start(0, TEXT_BLOCK), sequences.text_delta("a", 1)),
    "a delta to a block before the first": stream(block_start(0, TEXT_BLOCK), sequences.text_delta("a", -1)),
    "a delta to no block": stream(block_start(0, TEXT_BLOCK), as_wire("content_block_delta", delta={})),
    "a delta to an odd block": stream(block_start(0, TEXT_BLOCK), sequences.text_delta("a", 10**30)),
    "a delta to a block of many digits": stream(
        START, sequences.text_delta("a", 7).replace(b'"index": 7', b'"index": ' + b"7" * 5_000)
    ),
    "a delta without text": stream(block_start(0, TEXT_BLOCK), block_delta(0, {"type": "text_delta"})),
    "a delta of a number": stream(block_start(0, TEXT_BLOCK), block_delta(0, {"type": "text_delta", "text": 1})),
    "a delta without its JSON": stream(block_start(0, TOOL), block_delta(0, {"type": "input_json_delta"})),
    "a delta to no text": stream(block_start(0, {"type": "text", "text": None}), sequences.text_delta("a")),
    "no delta": stream(block_start(0, TEXT_BLOCK), as_wire("content_block_delta", index=0)),
    "a start without a message": as_wire("message_start"),
    "a start of a list": as_wire("message_start", message=[]),
    "content of an odd type": as_wire("message_start", message={"content": {}}),
    "blocks of an odd type": as_wire("message_start", message={"content": [1]}),
    "usage of an odd type": as_wire("message_start", message={"usage": 1}),
    "a block without its content": stream(as_wire("content_block_start", index=0)),
    "a change of an odd type": stream(as_wire("message_delta", delta=7)),
    "no JSON": b"event: x\ndata: oops\n\n",
    "[DONE] without an end": START + b"data: [DONE]\n\n",
    "a list": b"data: []\n\n",
    "a number": b"data: 7\n\n",
    "NaN": b'data: {"type": "x", "a": NaN}\n\n',
    "two objects": b"data: {} {}\n\n",
    "deep nesting": b'data: {"a":' + b"[" * 100_000 + b"\n\n",
    **{
        f"broken JSON {number}": b'data: {"\\ud83d"' + rest + b"\n\n"
        for number, rest in enumerate(
            [b"", b":", b":1", b":1,", b":1,}", b":1 2}", b":1}}", b":1,2:3}", b'"a"}', b":}"]
        )
    },
}


@pytest.mark.parametrize("whole", NO_STREAMS.values(), ids=NO_STREAMS.keys())
def test_what_is_no_stream_is_told(whole):
    with pytest.raises(TranslationError) as raised:
        accumulator([whole])
    assert len(str(raised.value)) < 100


@pytest.mark.filterwarnings("ignore::UserWarning")  # what the SDK has to say of odd types before it raises
@pytest.mark.parametrize(
    "whole",
    [
        b"",
        stream(block_start(0, TOOL), json_deltas('{"unit": celsius}')),
        stream(block_start(0, TOOL), json_deltas("  ")),
        stream(block_start(0, TOOL), json_deltas('{"a":"\\ud83d"}')),
        stream(
            block_start(0, TOOL),
            as_wire("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"\ud83d'}),
        ),
        stream(block_start(0, {**TEXT_BLOCK, "citations": 1}), block_delta(0, {"type": "citations_delta"})),
    ],
    ids=["nothing", "no JSON", "blanks", "half a character", "half of one within", "odd citations"],
)
def test_what_amounts_to_no_message_is_told_when_it_is_asked_for(whole):
    found = accumulator([whole])
    with pytest.raises(TranslationError):
        found.message()
    with pytest.raises((ValueError, AssertionError, TypeError, AttributeError)):
        JUDGE.message(whole)


def test_empty_and_half_known_data_mean_nothing():
    whole = START + b'event: x\ndata:\n\ndata: {"type": 7}\n\ndata: {}\n\ndata: { }\n\ndata: {"\\ud83d" : { } }\n\n'
    assert accumulated([whole]) == accumulated([START])


def test_more_than_may_be_kept_is_refused_then_and_from_then_on():
    found = MessageAccumulator(max_bytes=200)
    found.feed(Event("x", '{"a":"' + "ä" * 92 + '"}'))  # 192 bytes
    found.feed(Event("ping", "{}" * 99))  # of which nothing is kept
    found.feed(Event("x", '{"a": 1}'))
    with pytest.raises(TranslationError, match="larger"):
        found.feed(Event("x", "1"))
    with pytest.raises(TranslationError, match="larger"):
        found.feed(Event("x", ""))


def test_its_repr_tells_its_state():
    assert repr(MessageAccumulator()) == "MessageAccumulator(not started, 0 blocks, error=None)"
    assert repr(accumulator([sequences.TEXT[:-10]])) == "MessageAccumulator(under way, 1 blocks, error=None)"
    assert repr(accumulator([sequences.TEXT])) == "MessageAccumulator(over, 1 blocks, error=None)"
    assert "overloaded_error" in repr(accumulator([sequences.FAILING]))


def test_a_long_stream_takes_linear_time():
    count, piece = 10_000, "lorem ipsum " * 150
    found = accumulator([stream(block_start(0, TEXT_BLOCK), block_start(1, TOOL))])
    text = Event(
        "content_block_delta",
        json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}),
    )
    part = Event(
        "content_block_delta",
        json.dumps(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}
        ),
    )
    found.feed(Event("content_block_delta", part.data.replace(piece, '{\\"a\\":\\"')))
    began = time.process_time()
    for _ in range(count):
        found.feed(text)
        found.feed(part)
    message = found.message()
    assert time.process_time() - began < 6  # two texts of 18 MB; what copies them with each piece takes minutes
    assert len(message) > count * len(piece)
