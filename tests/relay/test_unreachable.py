"""Upstreams to which no connection can be made: tried twice, since nothing of the request can have arrived."""

import asyncio
import contextlib
import socket
import time

import pytest
import pytest_asyncio
from tests.support.process import free_port
from tests.support.raw_client import End
from tests.support.scripted_upstream import json_response
from tests.support.stage import QUESTION, error_of, on_stage
from tests.support.together import Together

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")


cases = Together()


async def refused(wire, says):
    """Two requests get a 502, after two tries each."""
    for body, method in ((QUESTION, "POST"), (None, "GET")):
        started = time.monotonic()
        answer = await wire.ask(wire.part(), body, method=method)
        assert time.monotonic() - started > 0.05, "between the two tries there is a pause"
        assert (answer.head.status, answer.end) == (502, End.COMPLETE)
        assert error_of(answer) == {"type": "api_error", "message": f"cannot connect to the upstream: {says}"}
    await wire.wait_for(in_flight=0)


def nowhere(url):
    """A sidecar whose upstream is there."""
    return on_stage({"upstream": {"url": url, "connectTimeoutSeconds": 2}})


@cases.add
async def refused_or_without_an_address_it_is_a_502():
    url = f"http://127.0.0.1:{free_port()}"
    async with nowhere(url) as wire:
        await refused(wire, "ECONNREFUSED")
        before = (await wire.livez())["config"]["hash"]
        wire.sidecar.write_config({"upstream": {"url": "http://name.invalid"}})
        async with asyncio.timeout(10):
            while (await wire.livez())["config"]["hash"] == before:  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.05)
        await refused(wire, "its name has no address")


@contextlib.contextmanager
def full_backlog():
    """A listener whose queue is full: the kernel drops the next connection's SYN, as an unreachable host does."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        listener.setblocking(False)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


@cases.add
async def not_made_in_time_it_is_tried_twice_and_then_a_504():
    with full_backlog() as listener:
        async with nowhere(f"http://127.0.0.1:{listener.getsockname()[1]}") as wire:
            started = time.monotonic()
            answer = await wire.ask(wire.part())
            assert 4.05 < time.monotonic() - started < 6, "two tries of 2 s each"
    assert (answer.head.status, answer.end) == (504, End.COMPLETE)
    assert error_of(answer) == {
        "type": "timeout_error",
        "message": "cannot connect to the upstream: no connection in time",
    }


@cases.add
async def made_at_the_second_try_it_serves_the_request():
    loop = asyncio.get_running_loop()
    with full_backlog() as listener:
        async with nowhere(f"http://127.0.0.1:{listener.getsockname()[1]}") as wire:
            started = time.monotonic()
            asking = asyncio.create_task(wire.ask(wire.part()))
            await asyncio.sleep(2.6)  # the first try is over, and the kernel will repeat the second one's SYN
            async with asyncio.timeout(20):
                while not (received := await _received(loop, listener)):
                    pass
            answer = await asking
    assert (answer.head.status, bytes(answer.body)) == (200, b"{}")
    assert time.monotonic() - started > 2
    assert received.startswith(b"POST /v1/messages HTTP/1.1\r\n")


async def _received(loop, listener):
    """Accept a connection; answer its request if it brings one."""
    connection, _ = await loop.sock_accept(listener)
    received = b""
    with connection, contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(0.3):  # the fillers send nothing
            received = await loop.sock_recv(connection, 65536)
        while received and not received.endswith(QUESTION):
            received += await loop.sock_recv(connection, 65536)
        if received:
            await loop.sock_sendall(connection, OK)
    return received


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running():
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_a_connection(running, name):
    await running[name]
