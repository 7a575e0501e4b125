"""Each limit ends what it must, in its own words: before the first byte by a status, after it by an event.

`hasty` has short limits: 1 s for the head of the answer, 3 s to the first event, 4 s between the upstream's bytes, 2 s
for a client that does not read, 8 s for all of it. For constants there is `hurried`, whose clock runs 20 times as fast.
"""

import asyncio
import contextlib
import re
import time

import pytest
import pytest_asyncio
from tests.support.hurried import SPEED
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    hang,
    head,
    json_response,
    read_head,
    read_request,
    repeat,
    send,
    sleep,
    sse_head,
    steps,
    stop_reading,
)
from tests.support.stage import DELTA, PING, PLAIN_QUESTION, QUESTION, START, STOP, error_of, last_event, question
from tests.support.together import Together

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: How much later than its limit a clock may be seen to run out on a busy machine, in seconds.
LATE_SECONDS = 5.0
LARGE = question(padding=16_000_000)
OK = json_response(b"{}")

cases = Together()


@contextlib.asynccontextmanager
async def lasting(seconds):
    """What happens in here takes so long: not less, and not much more."""
    started = time.monotonic()
    yield
    assert seconds - 0.05 <= time.monotonic() - started < seconds + LATE_SECONDS


async def upstream_left(part):
    """The sidecar has closed its connection to the upstream, having sent the request once."""
    await (await part.connection()).wait_gone(10)
    assert len(part.connections) == 1


# Before the answer: a 504.

NO_HEAD = "the upstream sent no response header within 1 s (upstream.responseHeaderTimeoutSeconds)"
NO_UPLOAD = "the upstream took no byte of the request for 4 s (limits.stallTimeoutSeconds)"


async def refused(wire, seconds, message, *script, body=QUESTION, method="POST", path="/v1/messages"):
    part = wire.part(*script, hang())
    async with lasting(seconds):
        answer = await wire.ask(part, body, method=method, path=path)
    assert (answer.head.status, answer.end) == (504, End.COMPLETE)
    assert error_of(answer) == {"type": "timeout_error", "message": message}
    (await part.connection()).go_on_reading()
    await upstream_left(part)


@cases.add
async def no_answer_to_a_stream(hasty):
    await refused(hasty, 1, NO_HEAD, read_request())


@cases.add
async def no_answer_to_a_plain_request(hasty):
    await refused(hasty, 1, NO_HEAD, read_request(), body=PLAIN_QUESTION)


@cases.add
async def no_answer_to_a_get(hasty):
    await refused(hasty, 1, NO_HEAD, read_request(), body=None, method="GET", path="/v1/files")


@cases.add
async def no_answer_to_a_passthrough(hasty):
    await refused(hasty, 1, NO_HEAD, read_request(), body=b"data", path="/v1/other")


@cases.add
async def half_a_head(hasty):
    await refused(hasty, 1, NO_HEAD, read_request(), send(b"HTTP/1.1 200 OK\r\ncontent-"))


@cases.add
async def an_upload_that_the_upstream_does_not_take(hasty):
    await refused(hasty, 4, NO_UPLOAD, read_head(), stop_reading(), body=LARGE)


@cases.add
async def a_passthrough_upload_that_the_upstream_does_not_take(hasty):
    await refused(hasty, 4, NO_UPLOAD, read_head(), stop_reading(), body=LARGE, path="/v1/files")


# Within a stream: an error event, behind whole events.

NO_EVENT = "the upstream sent no event within 3 s of its response header (limits.firstEventTimeoutSeconds)"
STALL = "the upstream sent nothing for 4 s (limits.stallTimeoutSeconds)"
TOO_LONG = "the request took longer than 8 s (limits.maxDurationSeconds)"


async def broken_off(wire, seconds, message, *script):
    """Returns what the client got before the error, without our heartbeats."""
    part = wire.part(read_request(), send(sse_head()), *script, hang())
    async with lasting(seconds):
        answer = await wire.ask(part)
    name, told = last_event(answer)
    assert (name, told["error"]) == ("error", {"type": "timeout_error", "message": message})
    assert answer.end is End.COMPLETE
    await upstream_left(part)
    before, _, _ = bytes(answer.body).rpartition(b"event: error")
    return re.sub(rb": keep-alive\n\n?", b"", before.replace(PING, b""))


@cases.add
async def no_first_event(hasty):
    assert await broken_off(hasty, 3, NO_EVENT) == b""


@cases.add
async def no_first_event_although_comments_come(hasty):
    """They keep a connection alive; an answer they are not."""
    comments = repeat(steps(send(chunk(b": processing\n\n")), sleep(0.5)))
    assert b"event: " not in await broken_off(hasty, 3, NO_EVENT, comments)


@cases.add
async def half_a_first_event(hasty):
    assert await broken_off(hasty, 3, NO_EVENT, send(chunk(b"event: message_start\nda"))) == b""


@cases.add
async def a_stall_although_our_own_heartbeats_go_on(hasty):
    """They are no bytes of the upstream's (maximhq/bifrost#7108)."""
    assert await broken_off(hasty, 4, STALL, send(chunk(START))) == START


@cases.add
async def a_stall_within_an_event(hasty):
    script = send(chunk(START)), sleep(1.5), send(chunk(DELTA + b"event: half"))
    assert await broken_off(hasty, 5.5, STALL, *script) == START + DELTA


@cases.add
async def a_stream_without_end(hasty):
    assert await broken_off(hasty, 8, TOO_LONG, repeat(steps(send(chunk(DELTA)), sleep(1.9)))) == DELTA * 5


# Within an answer that is no stream, or that we cannot read: no end.


async def left_open(wire, start, path="/v1/messages", body=PLAIN_QUESTION):
    part = wire.part(read_request(), send(start + chunk(b'{"a":')), hang())
    async with lasting(4):
        answer = await wire.ask(part, body, path=path)
    assert (bytes(answer.body), answer.end) == (b'{"a":', End.EOF)
    await upstream_left(part)


@cases.add
async def a_stall_of_a_plain_answer(hasty):
    await left_open(hasty, head("200 OK", "transfer-encoding: chunked"))


@cases.add
async def a_stall_of_a_passthrough(hasty):
    await left_open(hasty, head("200 OK", "transfer-encoding: chunked"), "/v1/other")


@cases.add
async def a_stall_of_an_encoded_stream(hasty):
    await left_open(hasty, sse_head("content-encoding: gzip"), body=QUESTION)


@cases.add
async def an_upstream_that_lingers_after_the_end_is_left_after_5_s(wire):
    part = wire.part(read_request(), send(sse_head(), chunk(START + STOP)), hang())
    started = time.monotonic()
    answer = await wire.ask(part)
    assert (bytes(answer.body), answer.end) == (START + STOP, End.COMPLETE)
    assert answer.arrivals[0][0] - started < 4
    assert 5 - 0.05 <= answer.ended_at - started < 5 + LATE_SECONDS
    await upstream_left(part)


# Signs of life.


async def alive(wire, sign):
    """Longer than the limit of 4 s in all, and less than it between two reads."""
    script = [send(sse_head(), chunk(START)), *[sleep(1.4), send(chunk(sign))] * 4, send(chunk(STOP), LAST_CHUNK)]
    answer = await wire.ask(wire.part(read_request(), *script))
    assert bytes(answer.body).replace(PING, b"") == START + sign.replace(PING, b"") * 4 + STOP
    assert answer.end is End.COMPLETE


@cases.add
async def the_upstreams_pings_count(hasty):
    await alive(hasty, PING)


@cases.add
async def the_upstreams_comments_count(hasty):
    await alive(hasty, b": alive\n\n")


@cases.add
async def the_parts_of_an_event_count(hasty):
    await alive(hasty, b"data: a part\n")


# The client.


@cases.add
async def a_client_that_does_not_read(hasty):
    part = hasty.part(read_request(), send(sse_head()), repeat(send(chunk(b"data: " + b"x" * 100_000 + b"\n\n"))))
    async with await hasty.connect(receive_buffer_bytes=65536) as client:
        await client.request("POST", "/v1/messages", [part.header], QUESTION)
        await client.begin()
        client.stop_reading()
        async with lasting(2):  # from when the kernel's buffers are full; that takes a moment
            await (await part.connection()).wait_gone()
        client.go_on_reading()
        assert await client.wait_end() is End.RESET


@cases.add
async def a_slow_client_is_no_stalled_one_and_makes_no_upstream_look_slow(hasty):
    """It pauses for 1.4 s at a time, longer than the upstream's limit in all: no clock may blame either of them."""
    data = b"data: " + b"x" * 1_000_000 + b"\n\n"
    part = hasty.part(read_request(), send(sse_head(), *[chunk(data)] * 20, chunk(STOP), LAST_CHUNK))
    async with await hasty.connect(receive_buffer_bytes=65536) as client:
        await client.request("POST", "/v1/messages", [part.header], QUESTION)
        answer = await client.begin()
        chunks = client.chunks(answer)
        for number in range(1, 4):
            client.stop_reading()
            await asyncio.sleep(1.4)
            client.go_on_reading()
            async for _ in chunks:
                if len(answer.body) > number * 4_000_000:
                    break
        async for _ in chunks:
            pass
    assert answer.end is End.COMPLETE
    assert bytes(answer.body) == data * 20 + STOP


TOO_SLOW = (
    "the request's body came too slowly: in all 60 s were waited (limits.bodyGraceSeconds) "
    "at less than 100 bytes a second (limits.minBodyBytesPerSecond)"
)


async def half_a_body(wire, path, *, chunked=False):
    framing = ("transfer-encoding", "chunked") if chunked else ("content-length", "100")
    async with await wire.connect() as client:
        await client.request("POST", path, [wire.part(read_head(), hang()).header, framing])
        await client.send(b"5\r\nab" if chunked else b'{"a"')
        async with lasting(60 / SPEED):
            answer = await client.answer()
        assert (answer.head.status, answer.head.get("connection")) == (408, "close")
        assert error_of(answer) == {"type": "timeout_error", "message": TOO_SLOW}
        assert await client.wait_end() is End.EOF


@cases.add
async def half_a_body_for_60_s(hurried):
    await half_a_body(hurried, "/v1/messages")


@cases.add
async def half_a_body_in_chunks_for_60_s(hurried):
    await half_a_body(hurried, "/v1/messages", chunked=True)


@cases.add
async def half_a_passthrough_for_60_s(hurried):
    await half_a_body(hurried, "/v1/files")


@cases.add
async def half_a_passthrough_in_chunks_for_60_s(hurried):
    await half_a_body(hurried, "/v1/files", chunked=True)


async def trickled(wire, path, piece, pauses):
    """Send a body piece by piece, 20 s of the sidecar's time apart, until it answers; returns the answer."""
    part = wire.part(read_request(), send(OK))
    padding = question(stream=False, padding=len(piece) * pauses)
    async with await wire.connect() as client:
        await client.request("POST", path, [part.header, ("content-length", str(len(padding)))])
        await client.send(padding[: -len(piece) * pauses])
        for number in range(pauses, 0, -1):
            await asyncio.sleep(20 / SPEED)
            if client.unread_bytes:
                break
            await client.send(padding[-len(piece) * number :][: len(piece)])
        return await client.answer()


@cases.add
async def a_body_that_trickles_is_ended(hurried):
    """A byte in 20 s of the sidecar's time: it would hold a rollout for as long as the longest request."""
    for path in ("/v1/messages", "/v1/files"):
        async with lasting(60 / SPEED):
            answer = await trickled(hurried, path, b"x", 10)
        assert (answer.head.status, error_of(answer)["message"]) == (408, TOO_SLOW)


@cases.add
async def a_slow_and_steady_body_is_served(hurried):
    """125 bytes a second, as bad networks have them: 200 s in all."""
    for path in ("/v1/messages", "/v1/files"):
        answer = await trickled(hurried, path, b"x" * 2500, 10)
        assert answer.head.status == 200


WHOLE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def slow_head(wire, *pieces, after=b""):
    async with lasting(10 / SPEED), await wire.connect() as client:
        if after:
            await client.send(after)
            assert (await client.answer("GET")).head.status == 200
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(1 / SPEED)
        answer = await client.answer("GET")
        assert (answer.head.status, answer.head.get("connection")) == (408, "close")
        assert error_of(answer)["type"] == "timeout_error"
        assert await client.wait_end() is End.EOF


@cases.add
async def a_client_that_sends_nothing_for_75_s(hurried):
    """Balancers open connections ahead of need: no word of ours may meet their first request."""
    before = time.monotonic()  # the sidecar's clock starts while we are still connecting
    async with await hurried.connect() as client:
        assert await client.wait_end() is End.EOF
        assert time.monotonic() - before > 75 / SPEED - 0.1


@cases.add
async def a_head_that_trickles_for_10_s(hurried):
    await slow_head(hurried, *[bytes([byte]) for byte in b"GET "])


@cases.add
async def a_head_without_an_end_for_10_s(hurried):
    await slow_head(hurried, b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n")


@cases.add
async def a_second_head_without_an_end_for_10_s(hurried):
    await slow_head(hurried, b"GET /v1/x HTTP/1.1\r\n", after=WHOLE)


@cases.add
async def an_idle_connection_is_closed_after_75_s_and_not_before(hurried):
    async with await hurried.connect() as client:
        for _ in range(2):
            before = time.monotonic()  # the sidecar's clock starts before we have read the answer
            await client.send(WHOLE)
            assert (await client.answer("GET")).head.status == 200
            await asyncio.sleep(40 / SPEED)
        assert await client.wait_end() is End.EOF
        assert time.monotonic() - before > 75 / SPEED - 0.1


@cases.add
async def an_idle_upstream_connection_is_not_used_after_4_s(wire):
    """A server closes idle connections, and whoever sends just then loses a request that may not be sent again."""
    part = wire.part(read_request(), send(json_response(b"{}")))
    await wire.ask(part, PLAIN_QUESTION)
    await asyncio.sleep(4.2)
    await wire.ask(part, PLAIN_QUESTION)
    first, second = part.connections
    assert first is not second
    await first.wait_gone(10)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(wire, hasty, hurried):
    await hasty.wait_for(in_flight=0)
    before = await hasty.totals()
    async with cases.started(wire=wire, hasty=hasty, hurried=hurried) as found:
        yield found
        await asyncio.wait(found.values())
        if any(task.cancelled() or task.exception() for task in found.values()):
            return
        after = (await hasty.wait_for(in_flight=0, streams=0))["totals"]
        await hurried.wait_for(in_flight=0)
    # One that we ended although the upstream went on, and one whose client read nothing.
    counted = {name: after[name] - before[name] for name in after}
    assert counted == {"accepted": 21, "completed": 4, "failed": 15, "disconnected": 1, "dropped": 1, "refused": 0}


@pytest.mark.parametrize("name", cases.names)
async def test_a_limit_holds(running, name):
    await running[name]
