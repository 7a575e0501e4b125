"""A webhook that serves over TLS beside a fake API server and fake sidecars, and a client that calls it as the API
server does: trusting nothing but the caBundle that the webhook patched into its configuration.
"""

import asyncio
import base64
import json
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    EVENTS,
    MUTATING_WEBHOOKS,
    PODS,
    REPLICA_SETS,
    VALIDATING_WEBHOOKS,
)
from lastcall_operator.settings import Settings
from lastcall_operator.testing import FakeCluster, FakeSidecars, deployment, drain_policy, pod, replica_set
from lastcall_operator.webhook.process import Webhook, running

HOST = "f-webhook.lastcall.svc"


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Stage:
    cluster: FakeCluster
    sidecars: FakeSidecars
    http: aiohttp.ClientSession
    webhooks: list[tuple[Webhook, Settings]] = field(default_factory=list)
    loads: dict = field(default_factory=dict)

    @property
    def trusted(self):
        bundle = self.cluster.get(VALIDATING_WEBHOOKS, None, "f-removals")["webhooks"][0]["clientConfig"]["caBundle"]
        return ssl.create_default_context(cadata=base64.b64decode(bundle).decode())

    async def call(self, path, body, number=0):
        port = self.webhooks[number][1].webhook_port
        data = json.dumps(body)
        headers = {"content-type": "application/json"}
        url = f"https://127.0.0.1:{port}{path}"
        async with self.http.post(url, data=data, headers=headers, ssl=self.trusted, server_hostname=HOST) as answer:
            assert answer.status == 200, await answer.text()
            review = await answer.json()
        assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert review["response"]["uid"] == body["request"]["uid"]
        return review["response"]

    async def removal(self, body, number=0):
        return await self.call("/validate/removals", body, number)

    async def probe(self, path, number=0):
        async with self.http.get(f"http://127.0.0.1:{self.webhooks[number][1].admin_port}{path}") as answer:
            return answer.status, await answer.text()

    def policy(self, **spec):
        self.cluster.put(DRAIN_POLICIES, drain_policy(**spec))

    def workload(self, **loads):
        """A Deployment `chat`, its ReplicaSet `chat-old`, and a pod for each load; None: idle and without a sidecar."""
        self.cluster.put(DEPLOYMENTS, deployment(replicas=len(loads)))
        self.cluster.put(REPLICA_SETS, replica_set())
        for name, load in loads.items():
            self.pod(name, load)

    def pod(self, name, load=0, **more):
        sidecar = None if load is None else self.sidecars.add(name, f"uid-{name}", in_flight=load)
        self.loads[name] = sidecar
        return self.cluster.put(PODS, pod(name, sidecar, port=self.sidecars.port, **more))

    def get_pod(self, name):
        return self.cluster.get(PODS, "default", name)

    def annotations(self, name):
        return self.get_pod(name)["metadata"]["annotations"]

    def events(self):
        return {
            (each["involvedObject"]["kind"], each["involvedObject"]["name"], each["reason"])
            for each in self.cluster.all(EVENTS)
        }


@asynccontextmanager
async def staged(replicas=1, prepare=lambda _: None, **settings):
    """`prepare`: what there is in the cluster before the webhooks start."""
    async with FakeCluster() as cluster, FakeSidecars() as sidecars, aiohttp.ClientSession() as http:
        configurations = ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals"))
        for resource, name in configurations:
            cluster.put(resource, {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {}}]})
        prepare(cluster)
        stage = Stage(cluster, sidecars, http)
        async with webhooks(stage, replicas, settings):
            yield stage


@asynccontextmanager
async def webhooks(stage, replicas, settings):
    if not replicas:
        yield
        return
    tls, plain = free_ports(2)
    chosen = Settings(own_namespace="lastcall", fullname="f", webhook_port=tls, admin_port=plain, **settings)
    async with stage.cluster.connect() as api, running(chosen, api, host="127.0.0.1") as webhook:
        stage.webhooks.append((webhook, chosen))
        async with asyncio.timeout(10):
            while not webhook.ready:  # noqa: ASYNC110 - seen from outside, as a probe does
                await asyncio.sleep(0.01)
        async with webhooks(stage, replicas - 1, settings):
            yield
