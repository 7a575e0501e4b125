"""Scenarios 7 and 9: parts of Lastcall, of the app and of the network fail under live streams."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.kube import kill, until
from tests.e2e.load import Load, Shape
from tests.e2e.stage import (
    UNCLEAN,
    Departures,
    Stage,
    app_container,
    broken,
    deployment,
    drain_policy,
    is_ready,
    pod_template,
    service,
    staged,
    stateful_set,
    stream_proxy,
)
from tests.e2e.verdict import Verdict, summary
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

#: A probe that fails when it finds the file, and takes it away: the restarted app is well again.
_FAILS_ONCE = "import os; os.path.exists('/tmp/dead') and (os.unlink('/tmp/dead'), os._exit(1))"
_OPERATOR = "deployment/lastcall-operator"
_WEBHOOK = "deployment/lastcall-webhook"
cases = Together(4)


async def restarts(stage: Stage, pod: str, container: str) -> int:
    """How often a container was restarted."""
    status = (await stage.get(f"pod/{pod}"))["status"]
    listed = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next(int(item["restartCount"]) for item in listed if item["name"] == container)


def unclean(verdicts: list[tuple[Verdict, str]]) -> None:
    """See that every stream was cut so that its client knows: the connection broke; no clean end, and no silence."""
    assert verdicts
    assert [text for verdict, text in verdicts if verdict is not Verdict.DROPPED or not text.startswith(UNCLEAN)] == []


async def recovered(stage: Stage, pod: str, container: str) -> None:
    """Wait until a container was restarted and its pod is Ready again."""

    async def holds() -> bool:
        return await restarts(stage, pod, container) > 0 and is_ready(await stage.get(f"pod/{pod}"))

    await until(holds, 60, f"{container} of {pod} comes back")


@cases.add
async def a_killed_sidecar_hurts_its_own_streams_only_and_comes_back() -> None:
    async with staged("killed-sidecar") as stage:
        await stage.apply(stream_proxy(), drain_policy(), deployment(pod_template(app_container(stage.image)), 2))
        first, second = await stage.ready(2)
        hurt, unharmed = stage.hold(first, 3, 25), stage.hold(second, 3, 25)
        await stage.carries({first: 3, second: 3})
        await kill(first, "lastcall", "serve", namespace=stage.namespace)
        unclean(await hurt.wait())
        assert broken(await unharmed.wait()) == []
        await recovered(stage, first, "lastcall")
        assert broken(await stage.hold(first, 2, 3).wait()) == []


@cases.add
async def a_killed_app_ends_its_streams_unclean_and_the_pod_comes_back() -> None:
    async with staged("killed-app") as stage:
        await stage.apply(stream_proxy(), deployment(pod_template(app_container(stage.image)), 1))
        (pod,) = await stage.ready(1)
        held = stage.hold(pod, 2, 25)
        await stage.carries({pod: 2})
        await kill(pod, "app", "fake-llm", namespace=stage.namespace)
        # Nobody knows an error event of the app's own protocol: the end is an unclean one, never a false clean one.
        unclean(await held.wait())
        await recovered(stage, pod, "app")
        assert broken(await stage.hold(pod, 2, 3).wait()) == []


@cases.add
async def an_app_that_fails_its_liveness_probe_is_restarted_promptly_and_the_pod_is_not_drained() -> None:
    async with staged("liveness") as stage:
        app = app_container(
            stage.image,
            volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}],
            livenessProbe={
                "exec": {"command": ["python", "-c", _FAILS_ONCE]},
                "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 1,
            },
        )  # fmt: skip
        template = pod_template(app)
        template["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
        await stage.apply(stream_proxy(), deployment(template, 1))
        (pod,) = await stage.ready(1)
        script = "import pathlib; pathlib.Path('/tmp/dead').touch()"
        await stage.kubectl("exec", pod, "--container", "app", "--", "python", "-c", script)

        async def restarted() -> bool:
            return await restarts(stage, pod, "app") > 0

        # Its preStop asks whether a drain begins (5 s), then comes its own grace, as short as the user's.
        await until(restarted, 40, "the app is restarted")
        gauge = await stage.livez(pod)
        assert gauge is not None
        assert gauge["drain"]["state"] == "serving"
        assert await restarts(stage, pod, "lastcall") == 0
        await recovered(stage, pod, "app")
        assert broken(await stage.hold(pod, 2, 3).wait()) == []
        assert await restarts(stage, pod, "app") == 1


@cases.add
async def sidecars_cut_off_from_lastcall_are_told_of_and_block_nothing() -> None:
    async with staged("cut-off") as stage:
        await stage.apply(stream_proxy(), drain_policy(maxDraining=1))
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "nobody"},
            "spec": {"podSelector": {"matchLabels": {"app": "chat"}}, "policyTypes": ["Ingress"], "ingress": []},
        }
        await stage.apply(policy)
        await stage.apply(deployment(pod_template(app_container(stage.image)), 2))
        await stage.ready(2)
        async with cut_off(stage):
            await stage.says("drainpolicy/chat", "Unreachable", "True", "NetworkPolicy")
            await stage.says("streamproxy/chat", "Unreachable", "True", "NetworkPolicy")
            await stage.kubectl("rollout", "restart", "deployment/chat")
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
        await stage.kubectl("delete", "networkpolicy/nobody")
        await stage.ready(2, 150)
        await stage.says("drainpolicy/chat", "Unreachable", "False")


@asynccontextmanager
async def cut_off(stage: Stage) -> AsyncIterator[None]:
    """Nothing of Lastcall reaches these pods' sidecars: not every cluster's network enforces a NetworkPolicy."""
    ours = (await kube.get("pods", "--selector=app.kubernetes.io/component in (operator,webhook)"))["items"]
    pairs = [(one["status"]["podIP"], pod["status"]["podIP"]) for one in ours for pod in await stage.pods()]
    rules = [f"FORWARD --source {one} --destination {other} --jump DROP" for one, other in pairs]
    nodes = [line.split("/")[1] for line in (await operator("get", "nodes", "--output=name")).split()]
    inserted = " && ".join(f"iptables --insert {rule}" for rule in rules)
    deleted = "; ".join(f"iptables --delete {rule}" for rule in rules)
    try:
        for node in nodes:
            await kube.run("docker", "exec", node, "sh", "-c", inserted)
        yield
    finally:
        for node in nodes:
            await kube.run("docker", "exec", node, "sh", "-c", f"{deleted}; true")


async def operator(*argv: str) -> str:
    """Run kubectl where Lastcall itself runs."""
    return await kube.kubectl(*argv)


async def test_parts_of_lastcall(cluster: None) -> None:
    """The operator killed in a rollout, a webhook killed, both gone: one after another, since they are everybody's."""
    async with staged("operator-killed") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy("StatefulSet"))
        await stage.apply(stateful_set(pod_template(app_container(stage.image)), 3))
        await stage.ready(3)
        await asyncio.gather(_killed_in_a_paced_rollout(), _operator_killed(stage))
        await _webhook_killed(stage)
    await _both_gone()


async def _killed_in_a_paced_rollout() -> None:
    """The controller and a webhook, while a Deployment is rolled pod by pod: it completes, and nothing is dropped."""
    async with staged("killed-rollout") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 3))
        pods = await stage.ready(3)
        shape = Shape(clients=18, shortest_seconds=4.0, longest_seconds=15.0, plain_share=0.0)
        async with stage.departures() as found, Load(await stage.url(), shape) as load:
            await load.saturated()
            await stage.kubectl("rollout", "restart", "deployment/chat")
            await _first_leaves(found)
            assert len(found.order) < len(pods)  # in the middle
            assert load.live
            await asyncio.gather(*(_kill_one(component) for component in ("operator", "webhook")))
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=180s", within_seconds=190)
            await stage.ready(3, 120)
            outcomes = await load.finish()
        assert load.broken() == [], summary(outcomes)
        assert set(found.order) >= set(pods)


async def _kill_one(component: str) -> None:
    pods = (await kube.get("pods", f"--selector=app.kubernetes.io/component={component}"))["items"]
    await operator("delete", "pod", pods[0]["metadata"]["name"], "--force", "--grace-period=0", "--ignore-not-found")


async def _first_leaves(found: Departures) -> None:
    async def one_left() -> bool:
        return bool(found.order)

    await until(one_left, 60, "the first pod leaves")


async def _operator_killed(stage: Stage) -> None:
    """In the middle of an ordered rollout: nothing is dropped, and the order goes on with the next operator."""
    held = {pod: stage.hold(pod, count, 45) for pod, count in {"chat-0": 5, "chat-1": 0, "chat-2": 2}.items()}
    await stage.carries({"chat-0": 5, "chat-1": 0, "chat-2": 2})
    async with stage.departures() as found:
        changed = app_container(stage.image, env=[{"name": "REVISION", "value": "2"}])
        await stage.apply(stateful_set(pod_template(changed), 3))
        await _first_leaves(found)
        assert all(held[pod].live for pod in ("chat-0", "chat-2"))
        await _kill_one("operator")
        verdicts = [verdict for pod in held.values() for verdict in await pod.wait()]

        async def rolled() -> bool:
            status: dict[str, Any] = (await stage.get("statefulset/chat"))["status"]
            return status.get("updatedReplicas") == 3 and status.get("readyReplicas") == 3

        await until(rolled, 150, "the StatefulSet is rolled")
    assert found.order == ["chat-1", "chat-2", "chat-0"]
    assert broken(verdicts) == []


async def _webhook_killed(stage: Stage) -> None:
    """One of two: injection and removals go on."""
    await operator("rollout", "status", _WEBHOOK, "--timeout=60s")
    await _kill_one("webhook")
    await stage.kubectl("scale", "statefulset/chat", "--replicas=4")
    await stage.ready(4, 90)
    assert all("lastcall.dev/injected" in pod["metadata"]["annotations"] for pod in await stage.pods())
    await operator("rollout", "status", _WEBHOOK, "--timeout=60s")


async def _both_gone() -> None:
    """Pods that are not ours start, removals go on, sidecars drain all the same."""
    async with staged("both-gone") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 3))
        await stage.ready(3)
        try:
            for part in (_OPERATOR, _WEBHOOK):
                await operator("scale", part, "--replicas=0")
            await _gone("app.kubernetes.io/component in (operator,webhook)")
            async with Load(await stage.url(), Shape(clients=12, longest_seconds=15.0)) as load:
                await load.saturated()
                await stage.kubectl("scale", "deployment/chat", "--replicas=1")
                await stage.ready(1, 60)
                outcomes = await load.finish()
            assert load.broken() == [], summary(outcomes)
            plain = deployment(pod_template(app_container(stage.image), injected=False, labels={"app": "plain"}), 1)
            plain["metadata"]["name"] = "plain"
            plain["spec"]["selector"] = {"matchLabels": {"app": "plain"}}
            await stage.apply(plain)
            (name,) = await stage.ready(1, selector="app=plain")
            await stage.kubectl("delete", "pod", name)
            await stage.ready(1, selector="app=plain")
        finally:
            await operator("scale", _OPERATOR, "--replicas=1")
            await operator("scale", _WEBHOOK, "--replicas=2")
            await asyncio.gather(
                *(operator("rollout", "status", part, "--timeout=90s") for part in (_OPERATOR, _WEBHOOK))
            )


async def _gone(selector: str) -> None:
    """Wait until no such pod is left. kubectl's own limit is 30 s, and it calls it an error when none was there."""

    async def none_left() -> bool:
        return not (await kube.get("pods", f"--selector={selector}"))["items"]

    await until(none_left, 90, f"no pod of {selector}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_a_fault(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
