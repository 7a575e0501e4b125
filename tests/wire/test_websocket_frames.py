"""A server's frames leave whole, and a frame of ours never stands in another."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.wire.websocket import GOING_AWAY, MAX_HELD_BYTES, Frames, Opaque, following


def frame(payload, opcode=2, *, final=True, masked=False):
    """As RFC 6455, 5.2 has it."""
    length = len(payload)
    told = (
        bytes([length])
        if length < 126
        else b"\x7e" + length.to_bytes(2)
        if length < 65536
        else b"\x7f" + length.to_bytes(8)
    )
    told = bytes([told[0] | (0x80 if masked else 0)]) + told[1:]
    return bytes([opcode | (0x80 if final else 0)]) + told + (b"\0\0\0\0" if masked else b"") + payload


SIZES = st.sampled_from([0, 1, 5, 125, 126, 127, 300, 65535, 65536, 70_000])
FRAMES = st.lists(
    st.builds(
        lambda size, opcode, masked: frame(b"x" * size, opcode, masked=masked),
        SIZES,
        st.sampled_from([0, 1, 2, 9, 10]),
        st.booleans(),
    ),
    max_size=6,
)


@given(FRAMES, st.lists(st.integers(1, 70_000), max_size=20))
def test_every_byte_passes_and_small_frames_leave_whole(frames, cuts):
    data, passage, out, at = b"".join(frames), Frames(), b"", 0
    borders = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    for cut in [*cuts, len(data)]:
        out += passage.feed(data[at : at + cut])
        at += cut
        assert (len(out) in borders) is bool(passage.last_word(GOING_AWAY, "bye"))
        assert len(data[:at]) - len(out) <= MAX_HELD_BYTES
    assert out + passage.rest() == data
    assert not passage.closed


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_byte_by_byte_as_in_one_piece(size):
    data, passage = frame(b"a" * 200) + frame(b"", 9) + frame(b"b" * 100_000), Frames()
    out = b"".join(passage.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert out + passage.rest() == data
    assert passage.last_word(GOING_AWAY, "") == b"\x88\x02\x03\xe9"


def test_a_large_frame_is_not_waited_for_and_nothing_stands_in_it():
    passage, data = Frames(), frame(b"x" * 100_000)
    assert passage.feed(data[:50]) == data[:50]
    assert passage.last_word(GOING_AWAY, "bye") == b""
    assert passage.feed(data[50:]) == data[50:]
    assert passage.last_word(GOING_AWAY, "bye") == b"\x88\x05\x03\xe9bye"


def test_a_fragmented_message_has_room_for_a_control_frame():
    """RFC 6455, 5.4."""
    passage = Frames()
    passage.feed(frame(b"first", 1, final=False))
    assert passage.last_word(GOING_AWAY, "") == b"\x88\x02\x03\xe9"


def test_behind_the_servers_own_last_word_there_is_none_of_ours():
    passage, close = Frames(), frame(b"\x03\xe8", 8)
    assert passage.feed(close[:2]) == b""
    assert not passage.closed
    assert passage.feed(close[2:]) == close
    assert passage.closed
    assert passage.last_word(GOING_AWAY, "bye") == b""


def test_a_reason_is_cut_at_a_whole_character():
    word = Frames().last_word(GOING_AWAY, "\u00e9" * 100)
    assert word[1] == len(word) - 2 == 2 + 122
    assert word[4:].decode() == "\u00e9" * 61


@pytest.mark.parametrize("protocol", [b"websocket", b"WebSocket", b" websocket "])
def test_a_websocket_is_known_by_its_name(protocol):
    assert isinstance(following(protocol), Frames)


def test_what_is_not_known_passes_and_gets_no_word_of_ours():
    passage = following(b"echo/1")
    assert isinstance(passage, Opaque)
    assert (passage.feed(b"\x88"), passage.rest(), passage.last_word(GOING_AWAY, "bye")) == (b"\x88", b"", b"")
    assert not passage.closed


def test_a_flood_of_short_frames_takes_little_time():
    """Of the processor's: an app that answers pings lets its client make as many as that."""
    passage, data = Frames(), frame(b"", 10) * 500_000
    started = time.process_time()
    for start in range(0, len(data), 16384):
        passage.feed(data[start : start + 16384])
    assert time.process_time() - started < 1.0
    assert passage.rest() == b""
