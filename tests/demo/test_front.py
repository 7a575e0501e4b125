"""The front treats connections as kube-proxy does: by real sockets."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from tests.support.waiting import soon

from lastcall_operator.local.front import Endpoint, Front

WAIT_SECONDS = 10.0


@dataclass
class Backend:
    """A server that greets with its name, then sends back what it gets until the other side ends."""

    name: str
    endpoint: Endpoint
    server: asyncio.Server
    writers: list


@contextlib.asynccontextmanager
async def backends(*names):
    started = {}
    async with contextlib.AsyncExitStack() as stack:
        for name in names:
            started[name] = await stack.enter_async_context(backend(name))
        yield started


@contextlib.asynccontextmanager
async def backend(name):
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        writer.write(f"{name}\n".encode())
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
            writer.write(b"[end]")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield Backend(name, Endpoint(name, host, port, ready=True, serving=True), server, writers)
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def front(endpoints):
    """A front over a list that the test may change as it goes."""
    one = Front(lambda: endpoints, random.Random(1))
    url = await one.start()
    try:
        yield url.removeprefix("http://").split(":")
    finally:
        async with asyncio.timeout(WAIT_SECONDS):
            await one.stop()


@contextlib.asynccontextmanager
async def connection(address):
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            yield reader, writer
    finally:
        writer.close()


async def greeted(address):
    async with connection(address) as (reader, _):
        return (await reader.readline()).decode().strip()


async def test_new_connections_go_to_every_ready_endpoint():
    async with backends("a", "b", "c") as started, front([one.endpoint for one in started.values()]) as address:
        seen = Counter([await greeted(address) for _ in range(60)])
    assert set(seen) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param({"ready": False}, {}, {"b"}, id="never to one that is not ready"),
        pytest.param({"ready": False}, {"ready": False}, {"a", "b"}, id="none ready: to those that still serve"),
        pytest.param({"ready": False}, {"ready": False, "serving": False}, {"a"}, id="never to one that is gone"),
    ],
)
async def test_new_connections_follow_readiness(a, b, expected):
    async with backends("a", "b") as started:
        endpoints = [replace(started["a"].endpoint, **a), replace(started["b"].endpoint, **b)]
        async with front(endpoints) as address:
            assert {await greeted(address) for _ in range(20)} == expected


async def test_a_connection_stays_where_it_is_when_readiness_moves_on():
    async with backends("a", "b") as started:
        endpoints = [started["a"].endpoint]
        async with front(endpoints) as address, connection(address) as (reader, writer):
            assert await reader.readline() == b"a\n"
            endpoints[:] = [replace(started["a"].endpoint, ready=False, serving=False), started["b"].endpoint]
            assert await greeted(address) == "b"
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"


async def test_bytes_pass_verbatim_both_ways_with_half_close():
    sent = random.Random(2).randbytes(5_000_000)
    async with (
        backends("a") as started,
        front([started["a"].endpoint]) as address,
        connection(address) as (reader, writer),
    ):
        assert await reader.readline() == b"a\n"

        async def send():
            for start in range(0, len(sent), 70_001):
                writer.write(sent[start : start + 70_001])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        assert await reader.read(-1) == sent + b"[end]"
        await sending


async def test_an_end_of_the_endpoint_ends_the_client_cleanly():
    async with (
        backends("a") as started,
        front([started["a"].endpoint]) as address,
        connection(address) as (reader, _),
    ):
        assert await reader.readline() == b"a\n"
        started["a"].writers[0].close()
        assert await reader.read() == b""


async def test_a_reset_of_the_endpoint_resets_the_client():
    async with (
        backends("a") as started,
        front([started["a"].endpoint]) as address,
        connection(address) as (reader, _),
    ):
        assert await reader.readline() == b"a\n"
        reset(started["a"].writers[0])
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_reset_of_the_client_reaches_the_endpoint():
    async with (
        backends("a") as started,
        front([started["a"].endpoint]) as address,
        connection(address) as (reader, writer),
    ):
        assert await reader.readline() == b"a\n"
        reset(writer)
        await soon(started["a"].writers[0].is_closing, "the endpoint's connection ends")


@pytest.mark.parametrize("refusing", [True, False], ids=["the endpoint refuses", "there is no endpoint"])
async def test_without_anybody_who_takes_it_a_connection_is_reset(refusing):
    async with backend("a") as gone:
        pass
    async with front([gone.endpoint] if refusing else []) as address, connection(address) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_an_endpoint_that_refuses_is_not_replaced_by_another():
    async with backends("a") as started:
        async with backend("b") as gone:
            pass
        outcomes = Counter()
        async with front([started["a"].endpoint, gone.endpoint]) as address:
            for _ in range(40):
                try:
                    outcomes[await greeted(address)] += 1
                except ConnectionResetError:
                    outcomes["refused"] += 1
    assert outcomes["a"]
    assert outcomes["refused"]


async def test_stopping_cuts_what_still_flows():
    async with backends("a") as started:
        one = Front(lambda: [started["a"].endpoint], random.Random(1))
        address = (await one.start()).removeprefix("http://").split(":")
        async with connection(address) as (reader, _):
            assert await reader.readline() == b"a\n"
            await one.stop()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


def reset(writer):
    """End a connection with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
