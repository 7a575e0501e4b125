"""A pod that leaves while no other may take its requests: it serves them until another can."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from tests.e2e import kube
from tests.e2e.kube import until
from tests.e2e.stage import (
    Object,
    Stage,
    app_container,
    ask,
    deployment,
    drain_policy,
    ending,
    is_ready,
    pod_template,
    service,
    staged,
    stream_proxy,
)
from tests.support.together import Together

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

cases = Together()
NODE = "kubernetes.io/hostname"
_HERE, _ELSEWHERE = "lastcall-worker", "lastcall-worker2"
#: Longer than a readiness probe takes to fail (3 times each 2 s), and endpoints to follow it.
_UNREADY_SECONDS = 15
#: The settle time is that of the defaults: on a busy machine half a second between two requests is sometimes more.
_DRAIN = {"ceilingSeconds": 90, "settleSeconds": 5}
_DEAF = """import http.server, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.test(http.server.SimpleHTTPRequestHandler, port=8000)"""
_HEADERS = {"x-api-key": "a-client", "anthropic-version": "2023-06-01"}


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[list[str]]:
    """Ask each half second over a new connection; whatever is not a whole answer is listed."""
    failed: list[str] = []
    answered = 0

    async def call(client: httpx.AsyncClient) -> None:
        nonlocal answered
        try:
            answer = await client.post(f"{url}/v1/messages", json=ask(0.1), headers=_HEADERS)
        except httpx.HTTPError as error:
            failed.append(f"{time.strftime('%X')} {error!r}")
            return
        answered += 1
        if answer.status_code != 200 or b"message_stop" not in answer.content:
            failed.append(f"{time.strftime('%X')} {answer.status_code} {answer.content[:200]!r}")

    async def calls() -> None:
        fresh = httpx.Limits(max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(timeout=20.0, trust_env=False, limits=fresh) as client,
            asyncio.TaskGroup() as group,
        ):
            while True:
                group.create_task(call(client))
                await asyncio.sleep(0.5)

    task = asyncio.create_task(calls())
    try:
        yield failed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert answered > 0


async def restarted(stage: Stage, template: Object, before: str) -> None:
    """Have the one pod replaced by one of this template; return when it leaves."""
    template["metadata"]["annotations"] = {"restarted": "true"}
    await stage.patch("deployment/chat", {"spec": {"template": template}})

    async def holds() -> bool:
        return all(ending(pod) for pod in await stage.pods() if pod["metadata"]["name"] == before)

    await until(holds, 60, "the pod leaves")


@cases.add
async def its_successor_needs_long_to_be_ready() -> None:
    async with staged("late-successor") as stage:
        app = app_container(stage.image)
        app["readinessProbe"]["initialDelaySeconds"] = _UNREADY_SECONDS
        template = pod_template(app)
        one_at_a_time = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        await stage.apply(stream_proxy(drain=_DRAIN), service(), deployment(template, 1, strategy=one_at_a_time))
        [before] = await stage.ready(1)
        async with calling(await stage.url()) as failed:
            await restarted(stage, template, before)

            async def replaced() -> bool:
                return any(is_ready(pod) and pod["metadata"]["name"] != before for pod in await stage.pods())

            await until(replaced, 120, "a successor that is Ready")
            await asyncio.sleep(3)
        assert failed == []


@cases.add
async def its_successor_is_on_another_node_and_traffic_stays_local() -> None:
    async with staged("local-traffic") as stage:
        template = pod_template(app_container(stage.image))
        template["spec"]["nodeSelector"] = {NODE: _HERE}
        local = service()
        local["spec"]["externalTrafficPolicy"] = "Local"
        await stage.apply(stream_proxy(drain=_DRAIN), local, deployment(template, 1))
        [before] = await stage.ready(1)
        port = (await stage.get("service", "chat"))["spec"]["ports"][0]["nodePort"]
        async with calling(f"http://{await address(_HERE)}:{port}") as failed:
            template["spec"]["nodeSelector"] = {NODE: _ELSEWHERE}
            await restarted(stage, template, before)
            await asyncio.sleep(_UNREADY_SECONDS)
        assert failed == []


@cases.add
async def its_app_does_not_end() -> None:
    """It is deleted again with the app's own grace, and told of. (Kubelets keep to the first one: kubernetes#83916.)"""
    async with staged("deaf-app") as stage:
        app = app_container(stage.image, command=["python", "-c", _DEAF], args=[])
        app["readinessProbe"]["httpGet"]["path"] = "/"
        await stage.apply(stream_proxy(), drain_policy(), service(), deployment(pod_template(app), 1))
        [name] = await stage.ready(1)
        await stage.kubectl("delete", "pod", name, "--wait=false")
        first = (await stage.get("pod", name))["metadata"]["deletionGracePeriodSeconds"]

        async def told() -> bool:
            return any(name in message for message in await stage.events("AppDoesNotEnd"))

        await until(told, 60, "the event")
        assert (await stage.get("pod", name))["metadata"]["deletionGracePeriodSeconds"] < first
        await stage.says("drainpolicy/chat", "Draining", "True", "AppDoesNotEnd", name)


async def address(node: str) -> str:
    """Where a node is reached from this machine."""
    found = json.loads(await kube.run("kubectl", "--context", kube.CONTEXT, "get", "node", node, "--output=json"))
    return next(each["address"] for each in found["status"]["addresses"] if each["type"] == "InternalIP")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(cluster: None) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    async with cases.started() as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_the_last_pod_serves_until(running: Mapping[str, asyncio.Task[None]], name: str) -> None:
    await running[name]
