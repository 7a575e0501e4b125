"""Streams: what the SDK makes of them, at every split, and how they end."""

import json

import anthropic
import pytest
from tests.wire.messages_on_chat import chunks
from tests.wire.messages_on_chat.chunks import DONE, STREAMS, call, chunk, delta, usage
from tests.wire.messages_on_chat.judges import STREAM, accumulated, answer, check_order, events_of, thought, translated
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
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
        (["[1]"], {}),
        (["", " ", "\n", '{"a"', ": 1}"], {"a": 1}),
        (['{"a": "\\', '"}', '"}'], {"a": '"}'}),
        (['{"a": "\\', "", '\\"}'], {"a": "\\"}),
        ([], {}),
    ],
    ids=["null", "text", "a list", "space first", "an escape in two", "an escape and nothing between", "none"],
)
def test_arguments_that_are_odd(arguments, expected):
    stream = delta(tool_calls=[call(0, id="a", name="f")])
    stream += b"".join(delta(tool_calls=[call(0, part)]) for part in arguments)
    stream += delta(tool_calls=[call(1, '{"b":2}', id="b", name="g")])
    assert content(stream + delta("tool_calls") + DONE) == [tool("a", "f", expected), tool("b", "g", {"b": 2})]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([call(0, '{"a"', id="a"), call(0, ":1}", name="f")], tool("a", "f", {"a": 1})),
        ([call(0, '{"a"', name="f"), call(0, ":1}", id="a")], tool("toolu_9f2a_0", "f", {"a": 1})),
        ([call(0), call(0, '{"a":1}', id="a", name="f")], tool("a", "f", {"a": 1})),
        ([call(0, '{"a":1}', id="a")], tool("a", "", {"a": 1})),
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
        "no name",
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
    assert told[1:] == [["content_block_stop"], ["message_delta", "message_stop"], []]


def test_nothing_follows_the_end():
    translator = MESSAGES_ON_CHAT.stream(STREAM)
    for event in Decoder().feed(HELLO + delta("stop") + usage()):
        translator.feed(event)
    assert [translator.feed(event) for event in Decoder().feed(DONE + HELLO + chunk(error={"message": "x"}))] == [
        b""
    ] * 3
    assert translator.finish() == b""
    assert translator.over


def test_content_behind_the_finish_reason_is_left_out():
    assert content(HELLO + delta("stop") + HELLO + DONE) == [{"type": "text", "text": "Hello"}]


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


@pytest.mark.parametrize("finish", ["abort", "error"])
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
