"""What becomes of a client's connection: kept, closed when it must be, and never so that an answer is lost."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from tests.support.raw_client import End, NoAnswerError
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    hang,
    head,
    json_response,
    read_request,
    send,
    sse_head,
    wait,
)
from tests.support.stage import DELTA, PLAIN_QUESTION, QUESTION, START, STOP, error_of, on_stage, question

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small():
    """A sidecar that takes bodies of 1 MiB, and keeps idle connections for 1 s."""
    async with on_stage({"limits": {"maxBodyBytes": MIB}, "listen": {"keepAliveSeconds": 1}}) as found:
        yield found


# Kept, or closed on request.


async def test_a_connection_serves_one_request_after_another(wire):
    plain, stream = wire.part(read_request(), send(OK)), wire.streams(START, STOP)
    async with await wire.connect() as client:
        for _ in range(5):
            await client.request("POST", "/v1/messages", [plain.header], PLAIN_QUESTION)
            first = await client.answer()
            await client.request("POST", "/v1/messages", [stream.header], QUESTION)
            second = await client.answer()
            await client.request("GET", "/health")
            third = await client.answer("GET")
            for answer in (first, second, third):
                assert (answer.head.status, answer.end, answer.head.get("connection")) == (200, End.COMPLETE, None)


@pytest.mark.parametrize("path", ["/health", "/v1/other", "/nothing"])
async def test_a_client_that_asks_for_the_end_gets_it(wire, path):
    part = wire.part(read_request(), send(OK))
    async with await wire.connect() as client:
        await client.request("GET", path, [part.header, ("Connection", "close")])
        answer = await client.answer("GET")
        assert (answer.end, answer.head.get("connection")) == (End.COMPLETE, "close")
        assert await client.wait_end() is End.EOF


async def test_an_http_1_0_client_is_served_and_its_connection_closed(wire):
    part = wire.streams(START, STOP)
    async with await wire.connect() as client:
        asked = client.request_bytes("POST", "/v1/messages", [part.header], QUESTION)
        await client.send(asked.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"))
        answer = await client.answer()
    assert (answer.framing, bytes(answer.body), answer.end) == ("close", START + STOP, End.COMPLETE)
    assert answer.head.get("transfer-encoding") is None


async def test_the_idle_limit_is_a_setting_and_ends_no_request(small):
    """1 s; the answer takes longer."""
    waited = asyncio.Event()
    part = small.part(read_request(), wait(waited), send(OK))
    async with await small.connect() as client:
        await client.request("GET", "/v1/other", [part.header])
        asyncio.get_running_loop().call_later(1.3, waited.set)
        assert (await client.answer("GET")).head.status == 200
        started = asyncio.get_running_loop().time()
        assert await client.wait_end() is End.EOF
        assert 0.9 < asyncio.get_running_loop().time() - started < 5


# Pipelined requests.


async def first_is_answered_then_closed(wire, first, second, *, early):
    """Send two requests, the second one in the same write or while the first is answered."""
    async with await wire.connect() as client:
        await client.send(first + (second if early else b""))
        answer = await client.begin("GET")
        if not early:
            await client.send(second)
        await client.finish(answer)
        assert (answer.head.status, answer.end) == (200, End.COMPLETE)
        assert await client.wait_end() is End.EOF
    return answer


async def test_a_pipelined_request_is_not_served_and_closes_the_connection_after_the_first(wire):
    go_on = asyncio.Event()
    first = wire.part(read_request(), send(sse_head(), chunk(START)), wait(go_on), send(chunk(STOP), LAST_CHUNK))
    second = wire.part(read_request(), send(OK))
    async with await wire.connect() as client:
        one, two = (client.request_bytes("POST", "/v1/messages", [part.header], QUESTION) for part in (first, second))
    asyncio.get_running_loop().call_later(0.3, go_on.set)
    answers = await asyncio.gather(
        first_is_answered_then_closed(wire, one, two, early=True),
        first_is_answered_then_closed(wire, one, two, early=False),
        first_is_answered_then_closed(wire, one, two[:20], early=True),
        first_is_answered_then_closed(wire, one, two * 1000, early=True),
    )
    assert [bytes(answer.body) for answer in answers] == [START + STOP] * 4
    assert answers[0].head.get("connection") == "close"
    assert second.connections == []


async def test_a_pipelined_request_does_not_hide_that_the_client_leaves(wire):
    part = wire.part(read_request(), send(sse_head(), chunk(START)), hang())
    async with await wire.connect() as client:
        await client.send(client.request_bytes("POST", "/v1/messages", [part.header], QUESTION) * 300)
        answer = await client.begin()
        await anext(client.chunks(answer))
        client.reset()
        await (await part.connection()).wait_gone(3)
    await wire.wait_for(in_flight=0)


# Expect: 100-continue.


EXPECT = ("Expect", "100-continue")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/other"])
async def test_whoever_waits_to_be_told_to_go_on_is_told_once(wire, path):
    part = wire.part(read_request(), send(OK))
    async with await wire.connect() as client:
        await client.request("POST", path, [part.header, EXPECT, ("Content-Length", str(len(PLAIN_QUESTION)))])
        while not client.unread_bytes:  # noqa: ASYNC110 - another process sends it
            await asyncio.sleep(0.01)
        await client.send(PLAIN_QUESTION)
        answer = await client.answer()
        assert answer.head.status == 200
        assert [head.status for head in client.informational] == [100]
        assert part.request.header("expect") is None
        await client.request("GET", "/health")
        assert (await client.answer("GET")).head.status == 200


@pytest.mark.parametrize("sent", [QUESTION[:10], QUESTION], ids=["a part", "all of it"])
async def test_whoever_does_not_wait_need_not_be_told(wire, sent):
    part = wire.streams(START, STOP)
    async with await wire.connect() as client:
        asked = client.request_bytes("POST", "/v1/messages", [part.header, EXPECT], QUESTION)
        await client.send(asked[: len(asked) - len(QUESTION)] + sent)
        await asyncio.sleep(0.05)
        await client.send(QUESTION[len(sent) :])
        answer = await client.answer()
    assert (answer.head.status, bytes(answer.body)) == (200, START + STOP)
    assert len(client.informational) <= 1


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        pytest.param("/v1/messages", [("Content-Length", str(2 * MIB))], 413, id="too large"),
        pytest.param("/v1/messages", [("Content-Length", "5"), ("Content-Encoding", "gzip")], 415, id="encoded"),
        pytest.param("/v1/../messages", [("Content-Length", "5")], 400, id="a bad target"),
        pytest.param("/v1/messages", [("Content-Length", "5"), ("Origin", "http://x")], 403, id="a foreign page"),
    ],
)
async def test_whoever_is_refused_is_not_told_to_go_on(small, target, headers, status):
    async with await small.connect() as client:
        await client.request("POST", target, [EXPECT, *headers])
        answer = await client.answer()
        assert (answer.head.status, answer.end, client.informational) == (status, End.COMPLETE, [])
        # Whether the body comes all the same nobody knows: no other request can follow.
        assert answer.head.get("connection") == "close"
        assert await client.wait_end() is End.EOF


# Refused while it is still sending: the answer must not be lost to a reset.


LARGE = b"x" * (30 * MIB)


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        pytest.param("POST", "/v1/messages", [], 413, id="too large"),
        pytest.param("POST", "/v1/messages", [("Content-Encoding", "gzip")], 415, id="encoded"),
        pytest.param("POST", "/v1/./messages", [], 400, id="a bad target"),
        pytest.param("POST", "/nothing", [], 404, id="no such route"),
        pytest.param("POST", "/health", [], 405, id="no such method"),
        pytest.param("POST", "/v1/messages", [("Origin", "http://x.example")], 403, id="a foreign page"),
    ],
)
async def test_a_refusal_can_be_read_by_a_client_that_is_still_sending(small, method, target, headers, status):
    async with await small.connect() as client, asyncio.TaskGroup() as group:
        sending = group.create_task(sent_as_far_as_it_goes(client, method, target, headers, LARGE))
        answer = await client.answer(method)
        assert (answer.head.status, answer.end) == (status, End.COMPLETE)
        assert answer.head.get("connection") == "close"
        await client.wait_end()
        sending.cancel()
    await small.wait_for(in_flight=0)


async def test_a_refusal_can_be_read_by_a_client_that_first_sends_all_of_it(small):
    """We read on for a while: closed with bytes unread, the connection would be reset under its hands."""
    async with await small.connect() as client:
        client.stop_reading()
        await client.request("POST", "/v1/messages", [], LARGE)
        client.go_on_reading()
        answer = await client.answer()
        assert (answer.head.status, answer.end) == (413, End.COMPLETE)
        assert await client.wait_end() is End.EOF


async def test_a_body_in_chunks_that_grows_too_large_is_a_413(small):
    async with await small.connect() as client:
        await client.request("POST", "/v1/messages", [("Transfer-Encoding", "chunked")])
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(endless(client))
            answer = await client.answer()
            assert (answer.head.status, answer.end) == (413, End.COMPLETE)
            assert error_of(answer)["type"] == "request_too_large"
            await client.wait_end()
            sending.cancel()
    await small.wait_for(in_flight=0)


async def sent_as_far_as_it_goes(client, method, target, headers, body):
    with contextlib.suppress(ConnectionError):
        await client.request(method, target, headers, body)


async def endless(client):
    with contextlib.suppress(ConnectionError):
        while True:
            await client.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            # Where the kernel takes all of it, sending waits for nothing, and the answer would not be read for seconds.
            await asyncio.sleep(0)


async def test_a_client_that_never_stops_sending_is_cut_off_all_the_same(small):
    """It takes the answer and sends on; we throw it away for 2 s, and then it is a reset."""
    async with await small.connect() as client:
        await client.request("POST", "/v1/messages", [("Transfer-Encoding", "chunked")])
        async with asyncio.timeout(10):
            await endless(client)
    await small.wait_for(in_flight=0)


# Draining.


@pytest_asyncio.fixture(loop_scope="session")
async def draining(small):
    """The sidecar while it drains, and a connection from before; it serves on afterwards."""
    part = small.part(read_request(), send(OK))
    async with await small.connect() as client:
        await client.request("GET", "/v1/other", [part.header])
        assert (await client.answer("GET")).head.get("connection") is None
        asked = await asyncio.to_thread(small.sidecar.command_line, "drain", "--lease", "60")
        assert asked.returncode == 0, asked.stderr
        yield small
    await asyncio.to_thread(small.sidecar.command_line, "undrain")


async def test_every_answer_while_draining_asks_the_client_to_go_elsewhere(draining):
    plain = draining.part(read_request(), send(OK))
    stream = draining.streams(START, STOP)
    broken = draining.part(read_request(), send(b"garbage"))
    kept = draining.part(read_request(), send(head("200 OK", "connection: keep-alive", "content-length: 2") + b"ok"))
    asked = [
        ("POST", "/v1/messages", [plain.header], PLAIN_QUESTION, 200),
        ("POST", "/v1/messages", [stream.header], QUESTION, 200),
        ("POST", "/v1/messages", [broken.header], QUESTION, 502),
        ("POST", "/v1/messages", [], b"no json", 400),
        ("GET", "/v1/other", [kept.header], None, 200),
        ("GET", "/health", [], None, 503),
        ("GET", "/livez", [], None, 200),
        ("GET", "/nothing", [], None, 404),
        ("GET", "/v1/../x", [], None, 400),
        ("GET", "/v1/x", [("Origin", "http://x.example")], None, 403),
    ]
    for method, path, headers, body, status in asked:
        async with await draining.connect() as client:
            await client.request(method, path, headers, body)
            answer = await client.answer(method)
            assert (path, answer.head.status, answer.end) == (path, status, End.COMPLETE)
            assert [value.lower() for value in answer.head.all("connection")] == ["close"], path
            assert await client.wait_end() is End.EOF


async def test_a_kept_connection_is_still_served_while_draining(small):
    """Refusing it would be the drop that we exist to prevent."""
    part = small.part(read_request(), send(OK))
    async with await small.connect() as client:
        await client.request("GET", "/v1/other", [part.header])
        assert (await client.answer("GET")).head.get("connection") is None
        asked = await asyncio.to_thread(small.sidecar.command_line, "drain", "--lease", "60")
        try:
            assert asked.returncode == 0, asked.stderr
            async with await small.connect() as fresh:
                await fresh.request("GET", "/health")
                assert (await fresh.answer("GET")).head.status == 503
            with contextlib.suppress(NoAnswerError, ConnectionError):  # unless its second of idleness is over
                await client.request("GET", "/v1/other", [part.header])
                answer = await client.answer("GET")
                assert (answer.head.status, answer.head.get("connection")) == (200, "close")
                assert await client.wait_end() is End.EOF
        finally:
            await asyncio.to_thread(small.sidecar.command_line, "undrain")


async def test_after_a_lease_connections_are_kept_again(small):
    part = small.streams(START, DELTA, STOP)
    async with await small.connect() as client:
        for _ in range(2):
            await client.request("POST", "/v1/messages", [part.header], question())
            answer = await client.answer()
            assert (answer.head.get("connection"), bytes(answer.body)) == (None, START + DELTA + STOP)
