"""However many connections there are, probes are answered and requests are served."""

import asyncio
import contextlib
import sys

import pytest
import pytest_asyncio
from tests.support.raw_client import End, RawClient
from tests.support.scripted_upstream import LAST_CHUNK, chunk, json_response, read_request, send, sse_head, wait
from tests.support.sidecar_process import SidecarProcess
from tests.support.stage import QUESTION, START, STOP, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESCRIPTORS = 300
CROWD = 400
OK = json_response(b"{}")


class Poor(SidecarProcess):
    """A sidecar with few file descriptors."""

    def __init__(self, settings=None):
        limited = f'ulimit -n {DESCRIPTORS}; exec "$0" "$@"'
        super().__init__(settings, python=("/bin/sh", "-c", limited, sys.executable))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def poor():
    async with on_stage(sidecar=Poor) as found:
        yield found


@contextlib.asynccontextmanager
async def crowd(url, size=CROWD):
    """So many connections on which nothing is sent."""
    async with contextlib.AsyncExitStack() as stack:
        connect = [RawClient.connect(url) for _ in range(size)]
        yield [await stack.enter_async_context(client) for client in await asyncio.gather(*connect)]


async def is_alive(wire, timeout_seconds=2):
    async with await RawClient.connect(wire.sidecar.admin_url, timeout_seconds=timeout_seconds) as client:
        await client.request("GET", "/livez")
        return (await client.answer("GET")).head.status == 200


async def test_idle_connections_keep_no_probe_and_no_request_waiting(poor):
    part = poor.part(read_request(), send(OK))
    async with await poor.connect() as kept:
        await kept.request("POST", "/v1/messages", [part.header], QUESTION)
        assert (await kept.answer()).head.status == 200
        for _ in range(3):
            async with crowd(poor.sidecar.url) as clients:
                for _ in range(10):
                    assert await is_alive(poor)
                assert (await poor.ask(part, timeout_seconds=20)).head.status == 200
                # The newest ones are still there.
                assert clients[-1].ended is None
                await clients[-1].request("GET", "/livez")
                assert (await clients[-1].answer("GET")).head.status == 200
        assert await kept.wait_end() is End.EOF  # it had been idle for longest


async def test_a_stream_under_way_goes_for_nobody(poor):
    go_on = asyncio.Event()
    part = poor.part(read_request(), send(sse_head(), chunk(START)), wait(go_on), send(chunk(STOP), LAST_CHUNK))
    async with await poor.connect() as client:
        await client.request("POST", "/v1/messages", [part.header], QUESTION)
        answer = await client.begin()
        async with crowd(poor.sidecar.url):
            assert await is_alive(poor)
            go_on.set()
            await client.finish(answer)
    assert (bytes(answer.body), answer.end) == (START + STOP, End.COMPLETE)


async def test_a_crowd_at_the_admin_listener_keeps_nobody_waiting_either(poor):
    part = poor.part(read_request(), send(OK))
    async with crowd(poor.sidecar.admin_url):
        assert await is_alive(poor, timeout_seconds=10)
        assert (await poor.ask(part, timeout_seconds=20)).head.status == 200


async def test_where_all_have_requests_new_ones_wait_until_one_ends(poor):
    """More than the limit allows at a time: each is served in its turn."""
    go_on = asyncio.Event()
    part = poor.part(read_request(), wait(go_on), send(OK))
    asking = [asyncio.create_task(poor.ask(part)) for _ in range(150)]
    await poor.wait_for(in_flight=(DESCRIPTORS - 128) // 2)
    assert await is_alive(poor)
    go_on.set()
    assert [answer.head.status for answer in await asyncio.gather(*asking)] == [200] * 150
