"""The operator among 500 simulated sidecars: `python -m benchmarks.operator [--pods 500] [--removals 60]`.

The sidecars (real HTTP endpoints, an address each) and the API server are another process; the webhook serves over TLS
in this one, together with the client that asks as the API server does. Each removal comes when what was seen for the
last one is no longer shared, so that each makes its own LIST and its own poll. Prints a line of JSON.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import random
import socket
import ssl
import statistics
import time
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
from kubernetes.aio.client.configuration import Configuration

from lastcall_operator import logs
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    MUTATING_WEBHOOKS,
    PODS,
    REPLICA_SETS,
    VALIDATING_WEBHOOKS,
)
from lastcall_operator.settings import Settings
from lastcall_operator.testing import (
    FakeCluster,
    FakeSidecars,
    deployment,
    drain_policy,
    pod,
    pod_deletion_review,
    replica_set,
)
from lastcall_operator.webhook.process import Webhook, running

HOST = "f-webhook.lastcall.svc"
#: Longer than the quarter of a second for which a look at the workload is shared.
APART_SECONDS = 0.35
MAX_LOAD = 40
BURST = 50


async def _cluster(pods: int, pipe: Connection) -> None:
    """The other process: until the pipe says that it is over."""
    chance = random.Random(7)
    async with FakeCluster() as cluster, FakeSidecars() as sidecars:
        for resource, name in ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals")):
            cluster.put(resource, {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {}}]})
        cluster.put(DEPLOYMENTS, deployment(replicas=pods))
        cluster.put(REPLICA_SETS, replica_set())
        cluster.put(DRAIN_POLICIES, drain_policy(maxDraining=5))
        for number in range(pods):
            name = f"chat-{number}"
            sidecar = sidecars.add(name, f"uid-{name}", in_flight=chance.randint(1, MAX_LOAD))
            cluster.put(PODS, pod(name, sidecar, port=sidecars.port))
        pipe.send(cluster.url)
        while not pipe.poll():  # noqa: ASYNC110 - a pipe between processes
            await asyncio.sleep(0.2)


def _run_cluster(pods: int, pipe: Connection) -> None:
    asyncio.run(_cluster(pods, pipe))


class _Caller:
    """Calls the webhook as the API server does."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings, bundle: str) -> None:
        self._http = http
        self._context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
        self._url = f"https://127.0.0.1:{settings.webhook_port}/validate/removals"
        self.said: list[str] = []

    async def remove(self, victim: dict[str, Any]) -> float:
        """Ask for one removal; gives the seconds until its answer."""
        body = json.dumps(pod_deletion_review(victim))
        headers = {"content-type": "application/json"}
        started = time.perf_counter()
        async with self._http.post(
            self._url, data=body, headers=headers, ssl=self._context, server_hostname=HOST
        ) as answer:
            review = await answer.json()
        self.said.append(review["response"]["auditAnnotations"]["why"])
        return time.perf_counter() - started


async def _ready(webhook: Webhook) -> None:
    async with asyncio.timeout(20):
        while not webhook.ready:  # noqa: ASYNC110 - seen from outside, as a probe does
            await asyncio.sleep(0.02)


async def measure(url: str, pods: int, removals: int) -> dict[str, Any]:
    """Figures of the webhook: seconds."""
    configuration = Configuration()
    configuration.host = url
    tls, plain = _free_ports(2)
    settings = Settings(own_namespace="lastcall", fullname="f", webhook_port=tls, admin_port=plain)
    chance = random.Random(11)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(configuration))
        webhook = await stack.enter_async_context(running(settings, api, host="127.0.0.1"))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await _ready(webhook)
        found = await api.get(VALIDATING_WEBHOOKS, None, "f-removals")
        caller = _Caller(http, settings, found["webhooks"][0]["clientConfig"]["caBundle"])
        victims = await api.list(PODS)
        first = await caller.remove(victims[0])  # the one that writes the costs of all
        await asyncio.sleep(5)
        cpu, seconds = time.process_time(), []
        for _ in range(removals):
            seconds.append(await caller.remove(chance.choice(victims)))
            await asyncio.sleep(APART_SECONDS)
        cpu = time.process_time() - cpu
        burst_started = time.perf_counter()
        burst = await asyncio.gather(*(caller.remove(victim) for victim in chance.sample(victims, BURST)))
        burst_seconds = time.perf_counter() - burst_started
    return {
        "pods": pods,
        "removals": removals,
        "first_seconds": round(first, 3),
        "p50_seconds": round(statistics.median(seconds), 3),
        "p99_seconds": round(statistics.quantiles(seconds, n=100, method="inclusive")[98], 3),
        "max_seconds": round(max(seconds), 3),
        "cpu_seconds_per_removal": round(cpu / removals, 3),
        f"burst_of_{BURST}_seconds": round(burst_seconds, 3),
        f"burst_of_{BURST}_slowest_seconds": round(max(burst), 3),
        "faults": sum("could not decide" in why for why in caller.said),
    }


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator", description=__doc__)
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--removals", type=int, default=60)
    arguments = parser.parse_args()
    logs.set_up("error", "json")
    ours, theirs = multiprocessing.Pipe()
    cluster = multiprocessing.get_context("spawn").Process(target=_run_cluster, args=(arguments.pods, theirs))
    cluster.start()
    try:
        print(json.dumps(asyncio.run(measure(ours.recv(), arguments.pods, arguments.removals))))
    finally:
        ours.send("over")
        cluster.join(10)
        cluster.kill()


if __name__ == "__main__":
    main()
