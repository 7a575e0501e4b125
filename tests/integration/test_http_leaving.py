"""No client can hold up a drain past the limit that is its own; and who is idle holds up nothing.

The clock of these sidecars runs 20 times as fast.
"""

import asyncio
import time

import pytest
import pytest_asyncio
from tests.support.hurried import SPEED, HurriedSidecar
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    hang,
    read_head,
    read_request,
    repeat,
    send,
    sleep,
    sse_head,
)
from tests.support.stage import QUESTION, START, STOP, error_of, last_event, on_stage
from tests.support.together import Together

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: For the process to end, on a busy machine.
LATE_SECONDS = 5.0

cases = Together()


async def leaves(wire, *, within):
    """SIGTERM: the process ends by itself, in good order, within so many of its seconds."""
    started = time.monotonic()
    wire.sidecar.terminate()
    assert await asyncio.to_thread(wire.sidecar.wait, 30) == 0
    assert time.monotonic() - started < within / SPEED + LATE_SECONDS


@cases.add
async def who_is_idle_or_has_sent_half_a_head_holds_up_nothing():
    async with on_stage(sidecar=HurriedSidecar) as wire:
        silent, half, kept = [await wire.connect() for _ in range(3)]
        await half.send(b"POST /v1/messages HTTP/1.1\r\nHost: loc")
        await kept.request("GET", "/health")
        assert (await kept.answer("GET")).head.status == 200
        await leaves(wire, within=1)
        for client in (silent, half, kept):
            await client.wait_end()
            await client.close()


@cases.add
async def half_a_body_holds_it_up_for_60_s():
    async with on_stage(sidecar=HurriedSidecar) as wire:
        part = wire.part(read_head(), hang())
        async with await wire.connect() as plain, await wire.connect() as passed:
            await plain.request("POST", "/v1/messages", [part.header, ("content-length", "100")])
            await passed.request("POST", "/v1/files", [part.header, ("content-length", "100")])
            await wire.wait_for(in_flight=2)
            await leaves(wire, within=65)
            for client in (plain, passed):
                answer = await client.answer()
                assert (answer.head.status, error_of(answer)["type"]) == (408, "timeout_error")
                assert (answer.head.get("connection"), answer.end) == ("close", End.COMPLETE)


@cases.add
async def a_client_that_does_not_read_holds_it_up_for_60_s():
    async with on_stage(sidecar=HurriedSidecar) as wire:
        part = wire.part(read_request(), send(sse_head()), repeat(send(chunk(b"data: " + b"x" * 100_000 + b"\n\n"))))
        async with await wire.connect(receive_buffer_bytes=65536) as client:
            await client.request("POST", "/v1/messages", [part.header], QUESTION)
            await client.begin()
            client.stop_reading()
            await leaves(wire, within=80)


@cases.add
async def at_the_ceiling_every_client_is_told():
    given = {"drain": {"ceilingSeconds": 20}}
    async with on_stage(given, sidecar=HurriedSidecar) as wire:
        stream = wire.part(read_request(), send(sse_head(), chunk(START)), hang())
        silent = wire.part(read_request(), hang())
        asking = [asyncio.create_task(wire.ask(part)) for part in (stream, silent)]
        await wire.wait_for(in_flight=2, streams=1)
        await leaves(wire, within=25)
        broken, refused = await asyncio.gather(*asking)
    name, told = last_event(broken)
    assert (name, broken.end) == ("error", End.COMPLETE)
    assert bytes(broken.body).startswith(START)
    assert "drain.ceilingSeconds" in told["error"]["message"]
    assert refused.head.status == 503
    assert "drain.ceilingSeconds" in error_of(refused)["message"]


async def expired(wire):
    """A sidecar whose drain, begun by preStop alone, has reached its ceiling."""
    asking = asyncio.create_task(wire.ask(wire.part(read_request(), send(sse_head(), chunk(START)), hang())))
    await wire.wait_for(streams=1)
    assert (await asyncio.to_thread(wire.sidecar.command_line, "drain")).returncode == 0
    assert last_event(await asking)[0] == "error"
    await wire.wait_for(in_flight=0)
    assert (await wire.livez())["drain"]["state"] == "expired"


@cases.add
async def who_comes_after_the_ceiling_is_served_as_long_as_nobody_waits_for_the_exit():
    async with on_stage({"drain": {"ceilingSeconds": 60}}, sidecar=HurriedSidecar) as wire:
        await expired(wire)
        late = wire.part(
            read_request(), send(sse_head(), chunk(START)), sleep(20 / SPEED), send(chunk(STOP), LAST_CHUNK)
        )
        assert (await wire.ask(late)).body.endswith(STOP)


@cases.add
async def who_comes_after_the_ceiling_holds_up_the_exit_for_10_s():
    async with on_stage({"drain": {"ceilingSeconds": 60}}, sidecar=HurriedSidecar) as wire:
        await expired(wire)
        late = asyncio.create_task(wire.ask(wire.part(read_request(), send(sse_head(), chunk(START)), hang())))
        await wire.wait_for(streams=1)
        await leaves(wire, within=20)
        assert last_event(await late)[0] == "error"


@cases.add
async def who_comes_after_the_ceiling_does_not_keep_it_from_starting_anew_without_a_signal():
    async with on_stage({"drain": {"ceilingSeconds": 20}}, sidecar=HurriedSidecar) as wire:
        await expired(wire)
        late = asyncio.create_task(wire.ask(wire.part(read_request(), send(sse_head(), chunk(START)), hang())))
        assert await asyncio.to_thread(wire.sidecar.wait, 30) == 0
        assert last_event(await late)[0] == "error"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running():
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_leaving(running, name):
    await running[name]
