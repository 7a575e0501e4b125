"""`GET /drain/wait?role=app`: the preStop of app containers. It starts nothing, and waits for what is final only."""

import asyncio
import json
import time

import pytest
from tests.support.calls import call, get, is_whole
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess

#: How long it waits for a final drain to begin.
STARTS_WITHIN_SECONDS = 5
SLACK_SECONDS = 3
SETTLE = {"drain": {"settleSeconds": 0}}
PATH = "/drain/wait?role=app"


async def waits(sidecar: SidecarProcess) -> dict:
    """Its answer, and after how many seconds."""
    started = time.monotonic()
    answer = await get(sidecar.admin_url, PATH)
    return {"status": answer.head.status, "told": json.loads(answer.body), "seconds": time.monotonic() - started}


async def no_drain():
    async with gated_sidecar(SETTLE) as (_, sidecar):
        paths = ["/drain/wait", "/drain/wait?role=", "/drain/wait?role=sidecar"]
        others = [(await get(sidecar.admin_url, path)).head.status for path in paths]
        seen = await waits(sidecar)
        return {**seen, "livez": await asyncio.to_thread(sidecar.livez), "others": others}


async def leased_drain():
    async with gated_sidecar(SETTLE) as (_, sidecar):
        await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "60")
        return await waits(sidecar)


async def final_drain_begins_later():
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        waiter = asyncio.create_task(waits(sidecar))
        await asyncio.sleep(1)
        await asyncio.to_thread(sidecar.command_line, "drain")
        await asyncio.sleep(STARTS_WITHIN_SECONDS - 0.5)
        waited = not waiter.done()
        upstream.gate.set()
        return {**await waiter, "waited": waited, "stream": await stream}


async def final_drain_is_on():
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        await asyncio.to_thread(sidecar.command_line, "drain")
        waiter = asyncio.create_task(waits(sidecar))
        await asyncio.sleep(1)
        waited = not waiter.done()
        upstream.gate.set()
        seen = {**await waiter, "waited": waited, "stream": await stream}
        return {**seen, "again": await waits(sidecar)}


async def expires():
    async with gated_sidecar({"drain": {"settleSeconds": 0, "ceilingSeconds": 1}}) as (_, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        await asyncio.to_thread(sidecar.command_line, "drain")
        seen = await waits(sidecar)
        await stream
        return {**seen, "livez": await asyncio.to_thread(sidecar.livez)}


@pytest.fixture(scope="module")
def outcomes():
    return together(no_drain, leased_drain, final_drain_begins_later, final_drain_is_on, expires)


@pytest.mark.parametrize(("name", "state"), [("no_drain", "serving"), ("leased_drain", "drained")])
def test_without_a_final_drain_it_answers_after_five_seconds(outcomes, name, state):
    """An app that its own liveness probe restarts must not wait for a drain that nobody begins."""
    seen = outcomes[name]
    assert seen["status"] == 200
    assert seen["told"] == {"waited": False, "state": state}
    assert STARTS_WITHIN_SECONDS <= seen["seconds"] < STARTS_WITHIN_SECONDS + SLACK_SECONDS


def test_it_starts_nothing(outcomes):
    assert outcomes["no_drain"]["livez"]["draining"] is False
    assert outcomes["no_drain"]["livez"]["drain"]["state"] == "serving"


@pytest.mark.parametrize("name", ["final_drain_begins_later", "final_drain_is_on"])
def test_with_a_final_drain_it_answers_when_the_last_stream_has_ended(outcomes, name):
    seen = outcomes[name]
    assert seen["waited"]
    assert seen["status"] == 200
    assert seen["told"] == {"waited": True, "state": "drained"}
    assert is_whole(seen["stream"])


def test_a_drained_sidecar_lets_the_app_go_at_once(outcomes):
    seen = outcomes["final_drain_is_on"]["again"]
    assert seen["told"] == {"waited": True, "state": "drained"}
    assert seen["seconds"] < SLACK_SECONDS


def test_after_the_ceiling_the_app_may_go(outcomes):
    seen = outcomes["expires"]
    assert seen["told"] == {"waited": True, "state": "expired"}
    assert seen["livez"]["totals"]["dropped"] == 1
    assert seen["livez"]["in_flight"] == 0


def test_only_apps_wait_here(outcomes):
    assert outcomes["no_drain"]["others"] == [400, 400, 400]
