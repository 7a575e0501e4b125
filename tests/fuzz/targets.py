"""What is fuzzed: functions that take any bytes and raise only where something is wrong.

A new one is a function here with `@target`; its seeds are files in `corpus/NAME/`.
"""

import json
from collections.abc import Callable, Iterator

import h11
from jiter import from_json

from lastcall_sidecar.server.chunks import Chunks
from lastcall_sidecar.server.heads import HEAD_END, MAX_HEAD_BYTES, BadRequest, parse_head
from lastcall_sidecar.upstream.connection import Connection
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


@target
def heads(data: bytes) -> None:
    """A head that we take is one for h11, too, and says the same; so does its body's framing."""
    end = data.find(HEAD_END)
    whole = data[: end + len(HEAD_END)] if end >= 0 else data
    try:
        head = parse_head(whole)
    except BadRequest:
        return
    oracle = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    oracle.receive_data(whole)
    event = oracle.next_event()
    assert isinstance(event, h11.Request)
    said = (event.method, event.target, event.http_version, list(event.headers))
    assert said == (head.method.encode(), head.target, head.version.encode(), _without_repeated(head.headers))
    assert oracle.they_are_waiting_for_100_continue == head.expects_continue
    assert isinstance(oracle.next_event(), h11.EndOfMessage) == (head.length == 0)
    assert not head.keep_alive or oracle.their_state in {h11.SEND_BODY, h11.DONE, h11.MIGHT_SWITCH_PROTOCOL}


def _without_repeated(headers):
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


@target
def chunks(data: bytes) -> None:
    """A body in chunks means the same however it is cut; and to h11 what it means to us."""
    found = _dechunked([data])
    assert found == _dechunked(chunked(data)) == _dechunked(data[at : at + 1] for at in range(len(data)))
    if not isinstance(found, tuple):
        return
    oracle = h11.Connection(h11.SERVER, max_incomplete_event_size=10**6)
    oracle.receive_data(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n" + data)
    body, over = b"", False
    try:
        while not over and (event := oracle.next_event()) is not h11.NEED_DATA:
            body += event.data if isinstance(event, h11.Data) else b""
            over = isinstance(event, h11.EndOfMessage)
    except h11.RemoteProtocolError:
        return  # of blanks before an extension, and of what trailers say, it is stricter
    assert (body, over) == found[:2]
    if over:
        assert oracle.trailing_data[0] == found[2]


def _dechunked(pieces):
    chunks, body = Chunks(), b""
    try:
        for piece in pieces:
            if chunks.over:
                chunks.rest += piece
                continue
            body += chunks.feed(piece)
            while chunks.behind:
                body += chunks.feed(b"")
    except BadRequest as bad:
        return bad.status
    return body, chunks.over, chunks.rest


@target
def upstreams(data: bytes) -> None:
    """An answer is the same however it is cut; a whole one is whole for h11, and only where nothing is behind it
    its connection is used again."""
    for method in ("GET", "HEAD"):
        found = _answered(method, [data])
        assert found.said() == _answered(method, chunked(data)).said()
        if found.answer.failure is not None:
            assert not found.kept
            continue
        oracle = h11.Connection(h11.CLIENT, max_incomplete_event_size=10**6)
        oracle.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
        oracle.send(h11.EndOfMessage())
        oracle.receive_data(data)
        oracle.receive_data(b"")
        status, body = 0, b""
        try:
            while not isinstance(event := oracle.next_event(), h11.EndOfMessage):
                status = event.status_code if isinstance(event, h11.Response) else status
                body += event.data if isinstance(event, h11.Data) else b""
        except h11.RemoteProtocolError:
            continue  # in the form of a head it is stricter than servers are
        assert (status, body) == (found.answer.status, b"".join(found.answer.chunks))
        if found.kept:
            assert oracle.trailing_data == (b"", True)


class _Peer:
    """An upstream's connection without a socket: transport and pool."""

    def __init__(self, method):
        self.kept = self.closed = False
        self.connection = Connection(self, self._keep, lambda _: None)
        self.connection.connection_made(self)
        self.answer = self.connection.send(b"", None, None, bodiless=method == "HEAD")

    def said(self):
        answer = self.answer
        body = b"".join(answer.chunks) if answer.failure is None else None
        return answer.status, answer.raw, body, type(answer.failure), self.kept

    def _keep(self, _):
        self.kept = True

    def write(self, data):
        pass

    pause_reading = resume_reading = lambda self: None

    def is_closing(self):
        return self.closed

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.closed, self.kept = True, False


def _answered(method, pieces):
    peer = _Peer(method)
    for piece in pieces:
        if not peer.closed:
            peer.connection.data_received(piece)
    if not peer.answer.ended:
        peer.connection.eof_received()
    return peer
