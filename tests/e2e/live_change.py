"""Scenario 8: a StreamProxy changes, a secret is rotated, and a bad change comes, all under live streams.

It mostly waits for kubelets, so it is run beside others.
"""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests.e2e import kube
from tests.e2e.busy import Busy
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
        # What it takes without this has been seen above: a kubelet that has a reason to look at the pod looks at once.
        await stage.kubectl("annotate", "pods", "--selector=app=chat", "e2e.example/woken=true")
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
