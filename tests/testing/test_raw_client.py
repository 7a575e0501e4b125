"""The raw client says exactly how an answer ended, and when its parts came."""

import asyncio
import itertools
import time

import pytest
from tests.support.raw_client import End, NoAnswerError, RawClient
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    ScriptedUpstream,
    chunk,
    close,
    half_close,
    hang,
    head,
    json_response,
    read_request,
    reset,
    send,
    sse_head,
    steps,
    wait,
)
from tests.support.waiting import soon

EVENT = b"event: a\ndata: 1\n\n"
LENGTH = head("200 OK", "content-length: 5")
TO_THE_END = head("200 OK", "connection: close")


@pytest.mark.parametrize(
    ("pieces", "last", "framing", "end", "body"),
    [
        pytest.param([LENGTH, b"12", b"345"], hang, "length", End.COMPLETE, b"12345", id="length"),
        pytest.param([LENGTH, b"12345"], reset, "length", End.COMPLETE, b"12345", id="length, then reset"),
        pytest.param([LENGTH, b"12"], close, "length", End.EOF, b"12", id="length, cut"),
        pytest.param([LENGTH, b"12"], reset, "length", End.RESET, b"12", id="length, reset"),
        pytest.param([head("204 No Content")], hang, "none", End.COMPLETE, b"", id="no content"),
        pytest.param([head("200 OK", "content-length: 0")], hang, "length", End.COMPLETE, b"", id="length 0"),
        pytest.param([sse_head(), chunk(EVENT), LAST_CHUNK], hang, "chunked", End.COMPLETE, EVENT, id="chunked"),
        pytest.param([sse_head(), chunk(EVENT)], close, "chunked", End.EOF, EVENT, id="no last chunk"),
        pytest.param([sse_head(), chunk(EVENT)], half_close, "chunked", End.EOF, EVENT, id="half closed"),
        pytest.param([sse_head(), chunk(EVENT)[:9]], close, "chunked", End.EOF, EVENT[:5], id="chunk cut"),
        pytest.param([sse_head(), chunk(EVENT), b"0\r\n"], close, "chunked", End.EOF, EVENT, id="last chunk cut"),
        pytest.param([sse_head(), chunk(EVENT)], reset, "chunked", End.RESET, EVENT, id="chunked, reset"),
        pytest.param([sse_head()], reset, "chunked", End.RESET, b"", id="reset after the head"),
        pytest.param([TO_THE_END, EVENT], close, "close", End.COMPLETE, EVENT, id="to the end"),
        pytest.param([TO_THE_END, EVENT], reset, "close", End.RESET, EVENT, id="to the end, reset"),
    ],
)
async def test_the_end_of_a_body_is_what_it_was(pieces, last, framing, end, body):
    seen = asyncio.Event()
    script = steps(read_request(), send(*pieces), wait(seen), last())
    async with ScriptedUpstream(script) as upstream, await RawClient.connect(upstream.url) as client:
        await client.request("POST", "/", body=b"x")
        answer = await client.begin()
        assert answer.framing == framing
        sent = sum(len(piece) for piece in pieces[1:])
        await soon(lambda: client.unread_bytes == sent, "all has come: RST may overtake what was not read yet")
        seen.set()
        await client.finish(answer)
        assert (answer.end, bytes(answer.body)) == (end, body)


@pytest.mark.parametrize(
    ("pieces", "last", "end"),
    [
        pytest.param([], close, End.EOF, id="closed at once"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncont"], close, End.EOF, id="closed within the head"),
        pytest.param([], reset, End.RESET, id="reset at once"),
    ],
)
async def test_no_head_is_told_apart_from_a_bad_answer(pieces, last, end):
    async with (
        ScriptedUpstream(steps(read_request(), send(*pieces), last())) as upstream,
        await RawClient.connect(upstream.url) as client,
    ):
        await client.request("GET", "/")
        with pytest.raises(NoAnswerError) as found:
            await client.answer()
        assert found.value.end is end
        assert found.value.got == b"".join(pieces)


async def test_bytes_before_a_reset_are_kept_though_nobody_had_asked_for_them():
    script = steps(read_request(), send(sse_head(), chunk(EVENT)), half_close())
    async with ScriptedUpstream(script) as upstream, await RawClient.connect(upstream.url) as client:
        await client.request("GET", "/")
        connection = await upstream.connection()
        await soon(lambda: client.ended, "FIN has come")
        connection.reset()
        await asyncio.sleep(0)
        answer = await client.answer()
        assert bytes(answer.body) == EVENT


@pytest.mark.parametrize("eol", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
async def test_each_event_has_the_time_at_which_it_was_whole(eol):
    event = b"event: a" + eol + b"data: 1" + eol + eol
    gates = [asyncio.Event() for _ in range(3)]
    parts = [(wait(gate), send(chunk(event[:4]), chunk(event[4:]))) for gate in gates]
    script = steps(read_request(), send(sse_head()), *itertools.chain(*parts), send(LAST_CHUNK))
    async with ScriptedUpstream(script) as upstream, await RawClient.connect(upstream.url) as client:
        await client.request("GET", "/")
        answer = await client.begin()
        reading = asyncio.create_task(client.finish(answer))
        opened = []
        for gate, whole in zip(gates, itertools.count(len(event), len(event)), strict=False):
            opened.append(asyncio.get_running_loop().time())
            gate.set()
            await soon(lambda whole=whole: len(answer.body) >= whole, "the event has come")
        await reading
        assert [block for _, block in answer.events()] == [event] * 3
        arrivals = [arrival for arrival, _ in answer.events()]
        assert all(earlier <= arrival for earlier, arrival in zip(opened, arrivals, strict=True))
        assert all(arrival <= later for arrival, later in zip(arrivals, opened[1:], strict=False))


async def test_bytes_have_the_time_at_which_they_came_not_the_one_at_which_they_were_asked_for():
    first, second = asyncio.Event(), asyncio.Event()
    parts = [wait(first), send(b"3\r\nabc"), wait(second), send(b"\r\n3\r\ndef\r\n", LAST_CHUNK)]
    script = steps(read_request(), send(sse_head()), *parts)
    async with ScriptedUpstream(script) as upstream, await RawClient.connect(upstream.url) as client:
        await client.request("GET", "/")
        answer = await client.begin()
        first.set()
        await soon(lambda: client.unread_bytes == 6, "the first part has come")
        between = time.monotonic()
        second.set()
        await soon(lambda: client.unread_bytes > 20, "the second part has come")
        await client.finish(answer)
        (one, _), (two, _) = answer.arrivals
        assert one < between < two


async def test_informational_heads_are_kept_apart():
    script = steps(read_request(), send(head("100 Continue"), json_response(b"{}")))
    async with ScriptedUpstream(script) as upstream, await RawClient.connect(upstream.url) as client:
        await client.request("POST", "/", [("Expect", "100-continue")], b"x")
        answer = await client.answer()
        assert answer.head.status == 200
        assert [found.status for found in client.informational] == [100]


async def test_a_client_that_does_not_read_holds_the_server_up():
    async def pour(connection):
        await connection.read_request()
        await connection.send(TO_THE_END)
        while connection.bytes_sent < 50_000_000:
            await connection.send(b"x" * 65536)

    async with (
        ScriptedUpstream(pour) as upstream,
        await RawClient.connect(upstream.url, receive_buffer_bytes=8192, limit_bytes=4096) as client,
    ):
        await client.request("GET", "/")
        answer = await client.begin()
        connection = await upstream.connection()
        await soon(lambda: not connection._writable.is_set(), "the server is held up")
        held_at = connection.bytes_sent
        await asyncio.sleep(0.2)
        assert connection.bytes_sent - held_at < 1_000_000
        assert client.unread_bytes < 500_000
        got = await client.read_slowly(1000, 0.5)
        assert 300 <= len(got) <= 600
        assert answer.body == b""
