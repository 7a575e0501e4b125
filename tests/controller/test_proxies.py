"""StreamProxies: what keeps pods from their sidecar, told where somebody looks; and what is not ours is left alone."""

import copy
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    STREAM_PROXIES,
)
from lastcall_operator.errors import ApiUnavailableError
from lastcall_operator.testing import FakeCluster, deployment, replica_set
from tests.controller.test_process import stream_proxy
from tests.controller.world import World, condition, world

FREE = [{"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8000}]}]
TAKEN = [*FREE, {"name": "b", "image": "b:1", "ports": [{"containerPort": port} for port in (15080, 18080, 28080)]}]


def put_workload(it: World, containers: Any) -> None:
    made = deployment(replicas=2)
    labels = {"app": "chat", names.INJECT_LABEL: names.TRUE}
    made["spec"]["template"] = {"metadata": {"labels": labels}, "spec": {"containers": copy.deepcopy(containers)}}
    it.cluster.put(DEPLOYMENTS, made)
    it.cluster.put(REPLICA_SETS, replica_set())


def told(it: World, kind: str) -> tuple[str, str, str]:
    found = condition(it.cluster.get(STREAM_PROXIES, "default", "chat")["status"], kind)
    return found["status"], found["reason"], found["message"]


def warnings(it: World) -> set[tuple[str, str, str]]:
    return {
        (each["involvedObject"]["kind"], each["involvedObject"]["name"], each["reason"])
        for each in it.cluster.all(EVENTS)
        if each["type"] == "Warning"
    }


async def test_a_taken_port_is_told_although_no_pod_can_exist() -> None:
    async with world() as it:
        put_workload(it, TAKEN)
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        assert await it.proxy() == 5.0
        status, _, message = told(it, "PortConflict")
        assert status == "True"
        assert "Deployment chat: spec.containers[].ports: none of 15080, 18080, 28080" in message
        assert told(it, "Ready")[:2] == ("False", "PortConflict")
        assert {("Deployment", "chat", "PortConflict"), ("StreamProxy", "chat", "PortConflict")} <= warnings(it)
        written = it.writes()
        it.later()
        await it.proxy()
        assert it.writes() == written  # told once for as long as it is so
        put_workload(it, FREE)
        await it.proxy()
        assert told(it, "PortConflict")[0] == "False"


async def test_what_else_the_webhook_refuses_is_told_on_the_workload() -> None:
    async with world() as it:
        put_workload(it, FREE)
        it.cluster.put(STREAM_PROXIES, stream_proxy(appPort="grpc"))
        await it.proxy()
        assert told(it, "PortConflict")[0] == "False"
        assert told(it, "Ready")[1] == "InjectionRefused"
        assert "grpc" in it.said_of("Deployment", "chat")["InjectionRefused"][0]


def put_injected(it: World, name: str) -> None:
    it.add_pod(name, annotations={names.STREAM_PROXY: "chat"})
    made = it.cluster.get(PODS, "default", name)
    url = {"name": "LASTCALL_UPSTREAM__URL", "value": "http://127.0.0.1:8000"}
    made["spec"]["initContainers"] = [{"name": names.SIDECAR_CONTAINER, "env": [url]}]
    it.cluster.put(PODS, made)


async def test_services_around_the_sidecar_are_told_on_the_workload_in_one_sentence() -> None:
    async with world() as it:
        put_workload(it, FREE)
        put_injected(it, "chat-a")
        put_injected(it, "chat-b")
        for name in ("numbered", "plain"):
            spec = {"selector": {"app": "chat"}, "ports": [{"port": 8000}]}
            it.cluster.put(SERVICES, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        await it.proxy()
        assert told(it, "Bypassed")[0] == "True"
        assert {("Deployment", "chat", "Bypassed"), ("StreamProxy", "chat", "Bypassed")} <= warnings(it)
        (message,) = it.said_of("Deployment", "chat")["Bypassed"]
        assert message.startswith("Service numbered, plain lead around the sidecar")
        (event,) = [
            each
            for each in it.cluster.all(EVENTS)
            if (each["involvedObject"]["kind"], each["reason"]) == ("Deployment", "Bypassed")
        ]
        assert (event["involvedObject"]["uid"], event["count"]) == ("uid-deployments-chat", 1)


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat", "uid": "u"}],
        [{"apiVersion": "lastcall.dev/v1alpha1", "kind": "StreamProxy", "name": "another", "uid": "u"}],
        [{"apiVersion": "example.com/v1", "kind": "StreamProxy", "name": "chat", "uid": "u"}],
    ],
    ids=["nobody's", "a workload's", "another StreamProxy's", "another API's"],
)
async def test_a_config_map_that_is_not_ours_is_left_alone_and_told(owners: Any) -> None:
    async with world() as it:
        metadata = {"name": "lastcall-chat", "namespace": "default", "ownerReferences": owners}
        before = it.cluster.put(CONFIG_MAPS, {"metadata": metadata, "data": {"theirs": "x"}})
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        assert it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat") == before
        status, _, message = told(it, "Accepted")
        assert status == "False"
        assert message.startswith("ConfigMap lastcall-chat is there already and is not Lastcall's")
        assert ("StreamProxy", "chat", "ConfigRejected") in warnings(it)
        it.cluster.remove(CONFIG_MAPS, "default", "lastcall-chat")
        await it.proxy()
        assert told(it, "Accepted")[0] == "True"


async def test_the_config_map_of_a_streamproxy_that_was_there_before_is_taken_on() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        made = it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat")
        before = {"apiVersion": names.API_VERSION, "kind": "StreamProxy", "name": "chat", "uid": "of-the-one-before"}
        bare = {"name": "lastcall-chat", "namespace": "default", "uid": "u", "ownerReferences": [before]}
        it.cluster.put(CONFIG_MAPS, {**made, "metadata": bare})
        await it.proxy()
        taken = it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat")["metadata"]
        assert taken["annotations"] == {names.STREAM_PROXY: "chat"}
        assert not taken.get("ownerReferences")
        assert told(it, "Accepted")[0] == "True"


async def test_a_drain_key_that_is_none_is_told_and_pods_get_their_configuration() -> None:
    async with world() as it:
        secret = {"metadata": {"name": "lastcall-drain-key", "namespace": "default"}, "data": {"private.pem": "bm8="}}
        it.cluster.put(SECRETS, secret)
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        assert "publicKey" not in it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat")["data"][names.CONFIG_FILE]
        status, _, message = told(it, "KeyUnusable")
        assert status == "True"
        assert message.startswith("Secret lastcall-drain-key: private.pem is no private key")
        assert ("StreamProxy", "chat", "KeyUnusable") in warnings(it)
        it.cluster.remove(SECRETS, "default", "lastcall-drain-key")
        await it.proxy()
        assert told(it, "KeyUnusable")[0] == "False"
        assert "publicKey" in it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat")["data"][names.CONFIG_FILE]


class WithoutSecrets(FakeCluster):
    """An API server that cannot read a Secret at the moment, and does everything else."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        secret = "/secrets" in request.path
        return web.json_response({}, status=503) if secret else await super()._handle(request)


async def test_a_key_that_cannot_be_read_for_now_is_not_taken_for_none() -> None:
    async with world(WithoutSecrets) as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        with pytest.raises(ApiUnavailableError):
            await it.proxy()
        assert it.cluster.all(CONFIG_MAPS) == []


async def test_the_longest_name_has_its_configuration() -> None:
    async with world() as it:
        made, name = stream_proxy(), "a" * names.MAX_NAME_CHARS
        it.cluster.put(STREAM_PROXIES, {**made, "metadata": {**made["metadata"], "name": name}})
        await it.proxy(name)
        (found,) = it.cluster.all(CONFIG_MAPS)
        assert max(map(len, found["metadata"]["labels"].values())) <= 63, "the API server takes no longer ones"
        assert found["metadata"]["annotations"] == {names.STREAM_PROXY: name}


async def test_a_configuration_that_cannot_be_written_is_told() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        it.cluster.refused["POST", "configmaps"] = HTTPStatus.FORBIDDEN  # a quota, say
        await it.proxy()
        status, _, message = told(it, "Accepted")
        assert status == "False"
        assert "configmaps" in message
        it.cluster.refused.clear()
        await it.proxy()
        assert told(it, "Accepted")[0] == "True"
