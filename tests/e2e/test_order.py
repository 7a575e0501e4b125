"""Scenarios 4 and 5: who leaves first, and how many at once. Each with Lastcall's part switched off as its control."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio

from tests.e2e.busy import Busy
from tests.e2e.kube import until
from tests.e2e.stage import (
    Departures,
    Held,
    Stage,
    app_container,
    broken,
    deployment,
    drain_policy,
    pod_template,
    service,
    staged,
    stateful_set,
    still_live,
    stream_proxy,
)
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

#: From `kubectl scale` to a deletion timestamp: one decision, and a controller that asks again.
_SOON_SECONDS = 20.0
#: Streams that are to outlive the test: they are not waited for, but left.
_LONG_SECONDS = 300
#: So many workloads at a time: with more, two cores are so busy starting pods that a removal is not decided in time,
#: and allowed.
_AT_ONCE = 2
cases = Together(_AT_ONCE)


@asynccontextmanager
async def workload(
    name: str, replicas: int, *, policy: dict[str, object] | None
) -> AsyncIterator[tuple[Stage, list[str]]]:
    """A Deployment of so many pods behind sidecars, with a DrainPolicy or without; its Ready pods."""
    async with staged(name) as stage:
        await stage.apply(stream_proxy(longest_seconds=_LONG_SECONDS + 10), service())
        if policy is not None:
            await stage.apply(drain_policy(**policy))
        await stage.apply(deployment(pod_template(app_container(stage.image)), replicas))
        yield stage, await stage.ready(replicas)


async def against_kubernetes(stage: Stage, loads: list[int]) -> dict[str, int]:
    """Give the heaviest loads to the pods that Kubernetes would take first: (crowded node, younger, UID)."""
    pods = await stage.pods()
    nodes = [pod["spec"]["nodeName"] for pod in pods]

    def turn(pod: dict[str, object]) -> tuple[object, ...]:
        metadata, spec = pod["metadata"], pod["spec"]
        assert isinstance(metadata, dict)
        assert isinstance(spec, dict)
        return (-nodes.count(spec["nodeName"]), _backwards(metadata["creationTimestamp"]), metadata["uid"])

    first = sorted(pods, key=turn)
    return {pod["metadata"]["name"]: load for pod, load in zip(first, sorted(loads, reverse=True), strict=True)}


def _backwards(timestamp: str) -> list[int]:
    return [-ord(letter) for letter in timestamp]


async def load_up(stage: Stage, loads: Mapping[str, int], seconds: float) -> dict[str, Held]:
    """Put so many streams on each pod, and see that they are there."""
    held = {pod: stage.hold(pod, count, seconds) for pod, count in loads.items()}
    await stage.carries(loads)
    return held


async def left(found: Departures, count: int) -> None:
    """Wait until so many have left."""

    async def holds() -> bool:
        return len(found.order) >= count

    try:
        await until(holds, _SOON_SECONDS, f"{count} departures")
    except AssertionError as error:
        raise AssertionError(f"{error}; {found}") from None


@cases.add
async def a_scale_down_takes_the_idlest_pod_each_time() -> None:
    async with workload("scale", 4, policy={}) as (stage, _):
        loads = await against_kubernetes(stage, [0, 2, 5, 9])
        held = await load_up(stage, loads, _LONG_SECONDS)
        by_load = sorted(loads, key=lambda pod: loads[pod])
        async with stage.departures() as found:
            for step in (3, 2, 1):
                await stage.kubectl("scale", "deployment/chat", f"--replicas={step}")
                await left(found, 4 - step)
            assert found.order == by_load[:3]
        assert sum(pod.live for pod in held.values()) == 16
        await still_live(held.values())


@cases.add
async def a_scale_down_by_three_at_once_takes_the_three_idlest() -> None:
    async with workload("scale-by-three", 4, policy={}) as (stage, _):
        loads = await against_kubernetes(stage, [1, 2, 5, 9])
        held = await load_up(stage, loads, 45)
        async with stage.departures() as found:
            await stage.kubectl("scale", "deployment/chat", "--replicas=1")
            await left(found, 3)
            assert set(found.order) == set(sorted(loads, key=lambda pod: loads[pod])[:3])
            verdicts = [verdict for pod in held.values() for verdict in await pod.wait()]
        assert broken(verdicts) == []


@cases.add
async def without_a_policy_a_scale_down_takes_busy_pods_first() -> None:
    async with workload("scale-control", 4, policy=None) as (stage, _):
        loads = await against_kubernetes(stage, [0, 2, 5, 9])
        held = await load_up(stage, loads, _LONG_SECONDS)
        async with stage.departures() as found:
            for step in (3, 2, 1):
                await stage.kubectl("scale", "deployment/chat", f"--replicas={step}")
                await left(found, 4 - step)
        assert found.order != sorted(loads, key=lambda pod: loads[pod])[:3]
        for pod in held.values():
            await pod.abandon()


@cases.add
async def a_load_that_changes_on_the_way_changes_the_order() -> None:
    async with workload("change", 4, policy={}) as (stage, _):
        loads = await against_kubernetes(stage, [0, 2, 5, 9])
        held = await load_up(stage, loads, _LONG_SECONDS)
        idle, light, middle, heavy = sorted(loads, key=lambda pod: loads[pod])
        async with stage.departures() as found:
            await stage.kubectl("scale", "deployment/chat", "--replicas=3")
            await left(found, 1)
            await held.pop(heavy).abandon()
            await stage.carries({heavy: 0, light: 2, middle: 5})
            await stage.kubectl("scale", "deployment/chat", "--replicas=2")
            await left(found, 2)
            await stage.kubectl("scale", "deployment/chat", "--replicas=1")
            await left(found, 3)
        assert found.order == [idle, heavy, light]
        await still_live(held.values())


@cases.add
async def a_rollout_takes_the_idlest_pod_first() -> None:
    async with workload("rollout", 4, policy={}) as (stage, _):
        loads = await against_kubernetes(stage, [0, 2, 5, 9])
        held = await load_up(stage, loads, _LONG_SECONDS)
        async with stage.departures() as found:
            await stage.kubectl("rollout", "restart", "deployment/chat")
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
            await left(found, 4)
        assert found.order == sorted(loads, key=lambda pod: loads[pod])
        await still_live(held.values())


@cases.add
async def a_stateful_set_on_delete_is_rolled_by_the_operator_in_the_order_of_loads() -> None:
    async with staged("stateful") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy("StatefulSet"))
        await stage.apply(stateful_set(pod_template(app_container(stage.image)), 3))
        await stage.ready(3)
        held = await load_up(stage, {"chat-0": 5, "chat-1": 0, "chat-2": 2}, 45)
        async with stage.departures() as found:
            changed = pod_template(app_container(stage.image, env=[{"name": "REVISION", "value": "2"}]))
            await stage.apply(stateful_set(changed, 3))
            verdicts = [verdict for pod in held.values() for verdict in await pod.wait()]

            async def rolled() -> bool:
                status = (await stage.get("statefulset/chat"))["status"]
                return status.get("updatedReplicas") == 3 and status.get("readyReplicas") == 3

            await until(rolled, 120, "the StatefulSet is rolled")
        assert found.order == ["chat-1", "chat-2", "chat-0"]
        assert found.most_at_once({"chat-0", "chat-1", "chat-2"}) == 1
        assert broken(verdicts) == []

        async def told() -> bool:
            return any("0 dropped" in said for said in await stage.events("RolloutFinished"))

        await until(told, 40, "an event RolloutFinished with 0 dropped")


# Pacing.


@cases.add
async def never_more_busy_pods_than_max_draining_leave_at_once() -> None:
    async with workload("pace", 6, policy={"maxDraining": 1}) as (stage, pods), AsyncExitStack() as stack:
        found = await stack.enter_async_context(stage.departures())
        busy = Busy(stage, pods, found)
        await asyncio.sleep(6)
        await stage.kubectl("scale", "deployment/chat", "--replicas=2")
        await stage.ready(2, 120)
        assert broken(await busy.finish()) == []
        most = found.most_at_once(set(pods), busy.idle_since)
        assert most == 1, f"{found}\n{busy.idle_since}\n{await stage.decisions()}"
        assert await stage.events("RemovalRefused")


@cases.add
async def without_max_draining_they_leave_together() -> None:
    async with workload("pace-control", 6, policy=None) as (stage, pods), AsyncExitStack() as stack:
        found = await stack.enter_async_context(stage.departures())
        busy = Busy(stage, pods, found)
        await asyncio.sleep(6)
        await stage.kubectl("scale", "deployment/chat", "--replicas=2")
        await stage.ready(2, 60)
        await busy.finish()
        assert found.most_at_once(set(pods), busy.idle_since) > 1


@cases.add
async def a_paced_rollout_completes() -> None:
    async with workload("paced-rollout", 4, policy={"maxDraining": 1}) as (stage, pods), AsyncExitStack() as stack:
        found = await stack.enter_async_context(stage.departures())
        busy = Busy(stage, pods, found)
        await asyncio.sleep(6)
        await stage.kubectl("rollout", "restart", "deployment/chat")
        await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=180s", within_seconds=190)
        assert broken(await busy.finish()) == []
        await stage.ready(4)
        assert set(found.order) >= set(pods)
        most = found.most_at_once(set(pods), busy.idle_since)
        assert most == 1, f"{found}\n{busy.idle_since}\n{await stage.decisions()}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_leaving(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
