"""Errors and heartbeats in each protocol's own shape; the vendor's SDK is the judge."""

import json

import anthropic
import httpx2
import openai
import pytest
from tests.wire import sequences

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, OTHERS, RESPONSES
from lastcall_sidecar.wire.protocol import ErrorKind
from lastcall_sidecar.wire.sse import Decoder

PROTOCOLS = {"anthropic": ANTHROPIC, "none": UNKNOWN, "chat": CHAT, "responses": RESPONSES}
EACH_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())

MESSAGE = 'it said "no"\n\nevent: x – 漢字 \ud800'
REQUEST = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}


def client(body, status=200, content_type="application/json"):
    """The real SDK, in front of one answer."""

    def answer(_request):
        headers = {"content-type": content_type, "request-id": "req_upstream"}
        return httpx2.Response(status, content=body, headers=headers)

    transport = httpx2.MockTransport(answer)
    return anthropic.Anthropic(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))


ANTHROPIC_ERRORS = [
    (ErrorKind.INVALID_REQUEST, 400, "invalid_request_error", anthropic.BadRequestError),
    (ErrorKind.AUTHENTICATION, 401, "authentication_error", anthropic.AuthenticationError),
    (ErrorKind.PERMISSION, 403, "permission_error", anthropic.PermissionDeniedError),
    (ErrorKind.NOT_FOUND, 404, "not_found_error", anthropic.NotFoundError),
    (ErrorKind.TOO_LARGE, 413, "request_too_large", anthropic.ContentTooLargeError),
    (ErrorKind.UNSUPPORTED_MEDIA, 415, "invalid_request_error", anthropic.APIStatusError),
    (ErrorKind.RATE_LIMIT, 429, "rate_limit_error", anthropic.RateLimitError),
    (ErrorKind.API, 500, "api_error", anthropic.InternalServerError),
    (ErrorKind.NOT_IMPLEMENTED, 501, "api_error", anthropic.HTTPNotImplementedError),
    (ErrorKind.UNAVAILABLE, 502, "api_error", anthropic.InternalServerError),
    (ErrorKind.TIMEOUT, 504, "timeout_error", anthropic.GatewayTimeoutError),
    (ErrorKind.OVERLOADED, 529, "overloaded_error", anthropic.OverloadedError),
]


def test_every_kind_of_error_is_judged():
    assert {kind for kind, *_ in ANTHROPIC_ERRORS} == set(ErrorKind)


@pytest.mark.parametrize("protocol", [ANTHROPIC, UNKNOWN], ids=["anthropic", "none"])
@pytest.mark.parametrize(("kind", "status", "error_type", "exception"), ANTHROPIC_ERRORS, ids=str)
def test_the_anthropic_sdk_raises_the_right_exception(protocol, kind, status, error_type, exception):
    assert protocol.status(kind) == status
    body = protocol.error_body(status, kind, MESSAGE, "req_1")
    with pytest.raises(anthropic.APIStatusError) as raised:
        client(body, status).messages.create(**REQUEST)
    assert type(raised.value) is exception
    assert (raised.value.type, raised.value.api_message) == (error_type, MESSAGE)
    assert raised.value.body == {
        "type": "error",
        "error": {"type": error_type, "message": MESSAGE},
        "request_id": "req_1",
    }


@pytest.mark.parametrize("protocol", [ANTHROPIC, UNKNOWN], ids=["anthropic", "none"])
@pytest.mark.parametrize(("kind", "error_type"), [row[::2] for row in ANTHROPIC_ERRORS], ids=str)
def test_in_a_stream_the_anthropic_sdk_raises_on_the_event(protocol, kind, error_type):
    stream = sequences.message_start() + protocol.error_event(kind, MESSAGE, "req_1")
    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        client(stream, content_type="text/event-stream").messages.stream(**REQUEST) as events,
    ):
        events.until_done()
    assert (raised.value.type, raised.value.api_message) == (error_type, MESSAGE)
    assert raised.value.body["request_id"] == "req_1"


OPENAI_ERRORS = [
    (ErrorKind.INVALID_REQUEST, 400, "invalid_request_error", None),
    (ErrorKind.AUTHENTICATION, 401, "invalid_request_error", "invalid_api_key"),
    (ErrorKind.PERMISSION, 403, "invalid_request_error", "permission_denied"),
    (ErrorKind.NOT_FOUND, 404, "invalid_request_error", "not_found"),
    (ErrorKind.TOO_LARGE, 413, "invalid_request_error", "request_too_large"),
    (ErrorKind.UNSUPPORTED_MEDIA, 415, "invalid_request_error", "unsupported_media_type"),
    (ErrorKind.RATE_LIMIT, 429, "rate_limit_error", "rate_limit_exceeded"),
    (ErrorKind.API, 500, "server_error", None),
    (ErrorKind.NOT_IMPLEMENTED, 501, "invalid_request_error", "not_implemented"),
    (ErrorKind.UNAVAILABLE, 502, "server_error", "upstream_unavailable"),
    (ErrorKind.OVERLOADED, 503, "server_error", "overloaded"),
    (ErrorKind.TIMEOUT, 504, "server_error", "timeout"),
]


@pytest.mark.parametrize(("kind", "status", "error_type", "code"), OPENAI_ERRORS, ids=str)
def test_openais_clients_get_their_shape(kind, status, error_type, code):
    error = {"message": MESSAGE, "type": error_type, "param": None, "code": code}
    for protocol in (CHAT, RESPONSES):
        assert protocol.status(kind) == status
        assert json.loads(protocol.error_body(status, kind, MESSAGE, "req_1")) == {"error": error}
    [chunk] = Decoder().feed(CHAT.error_event(kind, MESSAGE, "req_1"))
    assert (chunk.event, json.loads(chunk.data)) == ("message", {"error": error})
    [event] = Decoder().feed(RESPONSES.error_event(kind, MESSAGE, "req_1"))
    assert event.event == "error"
    assert json.loads(event.data) == {
        "type": "error",
        "code": code or error_type,
        "message": MESSAGE,
        "param": None,
        "sequence_number": 0,
        "error": error,
    }


def test_every_kind_of_error_is_told_to_openais_clients():
    assert {kind for kind, *_ in OPENAI_ERRORS} == set(ErrorKind)


@EACH_PROTOCOL
def test_an_error_ends_the_account_of_its_own_protocol(protocol):
    account = protocol.account()
    account.feed(protocol.error_event(ErrorKind.OVERLOADED, MESSAGE, "req_1"))
    assert account.terminal is account.knows_terminal
    assert account.knows_terminal is (protocol is not UNKNOWN)
    assert bool(account.error) is account.terminal


@EACH_PROTOCOL
def test_what_is_inserted_is_one_line_per_field_and_ends_an_event(protocol):
    event = protocol.error_event(ErrorKind.API, MESSAGE, "req_1")
    assert event.isascii()
    assert event.endswith(b"}\n\n")
    assert len(Decoder().feed(event)) == 1
    assert b"[DONE]" not in event


@EACH_PROTOCOL
def test_before_the_first_event_a_heartbeat_is_a_comment(protocol):
    heartbeat = protocol.heartbeat(protocol.account())
    assert heartbeat == (b": keep-alive\n" if protocol in {CHAT, RESPONSES} else b": keep-alive\n\n")
    assert Decoder().feed(heartbeat) == []


@pytest.mark.parametrize(
    ("protocol", "stream", "expected"),
    [
        (ANTHROPIC, sequences.message_start(), b'event: ping\ndata: {"type": "ping"}\n\n'),
        (ANTHROPIC, sequences.PING, b": keep-alive\n\n"),
        (ANTHROPIC, sequences.TEXT, b""),
        (ANTHROPIC, sequences.FAILING, b""),
        (UNKNOWN, sequences.TEXT, b": keep-alive\n\n"),
        (CHAT, sequences.chat_delta({"content": "a"}), b": keep-alive\n"),
        (CHAT, sequences.CHAT_TEXT, b""),
        (RESPONSES, sequences.RESPONSES_TEXT, b""),
    ],
    ids=["started", "only pinged", "ended", "failed", "unknown", "chat", "chat ended", "responses ended"],
)
def test_then_it_is_what_the_protocol_has_and_nothing_after_the_end(protocol, stream, expected):
    account = protocol.account()
    account.feed(stream)
    assert protocol.heartbeat(account) == expected


@pytest.mark.parametrize("protocol", [CHAT, RESPONSES, OTHERS], ids=["chat", "responses", "others"])
@pytest.mark.parametrize(
    "before",
    [b"", b": hi\n\n", sequences.chat_delta({"content": "a"}), b"id: 1\ndata: {}\n\n"],
    ids=["at once", "behind a comment", "behind a chunk", "behind an id"],
)
def test_openais_clients_get_a_heartbeat_without_an_empty_line(protocol, before):
    """An empty line ends an event for openai-go before 3.43, whose empty data it cannot read (maximhq/bifrost#5874)."""
    account = protocol.account()
    account.feed(before)
    assert protocol.heartbeat(account) == b": keep-alive\n"


@pytest.mark.parametrize("protocol", [UNKNOWN, ANTHROPIC], ids=["none", "anthropic"])
@pytest.mark.parametrize(
    ("prefix", "numbered"),
    [(b"id: 1\n", True), (b": hi\r\nid:1\r\n", True), (b"x: id: 1\n", False), (b"\n", False)],
    ids=["an id", "an id behind a comment", "no id", "nothing"],
)
def test_in_a_stream_with_ids_a_heartbeat_brings_no_empty_line(protocol, prefix, numbered):
    account = protocol.account()
    account.feed(prefix + sequences.chat_delta({"content": "id:"}))
    account.feed(sequences.chat_delta({"content": "b"}))
    assert protocol.heartbeat(account) == (b": keep-alive\n" if numbered else b": keep-alive\n\n")


def test_the_anthropic_sdk_reads_over_heartbeats():
    heartbeats = [ANTHROPIC.heartbeat(ANTHROPIC.account())]
    account = ANTHROPIC.account()
    for event in sequences.TEXT.split(b"\n\n")[:-1]:
        account.feed(event + b"\n\n")
        heartbeats += [event + b"\n\n", ANTHROPIC.heartbeat(account)]
    plain, stuffed = (
        client(stream, content_type="text/event-stream").messages.stream(**REQUEST).__enter__().get_final_message()
        for stream in (sequences.TEXT, b"".join(heartbeats))
    )
    assert stuffed == plain


def stuffed(protocol, stream):
    """A stream with a heartbeat before each of its events."""
    account, found = protocol.account(), b""
    for event in stream.split(b"\n\n")[:-1]:
        found += protocol.heartbeat(account) + event + b"\n\n"
        account.feed(event + b"\n\n")
    return found


def openai_client(body):
    """OpenAI's own SDK, in front of one stream."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
    )
    return openai.OpenAI(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))


NUMBERED = b"".join(b"id: 1\n" + event + b"\n\n" for event in sequences.CHAT_TEXT.split(b"\n\n")[:-1])


@pytest.mark.parametrize("stream", [sequences.CHAT_TEXT, NUMBERED], ids=["plain", "numbered"])
def test_the_openai_sdk_reads_over_heartbeats_in_a_chat(stream):
    plain, beaten = (
        [chunk.to_dict() for chunk in openai_client(body).chat.completions.create(model="m", messages=[], stream=True)]
        for body in (stream, stuffed(CHAT, stream))
    )
    assert beaten == plain != []


def test_the_openai_sdk_reads_over_heartbeats_in_a_response():
    plain, beaten = (
        [event.to_dict() for event in openai_client(body).responses.create(model="m", input="hi", stream=True)]
        for body in (sequences.RESPONSES_TEXT, stuffed(RESPONSES, sequences.RESPONSES_TEXT))
    )
    assert beaten == plain != []


@EACH_PROTOCOL
def test_names(protocol):
    assert protocol.name == {ANTHROPIC: "anthropic", UNKNOWN: "none"}.get(protocol, "openai")


def test_of_streams_on_other_routes_of_openais_nothing_is_known():
    account = OTHERS.account(count_output=True)
    account.feed(b"data: [DONE]\n\n")
    assert not account.knows_terminal
    assert not account.terminal
