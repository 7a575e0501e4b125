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

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nowhere():
    async with on_stage({"upstream": {"connectTimeoutSeconds": 2}}) as found:
        yield found


async def send_elsewhere(wire, url):
    """Send the sidecar's new requests to another upstream."""
    before = (await wire.livez())["config"]["hash"]
    wire.sidecar.write_config({"upstream": {"url": url}})
    async with asyncio.timeout(10):
        while (await wire.livez())["config"]["hash"] == before:  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("asked", [(QUESTION, "POST"), (None, "GET")], ids=["POST", "GET"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param(f"http://127.0.0.1:{free_port()}", "ECONNREFUSED", id="refused"),
        pytest.param("http://name.invalid", "its name has no address", id="no address"),
    ],
)
async def test_an_upstream_that_refuses_or_has_no_address_is_a_502(nowhere, url, says, asked):
    body, method = asked
    if nowhere.sidecar.settings["upstream"]["url"] != url:
        await send_elsewhere(nowhere, url)
    started = time.monotonic()
    answer = await nowhere.ask(nowhere.part(), body, method=method)
    assert time.monotonic() - started > 0.05, "between the two tries there is a pause"
    assert (answer.head.status, answer.end) == (502, End.COMPLETE)
    assert error_of(answer) == {"type": "api_error", "message": f"cannot connect to the upstream: {says}"}
    await nowhere.wait_for(in_flight=0)


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


async def test_a_connection_that_does_not_come_about_is_tried_twice_and_then_a_504(nowhere):
    with full_backlog() as listener:
        await send_elsewhere(nowhere, f"http://127.0.0.1:{listener.getsockname()[1]}")
        started = time.monotonic()
        answer = await nowhere.ask(nowhere.part())
        assert 4.05 < time.monotonic() - started < 9
    assert (answer.head.status, answer.end) == (504, End.COMPLETE)
    assert error_of(answer) == {
        "type": "timeout_error",
        "message": "cannot connect to the upstream: no connection in time",
    }


async def test_a_connection_that_comes_about_at_the_second_try_serves_the_request(nowhere):
    loop = asyncio.get_running_loop()
    with full_backlog() as listener:
        await send_elsewhere(nowhere, f"http://127.0.0.1:{listener.getsockname()[1]}")
        started = time.monotonic()
        asking = asyncio.create_task(nowhere.ask(nowhere.part()))
        await asyncio.sleep(2.5)  # the first try is over, and the kernel will repeat the second one's SYN
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
