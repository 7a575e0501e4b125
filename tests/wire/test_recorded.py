"""What the vendor recorded for its SDK's tests is read here as the SDK reads it, whatever the chunks."""

import json

import pytest
from tests.support import recorded
from tests.wire import sequences
from tests.wire.judge import JUDGE, accumulated, accumulator

from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.sse import Decoder, Framer
from lastcall_sidecar.wire.translation import TranslationError

#: Up to here a stream is cut at every byte; of a longer one at every thirteenth; and each into single bytes.
EVERY_BYTE_UP_TO = 1_300
STEP = 13


@pytest.fixture(scope="module")
def streams():
    """By name; some forty kilobytes in all."""
    return recorded.streams()


def some_splits(stream):
    step = 1 if len(stream) <= EVERY_BYTE_UP_TO else STEP
    for number, chunks in enumerate(sequences.splits(stream)):
        if number % step == 0 or len(chunks) > 2:
            yield chunks


def judged(stream):
    """The message that the SDK makes of it; None where it refuses, as for a tool's input that is no JSON."""
    try:
        return JUDGE.message(stream)
    except ValueError:
        return None


def made(chunks):
    try:
        return accumulated(chunks)
    except TranslationError:
        return None


def test_there_are_recorded_streams_of_every_kind(streams):
    assert len(streams) >= 20
    text = b"".join(streams.values())
    for kind in ("tool_use", "server_tool_use", "web_search_tool_result", "compaction", "fallback", "text"):
        assert f'"type":"{kind}"'.encode() in text, kind
    for kind in ("text", "input_json", "citations", "compaction"):
        assert f'"type":"{kind}_delta"'.encode() in text, kind


def test_each_is_accumulated_as_the_sdk_does(streams):
    refused = []
    for name, stream in streams.items():
        expected = judged(stream)
        assert made([stream]) == expected, name
        assert accumulator([stream]).over, name
        if expected is None:
            refused.append(name)
    assert [name.rpartition("/")[2] for name in refused] == ["tool_use_invalid_json_response.txt"]


def test_each_has_the_same_events_at_every_split(streams):
    """And so the same message: an accumulator sees nothing but events."""
    for name, stream in streams.items():
        events = Decoder().feed(stream)
        for chunks in sequences.splits(stream):
            decoder = Decoder()
            assert [event for chunk in chunks for event in decoder.feed(chunk)] == events, name


def test_each_leaves_the_framer_as_it_came_and_in_whole_events(streams):
    for name, stream in streams.items():
        events = Decoder().feed(stream)
        for chunks in some_splits(stream):
            framer = Framer()
            ready = [framer.feed(chunk) for chunk in chunks]
            assert framer.finish() == b"", name
            assert b"".join(ready) == stream, name
            assert [event for part in ready for event in Decoder().feed(part)] == events, name


def test_of_each_the_account_knows_what_the_sdk_knows(streams):
    for name, stream in streams.items():
        expected = judged(stream)
        for chunks in some_splits(stream):
            account, framer = ANTHROPIC.account(), Framer()
            for chunk in chunks:
                account.feed(framer.feed(chunk))
            assert account.terminal, name
            assert account.error is None, name
            if expected is not None:
                assert account.stop_reason == expected["stop_reason"], name
                assert account.input_tokens == expected["usage"]["input_tokens"], name
                assert account.output_tokens == expected["usage"]["output_tokens"], name


def test_of_each_the_characters_are_counted(streams):
    for name, stream in streams.items():
        account = ANTHROPIC.account(count_output=True)
        account.feed(stream)
        deltas = (json.loads(event.data).get("delta", {}) for event in Decoder().feed(stream) if event.event != "ping")
        texts = (delta.get(key, "") for delta in deltas for key in ("text", "thinking", "partial_json"))
        assert account.output_chars == sum(map(len, texts)), name
