"""The accounts of OpenAI's streams, Chat Completions and Responses."""

import pytest
from tests.wire import sequences
from tests.wire.sequences import chat_delta, chunk, response_event
from tests.wire.test_accounts import said

from lastcall_sidecar.wire.openai import CHAT, RESPONSES

STARTED = {"started": True, "first_content": True}
CHATS = {
    "text": (
        sequences.CHAT_TEXT,
        STARTED | {"terminal": True, "stop_reason": "stop", "input_tokens": 19, "output_tokens": 10},
    ),
    "tools": (sequences.CHAT_TOOLS, STARTED | {"terminal": True, "stop_reason": "tool_calls"}),
    "an error": (sequences.CHAT_FAILING, STARTED | {"terminal": True, "error": "server_error"}),
    "an error that is a string": (chunk({"error": "boom"}), {"started": True, "terminal": True, "error": "error"}),
    "an error of an odd type": (chunk({"error": {"type": 7}}), {"started": True, "terminal": True, "error": "error"}),
    "an error that is none": (chunk({"error": None, "choices": []}), {"started": True}),
    "no end": (
        sequences.CHAT_TEXT.removesuffix(sequences.DONE),
        STARTED | {"stop_reason": "stop", "input_tokens": 19, "output_tokens": 10},
    ),
    "only an end": (sequences.DONE, {"terminal": True}),
    "an end without a space": (b"data:[DONE]\n\n", {"terminal": True}),
    "an end in the text": (chat_delta({"content": "data: [DONE]\n\n"}), STARTED),
    "nothing after the end": (sequences.DONE + sequences.CHAT_TEXT, {"terminal": True}),
    "compact": (
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}\n\n',
        STARTED | {"stop_reason": "length", "input_tokens": 1},
    ),
    "a finish, compact": (
        chat_delta({"content": "a"}) + b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n',
        STARTED | {"stop_reason": "length"},
    ),
    "a finish, spaced": (
        chat_delta({"content": "a"}) + b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n',
        STARTED | {"stop_reason": "length"},
    ),
    "usage, compact": (
        chat_delta({"content": "a"}) + b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
        STARTED | {"input_tokens": 1},
    ),
    "usage, spaced": (
        chat_delta({"content": "a"}) + b'data: {"choices": [], "usage": {"completion_tokens": 1}}\n\n',
        STARTED | {"output_tokens": 1},
    ),
    "reasoning": (chat_delta({"reasoning_content": "Hm"}), STARTED),
    "reasoning by its later name": (chat_delta({"reasoning": "Hm"}), STARTED),
    "a custom tool": (chat_delta({"tool_calls": [{"index": 0, "custom": {"input": "a"}}]}), STARTED),
    "parts, and a finish": (
        chat_delta({"content": [{"type": "text", "text": "a"}]}, "length"),
        STARTED | {"stop_reason": "length"},
    ),
    "a completion": (chunk({"choices": [{"text": "a", "finish_reason": "stop"}]}), STARTED | {"stop_reason": "stop"}),
    "usage without choices": (
        chunk({"choices": None, "usage": {"prompt_tokens": 1}}),
        {"started": True, "input_tokens": 1},
    ),
    "a role is no content": (chat_delta({"role": "assistant", "content": ""}), {"started": True}),
    "no delta": (chunk({"choices": [{"finish_reason": None}]}), {"started": True}),
    "odd types": (chunk({"choices": 7, "usage": "none"}) + b"data: not JSON\n\n", {"started": True}),
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("stream", "expected"), CHATS.values(), ids=CHATS.keys())
def test_a_chat_is_understood_at_every_split(stream, expected, line_end):
    stream = sequences.with_line_ends(stream, line_end)
    for chunks in [[stream], *sequences.splits(stream)]:
        assert said(chunks, CHAT) == expected
        assert said(chunks, CHAT, framed=False) == expected


RESPONSE_STREAMS = {
    "text": (
        sequences.RESPONSES_TEXT,
        STARTED | {"terminal": True, "stop_reason": "completed", "input_tokens": 37, "output_tokens": 11},
    ),
    "incomplete": (
        response_event(
            "response.incomplete",
            response={"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ),
        {"started": True, "terminal": True, "stop_reason": "max_output_tokens"},
    ),
    "failed": (
        response_event("response.failed", response={"status": "failed", "error": {"code": "server_error"}}),
        {"started": True, "terminal": True, "stop_reason": "failed", "error": "server_error"},
    ),
    "failed without a reason": (
        response_event("response.failed"),
        {"started": True, "terminal": True, "error": "error"},
    ),
    "an error": (
        response_event("error", code="rate_limit_exceeded", message="slow down"),
        {"started": True, "terminal": True, "error": "rate_limit_exceeded"},
    ),
    "an error without a code": (response_event("error"), {"started": True, "terminal": True, "error": "error"}),
    "no event lines": (
        sequences.RESPONSES_TEXT.replace(b"event: ", b"x: "),
        STARTED | {"terminal": True, "stop_reason": "completed", "input_tokens": 37, "output_tokens": 11},
    ),
    "no end": (response_event("response.created") + response_event("response.in_progress"), {"started": True}),
    "an end in the text": (response_event("response.output_text.delta", delta="event: response.failed"), STARTED),
    "[DONE] is not its end": (sequences.DONE, {"started": True}),
}


@pytest.mark.parametrize(("stream", "expected"), RESPONSE_STREAMS.values(), ids=RESPONSE_STREAMS.keys())
def test_a_response_is_understood_at_every_split(stream, expected):
    for chunks in [[stream], *sequences.splits(stream)]:
        assert said(chunks, RESPONSES) == expected
        assert said(chunks, RESPONSES, framed=False) == expected


@pytest.mark.parametrize(
    ("protocol", "stream", "chars"),
    [
        (CHAT, sequences.CHAT_TEXT, len('Hello wörld "error" [DONE')),
        (CHAT, sequences.CHAT_TOOLS, len('{"a":1}')),
        (CHAT, chat_delta({"tool_calls": [{"index": 0}], "refusal": "No."}), 3),
        (CHAT, chat_delta({"reasoning": "Hm."}), 3),
        (CHAT, chat_delta({"reasoning": "Hm.", "reasoning_content": "Hm."}), 3),
        (CHAT, chat_delta({"tool_calls": [{"index": 0, "custom": {"input": "abc"}}, {"custom": None}]}), 3),
        (CHAT, chat_delta({"content": [{"type": "text", "text": "a"}, {"text": 7}, "b", {"text": "cd"}]}), 3),
        (CHAT, chunk({"choices": [{"text": "abc", "index": 0}, {"text": "", "index": 1}]}), 3),
        (RESPONSES, sequences.RESPONSES_TEXT, len("Helloresponse.completed")),
        (RESPONSES, response_event("response.audio.delta", delta=7), 0),
    ],
    ids=[
        *("chat", "tools", "a refusal", "reasoning", "reasoning by both its names", "a custom tool", "parts"),
        *("completions", "responses", "an odd type"),
    ],
)
def test_characters_are_counted_on_demand(protocol, stream, chars):
    for chunks in [[stream], *sequences.splits(stream)]:
        assert said(chunks, protocol, count_output=True).get("output_chars", 0) == chars


@pytest.mark.parametrize(
    ("protocol", "first", "delta"),
    [
        (CHAT, chat_delta({"content": "a"}), chat_delta({"content": "b"})),
        (RESPONSES, response_event("response.x.delta"), response_event("response.y.delta", delta="b")),
    ],
    ids=["chat", "responses"],
)
def test_a_delta_is_not_parsed(protocol, first, delta):
    account = protocol.account()
    account.feed(first)
    account._decoder = None  # whoever parses falls over it
    account.feed(delta)
    assert account.first_content


def test_a_large_response_tells_its_usage_all_the_same():
    """Its last event repeats all of it: the instructions, the tools and the answer."""
    text = {"type": "message", "content": [{"type": "output_text", "text": "a" * 500_000}]}
    response = {"status": "completed", "output": [text], "usage": {"input_tokens": 3, "output_tokens": 4}}
    stream = response_event("response.output_text.delta", delta="a")
    stream += response_event("response.completed", response=response)
    expected = STARTED | {"terminal": True, "stop_reason": "completed", "input_tokens": 3, "output_tokens": 4}
    assert said([stream], RESPONSES) == expected
    assert said([stream[at : at + 65536] for at in range(0, len(stream), 65536)], RESPONSES) == expected
