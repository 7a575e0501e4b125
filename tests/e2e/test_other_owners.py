"""A DrainPolicy for an owner of ReplicaSets that Kubernetes does not know: an Argo Rollout, by its definition alone."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.kube import until
from tests.e2e.stage import Object, app_container, drain_policy, ending, pod_template, service, staged, stream_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

_KIND = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
_KUBECTL = ("kubectl", "--context", kube.CONTEXT)
_SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
_DEFINITION: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rollouts.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "scope": "Namespaced",
        "names": {"kind": "Rollout", "plural": "rollouts", "singular": "rollout"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
                "subresources": {"scale": {**_SCALE, "labelSelectorPath": ".status.selector"}},
            }
        ],
    },
}


@pytest_asyncio.fixture(loop_scope="session")
async def defined(cluster: None) -> AsyncIterator[None]:
    await kube.run(*_KUBECTL, "apply", "--filename=-", stdin=json.dumps(_DEFINITION).encode())
    await kube.run(*_KUBECTL, "wait", "--for=condition=Established", "--timeout=60s", "crd/rollouts.argoproj.io")
    yield
    await kube.run(*_KUBECTL, "delete", "crd", "rollouts.argoproj.io", "--timeout=60s")


async def test_the_pods_of_a_rollout_leave_in_order(defined: None) -> None:
    async with staged("rollout") as stage:
        rollout = {**_KIND, "metadata": {"name": "chat"}, "spec": {"replicas": 2}, "status": {"selector": "app=chat"}}
        policy = drain_policy()
        policy["spec"]["targetRef"] = {**_KIND, "name": "chat"}
        await stage.apply(rollout, policy, service(), stream_proxy())
        uid = (await stage.get("rollouts.argoproj.io", "chat"))["metadata"]["uid"]
        labels = {"app": "chat", "rollouts-pod-template-hash": "abc"}
        revision = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": "chat-abc",
                "labels": labels,
                "annotations": {"rollout.argoproj.io/revision": "1"},
                "ownerReferences": [{**_KIND, "name": "chat", "uid": uid, "controller": True}],
            },
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": pod_template(app_container(stage.image), labels=labels),
            },
        }
        await stage.apply(revision)
        first, second = await stage.ready(2)
        await stage.says("drainpolicy/chat", "Accepted", "True", "Rollout chat: 2 pods with a sidecar")
        held = [stage.hold(first, 3, 30.0), stage.hold(second, 1, 30.0)]
        for each in held:
            await each.under_way()
        await stage.kubectl("scale", "replicaset/chat-abc", "--replicas=1")

        async def chosen() -> bool:
            return any(ending(pod) for pod in await stage.pods())

        await until(chosen, 60, "a pod that leaves")
        assert [pod["metadata"]["name"] for pod in await stage.pods() if ending(pod)] == [second]
        assert "argoproj" not in await stage.decisions()  # nothing of it was refused to the webhook
        for each in held:
            await each.abandon()
