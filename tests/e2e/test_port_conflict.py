"""A pod that cannot have its sidecar never exists: the StreamProxy and the workload say why, and it mends itself."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kube import CommandFailedError, until
from tests.e2e.stage import Stage, app_container, deployment, pod_template, service, staged, stateful_set, stream_proxy
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

#: Where the sidecar would listen for traffic; each is taken by the app itself.
_TAKEN = [{"containerPort": port} for port in (15080, 18080, 28080)]
cases = Together(4)


def _crowded(image: str) -> Any:
    container = app_container(image)
    return {**container, "ports": [*container["ports"], *_TAKEN]}


async def _told(stage: Stage, kind: str, reason: str, *words: str) -> None:
    """Wait for a warning event on the workload."""

    async def holds() -> bool:
        return any(
            event["type"] == "Warning"
            and (event["reason"], event["involvedObject"]["kind"]) == (reason, kind)
            and all(word in event["message"] for word in words)
            for event in (await stage.get("events"))["items"]
        )

    await until(holds, 40, f"a warning {reason} on the {kind} with {words}")


@cases.add
async def a_taken_port_is_a_condition_and_an_event_until_it_is_free() -> None:
    async with staged("ports") as stage:
        await stage.apply(stream_proxy(), service(), deployment(pod_template(_crowded(stage.image)), 1))
        await stage.says("streamproxy/chat", "PortConflict", "True", "Deployment chat", "15080, 18080, 28080")
        await stage.says("streamproxy/chat", "Ready", "False", "PortConflict")
        await _told(stage, "Deployment", "PortConflict", "15080, 18080, 28080")
        assert await stage.pods() == []
        await stage.apply(deployment(pod_template(app_container(stage.image)), 1))
        await stage.ready(1)
        await stage.says("streamproxy/chat", "PortConflict", "False")
        await stage.says("streamproxy/chat", "Ready", "True")


@cases.add
async def two_containers_that_claim_the_port_are_a_conflict_while_the_old_pods_serve() -> None:
    async with staged("ports-two") as stage:
        await stage.apply(stream_proxy(), stateful_set(pod_template(app_container(stage.image)), 1))
        await stage.ready(1)
        await stage.says("streamproxy/chat", "PortConflict", "False")
        twice = pod_template(app_container(stage.image))
        twice["spec"]["containers"].append(app_container(stage.image, name="twin"))
        await stage.apply(stateful_set(twice, 1))
        await stage.says("streamproxy/chat", "PortConflict", "True", "StatefulSet chat", "app and twin")
        await _told(stage, "StatefulSet", "PortConflict", "app and twin")
        await stage.ready(1)


@cases.add
async def a_service_around_the_sidecar_is_told_on_the_workload() -> None:
    async with staged("ports-bypass") as stage:
        await stage.apply(stream_proxy(), service(targetPort=8000))
        await stage.apply(deployment(pod_template(app_container(stage.image)), 1))
        await stage.ready(1)
        await stage.says("streamproxy/chat", "Bypassed", "True", "8000")
        await _told(stage, "Deployment", "Bypassed", "8000")


@cases.add
async def a_config_map_of_somebody_else_s_is_left_alone() -> None:
    async with staged("ports-taken-name") as stage:
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lastcall-chat"}, "data": {"a": "b"}}
        await stage.apply(theirs)
        await stage.apply(stream_proxy())
        await stage.says("streamproxy/chat", "Accepted", "False", "ConfigMap lastcall-chat")
        assert (await stage.get("configmap/lastcall-chat"))["data"] == {"a": "b"}
        await stage.kubectl("delete", "configmap/lastcall-chat")
        await stage.says("streamproxy/chat", "Accepted", "True")


@cases.add
async def what_no_pod_can_be_is_refused_by_the_api_server() -> None:
    async with staged("ports-nonsense") as stage:
        expressions: list[dict[str, Any]] = [
            {"key": "app", "operator": "In"},
            {"key": "app", "operator": "Exists", "values": ["chat"]},
            {"key": "a b!", "operator": "Exists"},
        ]
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"selector": {"matchLabels": {"a b!": "x"}}}, "spec.selector.matchLabels"),
            ({"selector": {"matchLabels": {"app": "x y"}}}, "spec.selector.matchLabels"),
            *(({"selector": {"matchExpressions": [each]}}, "spec.selector.matchExpressions") for each in expressions),
            ({"sidecar": {"resources": {"requests": 5}}}, "spec.sidecar.resources.requests"),
            ({"sidecar": {"resources": {"limits": {"memory": "lots"}}}}, "spec.sidecar.resources.limits"),
        ]
        for spec, words in wrong:
            with pytest.raises(CommandFailedError) as caught:
                await stage.apply(stream_proxy(**spec))
            assert words in str(caught.value)
        good = {"matchLabels": {"app.kubernetes.io/name": "chat", "tier": ""}}
        resources = {"requests": {"cpu": 1, "memory": "128Mi"}, "limits": {"memory": "1e9"}}
        await stage.apply(stream_proxy(selector=good, sidecar={"resources": resources}))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_ports(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
