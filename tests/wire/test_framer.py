"""What may leave of a stream, and where something may be inserted: at every split, under every line end."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire import sequences

from lastcall_sidecar.wire.sse import MAX_HELD_BYTES, Decoder, Framer

BOM = b"\xef\xbb\xbf"
OURS = b": keep-alive\n\nevent: ours\ndata: inserted\n\n"

FIXTURES = {
    "text": sequences.TEXT,
    "comments": b": one\n: two\n\ndata: a\n: within\n\n: three\n",
    "mixed line ends": b"data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\r\n\ndata: e\n\r\ndata: f\r\n\rdata: g\n\r",
    "blank lines": b"\n\r\n\r\r\n\n\ndata: a\n\n\n\n",
    "BOM": BOM + b"data: a\n\n" + BOM + b"data: b\n\n",
    "BOM, then a comment": BOM + b": hi\r\n\r\ndata: a\r\n\r\n",
    "BOM alone": BOM,
    "half a BOM": BOM[:2] + b"data: a\n\n",
    "ends within an event": b"data: a\n\ndata: b\n",
    "ends within a comment": b"data: a\n\n: b",
    "binary": bytes(range(256)) * 3,
}


def complete(stream: bytes) -> int:
    """How many bytes of the stream so far a client can use: an oracle that reads it all, line by line."""
    if BOM.startswith(stream[:3]) and len(stream) < 3:
        return 0
    position = usable = 3 if stream.startswith(BOM) else 0
    within_event = False
    for line in re.finditer(rb"([^\r\n]*)(?:\r\n|\r|\n)", stream[position:]):
        position = line.end() + (3 if stream.startswith(BOM) else 0)
        if not line[1]:
            within_event = False
        elif not line[1].startswith(b":"):
            within_event = True
        if not within_event:
            usable = position
    return usable


def feed_all(framer: Framer, chunks: tuple[bytes, ...]) -> bytes:
    return b"".join(framer.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("stream", FIXTURES.values(), ids=FIXTURES.keys())
def test_everything_complete_leaves_at_once_and_the_whole_is_the_input(stream, line_end):
    stream = sequences.with_line_ends(stream, line_end)
    for chunks in sequences.splits(stream):
        framer = Framer()
        came = left = b""
        for chunk in chunks:
            came += chunk
            left += framer.feed(chunk)
            assert left == came[: complete(came)]
            assert framer.held == len(came) - len(left)
        assert left + framer.finish() == stream


PIECES = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b":", b"x", b"data: a", b"event: b\n", BOM, BOM[:1], b"\0"])


@given(st.lists(st.lists(PIECES, max_size=4).map(b"".join), max_size=12))
@settings(deadline=None, max_examples=400)
def test_any_chunks_leave_as_the_oracle_says(chunks):
    framer = Framer()
    came = left = b""
    for chunk in chunks:
        came += chunk
        left += framer.feed(chunk)
        assert left == came[: complete(came)]
    assert left + framer.finish() == came


@given(st.lists(st.lists(PIECES, max_size=5).map(b"".join), max_size=12), st.integers(0, 8))
@settings(deadline=None, max_examples=400)
def test_what_is_inserted_while_insertable_arrives_and_changes_no_event(chunks, max_held_bytes):
    framer = Framer(max_held_bytes)
    plain, stuffed, inserted = b"", b"", 0
    for chunk in chunks:
        ready = framer.feed(chunk)
        plain += ready
        stuffed += ready
        assert framer.held <= max(max_held_bytes, 2)  # half a BOM is held under any limit
        # Before a BOM nothing may stand: nobody knows yet whether one comes, unless something came.
        if framer.insertable and plain:
            stuffed += OURS
            inserted += 1
    tail = framer.finish()
    assert plain + tail == b"".join(chunks)
    events = Decoder().feed(stuffed + tail)
    ours = [event for event in events if event.event == "ours"]
    theirs = [(event.event, event.data) for event in events if event.event != "ours"]
    assert len(ours) == inserted
    assert theirs == [(event.event, event.data) for event in Decoder().feed(plain + tail)]


@pytest.mark.parametrize(
    ("chunks", "left"),
    [
        ([b": c", b"\ndata: a\rdata: b"], b": c\n"),
        ([b": c", b"\rdata: a\ndata: b"], b": c\r"),
        ([b": c", b" d\r\ndata: a\r\n: e\r\n"], b": c d\r\n"),
        ([b": c\r", b"\n: d\n: e"], b": c\r\n: d\n"),
        ([b"data: a\r\r", b"\ndata: b\n"], b"data: a\r\r\n"),
    ],
    ids=["LF", "CR", "CRLF", "a CRLF in two", "an empty CRLF line in two"],
)
def test_behind_a_comment_an_event_waits(chunks, left):
    assert feed_all(Framer(), chunks) == left


def test_half_a_bom_allows_no_insertion():
    framer = Framer()
    assert framer.feed(BOM[:1]) == b""
    assert not framer.insertable
    assert framer.feed(BOM[1:]) == BOM
    assert framer.insertable


def test_after_a_tail_has_left_nothing_may_be_inserted():
    framer = Framer()
    assert framer.feed(b"data: a\n\ndata: b") == b"data: a\n\n"
    assert framer.insertable
    assert framer.finish() == b"data: b"
    assert not framer.insertable
    assert framer.held == 0


def test_the_end_of_a_whole_stream_leaves_it_insertable():
    framer = Framer()
    framer.feed(b"data: a\n\n")
    assert framer.finish() == b""
    assert framer.insertable


def test_nothing_fed_is_nothing_left():
    framer = Framer()
    assert framer.feed(b"") == b""
    assert framer.feed(b"data: a\n\n") == b"data: a\n\n"
    assert framer.feed(b"") == b""
    assert framer.insertable


@pytest.mark.parametrize("begin", [b"data: ", b": "], ids=["event", "comment"])
def test_a_tail_past_the_limit_leaves_as_it_comes_until_it_ends(begin):
    framer = Framer(max_held_bytes=10)
    assert framer.feed(begin + b"a" * (10 - len(begin))) == b""
    assert framer.insertable
    assert framer.feed(b"b") == begin + b"a" * (10 - len(begin)) + b"b"
    assert not framer.insertable
    assert framer.feed(b"c") == b"c"
    assert not framer.insertable
    assert framer.feed(b"\n\ndata: d") == b"\n\n"
    assert framer.insertable
    assert framer.held == len(b"data: d")


def test_a_whole_event_past_the_limit_is_no_overflow():
    framer = Framer(max_held_bytes=10)
    event = b"data: " + b"a" * 100 + b"\n\n"
    assert framer.feed(event) == event
    assert framer.insertable


def test_the_limit_is_64_kib():
    framer = Framer()
    assert framer.feed(b"d" * MAX_HELD_BYTES) == b""
    assert len(framer.feed(b"d")) == MAX_HELD_BYTES + 1


@pytest.mark.parametrize("size", [1_000, 65_536, 5_000_000], ids="{:,} bytes a chunk".format)
def test_an_event_of_5_mb_is_framed_in_linear_time(size):
    event = b"data: " + b"x" * 5_000_000 + b"\n\n"
    framer = Framer(max_held_bytes=len(event))
    began = time.process_time()
    left = b"".join(framer.feed(event[i : i + size]) for i in range(0, len(event), size))
    assert time.process_time() - began < 2  # scanning all again for each chunk takes a minute
    assert left == event


def test_single_bytes_are_framed_in_linear_time():
    event = b"data: " + b"x\n" * 100_000 + b"\n"
    framer = Framer(max_held_bytes=len(event))
    began = time.process_time()
    left = b"".join(framer.feed(event[i : i + 1]) for i in range(len(event)))
    assert time.process_time() - began < 4
    assert left == event


def test_a_million_comment_lines_take_linear_time():
    comments = b":\r" * 1_000_000
    framer = Framer()
    began = time.process_time()
    assert framer.feed(comments + b":x") == comments
    assert time.process_time() - began < 2


def test_an_event_that_comes_whole_is_not_copied():
    framer = Framer()
    framer.feed(sequences.PING)
    event = sequences.text_delta("Hello")
    assert framer.feed(event) is event


def test_its_repr_tells_its_state():
    framer = Framer()
    assert repr(framer) == "Framer(start, held=0, insertable=True)"
    framer.feed(b"data: a")
    assert repr(framer) == "Framer(event, held=7, insertable=True)"


def test_five_fixtures_fed_whole_leave_as_single_bytes_do():
    for stream in FIXTURES.values():
        whole, single = Framer(), Framer()
        assert whole.feed(stream) == feed_all(single, tuple(stream[i : i + 1] for i in range(len(stream))))
        assert whole.finish() == single.finish()
