"""A controller's reconcilers with real HTTP on both sides; the indexes are what the API server has at the moment."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    EVENTS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    STATEFUL_SETS,
    STREAM_PROXIES,
)
from lastcall_operator.cluster.sidecars import Sidecars
from lastcall_operator.controller.cache import Cache, object_keys, pod_keys, template_keys, workload_keys
from lastcall_operator.controller.peering import Peers
from lastcall_operator.controller.process import Controller
from lastcall_operator.controller.traces import Traces
from lastcall_operator.injection import InjectionDefaults, template_of
from lastcall_operator.removal.reservations import Reservations, Reserved, parse, render
from lastcall_operator.status.records import pod_record, service_record, workload_record
from lastcall_operator.testing import FakeCluster, FakeSidecars, pod


class World:
    def __init__(
        self, cluster: FakeCluster, sidecars: FakeSidecars, api: Api, asked: Sidecars, peers: Peers | None = None
    ) -> None:
        self.cluster, self.sidecars = cluster, sidecars
        self.ahead_seconds = 0.0
        key = DrainKey(api, "default", "lastcall-drain-key")
        self.controller = Controller(
            api,
            asked,
            key,
            Traces(),
            InjectionDefaults("lastcall-sidecar:0.1.0"),
            peers=peers,
            clock=self.now,
            monotonic=lambda: time.monotonic() + self.ahead_seconds,
        )

    def now(self) -> float:
        return time.time() + self.ahead_seconds

    def look(self) -> None:
        """What the watches would have told by now."""
        workloads = [
            index(workload_keys(workload_record(each, resource.kind)) for each in self.cluster.all(resource))
            for resource in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
        ]
        found = [pod_record(each) for each in self.cluster.all(PODS)]
        services = [service_record(each) for each in self.cluster.all(SERVICES)]
        self.controller.begin(
            Cache(
                pods=index(pod_keys(each) for each in found if each.sidecar),
                workloads=tuple(workloads),
                services=index({("namespace", each.namespace): each} for each in services),
                proxies=index(object_keys(each) for each in self.cluster.all(STREAM_PROXIES)),
                policies=index(object_keys(each) for each in self.cluster.all(DRAIN_POLICIES)),
                templates=tuple(
                    index(template_keys(template_of(each, resource.kind)) for each in self.cluster.all(resource))
                    for resource in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
                ),
            )
        )

    async def policy(self, name: str = "chat") -> float | None:
        self.look()
        return await self.controller.policies._step(("default", name))

    async def marks(self) -> None:
        self.look()
        await self.controller.marks._step(("default",))

    async def proxy(self, name: str = "chat") -> float | None:
        self.look()
        return await self.controller.proxies._step(("default", name))

    def annotations(self, name: str) -> dict[str, str]:
        return dict(self.cluster.get(PODS, "default", name)["metadata"]["annotations"])

    def reserve(self, spans: Reservations, policy: str = "chat") -> None:
        """As the webhook does."""
        found = self.cluster.get(DRAIN_POLICIES, "default", policy)
        found["metadata"].setdefault("annotations", {})[names.RESERVATIONS] = render(spans)
        self.cluster.put(DRAIN_POLICIES, found)

    def reserved(self, policy: str = "chat") -> set[tuple[str, Reserved]]:
        annotations = self.cluster.get(DRAIN_POLICIES, "default", policy)["metadata"].get("annotations") or {}
        return set(parse(annotations.get(names.RESERVATIONS), self.now()))

    def add_pod(self, name: str, in_flight: int = 0, **changes: Any) -> Any:
        labels = changes.pop("labels", {})
        sidecar = self.sidecars.add(name, f"uid-{name}", in_flight=in_flight)
        made = pod(name, sidecar, port=self.sidecars.port, **changes)
        made["metadata"]["labels"] |= labels
        self.cluster.put(PODS, made)
        return sidecar

    def later(self) -> None:
        """It is so long after that the same events would be posted again."""
        self.controller.proxies._step.__self__._writes.events._said.clear()

    def said_of(self, kind: str, name: str) -> dict[str, list[str]]:
        """What has been said of one object."""
        found = defaultdict(list)
        for event in self.cluster.all(EVENTS):
            if (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == (kind, name):
                found[event["reason"]].append(event["message"])
        return dict(found)

    def said(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for event in self.cluster.all(EVENTS):
            found[event["reason"]].append(event["message"])
        return dict(found)

    def writes(self) -> int:
        return sum(count for (method, _), count in self.cluster.requests.items() if method != "GET")


def index(many: Any) -> Any:
    found = defaultdict(list)
    for keys in many:
        for key, value in keys.items():
            found[key].append(value)
    return found


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in status["conditions"] if each["type"] == kind)


@asynccontextmanager
async def world(of: type[FakeCluster] = FakeCluster, peering: str = "") -> AsyncIterator[World]:
    async with of() as cluster, FakeSidecars() as sidecars, cluster.connect() as api, Sidecars() as asked:
        yield World(cluster, sidecars, api, asked, Peers(api, peering, (), "me") if peering else None)
