"""preStop drains over the control socket; the process then stays up, serving, until SIGTERM, or for a while."""

import asyncio
import json
import subprocess
import time

import pytest
from tests.support.calls import all_whole, call, get, is_whole
from tests.support.raw_client import RawClient
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess

STREAMS = 5
SLACK_SECONDS = 3


async def streaming(sidecar: SidecarProcess) -> list[asyncio.Task]:
    streams = [asyncio.create_task(call(sidecar.url, f"[fake seconds=0.5 seed={n}]")) for n in range(STREAMS)]
    await asyncio.to_thread(sidecar.wait_for, streams=STREAMS)
    return streams


def prestop(sidecar: SidecarProcess, *more: str) -> asyncio.Task[subprocess.CompletedProcess[str]]:
    return asyncio.create_task(asyncio.to_thread(sidecar.command_line, "drain", "--wait", *more, timeout_seconds=60))


async def then_sigterm():
    """As the kubelet does it, with an app in the pod that still calls through us meanwhile."""
    async with gated_sidecar({"drain": {"settleSeconds": 2}}) as (upstream, sidecar):
        streams = await streaming(sidecar)
        hook = prestop(sidecar)
        await asyncio.to_thread(sidecar.wait_for, draining=True)
        health = await get(sidecar.url, "/health")
        ready = [(await get(sidecar.admin_url, "/ready")).head.status]
        await asyncio.sleep(1)
        waited = not hook.done()
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        finished = await hook
        late = await call(sidecar.url)
        disturbed = await asyncio.to_thread(sidecar.livez)
        again = await asyncio.to_thread(sidecar.wait_for, state="drained")
        ready.append((await get(sidecar.url, "/ready")).head.status)
        started = time.monotonic()
        sidecar.terminate()
        code = await asyncio.to_thread(sidecar.wait, 20)
        return {
            "health": health.head.status,
            "ready": ready,
            "waited": waited,
            "answers": answers,
            "hook": finished,
            "late": late,
            "disturbed": disturbed,
            "again": again,
            "code": code,
            "seconds": time.monotonic() - started,
        }


async def and_no_sigterm():
    """A preStop can come without SIGTERM afterwards: the container was to restart, so it does, by our leaving."""
    ceiling = 3
    async with gated_sidecar({"drain": {"settleSeconds": 0, "ceilingSeconds": ceiling}}) as (upstream, sidecar):
        upstream.gate.set()
        hook = await prestop(sidecar)
        drained = time.monotonic()
        await asyncio.sleep(1)
        late = await call(sidecar.url)
        code = await asyncio.to_thread(sidecar.wait, 30)
        return {"hook": hook, "late": late, "code": code, "seconds": time.monotonic() - drained, "ceiling": ceiling}


async def at_once():
    """For load balancers that follow nothing but readiness."""
    async with gated_sidecar({"drain": {"settleSeconds": 0, "readiness": "FailAtOnce"}}) as (_, sidecar):

        async def ready() -> int:
            return (await get(sidecar.url, "/ready")).head.status

        before = await ready()
        await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "60")
        leased = await ready()
        await asyncio.to_thread(sidecar.command_line, "drain")
        return {"before": before, "leased": leased, "final": await ready()}


async def twice():
    """Hooks may run twice."""
    async with gated_sidecar({"drain": {"settleSeconds": 0}}) as (upstream, sidecar):
        streams = await streaming(sidecar)
        first = prestop(sidecar, "--reason", "first")
        before = await asyncio.to_thread(sidecar.wait_for, draining=True)
        await asyncio.sleep(0.5)
        second = prestop(sidecar, "--reason", "second")
        await asyncio.sleep(1)
        waited = not first.done() and not second.done()
        after = await asyncio.to_thread(sidecar.livez)
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        hooks = await asyncio.gather(first, second)
        return {"before": before, "after": after, "waited": waited, "answers": answers, "hooks": hooks}


async def with_sigterm_before_its_end():
    """Whoever waits is answered, although the process leaves the moment that they wait for."""
    async with gated_sidecar({"drain": {"settleSeconds": 0}}) as (upstream, sidecar):
        streams = await streaming(sidecar)
        hook = prestop(sidecar)
        await asyncio.to_thread(sidecar.wait_for, draining=True)
        # Connections that are idle at the exit, too: closing them takes the process a moment in which others are lost.
        idle = [await RawClient.connect(sidecar.url) for _ in range(3)]
        for client in idle:
            await client.request("GET", "/livez")
        app = [asyncio.create_task(get(sidecar.admin_url, "/drain/wait?role=app")) for _ in range(20)]
        await asyncio.sleep(1)
        waited = not hook.done() and not any(task.done() for task in app)
        sidecar.terminate()
        upstream.gate.set()
        answers = await asyncio.gather(*streams)
        apps = await asyncio.gather(*app)
        code = await asyncio.to_thread(sidecar.wait, 20)
        for client in idle:
            await client.close()
        return {"waited": waited, "answers": answers, "hook": await hook, "apps": apps, "code": code}


@pytest.fixture(scope="module")
def outcomes():
    return together(then_sigterm, and_no_sigterm, at_once, twice, with_sigterm_before_its_end)


def told(hook: subprocess.CompletedProcess[str]) -> str:
    assert hook.returncode == 0, hook
    return json.loads(hook.stdout)["state"]


def test_prestop_waits_until_every_stream_has_ended_whole(outcomes):
    seen = outcomes["then_sigterm"]
    assert seen["health"] == 503
    assert seen["waited"]
    assert all_whole(seen["answers"])
    assert told(seen["hook"]) == "drained"


def test_the_readiness_probe_of_a_pod_that_is_deleted_goes_on_succeeding(outcomes):
    assert outcomes["then_sigterm"]["ready"] == [200, 200]  # while it drains, and drained, before its SIGTERM
    assert outcomes["at_once"] == {"before": 200, "leased": 503, "final": 503}


def test_the_app_may_still_call_through_a_drained_sidecar(outcomes):
    seen = outcomes["then_sigterm"]
    assert is_whole(seen["late"])
    assert seen["late"].head.get("connection") == "close"
    assert seen["disturbed"]["drain"]["state"] == "draining"
    assert seen["disturbed"]["drain"]["since"] == seen["again"]["drain"]["since"]


def test_a_sigterm_that_finds_it_drained_ends_it_at_once(outcomes):
    seen = outcomes["then_sigterm"]
    assert seen["code"] == 0
    assert seen["seconds"] < 2  # the settle time


def test_without_a_sigterm_it_leaves_with_0_after_another_ceiling(outcomes):
    seen = outcomes["and_no_sigterm"]
    assert told(seen["hook"]) == "drained"
    assert is_whole(seen["late"])
    assert seen["code"] == 0
    # The late request one second after the first DRAINED began a new count.
    assert seen["ceiling"] + 1 <= seen["seconds"] < seen["ceiling"] + 1 + SLACK_SECONDS


def test_a_second_prestop_changes_nothing_and_both_are_answered(outcomes):
    seen = outcomes["twice"]
    assert seen["waited"]
    assert all_whole(seen["answers"])
    assert [told(hook) for hook in seen["hooks"]] == ["drained", "drained"]
    assert seen["before"]["drain"]["reason"] == seen["after"]["drain"]["reason"] == "first"
    assert seen["before"]["drain"]["deadline"] == seen["after"]["drain"]["deadline"]


def test_whoever_waits_is_answered_before_the_process_leaves(outcomes):
    seen = outcomes["with_sigterm_before_its_end"]
    assert seen["waited"]
    assert all_whole(seen["answers"])
    assert told(seen["hook"]) == "drained"
    for answer in seen["apps"]:
        assert answer.head.status == 200
        assert json.loads(answer.body) == {"waited": True, "state": "drained"}
    assert seen["code"] == 0
