"""Scenarios 8 and 10: a StreamProxy and a secret change, a bad change comes, Lastcall itself changes; under streams."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.busy import Busy
from tests.e2e.gauge import settled
from tests.e2e.kube import CommandFailedError, until
from tests.e2e.load import Load, Shape
from tests.e2e.stage import (
    Object,
    Stage,
    app_container,
    ask,
    broken,
    deployment,
    drain_policy,
    pod_template,
    service,
    staged,
    stream_proxy,
)
from tests.e2e.verdict import summary
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

#: The kubelet brings a changed ConfigMap or Secret within its sync period and its cache's.
_SYNC_SECONDS = 120.0
cases = Together()


def _secret(keys: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "clients"},
        "data": {
            "api-keys": base64.b64encode(keys.encode()).decode(),
            "api-key": base64.b64encode(b"the-upstream-s").decode(),
        },
    }


def _gateway(**spec: Any) -> Object:
    """A gateway to the fake LLM, which sees the upstream's key and not the clients'."""
    return stream_proxy(
        mode="Gateway",
        appPort=None,
        upstream={"url": f"http://upstream.{kube.NAMESPACE}:9000", "apiKeySecretRef": {"name": "clients"}},
        auth={"apiKeysSecretRef": {"name": "clients"}},
        **spec,
    )


def _container(image: str) -> Object:
    """The pod's only container: the sidecar's image, as the image has it."""
    made = app_container(image)
    return {
        "name": "gateway",
        "ports": [{"name": "http", "containerPort": 8080}],
        **{key: made[key] for key in ("image", "imagePullPolicy", "resources", "securityContext")},
    }


@cases.add
async def a_change_a_rotated_secret_and_a_bad_change() -> None:
    async with staged("config") as stage:
        await stage.apply(_secret("one: a-client\n"), _gateway(), service(), drain_policy())
        await stage.apply(deployment(pod_template(_container(stage.image)), 2))
        pods = await stage.ready(2)
        await stage.says("streamproxy/chat", "Configured", "True")
        before = {pod: await stage.livez(pod) for pod in pods}
        busy = Busy(stage, pods)

        def under_streams() -> None:
            assert all(count > 0 for count in busy.live.values())

        await asyncio.sleep(5)

        # A good change and a new key: in force without a restart.
        await stage.apply(_secret("one: a-client\ntwo: another-client\n"))
        await stage.apply(_gateway(limits={"maxDurationSeconds": 86, "maxConcurrent": 7}))
        changed = (await stage.get("streamproxy/chat"))["metadata"]["generation"]

        async def in_force() -> bool:
            gauges = [await stage.livez(pod) for pod in pods]
            return all(gauge is not None and gauge["config"]["generation"] == changed for gauge in gauges)

        await until(in_force, _SYNC_SECONDS, "the change is in force")
        under_streams()
        await stage.says("streamproxy/chat", "Configured", "True")
        await until(lambda: _accepted(stage, "another-client"), _SYNC_SECONDS, "the new key is taken")
        under_streams()
        assert not await _accepted(stage, "a-stranger")
        assert await stage.events("ConfigApplied")

        # A bad change: refused where it is made, and the old one stays in force.
        with pytest.raises(CommandFailedError) as caught:
            await stage.apply(_gateway(limits={"maxDurationSeconds": 0}))
        assert "maxDurationSeconds" in str(caught.value)
        # One that only the sidecars can find out: reported with the pods' names, the old one in force.
        await stage.kubectl(
            "patch", "secret/clients", "--type=merge", f"--patch={json.dumps({'data': {'api-keys': ''}})}"
        )
        said = await stage.says("streamproxy/chat", "Configured", "False", pods[0], within_seconds=_SYNC_SECONDS)
        assert "api" in said["message"].lower()
        under_streams()
        assert await _accepted(stage, "another-client")

        assert broken(await busy.finish()) == []
        after = {pod: await stage.livez(pod) for pod in pods}
        for pod in pods:
            one, other = before[pod], after[pod]
            assert one is not None
            assert other is not None
            assert one["started"] == other["started"]  # no restart
            assert other["totals"]["dropped"] == 0


async def _accepted(stage: Stage, key: str) -> bool:
    """Whether the workload takes a request with this key."""
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(timeout=20.0) as client:
        answer = await client.post(f"{await stage.url()}/v1/messages", json={**ask(0.1)}, headers=headers)
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


_NEXT_TAG = "e2e-next"


@cases.add
async def helm_upgrade_and_rollback_drop_nothing() -> None:
    """Scenario 10, first half: another image of the sidecar, another operator, and back, under clients all the time."""
    async with staged("upgrade") as stage, kube.api() as api:
        await settled(api, 120)
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 2))
        await stage.ready(2)
        newer = await _tagged(stage.image, _NEXT_TAG)
        revision = json.loads(await kube.helm("list", "--output=json", "--filter=^lastcall$"))[0]["revision"]
        chart = str(kube.ROOT / "charts" / "lastcall")
        shape = Shape(clients=16, longest_seconds=20.0)
        async with Load(kube.GATEWAY_URL, shape) as gateway, Load(await stage.url(), shape) as app:
            for image, command in (
                (newer, ("upgrade", "lastcall", chart, "--reuse-values", f"--set=sidecar.image.tag={_NEXT_TAG}",
                         "--set=operator.logLevel=debug")),
                (stage.image, ("rollback", "lastcall", str(revision))),
            ):  # fmt: skip
                await gateway.saturated()
                await app.saturated()
                before = {pod.uid for pod in await api.pods()}
                await kube.helm(*command, "--wait", "--timeout=180s")
                await stage.kubectl("rollout", "restart", "deployment/chat")
                assert gateway.live
                assert app.live
                await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
                assert not before & {pod.uid for pod in await settled(api, 120)}
                assert await _images(kube.NAMESPACE, kube.GATEWAY_PODS) == {image}
                await stage.ready(2)
                assert await _images(stage.namespace, "app=chat") == {image}
            outcomes = await gateway.finish(), await app.finish()
        assert gateway.broken() == [], summary(outcomes[0])
        assert app.broken() == [], summary(outcomes[1])


async def _tagged(image: str, tag: str) -> str:
    """The same image under another tag, on every node that runs pods."""
    other = f"{image.rpartition(':')[0]}:{tag}"
    nodes = (
        await kube.kubectl("get", "nodes", "--output=name", "--selector=!node-role.kubernetes.io/control-plane")
    ).split()
    for node in nodes:
        names = (f"docker.io/library/{image}", f"docker.io/library/{other}")
        tagging = ("ctr", "--namespace=k8s.io", "images", "tag", "--force", *names)
        await kube.run("docker", "exec", node.removeprefix("node/"), *tagging)
    return other


async def _images(namespace: str, selector: str) -> set[str]:
    """The images of the sidecars of these pods: the injected ones, or the pods' only containers."""
    pods = json.loads(
        await kube.kubectl("--namespace", namespace, "get", "pods", "--selector", selector, "--output=json")
    )["items"]
    specs = [pod["spec"] for pod in pods]
    return {(spec.get("initContainers") or spec["containers"])[0]["image"] for spec in specs}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_a_change(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
