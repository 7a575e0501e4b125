"""Whether a controller that answers still does its work."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer

from lastcall_operator.controller.loops import STEP_SECONDS, Loops
from lastcall_operator.controller.metrics import Metrics
from lastcall_operator.controller.probes import STALE_SECONDS, Probes


@pytest.mark.parametrize(
    ("delay", "ahead", "status"),
    [
        pytest.param(300.0, 299.0, 200, id="it looks as seldom as it was asked to"),
        pytest.param(300.0, 301.0 + STEP_SECONDS + STALE_SECONDS, 503, id="it should have looked by then"),
        pytest.param(5.0, 6.0 + STEP_SECONDS + STALE_SECONDS, 503, id="it looks often, and has stopped"),
        pytest.param(None, 10_000.0, 200, id="there is nothing left to look at"),
    ],
)
async def test_a_reconciler_is_stale_when_it_is_late_by_its_own_words(delay, ahead, status):
    done = asyncio.Event()

    async def step(_):
        done.set()
        return delay

    loops = Loops("some", step, gap_seconds=0.0)
    time = asyncio.get_running_loop().time
    probes = Probes([loops, Loops("none", step)], Metrics(), lambda: time() + ahead)
    loops.wake(("a",))
    await done.wait()
    await asyncio.sleep(0)
    async with TestClient(TestServer(probes.app())) as client:
        assert (await client.get("/livez")).status == status
    await loops.close()


async def test_a_step_that_does_not_end_is_overdue():
    async def step(_):
        await asyncio.sleep(3600)
        return 1.0

    loops = Loops("some", step)
    loops.wake(("a",))
    await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    assert loops.overdue_seconds(now) == 0.0
    assert loops.overdue_seconds(now + STEP_SECONDS + 50) == pytest.approx(50, abs=1)
    await loops.close()
