"""Scenario 8: a StreamProxy changes, a secret is rotated, and a bad change comes, all under live streams."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests.e2e import kube
from tests.e2e.kube import CommandFailedError, until
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

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

#: The kubelet brings a changed ConfigMap or Secret within its sync period and its cache's.
_SYNC_SECONDS = 120.0


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


async def test_a_change_a_rotated_secret_and_a_bad_change(cluster: None) -> None:
    async with staged("config") as stage:
        await stage.apply(_secret("one: a-client\n"), _gateway(), service(), drain_policy())
        await stage.apply(deployment(pod_template(_container(stage.image)), 2))
        pods = await stage.ready(2)
        await stage.says("streamproxy/chat", "Configured", "True")
        before = {pod: await stage.livez(pod) for pod in pods}
        held = [stage.hold(pod, 2, 80) for pod in pods]
        await stage.carries(dict.fromkeys(pods, 2))

        # A good change and a new key: in force without a restart.
        await stage.apply(_secret("one: a-client\ntwo: another-client\n"))
        await stage.apply(_gateway(limits={"maxDurationSeconds": 86, "maxConcurrent": 7}))
        changed = (await stage.get("streamproxy/chat"))["metadata"]["generation"]

        async def in_force() -> bool:
            gauges = [await stage.livez(pod) for pod in pods]
            return all(gauge is not None and gauge["config"]["generation"] == changed for gauge in gauges)

        await until(in_force, _SYNC_SECONDS, "the change is in force")
        await stage.says("streamproxy/chat", "Configured", "True")
        await until(lambda: _accepted(stage, "another-client"), _SYNC_SECONDS, "the new key is taken")
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
        assert await _accepted(stage, "another-client")

        verdicts = [verdict for pod in held for verdict in await pod.wait()]
        assert broken(verdicts) == []
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


async def test_helm_upgrade_and_rollback_drop_nothing(cluster: None) -> None:
    """Scenario 10, first half: Lastcall itself is upgraded and rolled back under streams and a paced rollout."""
    async with staged("upgrade") as stage:
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 2))
        pods = await stage.ready(2)
        held = [stage.hold(pod, 2, 60) for pod in pods]
        await stage.carries(dict.fromkeys(pods, 2))
        revision = json.loads(await kube.helm("list", "--output=json", "--filter=^lastcall$"))[0]["revision"]
        chart = str(kube.ROOT / "charts" / "lastcall")
        await kube.helm("upgrade", "lastcall", chart, "--reuse-values", "--set=operator.logLevel=debug", "--wait")
        await stage.kubectl("rollout", "restart", "deployment/chat")
        await kube.helm("rollback", "lastcall", str(revision), "--wait")
        await stage.kubectl("rollout", "status", "deployment/chat", "--timeout=150s", within_seconds=160)
        assert broken([verdict for pod in held for verdict in await pod.wait()]) == []
        await asyncio.sleep(1)
        assert all("lastcall.dev/injected" in pod["metadata"]["annotations"] for pod in await stage.pods())
