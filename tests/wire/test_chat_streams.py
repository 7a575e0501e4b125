"""A message's events become chunks that OpenAI's SDK puts together: the same at every split, and each at once."""

import json

import openai
import pytest
from tests.wire import sequences
from tests.wire.chats import ASKED, MODEL, USER, accumulated, chunks_of, client, spoken
from tests.wire.sequences import anthropic_event, block_delta, block_start, block_stop, text_delta

from lastcall_sidecar.testing.script import Plan, ToolCall, write
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.openai import CHAT
from lastcall_sidecar.wire.sse import Decoder, Event
from lastcall_sidecar.wire.translation import Asked, TranslationError

START = sequences.message_start()
END = sequences.message_delta() + sequences.MESSAGE_STOP
WITHOUT_USAGE = Asked(MODEL, stream=True)


def text_block(*texts, index=0):
    begin = block_start(index, {"type": "text", "text": ""})
    return begin + b"".join(text_delta(said, index) for said in texts) + block_stop(index)


def tool_block(*pieces, index=0, **fields):
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": "look", "input": {}, **fields}
    deltas = [block_delta(index, {"type": "input_json_delta", "partial_json": piece}) for piece in pieces]
    return block_start(index, block) + b"".join(deltas) + block_stop(index)


def deltas(stream, asked=WITHOUT_USAGE):
    """What each chunk adds, with the reason to finish where there is one."""
    found = []
    for chunk in chunks_of(spoken([stream], asked)[0]):
        choice = chunk["choices"][0]
        delta = {key: value for key, value in choice["delta"].items() if value is not None}
        found.append({**delta, **({"finish": choice["finish_reason"]} if choice["finish_reason"] else {})})
    return found


ROLE = {"role": "assistant"}


def reasoning(index=0, **fields):
    return {"reasoning_details": [{"type": "reasoning.text", "index": index, **fields}]}


def test_the_chunks_are_openais():
    said, over = spoken([START + text_block("Hi") + END])
    assert over
    head = {
        "id": "msg_01",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "claude-sonnet-4-6",
    }
    none = {"logprobs": None, "finish_reason": None}
    assert chunks_of(said) == [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "refusal": None}, **none}], "usage": None},
        {**head, "choices": [{"index": 0, "delta": {"content": "Hi"}, **none}], "usage": None},
        {**head, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}], "usage": None},
        {
            **head,
            "choices": [],
            "usage": {
                "prompt_tokens": 32,
                "completion_tokens": 15,
                "total_tokens": 47,
                "prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 0},
            },
        },
    ]
    assert said.endswith(b"\n\ndata: [DONE]\n\n")


def test_usage_is_told_only_if_asked_for():
    said, over = spoken([sequences.TEXT], WITHOUT_USAGE)
    assert over
    assert b"usage" not in said
    assert said.endswith(b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


STREAMS = {
    "text": (
        text_block("Hello", "", " wörld\n🎉") + END,
        [ROLE, {"content": "Hello"}, {"content": " wörld\n🎉"}, {"finish": "stop"}],
    ),
    "text that begins with its block": (
        block_start(0, {"type": "text", "text": "Hi"}) + END,
        [ROLE, {"content": "Hi"}, {"finish": "stop"}],
    ),
    "nothing": (END, [ROLE, {"content": "", "finish": "stop"}]),
    "calls": (
        text_block("I look.")
        + tool_block("", '{"a":', "1}", index=1)
        + tool_block('{"b":2}', index=2)
        + sequences.message_delta("tool_use")
        + sequences.MESSAGE_STOP,
        [
            ROLE,
            {"content": "I look."},
            {
                "tool_calls": [
                    {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
            {
                "tool_calls": [
                    {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "look", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 1, "function": {"arguments": '{"b":2}'}}]},
            {"finish": "tool_calls"},
        ],
    ),
    "a call without arguments": (
        tool_block("") + END,
        [
            ROLE,
            {
                "tool_calls": [
                    {"index": 0, "id": "toolu_0", "type": "function", "function": {"name": "look", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            {"finish": "stop"},
        ],
    ),
    "a call that begins with its arguments": (
        tool_block(input={"a": 1.0}) + END,
        [
            ROLE,
            {
                "tool_calls": [
                    {"index": 0, "id": "toolu_0", "type": "function", "function": {"name": "look", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1.0}'}}]},
            {"finish": "stop"},
        ],
    ),
    "thinking": (
        sequences.TOOLS.removeprefix(START),
        [
            ROLE,
            reasoning(text="", signature=""),
            {"reasoning_content": "Let me look.", **reasoning(text="Let me look.")},
            reasoning(signature="EqQBCgIYAhIM"),
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "toolu_01",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": ""},
                    }
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"location": "San'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ' Francisco"}'}}]},
            {"finish": "tool_calls"},
        ],
    ),
    "redacted thinking": (
        block_start(0, {"type": "redacted_thinking", "data": "enc"})
        + block_stop(0)
        + block_start(1, {"type": "thinking", "thinking": "Hm", "signature": ""})
        + block_stop(1)
        + END,
        [
            ROLE,
            {"reasoning_details": [{"type": "reasoning.encrypted", "index": 0, "data": "enc"}]},
            {"reasoning_content": "Hm", **reasoning(1, text="Hm", signature="")},
            {"content": "", "finish": "stop"},
        ],
    ),
    "blocks and events without a place": (
        START
        + sequences.PING
        + block_start(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})
        + block_delta(0, {"type": "input_json_delta", "partial_json": '{"query":"x"}'})
        + block_delta(0, {"type": "text_delta", "text": "not of a text"})
        + block_stop(0)
        + block_start(1, {"type": "of_the_future", "text": 7})
        + block_delta(1, {"type": "of_the_future_delta", "text": 7})
        + block_stop(1)
        + block_start(2, {"type": "text", "text": ""})
        + block_delta(2, {"type": "citations_delta", "citation": {"cited_text": "x", "start": 1}})
        + text_delta("Hi", 2)
        + block_delta(2, {"type": "input_json_delta", "partial_json": "{}"})
        + anthropic_event({"type": "of_the_future", "message": 7})
        + END,
        [ROLE, {"content": "Hi"}, {"finish": "stop"}],
    ),
    "a reason that is told twice": (
        text_block("Hi") + sequences.message_delta("max_tokens") + END,
        [ROLE, {"content": "Hi"}, {"finish": "length"}],
    ),
    "a change without a reason": (
        text_block("Hi") + anthropic_event({"type": "message_delta", "usage": {"output_tokens": 7}}) + END,
        [ROLE, {"content": "Hi"}, {"finish": "stop"}],
    ),
    "no reason": (text_block("Hi") + sequences.MESSAGE_STOP, [ROLE, {"content": "Hi"}, {"finish": "stop"}]),
    "a refusal": (
        anthropic_event(
            {
                "type": "message_delta",
                "delta": {
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal", "explanation": "Too dangerous."},
                },
                "usage": {"output_tokens": 1},
            }
        )
        + sequences.MESSAGE_STOP,
        [ROLE, {"content": "", "refusal": "Too dangerous.", "finish": "content_filter"}],
    ),
}


@pytest.mark.parametrize(("events", "expected"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_is_translated(events, expected):
    assert deltas(START + events) == expected
    assert accumulated(spoken([START + events])[0])["message"]["role"] == "assistant"


FIXTURES = {
    "text": sequences.TEXT,
    "tools and thinking": sequences.TOOLS,
    "fooling text": sequences.FOOLING + sequences.MESSAGE_STOP,
    "an error": sequences.FAILING,
    "unknown events": sequences.UNKNOWN_EVENTS + sequences.MESSAGE_STOP,
    "calls": START + STREAMS["calls"][0],
    "redacted thinking": START + STREAMS["redacted thinking"][0],
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("stream", FIXTURES.values(), ids=FIXTURES.keys())
def test_a_stream_is_the_same_at_every_split(stream, line_end):
    whole = spoken([stream])
    assert whole[1]
    stream = sequences.with_line_ends(stream, line_end)
    for chunks in sequences.splits(stream):
        assert spoken(chunks) == whole


@pytest.mark.parametrize("noise", [False, True], ids=["plain", "with noise"])
def test_a_stream_equals_the_whole_answer_of_the_fake(noise):
    plan = Plan(seed=7, model=MODEL, events=40, thinking=True, tools=(ToolCall("look", '{"a":1.0}'),), noise=noise)
    script = write(plan)
    whole = json.loads(CHAT_ON_MESSAGES.answer(script.document, ASKED))
    found = accumulated(spoken(script.events)[0])
    message = whole["choices"][0]["message"]
    assert found["message"]["content"] == message["content"] == script.text
    assert found["message"]["reasoning_details"] == message["reasoning_details"]
    assert found["message"]["reasoning_content"] == message["reasoning_content"]
    assert found["usage"] == whole["usage"]


def test_the_sdks_own_helper_streams_it():
    with (
        client(spoken([sequences.TOOLS])[0]) as made,
        made.chat.completions.stream(model="m", messages=[USER], stream_options={"include_usage": True}) as events,
    ):
        kinds = [event.type for event in events]
        found = events.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert found.choices[0].message.tool_calls[0].function.arguments == '{"location": "San Francisco"}'
    assert found.usage.completion_tokens == 89


def test_what_came_in_leaves_in_the_same_call():
    stream = CHAT_ON_MESSAGES.stream(WITHOUT_USAGE)
    for event in Decoder().feed(START + text_block("a", "b") + tool_block("{", "}", index=1) + END):
        said = stream.feed(event)
        quiet = event.event == "content_block_stop" or (event.event == "content_block_start" and '"text"' in event.data)
        assert bool(said) is not quiet


def test_our_own_account_understands_it():
    account = CHAT.account()
    account.feed(spoken([sequences.TOOLS])[0])
    assert (account.terminal, account.stop_reason) == (True, "tool_calls")
    assert (account.input_tokens, account.output_tokens) == (32, 89)


def test_usage_is_the_last_that_was_told():
    change = anthropic_event(
        {
            "type": "message_delta",
            "delta": {},
            "usage": {"input_tokens": 30, "output_tokens": 4, "server_tool_use": None},
        }
    )
    usage = chunks_of(spoken([START + change + END])[0])[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (37, 15)


@pytest.mark.parametrize(
    "stream",
    [b"", START, START + text_block("Hi"), START + text_block("Hi") + sequences.message_delta()],
    ids=["nothing", "a start", "text", "all but message_stop"],
)
def test_a_stream_without_its_end_is_not_over(stream):
    said, over = spoken([stream])
    assert not over
    assert b"[DONE]" not in said


def test_a_reason_to_finish_does_not_wait_for_the_end():
    said, _ = spoken([START + text_block("Hi") + sequences.message_delta()])
    assert chunks_of(said)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("end", [END, sequences.OVERLOADED], ids=["a good end", "an error"])
def test_nothing_is_said_after_the_end(end):
    stream = CHAT_ON_MESSAGES.stream(ASKED)
    for event in Decoder().feed(START + end):
        stream.feed(event)
    assert stream.over
    for event in Decoder().feed(sequences.TEXT):
        assert stream.feed(event) == b""
    assert stream.finish() == b""


def test_a_second_start_says_nothing():
    assert (
        deltas(START + sequences.message_start(99) + text_block("Hi") + END) == STREAMS["a change without a reason"][1]
    )


def test_a_stream_that_does_not_say_who_speaks():
    said, _ = spoken([anthropic_event({"type": "message_start", "message": {}}) + END])
    first, *_, last = chunks_of(said)
    assert (first["id"], first["model"], last["usage"]["prompt_tokens"]) == ("", MODEL, 0)


STREAM_ERRORS = {
    "overloaded": (START + text_block("Hi") + sequences.OVERLOADED, "Overloaded", "server_error", "overloaded"),
    "at once": (sequences.OVERLOADED, "Overloaded", "server_error", "overloaded"),
    "of the caller's": (
        anthropic_event({"type": "error", "error": {"type": "invalid_request_error", "message": "Too long."}}),
        "Too long.",
        "invalid_request_error",
        None,
    ),
    "of a type yet unknown": (
        anthropic_event({"type": "error", "error": {"type": "of_the_future", "message": "Boom."}}),
        "Boom.",
        "server_error",
        None,
    ),
    "without a name": (
        sequences.chunk({"error": {"type": "overloaded_error", "message": "x"}}),
        "x",
        "server_error",
        "overloaded",
    ),
    "without words": (
        b"event: error\ndata: oops\n\n",
        "the upstream ended the stream with an error",
        "server_error",
        None,
    ),
}


@pytest.mark.parametrize(("stream", "message", "kind", "code"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
def test_an_error_ends_the_stream_and_raises_in_the_sdk(stream, message, kind, code):
    said, over = spoken([stream + END])
    assert over
    assert b"[DONE]" not in said
    with client(said) as made, pytest.raises(openai.APIError) as failed:
        list(made.chat.completions.create(model="m", messages=[USER], stream=True))
    assert (failed.value.message, failed.value.type, failed.value.code) == (message, kind, code)


BAD = {
    "no JSON": (START, Event("content_block_delta", '{"index":0')),
    "no message": (b"", Event("message_start", "{}")),
    "a block without its place": (START, Event("content_block_start", '{"content_block":{"type":"text"}}')),
    "a delta without its place": (START, Event("content_block_delta", '{"delta":{"type":"text_delta"}}')),
    "text that is none": (
        START + block_start(0, {"type": "text", "text": ""}),
        Event("content_block_delta", '{"index":0,"delta":{"type":"text_delta","text":7}}'),
    ),
    "JSON that is no text": (
        START + block_start(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        Event("content_block_delta", '{"index":0,"delta":{"type":"input_json_delta","partial_json":{}}}'),
    ),
    "a change that is none": (START, Event("message_delta", '{"delta":"odd"}')),
    "content before the start": (b"", Event("content_block_start", '{"index":0,"content_block":{"type":"tool_use"}}')),
    "an end before the start": (b"", Event("message_stop", "{}")),
    "bottomless": (START, Event("message_delta", '{"usage":' + "[" * 100_000 + "]" * 100_000 + "}")),
}


@pytest.mark.parametrize(("begin", "event"), BAD.values(), ids=BAD.keys())
def test_what_is_no_event_of_a_message_is_an_error_of_the_upstreams(begin, event):
    stream = CHAT_ON_MESSAGES.stream(ASKED)
    for earlier in Decoder().feed(begin):
        stream.feed(earlier)
    with pytest.raises(TranslationError):
        stream.feed(event)
    assert not stream.over


def test_half_a_surrogate_pair_breaks_nothing():
    half = rb'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\ud83d"}}' + b"\n\n"
    stream = START + block_start(0, {"type": "text", "text": ""}) + half + END
    assert deltas(stream)[1] == {"content": "a\ufffd"}
