"""The account of an Anthropic stream: right at every split, never fooled, never in the way."""

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire import sequences
from tests.wire.sequences import anthropic_event

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, RESPONSES
from lastcall_sidecar.wire.protocol import MAX_KEPT_BYTES
from lastcall_sidecar.wire.sse import Framer

FACTS = (
    "started",
    "first_content",
    "terminal",
    "error",
    "stop_reason",
    "input_tokens",
    "output_tokens",
    "output_chars",
)


def facts(account):
    return {name: getattr(account, name) for name in FACTS if getattr(account, name) not in (False, None, 0)}


def said(chunks, protocol=ANTHROPIC, *, framed=True, count_output=False):
    """What an account knows after a stream that came in these chunks, as the relay hands it over or without that."""
    account = protocol.account(count_output=count_output)
    framer = Framer()
    for chunk in chunks:
        account.feed(framer.feed(chunk) if framed else chunk)
    if framed:
        account.feed(framer.finish())
    return facts(account)


STARTED = {"started": True, "first_content": True, "input_tokens": 25}
CASES = {
    "text": (sequences.TEXT, STARTED | {"terminal": True, "stop_reason": "end_turn", "output_tokens": 15}),
    "tools and thinking": (
        sequences.TOOLS,
        STARTED | {"terminal": True, "stop_reason": "tool_use", "output_tokens": 89},
    ),
    "an error": (sequences.FAILING, STARTED | {"terminal": True, "error": "overloaded_error", "output_tokens": 1}),
    "fooling text": (sequences.FOOLING, STARTED | {"stop_reason": "max_tokens", "output_tokens": 3}),
    "unknown events": (
        sequences.UNKNOWN_EVENTS,
        {"started": True, "input_tokens": 25, "stop_reason": "of_the_future", "output_tokens": 2},
    ),
    "an error at once": (sequences.OVERLOADED, {"terminal": True, "error": "overloaded_error"}),
    "an error without a type": (b"event: error\ndata: oops\n\n", {"terminal": True, "error": "error"}),
    "an error of no type": (
        anthropic_event({"type": "error", "error": {}}),
        {"terminal": True, "error": "error"},
    ),
    "a type that does not come first": (b'data: {"index": 0, "type": "message_stop"}\n\n', {"terminal": True}),
    "an error of an odd type": (
        anthropic_event({"type": "error", "error": {"type": 7}}),
        {"terminal": True, "error": "error"},
    ),
    "an error with a long type": (
        anthropic_event({"type": "error", "error": {"type": "e" * 99}}),
        {"terminal": True, "error": "e" * 64},
    ),
    "no event lines": (
        sequences.TEXT.replace(b"event: ", b"x-event: "),
        STARTED | {"terminal": True, "stop_reason": "end_turn", "output_tokens": 15},
    ),
    "an event line without a space": (b"event:message_stop\ndata:{}\n\n", {"terminal": True}),
    "the event line counts": (b'event: ping\ndata: {"type":"message_stop"}\n\n', {}),
    "nothing counts after the end": (
        sequences.MESSAGE_STOP + sequences.message_start() + sequences.OVERLOADED,
        {"terminal": True},
    ),
    "an end that is cut short": (sequences.MESSAGE_STOP[:-1], {}),
    "an end in a comment": (b": event: message_stop\n: data: {}\n\n", {}),
    "usage in the last delta": (
        anthropic_event({"type": "message_delta", "usage": {"input_tokens": 3, "output_tokens": None}}),
        {"input_tokens": 3},
    ),
    "a delta of odd types": (
        anthropic_event({"type": "message_delta", "delta": {"stop_reason": 1}, "usage": [1]})
        + anthropic_event({"type": "message_start", "message": "m"})
        + anthropic_event({"type": "message_start", "message": {}})
        + anthropic_event({"type": ["message_stop"]}),
        {"started": True},
    ),
    "a deep one": (
        b"event: message_delta\ndata: " + b"[" * 30_000 + b"\n\n" + sequences.MESSAGE_STOP,
        {"terminal": True},
    ),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES.keys())
def test_a_stream_is_understood_at_every_split(stream, expected, line_end):
    stream = sequences.with_line_ends(stream, line_end)
    assert said([stream]) == expected
    for chunks in sequences.splits(stream) if len(stream) < 5_000 else ():
        assert said(chunks) == expected
        assert said(chunks, framed=False) == expected


@pytest.mark.parametrize("stream", [sequences.TEXT, sequences.TOOLS], ids=["text", "tools"])
def test_it_agrees_with_the_vendors_sdk(stream):
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})
    )
    client = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    with client.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}]) as events:
        message = events.get_final_message()
    account = ANTHROPIC.account()
    account.feed(stream)
    assert account.stop_reason == message.stop_reason
    assert account.input_tokens == message.usage.input_tokens
    assert account.output_tokens == message.usage.output_tokens


def test_content_is_seen_with_the_event_that_brings_it():
    account = ANTHROPIC.account()
    account.feed(sequences.message_start() + sequences.PING)
    assert not account.first_content
    account.feed(sequences.block_start(0, {"type": "text", "text": ""}))
    assert account.first_content
    late = ANTHROPIC.account()
    late.feed(sequences.text_delta("no start"))
    assert late.first_content


@pytest.mark.parametrize(
    ("stream", "chars"),
    [
        (sequences.TEXT, len("Hello wörld, 漢字 🎉\n\ndata: not one")),
        (sequences.TOOLS, len('Let me look.{"location": "San Francisco"}')),
        (sequences.block_delta(0, {"type": "text_delta", "text": 7}), 0),
        (anthropic_event({"type": "content_block_delta"}), 0),
    ],
    ids=["text", "tools and thinking", "an odd type", "no delta"],
)
def test_characters_are_counted_on_demand(stream, chars):
    for chunks in [[stream], *sequences.splits(stream)]:
        assert said(chunks, count_output=True).get("output_chars", 0) == chars
    assert "output_chars" not in said([stream])


@pytest.mark.parametrize("size", [1_000, 65_536, 10_000_000], ids="{:,} bytes a chunk".format)
def test_of_an_event_past_64_kib_the_name_is_known(size):
    big = "x" * 200_000
    stream = b"".join(
        [
            sequences.message_start(),
            sequences.block_start(0, {"type": "web_search_tool_result", "content": big}),
            sequences.text_delta("message_stop" * 20_000),
            b'data: {"type": "content_block_start", "x": "' + big.encode() + b'"}\n\n',
            b'data: {"x": "' + big.encode() + b'", "type": "message_stop"}\n\n',
            anthropic_event({"type": "message_delta", "x": big, "delta": {"stop_reason": "end_turn"}}),
            sequences.MESSAGE_STOP,
        ]
    )
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert said(chunks) == STARTED | {"terminal": True, "output_tokens": 1}
    without_end = stream.removesuffix(sequences.MESSAGE_STOP)
    assert "terminal" not in said([without_end])


def test_what_is_kept_of_an_event_is_bounded():
    account = ANTHROPIC.account()
    account.feed(b"event: message_delta\ndata: ")
    for _ in range(100):
        account.feed(b"x" * 10_000)
    kept = account._decoder._line
    assert len(kept) == MAX_KEPT_BYTES


def test_a_delta_is_not_parsed():
    account = ANTHROPIC.account()
    account.feed(sequences.message_start() + sequences.text_delta("a"))
    account._decoder = None  # whoever parses falls over it
    account.feed(sequences.text_delta("Hello"))
    assert account.last_event == "content_block_delta"


EVENTS = st.sampled_from(
    [
        sequences.message_start(),
        sequences.PING,
        sequences.text_delta("event: error"),
        sequences.text_delta("plain"),
        sequences.message_delta(),
        sequences.MESSAGE_STOP,
        sequences.OVERLOADED,
        sequences.chat_delta({"content": "x"}),
        sequences.chat_delta({}, "stop"),
        sequences.DONE,
        sequences.RESPONSES_TEXT,
        sequences.CHAT_FAILING,
        b": comment\n",
        b"event: message_stop\n",
        b"data: {}\n",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\xff\xfe",
        b"data: [1]\n\n",
        b'data: "message_stop"\n\n',
        b'data: {"error": "boom"}\n\n',
        b'data: {"choices": null, "usage": {"prompt_tokens": 1e99}}\n\n',
    ]
)
EACH_PROTOCOL = pytest.mark.parametrize(
    "protocol", [ANTHROPIC, UNKNOWN, CHAT, RESPONSES], ids=["anthropic", "none", "chat", "responses"]
)


@EACH_PROTOCOL
@given(
    stream=(st.binary() | EVENTS).flatmap(
        lambda first: st.lists(EVENTS | st.binary(max_size=9)).map(lambda more: first + b"".join(more))
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=150)
def test_any_bytes_in_any_chunks_raise_nothing_and_mean_the_same(protocol, stream, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = protocol.account(count_output=True)  # parses everything
    whole.feed(stream)
    once = facts(whole)
    if protocol is UNKNOWN:
        assert set(once) <= {"started"}
        return
    assert said(chunks, protocol, framed=False, count_output=True) == once
    once.pop("output_chars", None)
    assert said(chunks, protocol) == once
    assert said(chunks, protocol, framed=False) == once


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (sequences.TEXT, "message_stop"),
        (sequences.text_delta("event: fooled"), "content_block_delta"),
        (b"event:ping\r\ndata: {}\r\n\r\n", "ping"),
        (b"event: " + b"e" * 99 + b"\n\n", "e" * 64),
        (b"data: [DONE]\n\n", ""),
        (b"", ""),
    ],
    ids=["the last of several", "not in the data", "without a space", "a long one", "none", "nothing"],
)
def test_the_last_event_has_a_name_for_the_log(block, name):
    account = ANTHROPIC.account()
    account.feed(block)
    assert account.last_event == name


def test_its_repr_tells_what_it_knows():
    account = ANTHROPIC.account()
    account.feed(sequences.TEXT)
    assert repr(account) == "AnthropicAccount(started, first_content, terminal, message_stop)"


def test_of_an_unknown_protocol_only_that_it_started_is_known():
    account = UNKNOWN.account()
    account.feed(b"")
    assert not account.started
    account.feed(sequences.TEXT)
    assert facts(account) == {"started": True}
    assert not account.knows_terminal
    assert account.last_event == "message_stop"


@pytest.mark.parametrize("count", [-1, 10**30, True, "7", 1.5], ids=str)
def test_what_nobody_can_have_counted_is_no_usage(count):
    assert said([sequences.message_start(count)]) == {"started": True}


def test_a_number_of_any_length_is_survived():
    start = sequences.message_start(7).replace(b'"input_tokens": 7', b'"input_tokens": ' + b"7" * 5_000)
    assert said([start]) == {"started": True}


def test_half_a_surrogate_pair_is_read_as_the_sdks_do():
    half = b'event: message_delta\ndata: {"delta": {"stop_reason": "end_turn"}, "x": "\\ud83d"}\n\n'
    assert said([half]) == {"stop_reason": "end_turn"}
    odd = b'event: message_delta\ndata: {"delta": "odd", "x": "\\ud83d"}\n\n'
    assert said([odd]) == {}
