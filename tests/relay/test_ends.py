"""How an upstream may end, and what the client is told: never a false end, and whatever broke is not used again."""

import asyncio
import json

import pytest
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    close,
    hang,
    head,
    json_response,
    read_head,
    read_request,
    reset,
    send,
    sleep,
    sse_head,
    steps,
    stop_reading,
)
from tests.support.stage import DELTA, PLAIN_QUESTION, QUESTION, START, STOP, error_of, last_event, question

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
SSE_TO_THE_END = head("200 OK", "content-type: text/event-stream", "connection: close")
SSE_OF_1000 = head("200 OK", "content-type: text/event-stream", "content-length: 1000")
HALF = b"event: content_block_delta\ndata: {"


def pause():
    """Let what was sent arrive: a reset may overtake what nobody has read yet."""
    return sleep(0.1)


def garbage():
    """What is no chunk, on a connection that stays open."""
    return steps(send(b"-5\r\n"), hang())


def all_of(pieces):
    return send(*pieces) if pieces else send()


class Counted:
    """What one test adds to the totals: `async with Counted(wire, failed=1): …`."""

    def __init__(self, wire, **wanted):
        self._wire, self._wanted = wire, wanted

    async def __aenter__(self):
        await self._wire.wait_for(in_flight=0)
        self._before = await self._wire.totals()

    async def __aexit__(self, kind, *_):
        if kind is None:
            accepted = sum(self._wanted.values())
            wanted = {"accepted": accepted, **self._wanted}
            totals = {f"totals_{name}": count + wanted.get(name, 0) for name, count in self._before.items()}
            await self._wire.wait_for(in_flight=0, queued=0, streams=0, **totals)


CUT_SHORT = [
    pytest.param([sse_head(), chunk(START), chunk(DELTA), LAST_CHUNK], None, id="a clean end without message_stop"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA)], close, id="closed without a last chunk"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA)], reset, id="reset"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA + HALF)], reset, id="reset within an event"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA + HALF), LAST_CHUNK], None, id="a clean end within an event"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA)[:-40]], close, id="closed within a chunk"),
    pytest.param([sse_head(), chunk(START), chunk(DELTA)], garbage, id="a chunk that is none"),
    pytest.param([SSE_TO_THE_END, START, DELTA], close, id="closed, and that is its framing"),
    pytest.param([SSE_TO_THE_END, START, DELTA], reset, id="reset, closing is its framing"),
    pytest.param([SSE_OF_1000, START, DELTA], close, id="closed before its length"),
    pytest.param([SSE_OF_1000, START, DELTA], reset, id="reset before its length"),
]


@pytest.mark.parametrize(("pieces", "ending"), CUT_SHORT)
async def test_a_stream_without_its_end_gets_an_error_event(wire, pieces, ending):
    part = wire.part(read_request(), all_of(pieces), pause(), *([ending()] if ending else []))
    async with Counted(wire, failed=1):
        answer = await wire.ask(part)
    sent = b"".join(pieces)
    whole = START + (DELTA if DELTA in sent else b"")
    assert bytes(answer.body).startswith(whole + b"event: error\n")
    assert bytes(answer.body).count(b"event: ") == whole.count(b"event: ") + 1
    name, told = last_event(answer)
    assert (name, told["type"], told["error"]["type"]) == ("error", "error", "api_error")
    assert "upstream" in told["error"]["message"]
    assert told["request_id"] == answer.head.get("x-lastcall-request-id")
    assert answer.end is End.COMPLETE
    assert len(part.connections) == 1


@pytest.mark.parametrize(
    ("pieces", "ending"),
    [
        pytest.param([LAST_CHUNK], None, id="a clean end"),
        pytest.param([], close, id="closed"),
        pytest.param([], reset, id="reset"),
        pytest.param([chunk(b"event: message_start\n")], reset, id="reset within the first event"),
        pytest.param([chunk(b"\xef\xbb\xbf")], reset, id="reset behind a BOM"),
    ],
)
async def test_a_stream_without_an_event_gets_an_error_event(wire, pieces, ending):
    part = wire.part(read_request(), send(sse_head(), *pieces), pause(), *([ending()] if ending else []))
    async with Counted(wire, failed=1):
        answer = await wire.ask(part)
    (event,) = answer.events()
    assert event[1].removeprefix(b"\xef\xbb\xbf").startswith(b"event: error\ndata: {")
    assert answer.end is End.COMPLETE


@pytest.mark.parametrize("ending", [close, reset])
async def test_within_an_event_that_has_left_in_part_nothing_is_added_and_the_end_is_none(wire, ending):
    """More than 64 KiB of the event are with the client: whatever came now would be read as a part of it."""
    begin = b"event: content_block_delta\ndata: {" + b"x" * 100_000
    part = wire.part(read_request(), send(sse_head(), chunk(START), chunk(begin)), pause(), ending())
    async with Counted(wire, failed=1):
        answer = await wire.ask(part)
    assert bytes(answer.body) == START + begin
    assert answer.end is End.EOF


@pytest.mark.parametrize("path", ["/v1/other", "/v1/messages/batches/b1/results"])
@pytest.mark.parametrize("ending", [close, reset])
async def test_a_stream_whose_end_is_unknown_gets_an_error_and_no_end(wire, ending, path):
    """To a client that knows no terminal event, a proper end of the body would look like a good one."""
    part = wire.part(read_request(), send(sse_head(), chunk(b"data: 1\n\ndata: ")), pause(), ending())
    async with Counted(wire, failed=1):
        answer = await wire.ask(part, b"{}", path=path)
    assert bytes(answer.body).startswith(b"data: 1\n\nevent: error\ndata: {")
    if path == "/v1/other":
        assert answer.end is End.EOF


@pytest.mark.parametrize("ending", [close, reset])
async def test_an_encoded_stream_that_is_cut_short_ends_without_an_end(wire, ending):
    data = b"\x1f\x8b\x08\n\ndata: \n\n"
    part = wire.part(read_request(), send(sse_head("content-encoding: gzip"), chunk(data)), pause(), ending())
    async with Counted(wire, failed=1):
        answer = await wire.ask(part)
    assert (bytes(answer.body), answer.end) == (data, End.EOF)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/other"])
@pytest.mark.parametrize(
    ("start", "ending"),
    [
        pytest.param(head("200 OK", "content-length: 100") + b'{"a":', close, id="closed before its length"),
        pytest.param(head("200 OK", "content-length: 100") + b'{"a":', reset, id="reset before its length"),
        pytest.param(head("200 OK", "transfer-encoding: chunked") + chunk(b'{"a":'), close, id="no last chunk"),
        pytest.param(head("200 OK", "transfer-encoding: chunked") + chunk(b'{"a":'), reset, id="reset between chunks"),
        pytest.param(head("200 OK", "transfer-encoding: chunked") + chunk(b'{"a":'), garbage, id="no chunk"),
        pytest.param(head("200 OK", "connection: close") + b'{"a":', reset, id="reset before it closed"),
    ],
)
async def test_a_plain_answer_that_is_cut_short_is_left_unterminated(wire, start, ending, path):
    part = wire.part(read_request(), send(start), pause(), ending())
    async with Counted(wire, failed=1):
        answer = await wire.ask(part, PLAIN_QUESTION, path=path)
    assert answer.head.status == 200
    assert bytes(answer.body) == b'{"a":'
    assert answer.end is End.EOF


async def test_to_an_http_1_0_client_only_a_reset_can_say_that_an_answer_is_not_whole(wire):
    cut = wire.part(
        read_request(), send(head("200 OK", "transfer-encoding: chunked"), chunk(b"half")), pause(), close()
    )
    whole = wire.part(read_request(), send(head("200 OK", "transfer-encoding: chunked"), chunk(b"all"), LAST_CHUNK))
    ends = []
    for part in (cut, whole):
        async with await wire.connect() as client:
            await client.send(f"GET /v1/other HTTP/1.0\r\nHost: localhost\r\nx-part: {part.name}\r\n\r\n".encode())
            answer = await client.answer("GET")
            ends.append((answer.framing, bytes(answer.body), answer.end))
    assert ends == [("close", b"half", End.RESET), ("close", b"all", End.COMPLETE)]


# Before the answer.

NO_ANSWERS = [
    pytest.param(steps(close()), "closed the connection", id="closed"),
    pytest.param(steps(reset()), "", id="reset"),
    pytest.param(steps(send(b"HTTP/1.1 200 OK\r\ncontent-le"), pause(), close()), "", id="closed within the head"),
    pytest.param(steps(send(b"HTTP/1.1 200 OK\r\ncontent-le"), pause(), reset()), "", id="reset within the head"),
    pytest.param(steps(send(b"HTTP/1.1 2"), pause(), close()), "", id="closed within the status line"),
    pytest.param(steps(send(b"SECRET-BANNER garbage\r\n\r\n"), hang()), "not HTTP", id="garbage"),
    pytest.param(steps(send(b"HTTP/1.1 abc OK\r\n\r\n"), hang()), "not HTTP", id="no status"),
    pytest.param(steps(send(b"HTTP/1.1 200 OK\r\nSECRET BANNER\r\n\r\n"), hang()), "not HTTP", id="no header"),
    pytest.param(
        steps(send(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n"), hang()), "not HTTP", id="length below 0"
    ),
    pytest.param(
        steps(send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde"), hang()),
        "",
        id="two lengths",
    ),
    pytest.param(
        steps(send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), hang()),
        "not HTTP",
        id="length and chunks",
    ),
    pytest.param(steps(send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000), hang()), "", id="an endless header"),
    pytest.param(steps(send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), pause(), close()), "", id="TLS"),
]


@pytest.mark.parametrize("asked", [(QUESTION, "POST", "/v1/messages"), (None, "GET", "/v1/files")], ids=["POST", "GET"])
@pytest.mark.parametrize(("script", "says"), NO_ANSWERS)
async def test_an_upstream_that_gives_no_answer_is_a_502(wire, script, says, asked):
    body, method, path = asked
    part = wire.part(read_request(), script)
    async with Counted(wire, failed=1):
        answer = await wire.ask(part, body, method=method, path=path)
    assert (answer.head.status, answer.end) == (502, End.COMPLETE)
    error = error_of(answer)
    assert error["type"] == "api_error"
    assert "upstream" in error["message"]
    assert says in error["message"]
    assert "SECRET" not in error["message"]
    assert "\n" not in error["message"]
    assert len(part.connections) == 1, "it may have reached the upstream: it is never sent twice"
    await part.connections[0].wait_gone(5)


@pytest.mark.parametrize("asked", [(QUESTION, "POST", "/v1/messages"), (None, "GET", "/v1/files")], ids=["POST", "GET"])
@pytest.mark.parametrize("ending", [close, reset])
async def test_a_request_on_a_reused_connection_that_breaks_is_never_sent_again(wire, ending, asked):
    """aiohttp, left to itself, sends a GET a second time."""
    body, method, path = asked
    part = wire.part(read_request(), send(OK), read_request(), ending())
    first = await wire.ask(part, body, method=method, path=path)
    second = await wire.ask(part, body, method=method, path=path)
    assert (first.head.status, second.head.status) == (200, 502)
    assert len(part.requests) == 2
    assert len(part.connections[0].requests) >= 2, "not the case that this test is about"


async def test_a_connection_is_used_again_after_a_whole_answer_and_only_then(wire):
    whole = wire.part(read_request(), send(OK))
    await wire.ask(whole, PLAIN_QUESTION)
    await wire.ask(whole, PLAIN_QUESTION)
    assert whole.connections[0] is whole.connections[1]
    for script in (steps(send(sse_head(), chunk(START)), pause(), reset()), steps(send(OK + b"more"))):
        broken = wire.part(read_request(), script)
        await wire.ask(broken)
        await broken.connections[0].wait_gone(5)


async def test_an_answer_that_ends_its_connection_ends_it(wire):
    part = wire.part(read_request(), send(json_response(b"{}", "200 OK", "connection: close")))
    assert bytes((await wire.ask(part, PLAIN_QUESTION)).body) == b"{}"
    await part.connections[0].wait_gone(5)


# After the stream's own end.


@pytest.mark.parametrize(
    ("pieces", "ending"),
    [
        pytest.param([chunk(STOP), LAST_CHUNK], None, id="a clean end"),
        pytest.param([chunk(STOP)], close, id="closed without a last chunk"),
        pytest.param([chunk(STOP)], reset, id="reset"),
        pytest.param([chunk(STOP)], garbage, id="garbage"),
        pytest.param(
            [chunk(STOP), chunk(b": bye\n\n"), chunk(b"event: odd\ndata: 1\n\n"), LAST_CHUNK], None, id="more"
        ),
    ],
)
async def test_how_an_upstream_ends_after_the_streams_own_end_is_its_own_affair(wire, pieces, ending):
    part = wire.part(read_request(), send(sse_head(), chunk(START), *pieces), pause(), *([ending()] if ending else []))
    async with Counted(wire, completed=1):
        answer = await wire.ask(part)
    more = b": bye\n\nevent: odd\ndata: 1\n\n" if len(pieces) == 4 else b""
    assert bytes(answer.body) == START + STOP + more
    assert answer.end is End.COMPLETE


async def test_an_error_event_of_the_upstream_is_an_end_and_counts_as_a_failure(wire):
    async with Counted(wire, failed=1):
        answer = await wire.ask(wire.streams(START, ERROR))
    assert (bytes(answer.body), answer.end) == (START + ERROR, End.COMPLETE)


@pytest.mark.parametrize("ending", [close, reset])
async def test_nothing_is_added_behind_an_error_event_of_the_upstream(wire, ending):
    part = wire.part(read_request(), send(sse_head(), chunk(START), chunk(ERROR)), pause(), ending())
    answer = await wire.ask(part)
    assert (bytes(answer.body), answer.end) == (START + ERROR, End.COMPLETE)


async def test_text_that_only_speaks_of_an_end_is_none(wire):
    said = json.dumps(
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "event: message_stop\n\n"}}
    )
    delta = b"event: content_block_delta\ndata: " + said.encode() + b"\n\n"
    answer = await wire.ask(wire.streams(START, delta))
    assert bytes(answer.body).startswith(START + delta + b"event: error\n")


# An answer while the request is still being sent.

LARGE = question(padding=12_000_000)
TOO_LARGE = json_response(b'{"type":"error","error":{"type":"request_too_large","message":"no"}}', "413 Too Large")


async def test_an_early_answer_reaches_the_client_and_its_connection_is_not_used_again(wire):
    part = wire.part(read_head(), stop_reading(), send(TOO_LARGE), hang())
    async with Counted(wire, completed=1):
        answer = await wire.ask(part, LARGE)
    assert (answer.head.status, bytes(answer.body)) == (413, TOO_LARGE.split(b"\r\n\r\n")[1])
    part.connections[0].go_on_reading()
    await part.connections[0].wait_gone(5)
    assert len(part.connections[0].received) < len(LARGE)


async def test_an_early_stream_flows_during_the_upload(wire):
    part = wire.part(read_head(), send(sse_head(), chunk(b"data: early\n\n")), read_request(), send(LAST_CHUNK))
    async with await wire.connect() as client:
        await client.request("POST", "/v1/other", [part.header, ("content-length", "10")])
        await client.send(b"01234")
        answer = await client.begin()
        chunks = client.chunks(answer)
        assert await anext(chunks) == b"data: early\n\n"
        await client.send(b"56789")
        assert [rest async for rest in chunks] == []
    assert answer.end is End.COMPLETE
    assert part.request.body == b"0123456789"


@pytest.mark.parametrize("ending", [close, reset])
async def test_an_early_answer_with_a_broken_connection_behind_it_is_that_answer_or_a_502(wire, ending):
    """What arrives first is the kernel's choice; in time and once, whichever it is."""
    part = wire.part(read_head(), stop_reading(), send(TOO_LARGE), ending())
    async with asyncio.timeout(10):
        answer = await wire.ask(part, LARGE)
    assert answer.head.status in {413, 502}
    assert answer.end is End.COMPLETE
    assert len(part.connections) == 1
    await wire.wait_for(in_flight=0)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
async def test_an_upstream_that_breaks_off_the_upload_is_a_502(wire, path):
    part = wire.part(read_head(), pause(), reset())
    async with Counted(wire, failed=1):
        answer = await wire.ask(part, LARGE, path=path)
    assert answer.head.status == 502
    assert len(part.connections) == 1
