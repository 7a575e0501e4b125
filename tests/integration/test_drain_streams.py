"""SIGTERM in the middle of 200 live streams: all end whole, whoever still comes is served, and the process leaves."""

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from tests.support.calls import HEADERS, all_whole, call, closes, get, is_whole, question
from tests.support.gated import GatedUpstream
from tests.support.raw_client import Answer, RawClient
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess

STREAMS = 200
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 6.0
SETTLE_SECONDS = 1
KEPT = ("stream", "plain", "own route", "unknown route")


@dataclass
class Drain:
    """What the clients saw. Times are seconds after the signal."""

    streams: list[Answer] = field(default_factory=list)
    unready: dict[str, float] = field(default_factory=dict)
    livez: dict[str, Answer] = field(default_factory=dict)
    gauge: dict = field(default_factory=dict)
    #: Requests during the drain, and whether their connection was closed behind the answer.
    late: dict[str, tuple[Answer, bool]] = field(default_factory=dict)
    last_end: float = 0.0
    exited: float = 0.0
    exit_code: int | None = None
    log: str = ""


async def becomes_unready(url: str) -> float:
    while (await get(url, "/health")).head.status != 503:
        pass
    return time.monotonic()


async def late_request(client: RawClient, method: str, path: str, body: bytes | None) -> tuple[Answer, bool]:
    await client.request(method, path, HEADERS, body)
    return await client.answer(method), await closes(client)


async def drained(upstream: GatedUpstream, sidecar: SidecarProcess, stack: AsyncExitStack) -> Drain:
    seen = Drain()
    chance = random.Random(7)
    kept = {name: await stack.enter_async_context(await RawClient.connect(sidecar.url)) for name in KEPT}
    for client in kept.values():
        await client.request("GET", "/v1/files", HEADERS)
        assert (await client.answer("GET")).head.status == 200
    streams = [
        asyncio.create_task(
            call(sidecar.url, f"[fake seconds={chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS):.2f} seed={number}]")
        )
        for number in range(STREAMS)
    ]
    await asyncio.to_thread(sidecar.wait_for, 30, streams=STREAMS)

    signalled = time.monotonic()
    sidecar.terminate()
    unready = await asyncio.gather(becomes_unready(sidecar.url), becomes_unready(sidecar.admin_url))
    seen.unready = {"traffic": unready[0] - signalled, "admin": unready[1] - signalled}
    for name, url in (("traffic", sidecar.url), ("admin", sidecar.admin_url)):
        seen.livez[name] = await get(url, "/livez")
    seen.gauge = await asyncio.to_thread(sidecar.livez)
    upstream.gate.set()
    short = question("[fake seconds=0.5 seed=500]")
    fresh = await stack.enter_async_context(await RawClient.connect(sidecar.url))
    late = {
        "stream on a kept connection": (kept["stream"], "POST", "/v1/messages", short),
        "plain on a kept connection": (kept["plain"], "POST", "/v1/messages", question(stream=False)),
        "stream on a new connection": (fresh, "POST", "/v1/messages", short),
        "own route": (kept["own route"], "GET", "/health", None),
        "unknown route": (kept["unknown route"], "GET", "/nowhere", None),
    }
    seen.late = dict(zip(late, await asyncio.gather(*(late_request(*asked) for asked in late.values())), strict=True))
    seen.streams = await asyncio.gather(*streams)
    seen.last_end = max(answer.ended_at for answer in seen.streams) - signalled
    seen.exit_code = await asyncio.to_thread(sidecar.wait, 20)
    seen.exited = time.monotonic() - signalled
    seen.log = sidecar.output()
    return seen


async def scenario() -> Drain:
    settings = {"drain": {"settleSeconds": SETTLE_SECONDS}}
    async with gated_sidecar(settings) as (upstream, sidecar), AsyncExitStack() as stack:
        return await drained(upstream, sidecar, stack)


@pytest.fixture(scope="module")
def drain():
    return together(scenario)["scenario"]


def test_every_stream_ends_whole(drain):
    assert len(drain.streams) == STREAMS
    assert all_whole(drain.streams)


def test_all_of_them_were_under_way_when_the_signal_came(drain):
    assert drain.gauge["streams"] == drain.gauge["in_flight"] == STREAMS
    assert drain.last_end > LONGEST_SECONDS - 1


@pytest.mark.parametrize("listener", ["traffic", "admin"])
def test_readiness_fails_at_once_and_liveness_does_not(drain, listener):
    assert drain.unready[listener] < 2
    assert drain.livez[listener].head.status == 200


def test_the_gauge_tells_of_the_final_drain(drain):
    assert drain.gauge["draining"] is True
    assert drain.gauge["drain"]["state"] == "draining"
    assert drain.gauge["drain"]["final"] is True
    assert drain.gauge["drain"]["reason"] == "SIGTERM"


LATE = ["stream on a kept connection", "plain on a kept connection", "stream on a new connection"]


@pytest.mark.parametrize("name", LATE)
def test_a_request_during_the_drain_is_served(drain, name):
    assert is_whole(drain.late[name][0])


@pytest.mark.parametrize("name", [*LATE, "own route", "unknown route"])
def test_whoever_comes_during_the_drain_is_asked_to_go_elsewhere_next_time(drain, name):
    answer, closed = drain.late[name]
    assert answer.head.all("connection") == ["close"]
    assert closed


def test_the_process_leaves_with_0_as_soon_as_the_last_stream_has_ended(drain):
    assert drain.exit_code == 0
    assert drain.last_end <= drain.exited < drain.last_end + SETTLE_SECONDS + 2


def test_nothing_was_dropped_failed_or_disconnected(drain):
    leaving = json.loads(next(line for line in drain.log.splitlines() if '"leaving"' in line))
    assert leaving["dropped"] == leaving["failed"] == leaving["disconnected"] == 0
    assert leaving["completed"] == STREAMS + len(KEPT) + len(LATE)
