"""The scripted upstream keeps what it got byte for byte, and sees how and when a peer leaves."""

import asyncio
import time

import pytest
from tests.support.raw_client import RawClient
from tests.support.scripted_upstream import (
    PeerGoneError,
    ScriptedUpstream,
    hang,
    json_response,
    read_head,
    read_request,
    repeat,
    send,
    steps,
    stop_reading,
)

ANSWER = json_response(b"{}")
CHUNKED = b"POST /a?b=%20c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_request_is_kept_byte_for_byte():
    async with ScriptedUpstream(repeat(steps(read_request(), send(ANSWER)))) as upstream:
        async with await RawClient.connect(upstream.url) as client:
            for part in (CHUNKED[:30], CHUNKED[30:], b"3\r\nabc\r", b"\n2;x=y\r\nde\r\n0\r\n\r", b"\n"):
                await client.send(part)
                await asyncio.sleep(0)
            assert (await client.answer()).head.status == 200
            await client.request("PUT", "/second", [("X-Two", "2")], b"body")
            assert (await client.answer()).head.status == 200
        first, second = upstream.requests
        assert (first.method, first.target, first.body) == ("POST", "/a?b=%20c", b"abcde")
        assert first.raw_head == CHUNKED
        assert first.raw_body == b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        assert first.header("x-one") == "1"
        assert (second.method, second.body, second.header("content-length")) == ("PUT", b"body", "4")


async def test_each_connection_plays_its_own_script_and_the_last_one_stays():
    scripts = [steps(read_request(), send(json_response(b"[%d]" % number))) for number in range(2)]
    async with ScriptedUpstream(*scripts) as upstream:
        found = []
        for _ in range(3):
            async with await RawClient.connect(upstream.url) as client:
                await client.request("GET", "/")
                found.append(bytes((await client.answer()).body))
        assert found == [b"[0]", b"[1]", b"[1]"]


@pytest.mark.parametrize(
    ("leave", "how"),
    [
        pytest.param(RawClient.half_close, "eof", id="half close"),
        pytest.param(RawClient.reset, "reset", id="reset"),
    ],
)
async def test_a_peer_that_leaves_is_noticed_at_once(leave, how):
    async with (
        ScriptedUpstream(steps(read_head(), hang())) as upstream,
        await RawClient.connect(upstream.url) as client,
    ):
        await client.send(CHUNKED)
        connection = await upstream.connection()
        await connection.read_head()
        left = time.monotonic()
        leave(client)
        assert left <= await connection.wait_gone(5) < left + 1
        assert connection.disconnect == how


async def test_a_script_that_does_not_read_holds_the_client_up():
    async with (
        ScriptedUpstream(steps(read_head(), stop_reading(), hang()), receive_buffer_bytes=8192) as upstream,
        await RawClient.connect(upstream.url, timeout_seconds=0.3) as client,
    ):
        await client.send(CHUNKED)
        await (await upstream.connection()).read_head()
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await client.send(b"x" * 20_000_000)
        assert len(upstream.connections[0].received) < 1_000_000


async def test_what_a_script_raises_is_raised_by_the_server():
    async def fails(connection):
        await connection.read_request()
        raise LookupError("in the script")

    with pytest.RaisesGroup(LookupError):
        async with ScriptedUpstream(fails) as upstream, await RawClient.connect(upstream.url) as client:
            await client.request("GET", "/")
            await client.wait_end()


async def test_a_peer_that_is_gone_is_no_error_of_the_script():
    async with ScriptedUpstream(read_request()) as upstream:
        async with await RawClient.connect(upstream.url) as client:
            await client.send(b"GET / HT")
        connection = await upstream.connection()
        await connection.wait_gone()
        with pytest.raises(PeerGoneError):
            await connection.read_request()
