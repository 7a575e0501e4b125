"""No complete event is held back: with 50 streams, 99 of 100 arrive within 5 ms of when they would without a proxy.

Without a proxy there is also one process less that must get its turn. On a busy machine that alone takes longer than
5 ms; so a proxy that does nothing stands beside ours, and who is no slower than it holds nothing back.
"""

import asyncio

import pytest
import pytest_asyncio
from tests.support.null_proxy import NullProxy
from tests.support.pulse import listen, percentile, pulse

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS = 50
SECONDS = 1.0
ALLOWED_SECONDS = 0.005
#: Noise comes and goes; whoever holds events back does so in every round.
ROUNDS = 8


@pytest_asyncio.fixture(loop_scope="session")
async def nothing(wire):
    proxy = NullProxy(wire.stage.port)
    await asyncio.to_thread(proxy.start)
    yield proxy
    await asyncio.to_thread(proxy.stop)


async def test_events_of_50_streams_arrive_within_5_ms_of_no_proxy(wire, nothing):
    seen = []
    for _ in range(ROUNDS):
        part = wire.part(pulse(lambda seconds: seconds < SECONDS))
        found = [await listen(url, part, STREAMS) for url in (wire.stage.url, nothing.url, wire.sidecar.url)]
        assert min(map(len, found)) > STREAMS * 10
        direct, through_nothing, through_us = (percentile(delays, 0.99) for delays in found)
        seen.append(f"{direct * 1000:.1f}, {through_nothing * 1000:.1f}, {through_us * 1000:.1f}")
        if through_us <= max(direct, through_nothing) + ALLOWED_SECONDS:
            return
    pytest.fail(f"99 of 100 events came within so many ms without a proxy, through nothing, and through us: {seen}")
