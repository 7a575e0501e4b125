"""A client that leaves is noticed at once, wherever its request is: the upstream is cancelled, all is released once.

A half-closed connection is one that nobody waits at any more (BerriAI/litellm#37140 for plain requests).
"""

import asyncio

import pytest
from tests.support.raw_client import RawClient
from tests.support.scripted_upstream import (
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
    stop_reading,
)
from tests.support.stage import DELTA, PLAIN_QUESTION, QUESTION, START, question
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Well below any limit that would end the request anyhow.
AT_ONCE_SECONDS = 3.0
LARGE = question(padding=4_000_000)


async def close(client):
    await client.close()


async def reset(client):
    client.reset()


async def half_close(client):
    client.half_close()


WAYS = [close, reset, half_close]
SILENT = [read_request(), hang()]
STREAM = [read_request(), send(sse_head(), chunk(START)), hang()]
LIVELY = [read_request(), send(sse_head(), chunk(START)), repeat(send(chunk(DELTA))), sleep(0.01)]
PLAIN = [read_request(), send(head("200 OK", "content-length: 100"), b"{"), hang()]
NOT_READING = [read_head(), stop_reading(), hang()]


async def asked(client, part, body, method="POST", path="/v1/messages"):
    await client.request(method, path, [part.header], body)


async def waiting(client, part, body, method="POST", path="/v1/messages"):
    """Ask, and wait until the upstream has the request."""
    await asked(client, part, body, method, path)
    connection = await part.connection()
    await soon(lambda: connection.requests, "the request")


async def begun(client, part, body, path="/v1/messages"):
    """Ask, and wait for the answer's first bytes."""
    await asked(client, part, body, path=path)
    answer = await client.begin()
    await anext(client.chunks(answer))


async def uploading(client, part, path, *, framing):
    """Send a head and a part of its body, and wait until the upstream has got some of it."""
    await client.request("POST", path, [part.header, framing])
    await client.send(b"5\r\nabcde\r\n" if framing[1] == "chunked" else b"abcde")
    connection = await part.connection()
    await soon(lambda: b"abcde" in connection.received, "the upload")


async def stuck(client, part, path):
    """Send a large body to an upstream that does not read it, so that our reading stops, too."""
    await asyncio.wait(
        [asyncio.ensure_future(asked(client, part, LARGE, path=path)), asyncio.ensure_future(part.connection())]
    )
    await asyncio.sleep(0.3)


LENGTH, CHUNKED = ("content-length", "100"), ("transfer-encoding", "chunked")
PLACES = {
    "before the answer, a stream": (SILENT, lambda c, p: waiting(c, p, QUESTION)),
    "before the answer, a plain request": (SILENT, lambda c, p: waiting(c, p, PLAIN_QUESTION)),
    "before the answer, a GET": (SILENT, lambda c, p: waiting(c, p, None, "GET", "/v1/files")),
    "before the answer, a passthrough": (SILENT, lambda c, p: waiting(c, p, b"{}", path="/v1/other")),
    "in a silent stream": (STREAM, lambda c, p: begun(c, p, QUESTION)),
    "in a silent stream of no known protocol": (STREAM, lambda c, p: begun(c, p, b"{}", "/v1/other")),
    "in a lively stream": (LIVELY, lambda c, p: begun(c, p, QUESTION)),
    "in a plain answer": (PLAIN, lambda c, p: begun(c, p, PLAIN_QUESTION)),
    "in a passthrough's answer": (PLAIN, lambda c, p: begun(c, p, b"{}", "/v1/other")),
    "in a passthrough's upload": (SILENT, lambda c, p: uploading(c, p, "/v1/files", framing=LENGTH)),
    "in a passthrough's upload in chunks": (SILENT, lambda c, p: uploading(c, p, "/v1/files", framing=CHUNKED)),
    "in an upload that the upstream does not take": (NOT_READING, lambda c, p: stuck(c, p, "/v1/files")),
    "in an upload that we hold and the upstream does not take": (NOT_READING, lambda c, p: stuck(c, p, "/v1/messages")),
}


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("place", PLACES)
async def test_the_upstream_is_left_at_once(wire, place, leave):
    script, go = PLACES[place]
    part = wire.part(*script)
    await wire.wait_for(in_flight=0)
    before = await wire.totals()
    async with await wire.connect() as client:
        await go(client, part)
        await leave(client)
        connection = await part.connection()
        connection.go_on_reading()
        await connection.wait_gone(AT_ONCE_SECONDS)
        await wire.wait_for(
            AT_ONCE_SECONDS,
            in_flight=0,
            streams=0,
            totals_accepted=before["accepted"] + 1,
            totals_disconnected=before["disconnected"] + 1,
        )
    assert len(part.connections) == 1


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b'{"a', id="half a body"),
        pytest.param(b"", id="no byte of the body"),
    ],
)
async def test_a_body_that_is_not_whole_never_reaches_the_upstream(wire, sent, leave):
    part = wire.part(*SILENT)
    before = await wire.totals()
    async with await wire.connect() as client:
        await client.request("POST", "/v1/messages", [part.header, LENGTH])
        await client.send(sent)
        await wire.wait_for(in_flight=1)
        await leave(client)
        await wire.wait_for(AT_ONCE_SECONDS, in_flight=0, totals_disconnected=before["disconnected"] + 1)
    assert part.connections == []


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("sent", [b"", b"POST /v1/mess", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"])
async def test_whoever_leaves_before_the_end_of_the_head_was_no_request(wire, sent, leave):
    before = await wire.totals()
    sockets = wire.sidecar.open_sockets()
    async with await wire.connect() as client:
        await client.send(sent)
        await leave(client)
        await soon(lambda: wire.sidecar.open_sockets() <= sockets, "the connection is closed")
    assert await wire.totals() == before


async def test_a_client_that_stopped_reading_may_leave(wire):
    """Its bytes wait in our buffers, and what it sends would not be seen by whoever waits for them to go."""
    part = wire.part(read_request(), send(sse_head()), repeat(send(chunk(b"data: " + b"x" * 100_000 + b"\n\n"))))
    async with await RawClient.connect(wire.sidecar.url, receive_buffer_bytes=65536) as client:
        await asked(client, part, QUESTION)
        await client.begin()
        client.stop_reading()
        connection = await part.connection()
        sent = -1
        while sent != connection.bytes_sent:
            sent = connection.bytes_sent
            await asyncio.sleep(0.2)
        client.reset()
        await connection.wait_gone(AT_ONCE_SECONDS)
    await wire.wait_for(in_flight=0)


async def test_a_client_may_leave_as_soon_as_it_has_the_end(wire):
    """Vendors' SDKs close at `message_stop`; that is no client that left, and no failure."""
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    part = wire.part(read_request(), send(sse_head(), chunk(START + stop)), hang())
    before = await wire.totals()
    async with await wire.connect() as client:
        await begun(client, part, QUESTION)
    await (await part.connection()).wait_gone(AT_ONCE_SECONDS)
    await wire.wait_for(in_flight=0, totals_completed=before["completed"] + 1)


async def test_many_clients_leave_at_once_and_nothing_is_left(wire):
    sockets = wire.sidecar.open_sockets()
    parts = [wire.part(*script) for script in (SILENT, STREAM, PLAIN) for _ in range(30)]

    async def come_and_go(number, part):
        async with await wire.connect() as client:
            await asked(client, part, QUESTION)
            connection = await part.connection()
            await WAYS[number % 3](client)
            await connection.wait_gone(10)

    await asyncio.gather(*(come_and_go(number, part) for number, part in enumerate(parts)))
    await wire.wait_for(in_flight=0, streams=0, queued=0)
    await soon(lambda: wire.sidecar.open_sockets() <= sockets + 2, "no socket is left")


async def test_the_next_request_of_a_connection_is_served_after_an_answer(wire):
    """Each is sent the moment that the answer before it is whole, and none is taken for a pipelined one."""
    part = wire.part(read_request(), send(json_response(b"{}")))
    stream = wire.streams(START, b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    async with await wire.connect() as client:
        for _ in range(50):
            await asked(client, part, PLAIN_QUESTION)
            assert (await client.answer()).head.status == 200
            await asked(client, stream, QUESTION)
            assert (await client.answer()).head.get("connection") is None
