"""Scenario 6: `kubectl drain` of a node, in all the ways in which people and autoscalers do it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.kube import CommandFailedError, until
from tests.e2e.load import Load, Shape
from tests.e2e.stage import (
    Stage,
    app_container,
    broken,
    deployment,
    drain_policy,
    ending,
    is_ready,
    pod_template,
    service,
    staged,
    stream_proxy,
)
from tests.e2e.verdict import Verdict, summary
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

cases = Together()
#: So many drain at a time: with more, two cores are so busy moving pods that an eviction is not decided in time, and
#: allowed.
_AT_ONCE = asyncio.Semaphore(3)
#: Until every scenario's pods are on the node; draining it for one cordons it for all.
_PLACED_SECONDS = 180.0
NODE = "kubernetes.io/hostname"
_DRAINED = "lastcall-worker2"
_REFUGE = "lastcall-worker"


async def drain(stage: Stage, *options: str, within_seconds: float = 180.0) -> str:
    """Drain the node of this scenario's pods, and of no other's."""
    return await stage.kubectl(
        "drain", _DRAINED, f"--pod-selector=scenario={stage.namespace}", "--ignore-daemonsets",
        "--delete-emptydir-data", f"--timeout={within_seconds:g}s", *options, within_seconds=within_seconds + 10,
    )  # fmt: skip


@asynccontextmanager
async def on_the_node(
    everybody: asyncio.Barrier,
    name: str,
    replicas: int,
    *,
    all_there: bool,
    policy: bool = True,
    injected: bool = True,
) -> AsyncIterator[Stage]:
    """A workload whose pods are (all) on the node that will be drained, though they may run elsewhere."""
    async with staged(name) as stage:
        template = pod_template(app_container(stage.image), injected=injected, labels={"scenario": stage.namespace})
        if all_there:
            term = {"key": NODE, "operator": "In", "values": [_DRAINED]}
            preferred = [{"weight": 100, "preference": {"matchExpressions": [term]}}]
            template["spec"]["affinity"] = {
                "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
            }
        else:
            template["spec"]["topologySpreadConstraints"] = [
                {
                    "topologyKey": NODE, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"app": "chat"}},
                }
            ]  # fmt: skip
        await stage.apply(stream_proxy(), service(), *([drain_policy()] if policy else []))
        await stage.apply(deployment(template, replicas))
        try:
            await stage.ready(replicas)
        except BaseException:
            await everybody.abort()
            raise
        async with asyncio.timeout(_PLACED_SECONDS):
            await everybody.wait()
        async with _AT_ONCE:
            yield stage


async def here(stage: Stage) -> list[str]:
    """The workload's pods on the node."""
    return [pod["metadata"]["name"] for pod in await stage.pods() if pod["spec"].get("nodeName") == _DRAINED]


@cases.add
async def a_drain_as_it_is_is_allowed_at_once_and_drops_nothing(everybody: asyncio.Barrier) -> None:
    async with (
        on_the_node(everybody, "drain-plain", 3, all_there=False) as stage,
        Load(
            await stage.url(), Shape(clients=12, shortest_seconds=25.0, longest_seconds=40.0, plain_share=0.0)
        ) as load,
    ):
        await load.saturated()
        leaving = await here(stage)
        assert leaving
        held = [stage.hold(pod, 2, 50) for pod in leaving]
        await asyncio.gather(*(pod.under_way() for pod in held))
        evicted = asyncio.create_task(drain(stage))

        async def made_before_break() -> bool:
            pods = await stage.pods()
            there = [pod for pod in pods if pod["metadata"]["name"] in leaving and ending(pod)]
            new = [pod for pod in pods if pod["spec"].get("nodeName") == _REFUGE and is_ready(pod)]
            return bool(there) and len(new) == 3

        await until(made_before_break, 40, "successors are up before the streams have ended")
        assert [pod.live for pod in held] == [2] * len(leaving)
        outcomes, _ = await asyncio.gather(load.finish(), evicted)
        assert broken([verdict for pod in held for verdict in await pod.wait()]) == []
        assert load.broken() == [], summary(outcomes)
        assert not await here(stage)


@cases.add
async def a_short_grace_period_is_held_until_the_streams_have_ended(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-short", 2, all_there=True) as stage:
        begun, pods = time.monotonic(), await here(stage)
        held = [stage.hold(pod, 2, 40) for pod in pods]
        await stage.carries({pod.pod: 2 for pod in held})
        output = await drain(stage, "--grace-period=10")
        assert time.monotonic() - begun >= 40, output  # as long as the streams
        verdicts = [verdict for pod in held for verdict in await pod.wait()]
        assert broken(verdicts) == []
        assert not await here(stage)
        assert any("in flight" in said for said in await stage.events("RemovalRefused"))


@cases.add
async def the_same_without_a_policy_drops_streams(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-control", 2, all_there=True, policy=False) as stage:
        held = [stage.hold(pod, 2, 30) for pod in await here(stage)]
        await stage.carries({pod.pod: 2 for pod in held})
        await drain(stage, "--grace-period=10")
        verdicts = [verdict for pod in held for verdict in await pod.wait()]
        assert broken(verdicts) != []


@cases.add
async def a_node_with_all_replicas_and_a_budget_is_drained_without_a_drop(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-budget", 3, all_there=True) as stage:
        await stage.apply(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "chat"},
                "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "chat"}}},
            }
        )
        async with Load(await stage.url(), Shape(clients=12, longest_seconds=20.0)) as load:
            await load.saturated()
            least = [3]

            async def watch() -> None:
                while True:
                    pods = await stage.pods()
                    least[0] = min(least[0], sum(is_ready(pod) and not ending(pod) for pod in pods))
                    await asyncio.sleep(0.5)

            watching = asyncio.create_task(watch())
            await drain(stage, "--grace-period=10")
            watching.cancel()
            outcomes = await load.finish()
        assert load.broken() == [], summary(outcomes)
        assert not await here(stage)
        assert least[0] >= 2


@cases.add
async def a_single_replica_is_let_go_when_it_is_idle(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-single", 1, all_there=True) as stage:
        (name,) = await here(stage)
        held = stage.hold(name, 2, 25)
        await stage.carries({name: 2})
        await drain(stage, "--grace-period=10")
        assert broken(await held.wait()) == []
        assert not await here(stage)


@cases.add
async def a_single_replica_without_a_sidecar_drops_its_streams(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-single-control", 1, all_there=True, policy=False, injected=False) as stage:
        (name,) = await here(stage)
        held = stage.hold(name, 2, 25, port=8000)
        await held.under_way()
        assert held.live == 2
        await drain(stage, "--grace-period=10")
        assert {verdict for verdict, _ in await held.wait()} == {Verdict.DROPPED}


@cases.add
async def a_dry_run_changes_nothing(everybody: asyncio.Barrier) -> None:
    async with on_the_node(everybody, "drain-dry", 2, all_there=True) as stage:
        held = [stage.hold(pod, 1, 40) for pod in await here(stage)]
        await stage.carries({pod.pod: 1 for pod in held})
        before = {pod["metadata"]["uid"]: pod["metadata"].get("annotations") for pod in await stage.pods()}
        policy = (await stage.get("drainpolicy/chat"))["metadata"].get("annotations")
        # Refused, as it really would be: kubectl asks again until its time is up.
        with pytest.raises(CommandFailedError) as refused:
            await drain(stage, "--dry-run=server", "--grace-period=10", within_seconds=8)
        assert "evictions.lastcall.dev" in str(refused.value)
        assert "in flight" in str(refused.value)
        assert all(pod.live for pod in held)
        assert await stage.events("RemovalRefused") == []
        assert {pod["metadata"]["uid"]: pod["metadata"].get("annotations") for pod in await stage.pods()} == before
        assert (await stage.get("drainpolicy/chat"))["metadata"].get("annotations") == policy
        for pod in held:
            gauge = await stage.livez(pod.pod)
            assert gauge is not None
            assert gauge["drain"]["state"] == "serving"
        assert broken([verdict for pod in held for verdict in await pod.wait()]) == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    kubectl = ("kubectl", "--context", kube.CONTEXT)
    nodes: dict[str, Any] = json.loads(await kube.run(*kubectl, "get", "nodes", "--output=json"))
    assert {_DRAINED, _REFUGE} <= {node["metadata"]["name"] for node in nodes["items"]}
    try:
        async with cases.started(everybody=asyncio.Barrier(len(cases.names))) as found:
            yield found
    finally:
        await kube.run(*kubectl, "uncordon", _DRAINED)


@pytest.mark.parametrize("name", cases.names)
async def test_draining_a_node(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
