"""The process as it runs: kopf's real watches against a real HTTP API server."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DRAIN_POLICIES,
    EVENTS,
    PODS,
    REPLICA_SETS,
    STREAM_PROXIES,
)
from lastcall_operator.controller.process import main
from lastcall_operator.settings import Settings
from lastcall_operator.testing import FakeSidecars, WatchedCluster, deployment, drain_policy, pod, replica_set

PATIENCE_SECONDS = 6.0


async def until(condition: Any, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def kubeconfig(folder: Path, url: str) -> str:
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {"token": "nobody"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(found))
    return str(path)


def stream_proxy(**spec: Any) -> dict[str, Any]:
    default = {"selector": {"matchLabels": {"app": "chat"}}, "mode": "Ingress", "appPort": "http"}
    return {"metadata": {"name": "chat", "namespace": "default", "generation": 1}, "spec": {**default, **spec}}


async def test_policies_and_proxies_are_looked_after_from_watches_alone(tmp_path: Path) -> None:
    async with WatchedCluster() as cluster, FakeSidecars() as sidecars:
        cluster.put(DEPLOYMENTS, deployment(replicas=2))
        cluster.put(REPLICA_SETS, replica_set())
        for number in range(2):
            sidecar = sidecars.add(f"chat-{number}", f"uid-{number}", in_flight=number + 1)
            cluster.put(PODS, pod(sidecar.pod, sidecar, port=sidecars.port, annotations={names.STREAM_PROXY: "chat"}))
        cluster.put(DRAIN_POLICIES, drain_policy())
        cluster.put(STREAM_PROXIES, stream_proxy())
        before = {obj["metadata"]["name"]: obj for obj in cluster.all(PODS)}
        port, stop = free_port(), asyncio.Event()
        settings = Settings(kubeconfig=kubeconfig(tmp_path, cluster.url), admin_port=port, own_namespace="default")
        running = asyncio.create_task(main(settings, stop=stop))
        try:

            def status(resource: Any) -> dict[str, Any]:
                return cluster.get(resource, "default", "chat").get("status") or {}

            await until(lambda: status(DRAIN_POLICIES).get("inFlight") == 3, "the policy counts what is in flight")
            await until(lambda: status(STREAM_PROXIES).get("configHash"), "the proxy tells its hash")
            text = cluster.get(CONFIG_MAPS, "default", "lastcall-chat")["data"][names.CONFIG_FILE]
            assert "publicKey" in yaml.safe_load(text)["drain"]
            dying = cluster.get(PODS, "default", "chat-1")
            dying["metadata"] |= {"deletionTimestamp": "2026-11-22T11:00:00Z", "deletionGracePeriodSeconds": 2000}
            cluster.put(PODS, dying)
            await until(lambda: sidecars_of(sidecars, "chat-1").leases, "the sidecar is given its trace context")
            assert sidecars_of(sidecars, "chat-1").headers[0].get("traceparent", "").startswith("00-")
            cluster.remove(PODS, "default", "chat-1")
            reasons = lambda: {event["reason"] for event in cluster.all(EVENTS)}  # noqa: E731
            await until(lambda: reasons() & {"DrainFinished", "DrainExpired"}, "its end is told")
            assert "DrainStarted" in reasons()
            marked = cluster.get(PODS, "default", "chat-0")
            marked["metadata"]["annotations"] |= {names.DELETION_COST: "1", names.COST_WRITTEN: "1"}
            cluster.put(PODS, marked)
            cluster.remove(DRAIN_POLICIES, "default", "chat")
            left = lambda: cluster.get(PODS, "default", "chat-0")["metadata"]["annotations"]  # noqa: E731
            await until(lambda: names.COST_WRITTEN not in left(), "what the policy left on pods goes with it")
            async with aiohttp.ClientSession() as session:
                for path in ("livez", "readyz", "metrics"):
                    async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                        assert answer.status == 200, await answer.text()
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)
        left = cluster.get(PODS, "default", "chat-0")
        assert left["metadata"]["annotations"] == before["chat-0"]["metadata"]["annotations"]
        for resource in (PODS, DRAIN_POLICIES, STREAM_PROXIES):
            for obj in cluster.all(resource):
                assert not obj["metadata"].get("finalizers")
                assert not [key for key in obj["metadata"].get("annotations") or {} if "kopf" in key or "never" in key]


async def test_a_template_that_cannot_be_injected_is_seen_by_the_watches(tmp_path: Path) -> None:
    async with WatchedCluster() as cluster:

        def put(port: str) -> None:
            made = deployment(replicas=1)
            made["metadata"]["generation"] = 2  # its controller has not seen it
            labels = {"app": "chat", names.INJECT_LABEL: names.TRUE}
            containers = [{"name": "app", "ports": [{"name": port, "containerPort": 8000}]}]
            made["spec"]["template"] = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
            cluster.put(DEPLOYMENTS, made)

        def ready() -> str:
            found = (cluster.get(STREAM_PROXIES, "default", "chat").get("status") or {}).get("conditions") or []
            return next((each["reason"] for each in found if each["type"] == "Ready"), "")

        put("grpc")
        cluster.put(DEPLOYMENTS, deployment("other"))  # asks for nothing
        cluster.put(STREAM_PROXIES, stream_proxy())
        stop = asyncio.Event()
        settings = Settings(kubeconfig=kubeconfig(tmp_path, cluster.url), admin_port=free_port())
        running = asyncio.create_task(main(settings, stop=stop))
        try:
            await until(lambda: ready() == "InjectionRefused", "it is told")
            put("http")
            await until(lambda: ready() == "NoPods", "and taken back, before the next look is due", seconds=3.0)
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)


async def test_what_went_while_the_api_server_restarted_is_noticed(tmp_path: Path) -> None:
    async with WatchedCluster() as cluster, FakeSidecars() as sidecars:
        cluster.put(DEPLOYMENTS, deployment(replicas=2))
        cluster.put(REPLICA_SETS, replica_set())
        for number in range(2):
            sidecar = sidecars.add(f"chat-{number}", f"uid-{number}", in_flight=number + 1)
            cluster.put(PODS, pod(sidecar.pod, sidecar, port=sidecars.port))
        cluster.put(DRAIN_POLICIES, drain_policy())
        settings = Settings(kubeconfig=kubeconfig(tmp_path, cluster.url), admin_port=free_port())

        def rows() -> list[str]:
            status = cluster.get(DRAIN_POLICIES, "default", "chat").get("status") or {}
            return sorted(each["name"] for each in status.get("pods") or [])

        stop = asyncio.Event()
        running = asyncio.create_task(main(settings, stop=stop, quiet_seconds=0.5))
        try:
            await until(lambda: rows() == ["chat-0", "chat-1"], "both are seen")
            looks = lambda: cluster.requests["GET", "services"]  # noqa: E731 - kopf's lists, and ours after them
            await until(lambda: looks() == 2, "all that is held is there")
            cluster.restart()
            await until(lambda: looks() == 4, "and still is")
            assert not stop.is_set()
            cluster.restart()
            cluster.remove(PODS, "default", "chat-1")  # no watch tells of it
            await until(stop.is_set, "it ends, to begin anew")
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)


def sidecars_of(sidecars: FakeSidecars, name: str) -> Any:
    return next(each for each in sidecars._by_ip.values() if each.pod == name)
