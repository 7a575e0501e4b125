"""When a connection is used again, and when never; nothing is sent twice."""

import asyncio

import httpx
import pytest
from tests.support.scripted_upstream import (
    chunk,
    close,
    hang,
    head,
    json_response,
    read_head,
    read_request,
    repeat,
    reset,
    send,
    sse_head,
    steps,
    stop_reading,
)

OK = json_response(b"{}")
AGAIN = steps(read_request(), send(OK))
SERVES = repeat(AGAIN)


async def test_the_connection_that_was_used_last_is_used_next(client):
    async with client(SERVES) as asking:
        await asyncio.gather(*(asking.ask() for _ in range(3)))
        await asking.left(3, 3)
        newest = list(asking.transport._idle)[-1]
        await asking.ask()
        assert list(asking.transport._idle)[-1] is newest
        assert len(asking.upstream.connections) == 3


async def after(client, *steps_after, meanwhile=None):
    """Ask, let something happen to the idle connection, ask again: how many connections that took."""
    async with client(steps(AGAIN, *steps_after), SERVES) as asking:
        await asking.ask()
        await (meanwhile or asyncio.sleep)(0.05)
        answer, body = await asking.ask()
        assert (answer.status_code, body) == (200, b"{}")
        return len(asking.upstream.connections)


@pytest.mark.parametrize(
    ("happens", "connections"),
    [
        pytest.param([SERVES], 1, id="nothing"),
        pytest.param([send(b"x"), hang()], 2, id="a byte"),
        pytest.param([send(OK), hang()], 2, id="an answer that nobody asked for"),
        pytest.param([close()], 2, id="its end"),
        pytest.param([reset()], 2, id="a reset"),
    ],
)
async def test_a_connection_to_which_something_came_while_idle_is_not_used_again(client, happens, connections):
    assert await after(client, *happens) == connections


@pytest.mark.parametrize("happens", [send(b"x"), close(), reset()], ids=["a byte", "an end", "a reset"])
async def test_not_even_when_the_loop_has_not_seen_it_yet(client, happens):
    go = asyncio.Event()

    async def script(connection):
        await AGAIN(connection)
        await go.wait()
        await happens(connection)

    async with client(script, SERVES) as asking:
        await asking.ask()
        (idle,) = asking.transport._idle
        assert idle.usable()
        transport = idle._transport
        transport.pause_reading()  # what a busy loop does
        go.set()
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not idle.usable()
        await asking.ask()
        assert len(asking.upstream.connections) == 2


async def test_bytes_behind_an_answer_end_its_connection(client):
    async with client(steps(read_request(), send(OK + b"more")), SERVES) as asking:
        assert (await asking.ask())[1] == b"{}"
        await asking.left()


@pytest.mark.parametrize("framing", ["content-length: 10", "transfer-encoding: chunked"])
async def test_an_answer_that_is_not_read_to_its_end_ends_its_connection(client, framing):
    start = head("200 OK", framing) + chunk(b"a")
    async with client(steps(read_request(), send(start), hang())) as asking:
        answer = await asking.begin()
        await answer.aclose()
        await asking.left()
        await asking.upstream.connections[0].wait_gone(5)


async def test_who_is_cancelled_while_he_waits_ends_his_connection(client):
    async with client(steps(read_request(), hang())) as asking:
        waiting = asyncio.create_task(asking.begin())
        await (await asking.upstream.connection()).read_head()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asking.left()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("ending", "error"), [(reset, httpx.ReadError), (close, httpx.RemoteProtocolError)], ids=["reset", "closed"]
)
async def test_nothing_is_sent_twice_when_a_reused_connection_breaks(client, ending, error, method):
    async with client(steps(AGAIN, read_request(), ending()), SERVES) as asking:
        await asking.ask(method)
        with pytest.raises(error):
            await asking.ask(method)
        assert len(asking.upstream.requests) == 2
        assert len(asking.upstream.connections) == 1
        await asking.left()


async def test_idle_connections_are_closed_in_time(client):
    async with client(SERVES) as asking:
        asking.transport._idle_seconds = 0.05
        await asyncio.gather(*(asking.ask() for _ in range(3)))
        await asking.left(3, 3)
        await asking.left(0, 0)
        assert asking.transport._timer is None


async def test_an_idle_connection_that_is_too_old_is_not_used(client):
    async with client(SERVES) as asking:
        await asking.ask()
        asking.transport._idle_seconds = 0.0  # the timer is late
        await asking.ask()
        assert len(asking.upstream.connections) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1"], ids=["on loopback", "told otherwise"])
@pytest.mark.parametrize(
    ("idle_seconds", "rested_seconds", "connections"),
    [(4, 3.5, 1), (4, 4.98, 2), (60, 4.98, 1), (0, 0, 2)],
    ids=["soon", "while uvicorn closes it", "of a patient server", "never"],
)
async def test_a_connection_is_used_again_within_the_limit_wherever_the_upstream_is(
    client, host, idle_seconds, rested_seconds, connections
):
    async with client(SERVES, host=host, idle_seconds=idle_seconds) as asking:
        await asking.ask()
        for connection in asking.transport._idle:
            connection.idle_since -= rested_seconds
        await asking.ask()
        assert len(asking.upstream.connections) == connections


async def test_closing_the_transport_closes_all(client):
    async with client(AGAIN, steps(read_request(), send(sse_head()), hang())) as asking:
        await asking.ask()
        connection = next(iter(asking.transport._idle))
        assert repr(connection) == "<Connection idle>"
        asking.transport._idle.clear()  # so that the next one takes another
        answer = await asking.begin()
        assert repr(asking.transport).endswith(", 2 open, 0 idle>")
        await asking.transport.aclose()
        with pytest.raises(httpx.ReadError):
            await answer.stream.read_some()
        await asking.left()
        assert repr(connection) == "<Connection closed>"


# Requests.


class Pieces(httpx.AsyncByteStream):
    def __init__(self, *pieces, wait=None):
        self.pieces, self.wait, self.given = pieces, wait, 0

    async def __aiter__(self):
        for piece in self.pieces:
            self.given += 1
            yield piece
        if self.wait is not None:
            await self.wait.wait()


async def test_a_request_goes_out_byte_for_byte(client):
    headers = [(b"X-a", b"1"), (b"x-A", b"\xe9 \xc3\xa9"), (b"Content-Length", b"2")]
    async with client(SERVES) as asking:
        await asking.ask("PURGE", headers, b"hi", target=b"/a/%2F/../b?c")
        assert bytes(asking.upstream.connections[0].received) == (
            b"PURGE /a/%2F/../b?c HTTP/1.1\r\nHost: up\r\nX-a: 1\r\nx-A: \xe9 \xc3\xa9\r\nContent-Length: 2\r\n\r\nhi"
        )


@pytest.mark.parametrize(
    ("method", "body", "framing", "raw"),
    [
        ("GET", None, [], b""),
        ("POST", None, [("content-length", "0")], b""),
        ("POST", b"ab", [("content-length", "2")], b"ab"),
        ("POST", Pieces(b"", b"ab", b"c"), [("transfer-encoding", "chunked")], b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ("GET", Pieces(), [("transfer-encoding", "chunked")], b"0\r\n\r\n"),
    ],
    ids=["none", "none where one is expected", "bytes", "pieces", "no pieces"],
)
async def test_a_body_is_framed(client, method, body, framing, raw):
    async with client(SERVES) as asking:
        await asking.ask(method, (), body)
        (request,) = asking.upstream.requests
        assert (request.headers[1:], request.raw_body) == (framing, raw)
        await asking.left(1, 1)


async def test_pieces_with_a_length_go_out_as_they_are(client):
    async with client(SERVES) as asking:
        await asking.ask("POST", [(b"content-length", b"4")], Pieces(b"ab", b"cd"))
        assert asking.upstream.requests[0].raw_body == b"abcd"
        await asking.left(1, 1)


@pytest.mark.parametrize("body", [Pieces(b"abc"), Pieces(b"abcd", b"e"), b"abc"], ids=["less", "more", "bytes"])
async def test_a_body_of_another_length_is_not_passed_for_a_whole_one(client, body):
    async with client(steps(read_head(), hang())) as asking:
        with pytest.raises(httpx.LocalProtocolError):
            await asking.ask("POST", [(b"content-length", b"4")], body)
        await asking.left()


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([(b"a", b"b\r\nc: d")], b"/"),
        ([(b"a", b"b\nc: d")], b"/"),
        ([(b"a\r\nb", b"c")], b"/"),
        ([(b"a", b"\0")], b"/"),
        ([], b"/ HTTP/1.1\r\na: b"),
    ],
)
async def test_no_line_hides_in_another(client, headers, target):
    async with client(SERVES) as asking:
        with pytest.raises(httpx.LocalProtocolError):
            await asking.ask("GET", headers, target=target)
        assert asking.upstream.connections == []


async def test_an_upload_waits_for_an_upstream_that_does_not_read(client):
    body = Pieces(*[b"u" * 65536] * 400)
    async with client(steps(read_head(), stop_reading(), hang()), receive_buffer_bytes=65536) as asking:
        waiting = asyncio.create_task(asking.begin("POST", (), body))
        connection = await asking.upstream.connection()
        before = -1
        while body.given != before:
            before = body.given
            await asyncio.sleep(0.05)
        assert body.given < 200
        connection.go_on_reading()
        await connection.until(lambda: connection.received.endswith(b"0\r\n\r\n"))
        await connection.send(OK)
        answer = await waiting
        assert await answer.stream.read_some() == b"{}"
        await answer.aclose()
        await asking.left(1, 1)
        assert len(connection.received) > 400 * 65536


async def test_an_early_answer_comes_during_the_upload_and_ends_the_connection(client):
    body = Pieces(b"begin", wait=asyncio.Event())
    async with client(steps(read_head(), send(OK), hang())) as asking:
        answer, data = await asking.ask("POST", (), body)
        assert (answer.status_code, data) == (200, b"{}")
        await asking.left()


async def test_an_early_stream_flows_and_the_upload_goes_on(client):
    rest = asyncio.Event()
    body = Pieces(b"begin", wait=rest)
    script = steps(read_head(), send(sse_head() + chunk(b"early")), read_request(), send(b"0\r\n\r\n"))
    async with client(script) as asking:
        answer = await asking.begin("POST", (), body)
        assert await answer.stream.read_some() == b"early"
        rest.set()
        assert await answer.stream.read_some() == b""
        await answer.aclose()
        assert asking.upstream.requests[0].body == b"begin"
        await asking.left(1, 1)


async def test_what_the_body_raises_is_raised_and_ends_the_connection(client):
    class Fails(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"a"
            raise ZeroDivisionError

    async with client(steps(read_head(), hang())) as asking:
        with pytest.raises(ZeroDivisionError):
            await asking.ask("POST", (), Fails())
        await asking.left()


async def test_a_reset_during_the_upload_ends_it(client):
    body = Pieces(*[b"u" * 65536] * 400)
    async with client(steps(read_head(), reset())) as asking:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await asking.ask("POST", (), body)
        await asking.left()
        assert body.given < 400
