"""Streams: what the SDK makes of them, at every split, and how they end."""

import functools
import json
import time

import anthropic
import pytest
from msgspec import Raw
from tests.wire.messages_on_chat import chunks
from tests.wire.messages_on_chat.chunks import DONE, STREAMS, call, chunk, delta, usage
from tests.wire.messages_on_chat.judges import STREAM, accumulated, answer, check_order, events_of, thought, translated
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.messages_on_chat.calls import MAX_CALLS, Calls
from lastcall_sidecar.wire.messages_on_chat.completion import Call, Function
from lastcall_sidecar.wire.sse import Decoder, Event
from lastcall_sidecar.wire.translation import TranslationError

HELLO = delta(role="assistant", content="Hello")


def content(stream):
    return [block.model_dump(exclude_none=True) for block in accumulated(stream).content]


def tool(identity, name, arguments):
    return {"type": "tool_use", "id": identity, "name": name, "input": arguments}


CONTENTS = {
    "OpenAI, text": [{"type": "text", "text": "Hello wörld, 漢字 🎉\n\ndata: [DONE]"}],
    "OpenAI, tools": [
        tool("call_1", "get_weather", {"place": 'Zürich "}{\\', "n": 1.1}),
        tool("call_2", "get_time", {}),
    ],
    "vLLM, reasoning": [
        thought("Let me look."),
        {"type": "text", "text": "I look it up."},
        tool("chatcmpl-tool-1", "get_weather", {"place": "Bern"}),
    ],
    "vLLM, usage": [
        thought("Hm.", field="reasoning"),
        {"type": "text", "text": "One two"},
    ],
    "interleaved calls": [{"type": "text", "text": "Both."}, tool("a", "f", {"a": 1}), tool("b", "g", {"b": 2})],
    "calls without index": [tool("a", "f", {"a": 1}), tool("b", "g", {"b": 2})],
    "calls under the same index": [tool("a", "f", {"a": 1}), tool("b", "g", {"b": 2})],
    "bare calls": [tool("toolu_9f2a_0", "f", {"a": 1}), tool("toolu_9f2a_1", "g", {"b": 2})],
    "cut arguments": [tool("a", "f", {"a": [1, 2]})],
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_accumulates_what_was_streamed(name):
    assert content(STREAMS[name]) == CONTENTS[name]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_every_split_gives_the_same(stream):
    expected = translated(stream)
    assert expected[1]
    assert translated(stream, split=1) == expected
    for cut in range(1, len(stream)):
        translator, decoder = MESSAGES_ON_CHAT.stream(STREAM), Decoder()
        events = decoder.feed(stream[:cut]) + decoder.feed(stream[cut:])
        assert b"".join(map(translator.feed, events)) == expected[0]


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_all_leaves_as_it_comes_but_the_end_and_later_calls(stream):
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    for event in Decoder().feed(stream):
        told = translator.feed(event)
        said = [choice["delta"] for choice in json.loads(event.data)["choices"]] if event.data != "[DONE]" else []
        for part in said:
            for word in (part.get("content"), part.get("reasoning"), part.get("reasoning_content")):
                assert json.dumps(word or "", ensure_ascii=False)[1:-1].encode() in told


def test_interleaved_calls_leave_in_order_and_each_as_soon_as_it_can():
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    told = [list(events_of(translator.feed(event))) for event in Decoder().feed(chunks.INTERLEAVED)]
    deltas = [[e.delta.partial_json for e in part if e.type == "content_block_delta"] for part in told[1:5]]
    assert deltas == [[], [], ['{"a":'], ["1}", '{"b":2}']]


def test_a_call_ends_with_its_object_and_what_follows_it_is_no_part_of_it():
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    parts = [
        delta(tool_calls=[call(0, '{"a":1}\n</tool_call>', id="a", name="f")]),
        delta(tool_calls=[call(0, '{"a":1}')]),
    ]
    first, second = (translator.feed(event) for event in Decoder().feed(b"".join(parts)))
    assert [event.type for event in events_of(first)][-1] == "content_block_stop"
    assert second == b""
    assert content(b"".join(parts) + delta("tool_calls") + DONE) == [tool("a", "f", {"a": 1})]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["null"], {}),
        (['"{}"'], {}),
        (["[", "]"], {}),
        (['"{\\"a', '\\": 1}', '"'], {"a": 1}),
        (["{", " ", "}", '{"a": 1}'], {"a": 1}),
        ([{}, {"a": 1}], {"a": 1}),
        (['{"a": 1}', '{"a"', ": 1}"], {"a": 1}),
        (['{"a": 1}', "}"], {"a": 1}),
        (["", " ", "\n", '{"a"', ": 1}"], {"a": 1}),
        (['{"a": "\\', '"}', '"}'], {"a": '"}'}),
        (['{"a": "\\', "", '\\"}'], {"a": "\\"}),
        ([], {}),
    ],
    ids=[
        "null",
        "text",
        "an empty list",
        "encoded twice",
        "behind empty ones",
        "objects, the first empty",
        "twice",
        "a bracket too many",
        "space first",
        "an escape in two",
        "an escape and nothing between",
        "none",
    ],
)
def test_arguments_that_are_odd(arguments, expected):
    stream = delta(tool_calls=[call(0, id="a", name="f")])
    stream += b"".join(delta(tool_calls=[call(0, part)]) for part in arguments)
    stream += delta(tool_calls=[call(1, '{"b":2}', id="b", name="g")])
    check_order(translated(stream + delta("tool_calls") + DONE)[0])
    assert content(stream + delta("tool_calls") + DONE) == [tool("a", "f", expected), tool("b", "g", {"b": 2})]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([call(0, '{"a"', id="a"), call(0, ":1}", name="f")], tool("a", "f", {"a": 1})),
        ([call(0, '{"a"', name="f"), call(0, ":1}", id="a")], tool("toolu_9f2a_0", "f", {"a": 1})),
        ([call(0), call(0, '{"a":1}', id="a", name="f")], tool("a", "f", {"a": 1})),
        ([call(0, "{}", id="a", name="f"), call(0, '{"a":1}', id="a", name="f")], tool("a", "f", {"a": 1})),
        # litellm#28223: another id in each part
        (
            [call(0, "", id="a", name="get"), call(0, '{"city":"Rome"}', id="b")],
            tool("a", "get", {"city": "Rome"}),
        ),
        ([call(0, "{", id="a", name="f"), call(0, "}", id="b", name="f")], tool("a", "f", {})),
        (
            [call(0, "", name="f"), call(0, '{"a":1', name="f"), call(0, "}", name="f")],
            tool("toolu_9f2a_0", "f", {"a": 1}),
        ),
        ([call(0, '{"a":1}', id="a", name="f"), call(0, "", id="a", name="f")], tool("a", "f", {"a": 1})),
        ([call(0, '{"a":1}', id="a", name="f"), call(0, '{"a":1}', id="a", name="f")], tool("a", "f", {"a": 1})),
        ([call("0", "{", id="a", name="f"), call(0.0, "}")], tool("a", "f", {})),
        ([call(0, "{", id=7, name="f"), call(None, "}", id=7)], tool("7", "f", {})),
        ([call(0, "{", id="a", name="f"), call([], "}", id=[], name=[])], tool("a", "f", {})),
        ([{"index": 0, "id": "a", "name": "f", "arguments": '{"a"'}, call(0, ":1}")], tool("a", "f", {"a": 1})),
        ([call(0, '{"a":1}', id="a", name="f"), {"index": 1}, {}], tool("a", "f", {"a": 1})),
        ([call(None, "{", id="a", name="f"), call(None, "}", id="b")], tool("a", "f", {})),
        ([{"index": 0, "id": "a"}, call(0, '{"a":1}', name="f")], tool("a", "f", {"a": 1})),
        ([call(0, "{", id="a", name="f"), call(0, "}", id="", name="f2")], tool("a", "f", {})),
        ([call(0, "{", id="a", name="f"), call(3, "}", id="a")], tool("a", "f", {})),
        ([call(None, "{", name="f"), {"function": {"arguments": "}"}}], tool("toolu_9f2a_0", "f", {})),
        (
            [call(0, "{", name="f"), call(0, id="a"), call(None, "}", id="a")],
            tool("toolu_9f2a_0", "f", {}),
        ),
    ],
    ids=[
        "the name late",
        "the id too late",
        "both late",
        "behind empty arguments, with the name",
        "another id, no name",
        "another id, the same name",
        "the name in each part",
        "the name once more at the end",
        "told twice",
        "an index in words",
        "an id that is a number",
        "odd types",
        "no function at first",
        "places for more calls",
        "another id, no index",
        "no function",
        "an empty id",
        "another index",
        "bare",
        "found by a late id",
    ],
)
def test_parts_of_a_call_find_each_other(parts, expected):
    stream = b"".join(delta(tool_calls=[part]) for part in parts)
    assert content(stream + delta("tool_calls") + DONE) == [expected]


ROME, BERN = '{"city":"Rome"}', '{"city":"Bern"}'
SEVERAL = {
    # Letta's lens#49, HKUDS/nanobot#3943
    "one index, empty ids": (
        [call(0, ROME, id="", name="get"), call(0, BERN, id="", name="get")],
        [("toolu_9f2a_0", "get", "Rome"), ("toolu_9f2a_1", "get", "Bern")],
    ),
    "one index, no ids": (
        [call(0, ROME, name="get"), call(0, BERN, name="get")],
        [("toolu_9f2a_0", "get", "Rome"), ("toolu_9f2a_1", "get", "Bern")],
    ),
    "one index, the same call": (
        [call(0, ROME, name="get"), call(0, ROME, name="get")],
        [("toolu_9f2a_0", "get", "Rome"), ("toolu_9f2a_1", "get", "Rome")],
    ),
    "one index, one id": (
        [call(0, ROME, id="x", name="get"), call(0, BERN, id="x", name="get")],
        [("x", "get", "Rome"), ("toolu_9f2a_1", "get", "Bern")],
    ),
    "one index, in parts": (
        [call(0, "", name="get"), call(0, ROME), call(0, "", name="get"), call(0, BERN)],
        [("toolu_9f2a_0", "get", "Rome"), ("toolu_9f2a_1", "get", "Bern")],
    ),
    "two indexes, one id": (
        [
            call(0, "", id="x", name="get"),
            call(1, "", id="x", name="get"),
            call(1, BERN, id="x"),
            call(0, ROME, id="x"),
        ],
        [("x", "get", "Rome"), ("toolu_9f2a_1", "get", "Bern")],
    ),
    "two indexes, another id in each part": (
        [
            call(0, "", id="a", name="get"),
            call(1, "", id="b", name="get"),
            call(1, BERN, id="c"),
            call(0, ROME, id="d"),
        ],
        [("a", "get", "Rome"), ("b", "get", "Bern")],
    ),
    "one index, found by their ids": (
        [call(0, '{"city":', id="a", name="get"), call(0, BERN, id="b", name="g"), call(0, '"Rome"}', id="a")],
        [("a", "get", "Rome"), ("b", "g", "Bern")],
    ),
    "one index, other names, no arguments": (
        [call(0, "", id="a", name="get"), call(0, BERN, id="b", name="g")],
        [("a", "get", None), ("b", "g", "Bern")],
    ),
    "one index, other ids, an empty object in the first one's arguments": (
        [call(0, "{}", id="a", name="get"), call(0, "", id="b", name="get"), call(0, BERN, id="b")],
        [("a", "get", None), ("b", "get", "Bern")],
    ),
    "the first whole, then no index": (
        [call(0, ROME, id="a", name="get"), call(1, "", id="b", name="get"), call(None, BERN)],
        [("a", "get", "Rome"), ("b", "get", "Bern")],
    ),
    "arguments encoded twice": (
        [call(0, json.dumps(ROME), id="a", name="get"), call(1, json.dumps(BERN), id="b", name="get")],
        [("a", "get", "Rome"), ("b", "get", "Bern")],
    ),
}


@pytest.mark.parametrize(("parts", "expected"), SEVERAL.values(), ids=SEVERAL)
def test_of_several_calls_none_is_lost_and_each_has_an_id_of_its_own(parts, expected):
    stream = b"".join(delta(tool_calls=[part]) for part in parts) + delta("tool_calls") + DONE
    assert content(stream) == [tool(i, name, {"city": city} if city else {}) for i, name, city in expected]


UNCLEAR = {
    "no name": [call(0, '{"a":1}', id="a")],
    "only an id": [{"index": 0, "id": "a"}],
    "another object": [call(0, ROME, id="a", name="f"), call(0, BERN)],
    "another object, another id": [call(0, ROME, id="a", name="f"), call(0, BERN, id="b")],
    "no object": [call(0, "[1]", id="a", name="f")],
    "an object that is no JSON": [call(0, '{"a": 1', id="a", name="f"), call(0, ' "b": 2}')],
    "a name and another id behind a whole call": [call(0, ROME, id="a", name="f"), call(0, "", id="b", name="f")],
    "empty arguments, then some, and a name with both": [call(0, "{}", name="f"), call(0, ROME, name="f")],
    "words": [call(0, "Rome", id="a", name="f")],
    "arguments of an odd type": [call(0, 7, id="a", name="f")],
    "cut": [call(0, '{"city":"Ro', id="a", name="f")],
    "cut before the next": [call(0, '{"city":"Ro', id="a", name="f"), call(1, ROME, id="b", name="f")],
    "cut, encoded twice": [call(0, '"{\\"a', id="a", name="f")],
    "a name and nothing behind a whole call": [call(0, ROME, name="f"), call(0, "", name="f")],
    "a whole call once more, in pieces": [
        call(0, ROME, id="a", name="f"),
        call(0, ROME[:8], id="a", name="f"),
        call(0, ROME[8:], id="a", name="f"),
    ],
    "a name twice, and no arguments": [call(0, "", name="f"), call(0, "", name="f")],
    "a name in pieces, or two": [call(0, "", name="get_"), call(0, ROME, name="weather")],
    "a name twice with other ids": [call(0, "", id="a", name="f"), call(0, ROME, id="b", name="f")],
    "two open calls, and no index": [call(0, "", id="a", name="f"), call(1, "", id="b", name="g"), call(None, ROME)],
}


@pytest.mark.parametrize("end", [delta("tool_calls") + DONE, DONE, delta("stop")], ids=["finish", "[DONE]", "the end"])
@pytest.mark.parametrize("parts", UNCLEAR.values(), ids=UNCLEAR)
def test_calls_that_cannot_be_told_apart_end_badly(parts, end):
    stream = HELLO + b"".join(delta(tool_calls=[part]) for part in parts) + end
    translator, found = MESSAGES_ON_CHAT.stream(STREAM), b""
    events = Decoder().feed(stream)
    steps = [*(functools.partial(translator.feed, event) for event in events), translator.finish]
    with pytest.raises(TranslationError) as raised:
        found += b"".join(step() for step in steps)
    assert not translator.over
    assert b"message_stop" not in found
    assert "Ro" not in str(raised.value)


def test_a_flood_of_calls_is_an_error():
    stream = b"".join(delta(tool_calls=[call(n, "{}", name="f") for n in range(k, k + 64)]) for k in range(0, 2048, 64))
    with pytest.raises(TranslationError, match="more than 1024 calls"):
        translated(stream)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([call(0, '{"a": [1, 2], "b": "te', id="a", name="f")], [tool("a", "f", {"a": [1, 2]})]),
        ([call(0, "{", id="a", name="f")], [tool("a", "f", {})]),
        ([call(0, '"{\\"a', id="a", name="f")], [tool("a", "f", {})]),
        ([call(0, ROME, id="a", name="f"), {"index": 1, "id": "b"}], [tool("a", "f", {"city": "Rome"})]),
    ],
    ids=["arguments", "their begin", "encoded twice", "before its name"],
)
@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_a_call_may_be_cut_where_the_answer_says_that_it_was(parts, expected, finish):
    stream = b"".join(delta(tool_calls=[part]) for part in parts) + delta(finish) + DONE
    assert content(stream) == expected
    assert accumulated(stream).stop_reason == {"length": "max_tokens"}.get(finish, "refusal")


def test_the_older_apis_function_call_is_a_call():
    parts = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    stream = b"".join(delta(function_call=part) for part in parts) + delta("function_call") + DONE
    assert content(stream) == [tool("toolu_9f2a_0", "f", {"a": 1})]
    assert accumulated(stream).stop_reason == "tool_use"


SAID = {
    "a message": [{"message": {"content": "Hi"}}],
    "a message beside an empty delta": [{"delta": {}, "message": {"content": "Hi"}}],
    "a delta, and all of it so far": [
        {"delta": {"content": "H"}, "message": {"content": "H"}},
        {"delta": {"content": "i"}, "message": {"content": "Hi"}},
        {"delta": {"content": ""}, "message": {"content": "Hi"}},
    ],
    "a completion's text": [{"text": "H"}, {"text": "i"}],
    "parts": [{"delta": {"content": [{"type": "text", "text": "H"}]}}, {"delta": {"content": ["i"]}}],
    "a part": [{"delta": {"content": {"type": "text", "text": "Hi"}}}],
}


@pytest.mark.parametrize("number", [0, 7, -1.5])
def test_a_number_in_place_of_a_text_is_said(number):
    """A server that reads what its model writes as JSON makes one of a token of digits."""
    stream = delta(content="n=") + delta(content=number) + delta("stop") + DONE
    assert content(stream) == [{"type": "text", "text": f"n={number}"}]


@pytest.mark.parametrize("choices", SAID.values(), ids=SAID)
def test_what_is_said_in_another_place_is_said(choices):
    stream = b"".join(chunk(choices=[choice]) for choice in choices) + delta("stop") + DONE
    assert content(stream) == [{"type": "text", "text": "Hi"}]


def test_thinking_in_parts_of_the_content_is_thinking():
    """https://docs.mistral.ai/capabilities/reasoning/"""
    stream = delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "H"}]}])
    stream += delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "m."}], "closed": True}])
    stream += delta(content=[{"type": "text", "text": "Hi"}]) + delta("stop") + DONE
    assert content(stream) == [
        thought("Hm.", field=None),
        {"type": "text", "text": "Hi"},
    ]


EMPTY = {"no data": b"data: \n\n", "spaces": b"data:   \n\n", "lines": b"data:\ndata:\n\n", "null": b"data: null\n\n"}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
def test_events_without_data_are_passed_over(empty):
    stream = chunks.OPENAI_TOOLS.replace(b"\n\n", b"\n\n" + empty)
    assert translated(empty + stream) == translated(chunks.OPENAI_TOOLS)


def test_blocks_alternate_as_the_upstream_does():
    stream = delta(reasoning="a") + delta(content="b") + delta(reasoning="c") + delta(content="d", reasoning="")
    stream += delta(tool_calls=[call(0, "{}", id="x", name="f")]) + delta(content="e") + delta("tool_calls") + DONE
    assert [block["type"] for block in content(stream)] == ["thinking", "text", "thinking", "text", "tool_use", "text"]


ENDS = {
    "usage, then [DONE]": delta("stop") + usage() + DONE,
    "usage": delta("stop") + usage(),
    "usage with the finish": chunk(
        choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}],
        usage={"prompt_tokens": 19, "completion_tokens": 10},
    ),
    "usage before the finish": usage() + delta("stop") + DONE,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_end_has_the_reason_and_the_usage(end):
    message = accumulated(HELLO + end)
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (19, 10)


NO_USAGE = {
    "[DONE]": delta("stop") + DONE,
    "neither": delta("stop"),
    "no reason": DONE,
    "a space less": b"data:[DONE]\n\n",
}


@pytest.mark.parametrize("end", NO_USAGE.values(), ids=NO_USAGE)
def test_an_end_without_usage_is_one(end):
    message = accumulated(HELLO + end)
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_that_is_cut_before_its_finish_reason_has_no_end(stream):
    events = Decoder().feed(stream)
    for count in range(len(events)):
        translator = MESSAGES_ON_CHAT.stream(STREAM)
        found = b"".join(map(translator.feed, events[:count]))
        if '"finish_reason": "' not in "".join(event.data for event in events[:count]):
            assert translator.finish() == b""
            assert not translator.over
            assert b"message_delta" not in found
            assert b"message_stop" not in found
        else:
            check_order(found + translator.finish())
            assert translator.over


def test_the_closing_events_wait_for_the_usage():
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    told = [
        [event.type for event in events_of(translator.feed(event))]
        for event in Decoder().feed(HELLO + delta("stop") + usage() + DONE)
    ]
    assert told[1:] == [[], ["content_block_stop", "message_delta", "message_stop"], []]


def test_nothing_follows_the_end():
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    for event in Decoder().feed(HELLO + delta("stop") + usage()):
        translator.feed(event)
    assert [translator.feed(event) for event in Decoder().feed(DONE + HELLO + chunk(error={"message": "x"}))] == [
        b""
    ] * 3
    assert translator.finish() == b""
    assert translator.over


@pytest.mark.parametrize("end", [DONE, usage() + DONE, b""], ids=["[DONE]", "usage", "the end"])
def test_what_is_behind_the_finish_reason_counts(end):
    """Some tell the reason in each chunk, some before the last words."""
    stream = (
        HELLO + delta("stop") + delta("stop", content=" world") + delta(tool_calls=[call(0, "{}", id="a", name="f")])
    )
    assert content(stream + end) == [{"type": "text", "text": "Hello world"}, tool("a", "f", {})]
    assert accumulated(stream + end).stop_reason == "tool_use"


@pytest.mark.parametrize("finishes", [("stop", "length"), ("length", "stop")], ids="-".join)
def test_of_several_reasons_that_of_a_cut_counts(finishes):
    stream = HELLO + b"".join(map(delta, finishes)) + DONE
    assert accumulated(stream).stop_reason == "max_tokens"


TOLD = {"prompt_tokens": 19, "completion_tokens": 10}
REPORTS = {
    # https://platform.moonshot.ai/docs/api/chat
    "Moonshot's": [chunk(choices=[{"delta": {}, "finish_reason": "stop", "usage": TOLD}])],
    "Groq's": [delta("stop"), chunk(choices=[], x_groq={"usage": TOLD})],
    "with the finish, Groq's": [chunk(choices=[{"delta": {}, "finish_reason": "stop"}], x_groq={"usage": TOLD})],
    "in each chunk, growing": [
        chunk(choices=[{"delta": {"content": "!"}}], usage={"prompt_tokens": 19, "completion_tokens": 3}),
        chunk(choices=[{"delta": {}, "finish_reason": "stop"}], usage=TOLD),
    ],
    "none at the end": [usage(), delta("stop"), chunk(choices=[], usage={"prompt_tokens": 0, "completion_tokens": 0})],
    "each in a report of its own": [
        chunk(choices=[], usage={"prompt_tokens": 19}),
        delta("stop"),
        chunk(choices=[], usage={"completion_tokens": 10}),
    ],
}


@pytest.mark.parametrize("parts", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("end", [DONE, b""], ids=["[DONE]", "the end"])
def test_usage_is_read_wherever_it_is(parts, end):
    message = accumulated(HELLO + b"".join(parts) + end)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (19, 10)


@pytest.mark.parametrize(
    "stream",
    [delta("stop", role="assistant", content="") + DONE, delta(role="assistant") + DONE, chunk(choices=[{}]) + DONE],
    ids=["stopped", "only a role", "no delta"],
)
def test_nothing_said_is_an_empty_text(stream):
    assert content(stream) == [{"type": "text", "text": ""}]


def test_the_message_begins_with_the_first_chunk_that_has_a_choice():
    azure = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    filtered, hello = Decoder().feed(azure + HELLO)
    assert translator.feed(filtered) == b""
    start, *_ = events_of(translator.feed(hello))
    assert (start.message.id, start.message.model) == ("msg_9f2a", "qwen3-32b")


def test_input_tokens_that_are_known_at_the_start_are_told_there():
    start, *_ = events_of(translated(chunks.VLLM_USAGE)[0])
    assert start.message.usage.input_tokens == 7
    start, *_ = events_of(translated(chunks.OPENAI_TEXT)[0])
    assert start.message.usage.input_tokens == 0


def test_a_stop_sequence_is_told():
    message = accumulated(chunks.VLLM_USAGE)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "STOP")


def test_a_refusal_is_text_and_the_reason():
    message = accumulated(delta(role="assistant", refusal="I ") + delta(refusal="cannot.") + delta("stop") + DONE)
    assert message.stop_reason == "refusal"
    assert message.content[0].text == "I cannot."


ERRORS = {
    "OpenAI": ({"error": {"message": "boom", "type": "server_error", "code": None}}, "api_error"),
    "quota": ({"error": {"message": "boom", "code": "insufficient_quota"}}, "rate_limit_error"),
    "vLLM": (
        {"error": {"object": "error", "message": "boom", "type": "BadRequestError", "param": None, "code": 400}},
        "invalid_request_error",
    ),
    "vLLM, flat": (
        {"object": "error", "message": "boom", "type": "InternalServerError", "param": None, "code": 500},
        "api_error",
    ),
    "a word": ({"error": "boom"}, "api_error"),
    "overloaded": ({"error": {"message": "boom", "code": 503}}, "overloaded_error"),
    "a code in digits": ({"error": {"message": "boom", "code": "429"}}, "rate_limit_error"),
    # https://openrouter.ai/docs/api-reference/errors
    "OpenRouter": (
        {"choices": [{"delta": {}, "finish_reason": "error"}], "error": {"message": "boom", "code": 402}},
        "permission_error",
    ),
    "OpenRouter, in the choice": (
        {"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "boom", "code": 429}}]},
        "rate_limit_error",
    ),
    "a type": ({"type": "error", "message": "boom", "code": 503}, "overloaded_error"),
    "a code that is no status": ({"error": {"message": "boom", "type": "NotFoundError", "code": 7}}, "not_found_error"),
}


@pytest.mark.parametrize(("told", "kind"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("before", [b"", HELLO], ids=["at once", "behind a delta"])
def test_an_error_is_the_clients_and_ends_the_stream(told, kind, before):
    found, over = translated(before + f"data: {json.dumps(told)}\n\n".encode() + HELLO + DONE)
    assert over
    assert found.count(b"event: error\n") == 1
    assert b"message_stop" not in found
    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        client(found, content_type="text/event-stream").messages.stream(**REQUEST) as events,
    ):
        events.until_done()
    assert (raised.value.type, raised.value.api_message) == (kind, "boom")


@pytest.mark.parametrize(
    ("data", "message"),
    [('{"message": "boom"}', "boom"), ("boom", "boom"), ("{}", "the upstream failed"), ("7", "the upstream failed")],
    ids=["JSON", "text", "nothing", "a number"],
)
def test_an_event_named_error_is_one(data, message):
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    [event] = Decoder().feed(translator.feed(Event("error", data)))
    assert json.loads(event.data)["error"] == {"type": "api_error", "message": message}
    assert translator.over


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n",
        DONE,
        usage() + DONE,
    ],
    ids=["no JSON", "no object", "odd choices", "too deep", "[DONE] at once", "only usage"],
)
def test_what_is_no_stream_of_chunks_is_told_apart(stream):
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    with pytest.raises(TranslationError) as raised:
        list(map(translator.feed, Decoder().feed(stream)))
    assert "5000" not in str(raised.value)
    assert not translator.over


@pytest.mark.parametrize("finish", ["abort", "error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"])
def test_a_stream_that_was_broken_off_has_no_end(finish):
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    hello, broken = Decoder().feed(HELLO + delta(finish, content=""))
    assert b"message_start" in translator.feed(hello)
    with pytest.raises(TranslationError, match="broke"):
        translator.feed(broken)
    assert translator.finish() == b""
    assert not translator.over


def test_half_a_character_becomes_a_sign_for_it():
    stream = b'data: {"id":"x","choices":[{"delta":{"content":"a\\ud83d \\\\ud83d \\ud83c\\udf89"}}]}\n\n' + DONE
    assert content(stream) == [{"type": "text", "text": "a\ufffd \\ud83d 🎉"}]


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "calls under the same index"])
def test_a_stream_and_a_whole_answer_are_the_same_message(name):
    """The same answer, once whole: put together by the rules of the vendor's own streams."""
    said = {"role": "assistant", "content": "", "tool_calls": {}}
    completion = {"usage": None}
    for event in Decoder().feed(STREAMS[name]):
        told = json.loads(event.data) if event.data != "[DONE]" else {"choices": []}
        completion["usage"] = told.get("usage") or completion["usage"]
        for choice in told["choices"]:
            completion["finish"] = choice.get("finish_reason"), choice.get("stop_reason")
            part = choice["delta"]
            said["content"] += part.get("content") or ""
            for reasoning in ("reasoning", "reasoning_content"):
                if reasoning in part:
                    said[reasoning] = said.get(reasoning, "") + part[reasoning]
            for item in part.get("tool_calls", ()):
                key = item.get("index", item.get("id", item["function"].get("name", "b")))
                held = said["tool_calls"].setdefault(key, {"id": item.get("id"), "name": "", "arguments": ""})
                held["name"] = item["function"].get("name") or held["name"]
                arguments = item["function"].get("arguments", "")
                held["arguments"] = held["arguments"] + arguments if isinstance(arguments, str) else arguments
    said["tool_calls"] = [{"id": held.pop("id"), "function": held} for held in said["tool_calls"].values()]
    finish, stop = completion["finish"]
    choices = [{"message": said, "finish_reason": finish, "stop_reason": stop}]
    whole = answer(chunks.HEAD | {"choices": choices, "usage": completion["usage"]})
    assert accumulated(STREAMS[name]).model_dump() == whole.model_dump()


def test_parts_that_do_not_say_whose_they_are_take_no_longer_behind_many_calls():
    calls = Calls("msg_1")
    for number in range(MAX_CALLS):
        calls.take(Call(number, str(number), Function("get", Raw(b'"{\\"a\\":1}"'))))
    part = Call(function=Function(raw=Raw(b'" "')))
    began = time.process_time()
    for _ in range(30_000):
        calls.take(part)
    assert time.process_time() - began < 3  # looking at each call for each part takes ten seconds


def test_a_call_under_two_indexes_is_one_that_is_under_way():
    calls = Calls("msg_1")
    begun = calls.take(Call(0, "a", Function("get", Raw(b'"{"'))))
    for part in (Call(1, "a"), Call(function=Function(raw=Raw(b'"}"')))):
        assert calls.take(part) is None
    assert calls.all == [begun]
    assert begun.arguments.is_empty
