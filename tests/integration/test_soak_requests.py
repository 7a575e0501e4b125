"""100,000 requests of all manners, on an upstream of all manners: everything is counted, and nothing is left.

LASTCALL_SOAK_REQUESTS makes it shorter, for whoever waits at a terminal.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.calls import get
from tests.support.figures import tell_figures
from tests.support.metrics import scrape
from tests.support.running import running
from tests.support.sidecar_process import SidecarProcess

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
REQUESTS = int(os.environ.get("LASTCALL_SOAK_REQUESTS", "100000"))
#: The first of them, in which buffers and caches reach their sizes; by different numbers of clients at a time. What is
#: resident when all is quiet differs by some MiB from round to round: the highest is what counts as warm.
WARM_UP = min(30_000, REQUESTS // 3)
WARM_UP_WORKERS, WORKERS = (300, 200, 250), 200
RSS_GROWTH_BYTES = 5 * 1024 * 1024
#: No idle connection lives longer: ours to the upstream 4 s, those of clients until they are reset.
QUIET_SECONDS = 20
RUN_SECONDS = 1200
SETTINGS = {
    "upstream": {"responseHeaderTimeoutSeconds": 1},
    "limits": {
        "firstEventTimeoutSeconds": 1,
        "stallTimeoutSeconds": 1,
        "maxBodyBytes": 200_000,
        # Few enough that a queue builds up again and again, and sometimes is full.
        "maxConcurrent": 16,
        "maxQueued": 80,
        "queueTimeoutSeconds": 5,
    },
    "drain": {"settleSeconds": 0},
}
TOTALS = ("completed", "failed", "disconnected", "dropped", "refused")


class Load:
    """The clients, and their upstream, in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.upstream_url = f"http://127.0.0.1:{port}"

    async def run(self, url: str, requests: int, *, workers: int, seed: int) -> dict:
        asked = {"url": url, "requests": requests, "workers": workers, "seed": seed}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(RUN_SECONDS):
            line = await self._process.stdout.readline()
        return json.loads(line)


@asynccontextmanager
async def load() -> AsyncIterator[Load]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.soak_load", stdin=pipe, stdout=pipe, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Load(process, int(await process.stdout.readline()))
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def quiet(sidecar: SidecarProcess, sockets: int) -> dict:
    """What is left once all clients are gone and idle connections have had their time."""
    for _ in range(QUIET_SECONDS * 2):
        left = {
            "livez": json.loads((await get(sidecar.admin_url, "/livez")).body),
            "sockets": sidecar.open_sockets(),
            "descriptors": sidecar.open_descriptors(),
            "tasks": (await scrape(sidecar))["lastcall_tasks"],
            "rss": sidecar.rss_bytes(),
        }
        if left["sockets"] <= sockets and not left["livez"]["in_flight"]:
            break
        await asyncio.sleep(0.5)
    return left


async def longest_queue(sidecar: SidecarProcess, found: list[int]) -> None:
    while True:
        found.append(json.loads((await get(sidecar.admin_url, "/livez")).body)["queued"])
        await asyncio.sleep(0.25)


async def scenario() -> dict:
    async with load() as clients:
        given = {**SETTINGS, "upstream": {**SETTINGS["upstream"], "url": clients.upstream_url}}
        async with running(SidecarProcess(given)) as sidecar:
            idle = await quiet(sidecar, 2)
            first, rounds = [], []
            for seed, workers in enumerate(WARM_UP_WORKERS):
                count = WARM_UP // len(WARM_UP_WORKERS)
                first.append(await clients.run(sidecar.url, count, workers=workers, seed=seed))
                rounds.append(await quiet(sidecar, idle["sockets"]))
            warm = {**rounds[-1], "rss": max(warmed["rss"] for warmed in rounds)}
            queued: list[int] = []
            watching = asyncio.create_task(longest_queue(sidecar, queued))
            run = await clients.run(sidecar.url, REQUESTS - WARM_UP, workers=WORKERS, seed=9)
            watching.cancel()
            end = await quiet(sidecar, idle["sockets"])
            sidecar.terminate()
            code = await asyncio.to_thread(sidecar.wait, 20)
            with sidecar.log.open() as lines:
                log = Counter(json.loads(line)["event"] for line in lines if line.startswith("{"))
    return {
        "idle": idle,
        "first": first,
        "warm": warm,
        "run": run,
        "end": end,
        "queued": max(queued),
        "code": code,
        "log": log,
    }


@pytest.fixture(scope="module")
def seen(request):
    found = asyncio.run(scenario())
    growth = (found["end"]["rss"] - found["warm"]["rss"]) / 2**20
    run, totals = found["run"], found["end"]["livez"]["totals"]
    made = sum(count for kind, count in run["kinds"].items() if ":" not in kind)
    tell_figures(request, f"soak: {made} requests in {run['seconds']} s, RSS {growth:+.1f} MiB, {totals}")
    return found


def test_no_client_got_what_it_may_not_get(seen):
    assert [run["wrong"] for run in seen["first"]] == [{}] * len(WARM_UP_WORKERS)
    assert seen["run"]["wrong"] == {}


def test_every_kind_of_client_was_there(seen):
    kinds = {kind.partition(":")[0] for kind in seen["run"]["kinds"]}
    assert kinds == {
        "good",
        "leave_in_head",
        "leave_in_upload",
        "leave_before_answer",
        "leave_in_stream",
        "half_close",
        "pipeline",
        "stop_reading",
        "bad_request",
        "own_route",
        "pass_through",
        "broken_upstream",
    }


def test_the_queue_was_used_and_sometimes_full(seen):
    answers = sum((Counter(run["answers"]) for run in (*seen["first"], seen["run"])), Counter())
    assert seen["queued"] > 0
    # How often it is full is the machine's business: the slower it is, the longer a slot is held. Both must have
    # happened, and being served is the rule.
    assert answers["good 200"] > answers["good 529"] > 0


def test_nothing_is_in_flight(seen):
    livez = seen["end"]["livez"]
    assert (livez["in_flight"], livez["streams"], livez["queued"]) == (0, 0, 0)
    assert livez["oldest_request_seconds"] is None
    assert livez["draining"] is False


def test_every_request_ended_once(seen):
    totals = seen["end"]["livez"]["totals"]
    assert totals["accepted"] == sum(totals[name] for name in TOTALS)
    assert all(totals[name] > 0 for name in TOTALS if name != "dropped")
    assert totals["dropped"] == 0


def test_every_request_was_counted_once(seen):
    """Of those who left at once nobody knows whether their head was still read."""
    counted = seen["end"]["livez"]["totals"]["accepted"] - seen["warm"]["livez"]["totals"]["accepted"]
    assert seen["run"]["heads"] <= counted <= seen["run"]["heads"] + seen["run"]["maybe_heads"]


def test_no_socket_is_left(seen):
    assert seen["end"]["sockets"] <= seen["idle"]["sockets"]
    assert seen["end"]["descriptors"] <= seen["warm"]["descriptors"]


def test_no_task_is_left(seen):
    assert seen["end"]["tasks"] <= seen["idle"]["tasks"] + 1  # the connection on which the question came


def test_no_memory_is_left(seen):
    assert seen["end"]["rss"] - seen["warm"]["rss"] < RSS_GROWTH_BYTES


def test_it_leaves_as_always(seen):
    assert seen["code"] == 0


def test_nothing_went_wrong_inside(seen):
    """No line of the log tells of a bug: a traceback would be one."""
    expected = {
        "starting",
        "listening",
        "serving",
        "request",
        "request failed",
        "request: the client is gone",
        "signal received: draining",
        "drain state changed",
        "draining",
        "leaving",
    }
    assert {event for event in seen["log"] if not event.startswith("forward failed ")} <= expected
