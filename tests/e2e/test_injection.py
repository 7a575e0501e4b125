"""Scenarios 1, 2, 3, 8 and 12 behind an app of its own, and what the API server and the webhook refuse."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kube import CommandFailedError, until
from tests.e2e.live_change import a_change_a_rotated_secret_and_a_bad_change
from tests.e2e.load import Load, Shape
from tests.e2e.stage import (
    app_container,
    deployment,
    drain_policy,
    ending,
    pod_template,
    service,
    staged,
    stream_proxy,
)
from tests.e2e.verdict import Verdict, summary
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

_SHAPE = Shape(clients=24, longest_seconds=30.0)
cases = Together(5)
cases.add(a_change_a_rotated_secret_and_a_bad_change)


@cases.add
async def a_labelled_deployment_streams_through_the_same_service_and_survives_a_rollout() -> None:
    async with staged("inject") as stage:
        await stage.apply(service(), deployment(pod_template(app_container(stage.image), injected=False), 3))
        await stage.ready(3)
        async with Load(await stage.url(), _SHAPE) as load:
            await load.saturated()
            # Put behind sidecars while it serves. The pods of before have none: what they drop is theirs.
            await stage.apply(stream_proxy(), drain_policy())
            await stage.apply(deployment(pod_template(app_container(stage.image)), 3))
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
            await asyncio.gather(stage.ready(3, 150), load.finish())
        for pod in await stage.pods():
            sidecar = next(item for item in pod["spec"]["initContainers"] if item["name"] == "lastcall")
            assert sidecar["restartPolicy"] == "Always"
            declared = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
            assert declared == {"http-app": 8000, "http": 15080}
        async with Load(await stage.url(), _SHAPE) as load:
            await load.saturated()
            await asyncio.sleep(3)
            await stage.kubectl("rollout", "restart", "deployment/chat")
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
            # Nothing is sent any more to those that leave: who comes now is no test of them.
            outcomes, _ = await asyncio.gather(load.finish(), stage.ready(3, 150))
        assert load.broken() == [], summary(outcomes)
        assert len(outcomes) > 40

        async def counted() -> bool:
            pods = (await stage.get("streamproxy/chat"))["status"]["pods"]
            return bool(pods["matched"] == pods["injected"] == pods["ready"] == 3)

        await until(counted, 40, "the StreamProxy counts its three pods")
        await stage.says("streamproxy/chat", "Configured", "True")
        await stage.says("streamproxy/chat", "Ready", "True")

        async def told() -> bool:
            return any("0 dropped" in said for said in await stage.events("RolloutFinished"))

        await until(told, 40, "an event RolloutFinished with 0 dropped")


@cases.add
async def the_same_without_sidecars_drops_streams() -> None:
    async with staged("inject-control") as stage:
        await stage.apply(service(), deployment(pod_template(app_container(stage.image), injected=False), 3))
        await stage.ready(3)
        async with Load(await stage.url(), _SHAPE) as load:
            await load.saturated()
            await asyncio.sleep(3)
            await stage.kubectl("rollout", "restart", "deployment/chat")
            await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
            outcomes = await load.finish()
        assert any(outcome.verdict is Verdict.DROPPED for outcome in outcomes), summary(outcomes)


def _sleeping(image: str) -> dict[str, Any]:
    return app_container(image, lifecycle={"preStop": {"exec": {"command": ["sleep", "20"]}}})


@cases.add
async def a_pre_stop_of_the_app_s_own_is_replaced_and_told() -> None:
    async with staged("prestop") as stage:
        await stage.apply(stream_proxy(), deployment(pod_template(_sleeping(stage.image)), 1))
        (name,) = await stage.ready(1)
        (pod,) = await stage.pods()
        (app,) = pod["spec"]["containers"]
        assert app["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain/wait?role=app"
        assert "sleep" in pod["metadata"]["annotations"]["lastcall.dev/original"]

        async def told() -> bool:
            return bool(await stage.events("PreStopReplaced"))

        await until(told, 30, "an event PreStopReplaced")
        await stage.says("streamproxy/chat", "PreStopKept", "False")
        held = stage.hold(name, 2, 15)
        await stage.carries({name: 2})
        await stage.kubectl("delete", "pod", name, "--wait=false")
        assert [verdict for verdict, _ in await held.wait()] == [Verdict.WHOLE, Verdict.WHOLE]


@cases.add
async def a_pre_stop_is_kept_on_request() -> None:
    async with staged("prestop-kept") as stage:
        proxy = stream_proxy(drain={"ceilingSeconds": 90, "settleSeconds": 2, "preStopPolicy": "Keep"})
        await stage.apply(proxy, deployment(pod_template(_sleeping(stage.image)), 1))
        await stage.ready(1)
        (pod,) = await stage.pods()
        (app,) = pod["spec"]["containers"]
        assert app["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "20"]

        async def told() -> bool:
            return bool(await stage.events("PreStopKept"))

        await until(told, 30, "an event PreStopKept")
        await stage.says("streamproxy/chat", "PreStopKept", "True", "preStop")


async def _refused(stage: Any, what: dict[str, Any], *words: str) -> None:
    with pytest.raises(CommandFailedError) as caught:
        await stage.apply(what)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@cases.add
async def nonsense_is_refused_with_a_sentence_that_names_the_field() -> None:
    async with staged("nonsense") as stage:
        await _refused(stage, stream_proxy(mode="Sideways"), "spec.mode")
        await _refused(stage, stream_proxy(limits={"maxQueued": -1}), "spec.limits.maxQueued")
        await _refused(stage, stream_proxy(limts={}), "limts")
        await _refused(stage, stream_proxy(appPort=None), "appPort")
        await _refused(stage, stream_proxy(upstream={"url": "http://elsewhere"}), "upstream")
        await _refused(stage, drain_policy(maxDraining=0), "maxDraining")
        await _refused(stage, drain_policy(maxDraining="200 %"), "maxDraining")
        await _refused(stage, drain_policy("Job"), "kind")
        labelled = pod_template(app_container(stage.image))
        lonely = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "lonely", **labelled["metadata"]},
            "spec": labelled["spec"],
        }
        await _refused(stage, lonely, "StreamProxies")
        await stage.apply(stream_proxy(appPort="grpc"))
        await asyncio.sleep(2)  # a webhook may hold what it has just read for a second
        await _refused(stage, lonely, "appPort", "grpc")


@cases.add
async def what_cannot_work_is_told_in_conditions_and_the_rest_goes_on() -> None:
    async with staged("conditions") as stage:
        await stage.apply(drain_policy(), drain_policy("StatefulSet", name="wrong-kind"))
        await stage.says("drainpolicy/chat", "Accepted", "False", "chat")
        await stage.says("drainpolicy/wrong-kind", "Accepted", "False", "StatefulSet")
        await stage.apply(stream_proxy(), service(targetPort=8000))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 1))
        await stage.ready(1)
        await stage.says("drainpolicy/chat", "Accepted", "True")
        await stage.says("streamproxy/chat", "Bypassed", "True", "chat")
        await stage.apply(drain_policy(name="second"), stream_proxy(name="second"))
        await stage.says("drainpolicy/second", "Conflicted", "True", "chat")
        await stage.says("streamproxy/second", "Conflicted", "True", "chat")
        await stage.says("drainpolicy/chat", "Conflicted", "False")
        await stage.kubectl("delete", "streamproxy/second", "drainpolicy/second")
        proxy = stream_proxy(auth={"apiKeysSecretRef": {"name": "nowhere"}})
        await stage.apply(proxy)
        await stage.kubectl("rollout", "restart", "deployment/chat")
        await stage.says("streamproxy/chat", "Ready", "False", "nowhere", within_seconds=150)
        await stage.apply(stream_proxy(sidecar={"image": "lastcall-sidecar:no-such-tag"}))
        await stage.kubectl("rollout", "restart", "deployment/chat")
        await stage.says("streamproxy/chat", "Ready", "False", "no-such-tag", within_seconds=60)
        serving = [pod for pod in await stage.pods() if not ending(pod) and pod["status"]["phase"] == "Running"]
        assert len(serving) == 1, json.dumps([pod["status"] for pod in serving])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_injection(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
