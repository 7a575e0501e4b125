"""What is fuzzed: functions that take any bytes and raise only where something is wrong.

A new one is a function here with `@target`; its seeds are files in `corpus/NAME/`.
"""

import json
from collections.abc import Callable, Iterator

from jiter import from_json

from lastcall_sidecar.wire.accumulate import MessageAccumulator
from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.body import BodyError, scan
from lastcall_sidecar.wire.cut_json import MAX_DEPTH, completed
from lastcall_sidecar.wire.openai import CHAT, RESPONSES
from lastcall_sidecar.wire.splice import splice
from lastcall_sidecar.wire.sse import Decoder, Framer
from lastcall_sidecar.wire.translate import TRANSLATIONS
from lastcall_sidecar.wire.translation import Asked, Options, TranslationError

Target = Callable[[bytes], None]

#: By name, as `scripts/fuzz` takes it.
TARGETS: dict[str, Target] = {}


def target(function: Target) -> Target:
    TARGETS[function.__name__] = function
    return function


def chunked(data: bytes) -> Iterator[bytes]:
    """The data in chunks of the size that its last byte says."""
    size = data[-1] % 16 + 1 if data else 1
    return (data[begin : begin + size] for begin in range(0, len(data), size))


@target
def sse(data: bytes) -> None:
    framer, decoder = Framer(max_held_bytes=32), Decoder()
    left, events = [], []
    for chunk in chunked(data):
        left.append(framer.feed(chunk))
        events += decoder.feed(chunk)
    left.append(framer.finish())
    assert b"".join(left) == data
    assert events == Decoder().feed(data)
    framed = Decoder()
    assert [event for part in left for event in framed.feed(part)] == events


@target
def body(data: bytes) -> None:
    try:
        found = scan(data)
    except BodyError:
        return
    said = json.loads(data)
    assert found.model == said.get("model")
    assert found.stream == bool(said.get("stream"))
    edited = b"".join(splice(list(chunked(data)), found.edits(model="another", stream=not found.stream)))
    assert json.loads(edited) == said | {"model": "another", "stream": not found.stream}
    again = scan(edited)
    assert (again.model, again.stream, again.message_count) == ("another", not found.stream, found.message_count)


@target
def cut_json(data: bytes) -> None:
    text = data.decode("utf-8", "ignore").encode()
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:  # our limit is stricter by one
        return
    for keep in (False, True):
        try:
            expected = from_json(text, partial_mode="trailing-strings" if keep else True)
        except ValueError:
            expected = None
        try:
            value = json.loads(completed(text, keep_cut_strings=keep))
        except ValueError:
            value = None
        assert _without_nan(value) == _without_nan(expected), keep


def _without_nan(value: object) -> object:
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


@target
def accumulator(data: bytes) -> None:
    found = MessageAccumulator(keep_cut_strings=data.endswith(b"\n\n"))
    decoder = Decoder()
    try:
        for chunk in chunked(data):
            for event in decoder.feed(chunk):
                found.feed(event)
        message = found.message()
    except TranslationError:
        return
    assert isinstance(json.loads(message)["content"], list)


@target
def accounts(data: bytes) -> None:
    for protocol in (ANTHROPIC, CHAT, RESPONSES):
        whole, parts = protocol.account(count_output=True), protocol.account()
        whole.feed(data)
        for chunk in chunked(data):
            parts.feed(chunk)
        for name in ("started", "terminal", "error", "stop_reason", "first_content", "input_tokens", "output_tokens"):
            assert getattr(whole, name) == getattr(parts, name), (protocol.name, name)


@target
def requests(data: bytes) -> None:
    """A body that a scan takes is translated, each way, or refused by name; what comes out is a body again."""
    try:
        scan(data)
    except BodyError:
        return
    for translation in TRANSLATIONS.values():
        try:
            made = translation.request(data, Options("m", force_stream=data.endswith(b" ")))
        except BodyError:
            continue
        assert scan(made.body).model == "m"


@target
def answers(data: bytes) -> None:
    """Whatever an upstream answers becomes an answer or an error of the client's, as JSON."""
    for translation in TRANSLATIONS.values():
        assert json.loads(translation.error(500, data, "req_1"))["error"]["message"]
        try:
            answer = translation.answer(data, Asked("m", stream=False))
        except TranslationError:
            continue
        assert json.loads(answer)


@target
def streams(data: bytes) -> None:
    """A stream says the same however it is cut, in whole events, and nothing once it is over."""
    for translation in TRANSLATIONS.values():
        said = [_said(translation.stream(Asked("m", stream=True)), chunks) for chunks in ([data], chunked(data))]
        assert said[0] == said[1]


def _said(stream, chunks):
    decoder, told = Decoder(), b""
    try:
        for chunk in chunks:
            for event in decoder.feed(chunk):
                was_over = stream.over
                part = stream.feed(event)
                assert not (was_over and part)
                told += part
        told += stream.finish()
    except TranslationError:
        return told, "no stream"
    assert not told or told.endswith(b"\n\n")
    return told, stream.over
