"""Each example as it is, applied and used; and the `lastcall` command on what they make."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.kube import until
from tests.e2e.stage import Stage, broken, staged
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = kube.ROOT / "examples"
_IMAGE = "lastcall-sidecar:dev"
cases = Together()


async def applied(stage: Stage, example: str) -> None:
    """All files of an example, with the image that the cluster has: the workload first, for order is no matter.

    But for an upstream: who asks it before it is there is told so, and that counts as failed.
    """
    paths = sorted((EXAMPLES / example).glob("*.yaml"), reverse=True)
    for path in sorted(paths, key=lambda path: path.name != "upstream.yaml"):
        manifest = path.read_text().replace(f"image: {_IMAGE}", f"image: {stage.image}")
        await stage.kubectl("apply", "--validate=strict", "--filename=-", stdin=manifest.encode())
        if path.name == "upstream.yaml":
            await stage.ready(1, selector="app=upstream")


async def lastcall(stage: Stage, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run `lastcall` against the namespace; its standard output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lastcall_operator", *words, "--namespace", stage.namespace, "--context", kube.CONTEXT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode in codes, f"{words}: {process.returncode}\n{output.decode()}\n{errors.decode()}"
    return output.decode()


@cases.add
async def the_ingress_example_is_watched_through_a_rollout() -> None:
    async with staged("example-ingress") as stage:
        await applied(stage, "ingress")
        pods = await stage.ready(3)
        held = [stage.hold(pod, 2, 60) for pod in pods]
        await stage.carries(dict.fromkeys(pods, 2))
        top = json.loads(await lastcall(stage, "top", "--output=json"))
        assert {row["pod"]: row["in_flight"] for row in top} == dict.fromkeys(pods, 2)
        await stage.kubectl("rollout", "restart", "deployment/chat")
        told = await lastcall(stage, "watch", "deploy/chat")
        first, *_ = told.splitlines()
        assert "6 in flight" in first  # it began while everything was under way: the streams last long enough
        assert "ending" in first or "3 of 3 updated" not in first
        assert "3 of 3 updated, 0 in flight" in told
        assert "finished, 0 dropped\n" in told  # the controller's account is closed: nothing is in brackets
        assert broken([verdict for pod in held for verdict in await pod.wait()]) == []

        async def all_good() -> bool:  # the controller may still count the new pods
            told = await lastcall(stage, "check", codes=(0, 1))
            return "all conditions are good" in told and "fail " not in told

        await until(all_good, 60, "lastcall check finds everything good")


@cases.add
async def the_egress_example_streams_through_its_sidecar_and_ends_well() -> None:
    async with staged("example-egress") as stage:
        await applied(stage, "egress")
        (pod,) = await stage.ready(1, selector="app=worker")

        async def streamed() -> bool:
            gauge = await stage.livez(pod)
            return gauge is not None and gauge["totals"]["completed"] >= 1

        await until(streamed, 60, "the worker has streamed an answer through its sidecar")
        follow = asyncio.create_task(
            stage.kubectl("logs", "--follow", pod, "--container=lastcall", "--tail=1", within_seconds=150)
        )
        await asyncio.sleep(2)
        await stage.kubectl("rollout", "restart", "deployment/worker")
        await stage.kubectl("rollout", "status", "deployment/worker", "--timeout=120s", within_seconds=130)
        last = [json.loads(line) for line in (await follow).splitlines() if '"leaving"' in line]
        assert [(word["dropped"], word["disconnected"], word["failed"]) for word in last] == [(0, 0, 0)]


@cases.add
async def the_stateful_example_drains_by_hand_and_back() -> None:
    async with staged("example-stateful") as stage:
        await applied(stage, "statefulset")
        await stage.ready(3, selector="app=gate")
        held = stage.hold("gate-1", 1, 40)
        await stage.carries({"gate-1": 1})
        row = json.loads(await lastcall(stage, "drain", "pod/gate-1", "--lease=60s", "--output=json"))
        assert (row["state"], row["in_flight"]) == ("draining", 1)
        assert "pod/gate-1: drained" in await lastcall(stage, "drain", "pod/gate-1", "--wait", "--timeout=100")
        assert broken(await held.wait()) == []
        assert "pod/gate-1: serving" in await lastcall(stage, "undrain", "gate-1")
        await lastcall(stage, "drain", "pod/gate-9", codes=(3,))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_an_example(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
