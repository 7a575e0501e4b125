"""The other process of the operator's benchmark: an API server with one workload, and its sidecars.

Each sidecar is a real HTTP endpoint with an address of its own. It obeys words that come through a pipe.
"""

import asyncio
import multiprocessing
import random
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    MUTATING_WEBHOOKS,
    PODS,
    REPLICA_SETS,
    STREAM_PROXIES,
    VALIDATING_WEBHOOKS,
)
from lastcall_operator.testing import FakeSidecars, WatchedCluster, deployment, drain_policy, pod, replica_set
from lastcall_operator.testing.sidecars import FakeSidecar

MAX_LOAD = 40
POLL_SECONDS = 5
#: How often each sidecar's number changes while they move: more often than anybody asks.
MOVE_SECONDS = 1.0
_LOOK_SECONDS = 0.05


class Workload:
    """The handle on the other process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def ask(self, word: str) -> Any:
        """`move`, `rest`, `leave` (one pod begins to leave), `asked` (how often sidecars were), `seen` (the status)."""
        self._pipe.send(word)
        return self._pipe.recv()


@contextmanager
def workload(pods: int) -> Iterator[Workload]:
    """So many pods, until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(pods, theirs))
    process.start()
    try:
        yield Workload(ours)
    finally:
        ours.send("over")
        process.join(10)
        process.kill()


def _run(pods: int, pipe: Connection) -> None:
    asyncio.run(_serve(pods, pipe))


async def _serve(pods: int, pipe: Connection) -> None:
    chance = random.Random(7)
    async with WatchedCluster() as cluster, FakeSidecars() as sidecars:
        found = _fill(cluster, sidecars, pods, chance)
        mover = asyncio.create_task(_move(found, chance, moving := asyncio.Event()))
        pipe.send(cluster.url)
        while True:
            while not pipe.poll():  # noqa: ASYNC110 - a pipe between processes
                await asyncio.sleep(_LOOK_SECONDS)
            word = pipe.recv()
            if word == "over":
                mover.cancel()
                return
            answer: Any = None
            if word == "move":
                moving.set()
            elif word == "rest":
                moving.clear()
            elif word == "leave":
                leaving = cluster.get(PODS, "default", "chat-0")
                leaving["metadata"] |= {"deletionTimestamp": "2099-01-01T00:00:00Z", "deletionGracePeriodSeconds": 2000}
                cluster.put(PODS, leaving)
            elif word == "asked":
                answer = sum(each.asked for each in found)
            else:
                answer = _seen(cluster, found)
            pipe.send(answer)


def _fill(cluster: WatchedCluster, sidecars: FakeSidecars, pods: int, chance: random.Random) -> list[FakeSidecar]:
    for resource, name in ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals")):
        cluster.put(resource, {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {}}]})
    made = deployment(replicas=pods)
    made["status"] = {"replicas": pods, "readyReplicas": pods}
    cluster.put(DEPLOYMENTS, made)
    cluster.put(REPLICA_SETS, replica_set())
    cluster.put(DRAIN_POLICIES, drain_policy(maxDraining=5, pollSeconds=POLL_SECONDS))
    spec = {"selector": {"matchLabels": {"app": "chat"}}, "mode": "Gateway"}
    about = {"name": "chat", "namespace": "default", "generation": 1}
    cluster.put(STREAM_PROXIES, {"metadata": about, "spec": spec})
    found = []
    for number in range(pods):
        name = f"chat-{number}"
        sidecar = sidecars.add(name, f"uid-{name}", in_flight=chance.randint(1, MAX_LOAD))
        cluster.put(PODS, pod(name, sidecar, port=sidecars.port, annotations={names.STREAM_PROXY: "chat"}))
        found.append(sidecar)
    return found


async def _move(sidecars: list[FakeSidecar], chance: random.Random, moving: asyncio.Event) -> None:
    while True:
        await moving.wait()
        for each in sidecars:
            each.in_flight = max(1, each.in_flight + chance.choice((-1, 1)))
        await asyncio.sleep(MOVE_SECONDS)


def _seen(cluster: WatchedCluster, sidecars: list[FakeSidecar]) -> dict[str, Any]:
    """What the controller says; the sidecars take the configuration that it has written."""
    policy, proxy = (
        cluster.get(each, "default", "chat").get("status") or {} for each in (DRAIN_POLICIES, STREAM_PROXIES)
    )
    for each in sidecars:
        each.config_hash = proxy.get("configHash", "")
    conditions = {each["type"]: each["status"] for each in proxy.get("conditions") or []}
    return {
        "in_flight": policy.get("inFlight"),
        "carried": sum(each.in_flight for each in sidecars),
        "configured": conditions.get("Configured"),
    }
