"""Events out of bytes, after the WHATWG's rules, at every split; and bytes out of events."""

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire import sequences

from lastcall_sidecar.wire.sse import MAX_EVENT_BYTES, Decoder, Event, EventTooLargeError, encode

BOM = b"\xef\xbb\xbf"

#: The examples of the specification (9.2.6) and its rules, one by one.
RULES = {
    "data lines are joined": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("message", "YHOO\n+2\n10")]),
    "comments, ids and no id": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [
            Event("message", "first event", "1"),
            Event("message", "second event", ""),
            Event("message", " third event", ""),
        ],
    ),
    "empty data are data": (b"data\n\ndata\ndata\n\ndata:", [Event("message", ""), Event("message", "\n")]),
    "one space goes": (b"data:test\n\ndata: test\n\n", [Event("message", "test"), Event("message", "test")]),
    "an unfinished event is discarded": (b"data: a\n\ndata: b\n", [Event("message", "a")]),
    "an event without data is none": (b"event: a\n\ndata: b\n\n", [Event("message", "b")]),
    "an event without data sets the id": (b"id: 7\n\ndata: b\n\n", [Event("message", "b", "7")]),
    "an id with NUL is ignored": (b"id: 1\nid: a\0b\ndata: x\n\n", [Event("message", "x", "1")]),
    "the id stays": (b"id: 1\ndata: x\n\ndata: y\n\n", [Event("message", "x", "1"), Event("message", "y", "1")]),
    "the last event name counts": (b"event: a\nevent: b\ndata\n\n", [Event("b", "")]),
    "an empty event name is none": (b"event: a\nevent:\ndata\n\n", [Event("message", "")]),
    "names are exact": (b"Data: a\n data: b\ndata : c\nevents: d\n:data: e\ndata: f\n\n", [Event("message", "f")]),
    "retry": (b"retry: 3000\ndata\n\n", [Event("message", "", retry=3000)]),
    "retry belongs to its event": (b"retry: 3000\n\ndata\n\n", [Event("message", "")]),
    "retry takes digits only": (
        b"retry: 3s\nretry: -1\nretry:\nretry: 1_0\nretry: \xd9\xa3\ndata\n\n",
        [Event("message", "")],
    ),
    "a retry past all time is ignored": (b"retry: " + b"9" * 5000 + b"\ndata\n\n", [Event("message", "")]),
    "a BOM opens": (BOM + b"data: a\n\n", [Event("message", "a")]),
    "a BOM alone on its line": (BOM + b"\ndata: a\n\n", [Event("message", "a")]),
    "only one BOM": (BOM + BOM + b"data: a\n\ndata: b\n\n", [Event("message", "b")]),
    "a BOM later is text": (b"\n" + BOM + b"data: a\n\ndata: b\n\n", [Event("message", "b")]),
    "colons belong to the value": (b"data: a:b: c\n\n", [Event("message", "a:b: c")]),
    "bad UTF-8 is replaced": (b"data: a\xffb\xe6\xbc\n\n", [Event("message", "a\ufffdb\ufffd")]),
    "NUL and NEL and LS are text": (
        "data: a\0b\x85c\u2028d\x0be\n\n".encode(),
        [Event("message", "a\0b\x85c\u2028d\x0be")],
    ),
}


def decode(chunks, decoder=None):
    decoder = decoder or Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize(("stream", "events"), RULES.values(), ids=RULES.keys())
def test_the_rules_hold_at_every_split(stream, events, line_end):
    stream = sequences.with_line_ends(stream, line_end)
    assert decode([stream]) == events
    for chunks in sequences.splits(stream):
        assert decode(chunks) == events


def test_empty_chunks_change_nothing():
    assert decode([b"", b"data: a\r", b"", b"\n", b"", b"\r\n"]) == [Event("message", "a")]


def test_held_is_what_waits_for_the_rest_of_its_event():
    decoder = Decoder()
    assert [(decoder.feed(chunk), decoder.held)[1] for chunk in (b"da", b"ta: ab\n", b"data: c", b"\n", b"\n")] == [
        2,
        3,
        10,
        5,
        0,
    ]


def test_pending_tells_whether_something_waits():
    decoder = Decoder()
    for begun in [b"d", b"data: a\n", b": c", b"event: a\n", b"retry: 1\n"]:
        decoder.feed(begun)
        assert decoder.pending
        decoder.feed(b"\n\n")
        assert not decoder.pending


NAMES = st.text().filter(lambda name: name and "\n" not in name and "\r" not in name)


@given(st.lists(st.tuples(st.none() | NAMES, st.text()), max_size=5), st.data())
@settings(deadline=None)
def test_what_is_encoded_is_decoded_at_any_split(events, data):
    stream = b"".join(encode(name, text) for name, text in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [(name or "message", text.replace("\r\n", "\n").replace("\r", "\n")) for name, text in events]
    assert [(event.event, event.data) for event in decode(chunks)] == expected


TOKENS = [b"data", b":", b" ", b"\n", b"\r", b"id", b"\0", BOM, b"data: x\n\n", b"event: e\ndata: x\n\n", b"event: e\n"]


@given(st.binary() | st.lists(st.sampled_from(TOKENS)).map(b"".join), st.data())
@settings(deadline=None)
def test_any_bytes_mean_the_same_at_any_split(stream, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(chunks) == decode([stream])
    assert decode([stream[at : at + 1] for at in range(len(stream))]) == decode([stream])  # none goes the short way


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"a" * 100 + b"\n\n"],
        [b"data: " + b"a" * 50, b"a" * 50],
        [b"data: " + b"a" * 50 + b"\n", b"data: " + b"a" * 50 + b"\n"],
        [b"data: " + b"a" * 57 + b"\ndata:abcdef\n"],
        [b": " + b"a" * 100],
        [b"data\n" * 65],
    ],
    ids=["whole", "split", "in lines", "by one byte", "a comment", "empty lines"],
)
def test_an_event_past_the_limit_raises_then_and_from_then_on(chunks):
    decoder = Decoder(max_event_bytes=64)
    with pytest.raises(EventTooLargeError, match="too large"):
        decode(chunks, decoder)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"\n\ndata: a\n\n")


def test_an_event_at_the_limit_passes():
    assert len(decode([b"data: " + b"a" * 58 + b"\n\n"], Decoder(max_event_bytes=64))[0].data) == 58
    assert len(decode([b"data: " + b"a" * 57 + b"\ndata:abcde\n\n"], Decoder(max_event_bytes=64))[0].data) == 63


def test_the_limit_is_32_mib():
    decoder = Decoder()
    event = b"data: " + b"a" * (MAX_EVENT_BYTES - 6)
    decoder.feed(event)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"a")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"event: big\ndata: " + b"a" * 100 + b"\n\n", Event("big", "a" * 58, truncated=True)),
        (
            b"data: " + b"a" * 40 + b"\ndata: " + b"b" * 40 + b"\n\n",
            Event("message", "a" * 40 + "\n" + "b" * 23, truncated=True),
        ),
        (b"data: " + b"a" * 59 + b"\ndata: b\n\n", Event("message", "a" * 58 + "\nb", truncated=True)),
        (b": " + b"a" * 100 + b"\ndata: b\n\n", Event("message", "b")),
        (b"data: a\n: " + b"a" * 100 + b"\n\n", Event("message", "a")),
        (b"data: " + b"a" * 100 + b"\n\ndata: b\n\n", Event("message", "a" * 58, truncated=True)),
    ],
    ids=["one line", "two lines", "the first of two", "a comment before", "a comment after", "only that one"],
)
def test_with_truncate_an_event_keeps_what_it_had(stream, expected):
    for chunks in sequences.splits(stream):
        assert decode(chunks, Decoder(64, truncate=True))[0] == expected


def test_an_event_of_5_mb_is_decoded_in_linear_time():
    event = b"data: " + b"x" * 5_000_000 + b"\n\n"
    began = time.process_time()
    [decoded] = decode(event[i : i + 500] for i in range(0, len(event), 500))
    assert time.process_time() - began < 3
    assert len(decoded.data) == 5_000_000


def test_many_small_lines_take_no_more_memory_than_their_bytes():
    decoder = Decoder()
    lines = b"data:ab\n" * 100_000
    tracemalloc.start()
    try:
        decoder.feed(lines[: len(lines) // 2])
        decoder.feed(lines[len(lines) // 2 :])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < len(lines)


def test_encode_writes_a_line_of_data_for_each_line():
    assert encode("ping", "a\nb\r\nc\rd") == b"event: ping\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    assert encode(None, "") == b"data: \n\n"
    assert encode(None, "\ud800") == b"data: ?\n\n"


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_an_event_name_with_a_line_end_is_refused(name):
    with pytest.raises(ValueError, match="one line"):
        encode(name, "")


FLOODS = {
    "empty lines": b"\n",
    "empty lines, CRLF": b"\r\n",
    "comments": b":\n",
    "comments with words": b": x\r\n",
    "both": b"\n: x\n\n",
}


@pytest.mark.parametrize("begin", [b"data: a\n\n", b"data: a\n"], ids=["between events", "within an event"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_empty_lines_and_comments_takes_no_time(begin, flood):
    """Of the processor's, which nobody else can take from it: line by line it were a second and a half."""
    decoder = Decoder()
    decoder.feed(begin)
    lines = flood * 1_000_000
    started = time.process_time()
    found = [event for start in range(0, len(lines), 65536) for event in decoder.feed(lines[start : start + 65536])]
    assert time.process_time() - started < 0.4
    ends_an_event = not begin.endswith(b"\n\n") and flood not in {b":\n", b": x\r\n"}
    assert len(found) == ends_an_event
    assert [event.data for event in found + decoder.feed(b"\ndata: b\n\n")][-1] == "b"
