"""What the upstream sends reaches the client byte for byte, at once, and in whole events."""

import asyncio
import gzip
import random

import pytest
from tests.support.kernel import queued_bytes
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    close,
    hang,
    head,
    read_request,
    send,
    sse_head,
    tell,
    wait,
)
from tests.support.stage import DELTA, PLAIN_QUESTION, START, STOP
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANTERN = "événement 灯 🏮".encode()
STREAMS = {
    "LF": START + DELTA + STOP,
    "CRLF": (START + DELTA + STOP).replace(b"\n", b"\r\n"),
    "CR": (START + DELTA + STOP).replace(b"\n", b"\r"),
    "line ends mixed": b"event: message_start\r\ndata: {}\n\r\ndata: 1\r\rdata: 2\n\n" + STOP,
    "comments": b": one\n\n:\n:two\ndata: 1\n: between\n\n: three\n" + STOP + b": after\n\n",
    "ids and retries": b"id: 1\nretry: 3000\ndata: a\n\nid\n\nid: \0\n\nretry: x\n\n" + STOP,
    "unknown events and fields": b"event: odd\nfield\nx: y\ndata\ndata:a\ndata:  b\n\nevent: none\n\n\n\n" + STOP,
    "a BOM": b"\xef\xbb\xbf" + START + STOP,
    "UTF-8": b"data: " + LANTERN + b"\n\n" + STOP,
    "no UTF-8": b"data: \xff\xfe\xc3\x28\xed\xa0\x80\x00\n\n" + STOP,
    "only the end": STOP,
    "an error for an end": START + b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
}
OPEN_ENDED = {
    "an unfinished event": DELTA + b"data: tail",
    "an unfinished comment": DELTA + b": tail",
    "half of a line end": DELTA.replace(b"\n", b"\r\n")[:-1],
    "half a BOM": b"\xef\xbb",
    "nothing": b"",
    "no field at all": b"\r\n\r\n\n\r",
}
#: What one stream may hold in the sidecar: 64 KiB read ahead and 64 KiB to be written, each exceeded by one read of
#: 256 KiB at most.
HELD_BYTES = 2 * (64 + 256) * 1024
CUTS = {"whole": 1 << 20, "byte by byte": 1, "seven bytes": 7}


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def framed(framing, data):
    """The head of a stream, and how to frame a piece of it."""
    if framing == "chunked":
        return sse_head(), chunk
    length = [f"content-length: {len(data)}"] if framing == "length" else ["connection: close"]
    return head("200 OK", "content-type: text/event-stream; charset=utf-8", *length), bytes


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_is_the_same_byte_for_byte(wire, name, cut, framing):
    data = STREAMS[name]
    start, frame = framed(framing, data)
    ending = {"chunked": [send(LAST_CHUNK)], "length": [], "close": [close()]}[framing]
    part = wire.part(read_request(), send(start, *map(frame, pieces(data, CUTS[cut]))), *ending)
    answer = await wire.ask(part)
    assert bytes(answer.body) == data
    assert (answer.framing, answer.end) == ("chunked", End.COMPLETE)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", OPEN_ENDED)
async def test_a_stream_of_no_known_protocol_may_end_anywhere(wire, name, cut):
    part = wire.streams(*pieces(OPEN_ENDED[name], CUTS[cut]))
    answer = await wire.ask(part, b"{}", path="/v1/other")
    assert (bytes(answer.body), answer.end) == (OPEN_ENDED[name], End.COMPLETE)


@pytest.mark.parametrize("size", [65537, 1_000_001], ids=["64 KiB and a byte", "a megabyte"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"event: big\ndata: " + b"x" * 5_000_000 + b"\n\n", id="event of 5 MB"),
        pytest.param(b"data: " + LANTERN * 50_000 + b"\ndata: b\n\n", id="event of 1 MB in UTF-8"),
        pytest.param(b":" + b"c" * 10_000_000 + b"\r\n\r\n", id="comment line of 10 MB"),
        pytest.param(b"\n" * 1_000_000, id="empty lines"),
        pytest.param(b"event: e\r\n" * 200_000 + b"\r\n", id="event of many lines"),
    ],
)
async def test_large_events_are_the_same_byte_for_byte(wire, data, size):
    data = START + data + DELTA + STOP
    answer = await wire.ask(wire.streams(*pieces(data, size)))
    assert answer.end is End.COMPLETE
    assert len(answer.body) == len(data)
    assert answer.body == data


async def begun(client, part, first, body=PLAIN_QUESTION, path="/v1/messages"):
    """Ask, and read until the first bytes have come; returns the answer, and what reads the rest of it."""
    await client.request("POST", path, [part.header], body)
    answer = await client.begin()
    chunks = client.chunks(answer)
    async for _ in chunks:
        if len(answer.body) >= len(first):
            break
    assert bytes(answer.body) == first

    async def rest():
        async for _ in chunks:
            pass
        assert answer.end is End.COMPLETE

    return answer, rest


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"], ids=["LF", "CRLF", "CR"])
async def test_whole_events_leave_at_once_and_an_unfinished_one_waits_for_its_end(wire, end):
    halved, looked = asyncio.Event(), asyncio.Event()
    whole, half, rest = b"data: 1" + end + b"data: 2" + end, b"event: ping\ndata: {", b"}" + end
    part = wire.part(
        read_request(),
        send(sse_head(), chunk(START + whole + half)),
        tell(halved),
        wait(looked),
        send(chunk(rest), chunk(STOP), LAST_CHUNK),
    )
    async with await wire.connect() as client:
        answer, rest_of_it = await begun(client, part, START + whole)
        await asyncio.sleep(0.1)
        assert client.unread_bytes == len(b"\r\n"), "more than the chunk's own line end"
        looked.set()
        await rest_of_it()
    assert bytes(answer.body) == START + whole + half + rest + STOP


async def test_an_event_of_more_than_64_kib_is_not_held_back(wire):
    looked = asyncio.Event()
    begin, rest = b"data: " + b"x" * 200_000, b"y" * 200_000 + b"\n\n"
    part = wire.part(read_request(), send(sse_head(), chunk(begin)), wait(looked), send(chunk(rest + STOP), LAST_CHUNK))
    async with await wire.connect() as client:
        answer, rest_of_it = await begun(client, part, begin)
        looked.set()
        await rest_of_it()
    assert bytes(answer.body) == begin + rest + STOP


async def test_a_comment_leaves_at_once(wire):
    looked = asyncio.Event()
    part = wire.part(read_request(), send(sse_head(), chunk(b": alive\n")), wait(looked), send(chunk(STOP), LAST_CHUNK))
    async with await wire.connect() as client:
        answer, rest_of_it = await begun(client, part, b": alive\n")
        looked.set()
        await rest_of_it()
    assert bytes(answer.body) == b": alive\n" + STOP


async def test_the_head_leaves_before_the_first_event(wire):
    looked = asyncio.Event()
    part = wire.part(read_request(), send(sse_head()), wait(looked), send(chunk(STOP), LAST_CHUNK))
    async with await wire.connect() as client:
        await client.request("POST", "/v1/messages", [part.header], PLAIN_QUESTION)
        answer = await client.begin()
        looked.set()
        await client.finish(answer)
    assert bytes(answer.body) == STOP


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, gzip"])
async def test_an_encoded_stream_passes_untouched(wire, encoding):
    data = gzip.compress(START + DELTA * 100 + STOP)
    start = sse_head(f"content-encoding: {encoding}")
    part = wire.part(read_request(), send(start, *map(chunk, pieces(data, 11)), LAST_CHUNK))
    answer = await wire.ask(part, headers=[("accept-encoding", "gzip, br, zstd")])
    assert (bytes(answer.body), answer.end) == (data, End.COMPLETE)
    assert answer.head.get("content-encoding") == encoding
    assert part.request.header("accept-encoding") == "identity"


JSON = b'{"a": 1.0000000000000000000001, "b": "\xff"}'
BINARY = random.Random(7).randbytes(3_000_000)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/other"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("data", [JSON, BINARY, b""], ids=["json", "binary", "empty"])
async def test_a_plain_answer_is_the_same_byte_for_byte(wire, data, framing, path):
    kind = "content-type: application/json"
    if framing == "length":
        sent, ending = [head("201 Created", kind, f"content-length: {len(data)}"), data], []
    elif framing == "chunked":
        cut = [chunk(piece) for piece in pieces(data, 100_003)]
        sent, ending = [head("201 Created", kind, "transfer-encoding: chunked"), *cut, LAST_CHUNK], []
    else:
        sent, ending = [head("201 Created", kind, "connection: close"), data], [close()]
    answer = await wire.ask(wire.part(read_request(), send(*sent), *ending), PLAIN_QUESTION, path=path)
    assert (answer.head.status, answer.end) == (201, End.COMPLETE)
    assert answer.body == data
    assert answer.framing == ("length" if framing == "length" else "chunked")
    assert answer.head.get("content-length") == (str(len(data)) if framing == "length" else None)


async def test_an_encoded_plain_answer_is_not_decoded(wire):
    data = gzip.compress(JSON)
    sent = head("200 OK", "content-encoding: gzip", f"content-length: {len(data)}") + data
    part = wire.part(read_request(), send(sent))
    answer = await wire.ask(part, PLAIN_QUESTION, [("accept-encoding", "gzip;q=0.5, *;q=0")])
    assert bytes(answer.body) == data
    assert answer.head.get("content-encoding") == "gzip"
    assert part.request.header("accept-encoding") == "gzip;q=0.5, *;q=0"


@pytest.mark.parametrize("code", [200, 202, 301, 307, 400, 401, 404, 418, 429, 499, 500, 502, 503, 529, 599])
async def test_the_upstreams_status_and_its_headers_pass(wire, code):
    html = b"<html>busy</html>"
    headers = [
        "retry-after: 7",
        "location: http://127.0.0.1:1/elsewhere",
        "x-ratelimit-left: 0",
        "content-type: text/html",
    ]
    part = wire.part(read_request(), send(head(f"{code} Reason", *headers, f"content-length: {len(html)}") + html))
    answer = await wire.ask(part)
    assert (answer.head.status, bytes(answer.body), answer.end) == (code, html, End.COMPLETE)
    told = dict(answer.head.headers)
    assert {name: told[name] for name in ("retry-after", "location", "x-ratelimit-left", "content-type")} == {
        name: value for name, _, value in (header.partition(": ") for header in headers)
    }
    assert len(part.connections) == 1


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        pytest.param("HEAD", "200 OK", ["content-length: 1234"], id="HEAD with a length"),
        pytest.param("HEAD", "200 OK", ["transfer-encoding: chunked"], id="HEAD in chunks"),
        pytest.param("GET", "204 No Content", [], id="204"),
        pytest.param("GET", "304 Not Modified", ['etag: "x"', "content-length: 1234"], id="304"),
    ],
)
async def test_an_answer_without_a_body_has_none(wire, method, status, headers):
    ok = head("200 OK", "content-length: 2") + b"ok"
    # What speaks of a body that it may not have is its connection's last: two upstream connections, and one client's.
    part, next_part = wire.part(read_request(), send(head(status, *headers))), wire.part(read_request(), send(ok))
    async with await wire.connect() as client:
        await client.request(method, "/v1/thing", [part.header])
        first = await client.answer(method)
        await client.request("GET", "/v1/thing", [next_part.header])
        second = await client.answer("GET")
    assert first.head.status == int(status[:3])
    assert first.body == b""
    for header in headers:
        name, _, value = header.partition(": ")
        if name != "transfer-encoding":
            assert first.head.get(name) == value
    assert bytes(second.body) == b"ok", "the client's connection is still in step"
    assert [request.method for request in (*part.requests, *next_part.requests)] == [method, "GET"]


@pytest.mark.parametrize("informational", ["100 Continue", "103 Early Hints"])
async def test_the_upstreams_informational_answers_are_not_the_answer(wire, informational):
    ok = head("200 OK", "content-length: 2") + b"ok"
    answer = await wire.ask(wire.part(read_request(), send(head(informational, "link: </a>"), ok)), PLAIN_QUESTION)
    assert (answer.head.status, bytes(answer.body)) == (200, b"ok")


async def test_a_plain_answer_flows_while_it_is_made(wire):
    seen = asyncio.Event()
    start = head("200 OK", "content-type: application/x-ndjson", "transfer-encoding: chunked")
    part = wire.part(read_request(), send(start, chunk(b'{"a":')), wait(seen), send(chunk(b"1}\n"), LAST_CHUNK))
    async with await wire.connect() as client:
        answer, rest_of_it = await begun(client, part, b'{"a":')
        seen.set()
        await rest_of_it()
    assert bytes(answer.body) == b'{"a":1}\n'


async def test_many_streams_at_once_do_not_mix(wire):
    async def one(number):
        mark = b"data: %d\n\n" % number
        answer = await wire.ask(wire.streams(START, *[mark] * 50, STOP))
        assert bytes(answer.body) == START + mark * 50 + STOP

    await asyncio.gather(*(one(number) for number in range(100)))
    await wire.wait_for(in_flight=0)


async def test_a_client_that_stops_reading_stops_the_upstream_and_goes_on_later(wire):
    """Backpressure from end to end; and nothing is lost by it."""
    data = b"data: " + b"x" * 990 + b"\n\n"
    part = wire.part(read_request(), send(sse_head(), *[chunk(data * 50)] * 400, chunk(STOP), LAST_CHUNK), hang())
    async with await wire.connect(receive_buffer_bytes=65536) as client:
        await client.request("POST", "/v1/messages", [part.header], PLAIN_QUESTION)
        answer = await client.begin()
        client.stop_reading()
        upstream = await part.connection()
        sent = -1
        while sent != upstream.bytes_sent:
            sent = upstream.bytes_sent
            await asyncio.sleep(0.3)
        # What the kernel's buffers hold is the kernel's affair, and depends on its settings.
        ports = {client.local_port, upstream.peer_port}
        held = upstream.bytes_sent - upstream.unsent_bytes - queued_bytes(ports) - client.received_bytes
        assert held < HELD_BYTES, "waiting in the sidecar"
        rss = wire.sidecar.rss_bytes()
        client.go_on_reading()
        await client.finish(answer)
    assert answer.end is End.COMPLETE
    assert answer.body == data * 50 * 400 + STOP
    assert wire.sidecar.rss_bytes() - rss < 4 * 1024 * 1024
    await soon(lambda: upstream.bytes_sent > len(answer.body), "all was sent")
