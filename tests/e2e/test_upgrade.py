"""Scenario 10, first half: Lastcall itself is upgraded and rolled back, under clients all the time."""

import json

import pytest

from tests.e2e import kube
from tests.e2e.gauge import settled
from tests.e2e.kube import until
from tests.e2e.load import Load, Shape
from tests.e2e.stage import app_container, deployment, drain_policy, pod_template, service, staged, stream_proxy
from tests.e2e.verdict import summary

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

_NEXT_TAG = "e2e-next"


async def test_helm_upgrade_and_rollback_drop_nothing(cluster: None) -> None:
    """Another image of the sidecar everywhere, another operator, and back."""
    async with staged("upgrade") as stage, kube.api() as api:
        await settled(api, 120)
        await stage.apply(stream_proxy(), service(), drain_policy(maxDraining=1))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 2))
        await stage.ready(2)
        newer = await _tagged(stage.image, _NEXT_TAG)
        revision = json.loads(await kube.helm("list", "--output=json", "--filter=^lastcall$"))[0]["revision"]
        chart = str(kube.ROOT / "charts" / "lastcall")
        shape = Shape(clients=16, longest_seconds=12.0)
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
                await until(_webhooks_are_new, 60, "the webhook's old pods have answered what they were asked")
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


async def _webhooks_are_new() -> bool:
    """Whether none of before is left: until it is gone it still injects what it knows."""
    pods = (await kube.get("pods", "--selector=app.kubernetes.io/component=webhook"))["items"]
    return len(pods) == 2 and not any("deletionTimestamp" in pod["metadata"] for pod in pods)


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
