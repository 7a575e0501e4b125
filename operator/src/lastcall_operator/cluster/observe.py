"""From a pod to everything that a decision about its removal rests on.

The webhook calls this for every removal; 50 at once of one workload make one LIST and one poll, because answers are
shared for a quarter of a second. What that hides of what was allowed meanwhile is in the policy's reservations, which
are read separately and written with their version. Decides nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from lastcall_operator.api import names
from lastcall_operator.api.drainpolicy import DrainPolicyObject, parse_drain_policy
from lastcall_operator.api.gauge import Gauge
from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.streamproxy import StreamProxy, parse_stream_proxy
from lastcall_operator.removal.model import Evictions, Pod, Policy, Snapshot
from lastcall_operator.removal.reservations import Reservations, Reserved, held_since, of_kind
from lastcall_operator.rollout.ordering import Order

from . import reading
from .api import Api, Object
from .flights import Flights
from .resources import DISRUPTION_BUDGETS, DRAIN_POLICIES, PODS, REPLICA_SETS, STREAM_PROXIES
from .sidecars import Sidecars, target_of
from .sidecars import Target as Sidecar
from .targets import Target, Targets, Workload, identity, owner_uid

#: Seconds for which pods, loads and policies are shared between removals.
FRESH_SECONDS = 0.25
#: Seconds for which StreamProxies and the owners of ReplicaSets are: they hardly ever change.
SETTLED_SECONDS = 1.0
#: Seconds for the poll of a workload's sidecars; who has not answered by then is silent.
POLL_SECONDS = 1.0

log = structlog.get_logger("lastcall.observe")


@dataclass(slots=True)
class View:
    """A workload at one moment. `pods` is kept up with what we write ourselves, for as long as the view is shared."""

    target: Target
    pods: dict[str, Object]
    gauges: dict[str, Gauge | None]
    min_available: int
    needed_seconds: dict[str, float]
    misses: dict[str, int]
    #: UIDs of the pods whose PodDisruptionBudgets let no eviction through now
    budgeted: frozenset[str]
    #: `pods` as decisions see them: read once for all that share the view
    _read: dict[str, Pod] = field(default_factory=dict)

    def wrote(self, pod: Object) -> None:
        """Take a pod as a patch of ours left it."""
        uid = pod["metadata"]["uid"]
        self.pods[uid] = pod
        self._read.pop(uid, None)

    def read(self, uid: str) -> Pod:
        """A pod as decisions see it."""
        if uid not in self._read:
            raw, gauge = self.pods[uid], self.gauges.get(uid)
            pod = reading.read_pod(raw, gauge, self.misses[uid], self.needed_seconds[uid])
            self._read[uid] = replace(pod, evictable=uid not in self.budgeted)
        return self._read[uid]

    def target_of(self, uid: str) -> Sidecar | None:
        """The sidecar of a pod."""
        pod = self.pods.get(uid)
        return None if pod is None else target_of(pod)

    @property
    def replicas(self) -> int:
        """How many pods are wanted."""
        return self.target.replicas


@dataclass(frozen=True, slots=True)
class Governed:
    """A workload and the policy that it is under; `raw` is the policy with its resourceVersion."""

    workload: Workload
    policy: DrainPolicyObject
    raw: Object


class Observer:
    """Looks at the cluster and the sidecars. One per process."""

    def __init__(self, api: Api, sidecars: Sidecars) -> None:
        self._api, self._sidecars, self._targets = api, sidecars, Targets(api)
        self._views: Flights[View] = Flights(FRESH_SECONDS)
        self._policies: Flights[list[Object]] = Flights(FRESH_SECONDS)
        self._parents: Flights[Object | None] = Flights(SETTLED_SECONDS)
        self._proxies: Flights[dict[str, StreamProxy]] = Flights(SETTLED_SECONDS)

    async def pod(self, namespace: str, name: str) -> Object | None:
        """A pod by its name."""
        return await self._api.find(PODS, namespace, name)

    async def governed(self, namespace: str, pod: Object) -> Governed | None:
        """The policy that a pod is under: the oldest that targets any of its owners; None without one.

        Errors: ApiError.
        """
        policies = await self._policies.get(
            namespace, lambda: self._api.list(DRAIN_POLICIES, namespace)
        )  # nearly every namespace has none, and then nothing else is asked
        owner = reading.controller_of(pod)
        if not policies or owner is None:
            return None
        owners = [identity(owner)]
        if owner["kind"] == "ReplicaSet":
            replica_set = await self._replica_set(namespace, owner["name"])
            above = None if replica_set is None else reading.controller_of(replica_set)
            if above is not None:
                owners.append(identity(above))
        return _oldest(namespace, policies, owners)

    async def policy_again(self, governed: Governed) -> Governed:
        """The same policy as it is now.

        Errors: ApiError.
        """
        raw = await self._api.get(DRAIN_POLICIES, governed.workload.namespace, governed.policy.name)
        return replace(governed, raw=raw, policy=parse_drain_policy(raw))

    async def view(self, workload: Workload) -> View:
        """The workload's pods with their loads, polled within the last quarter of a second.

        Errors: ApiError.
        """
        return await self._views.get(workload, lambda: self._view(workload))

    def snapshot(self, view: View, reservations: Reservations) -> Snapshot:
        """What a decision is made of: what is seen, and what has just been allowed elsewhere."""
        leaving, leased = of_kind(reservations, Reserved.REMOVAL), of_kind(reservations, Reserved.LEASE)
        pods = []
        for uid in view.pods:
            pod, since = view.read(uid), held_since(reservations, uid)
            if uid in leaving or uid in leased or since is not None:
                pod = replace(
                    pod,
                    terminating=pod.terminating or uid in leaving,
                    leased=pod.leased or uid in leased,
                    reserved=uid in leased,
                    reserved_since=since,
                )
            pods.append(pod)
        return Snapshot(tuple(pods), view.min_available)

    async def proxies(self, namespace: str) -> dict[str, StreamProxy]:
        """The StreamProxies of a namespace, by name. What cannot be read is left out: the controller says so.

        Errors: ApiError.
        """
        return await self._proxies.get(namespace, lambda: self._read_proxies(namespace))

    async def _read_proxies(self, namespace: str) -> dict[str, StreamProxy]:
        found = {}
        for raw in await self._api.list(STREAM_PROXIES, namespace):
            try:
                proxy = parse_stream_proxy(raw)
            except SpecError as error:
                log.warning("streamproxy.unreadable", name=raw["metadata"]["name"], error=str(error))
            else:
                found[proxy.name] = proxy
        return found

    async def _view(self, workload: Workload) -> View:
        namespace = workload.namespace
        target = await self._targets.find(workload)
        pods, budgets, proxies = await asyncio.gather(
            self._api.list(PODS, namespace, labels=target.query),
            self._api.list(DISRUPTION_BUDGETS, namespace),
            self.proxies(namespace),
        )
        mine = {
            pod["metadata"]["uid"]: pod
            for pod in pods
            if owner_uid(pod) in target.owners or _outlives_owner(pod, workload)
        }
        targets = [asked for pod in mine.values() if (asked := target_of(pod)) is not None]
        gauges = await self._sidecars.poll(targets, POLL_SECONDS)
        needed = {uid: needed_seconds(pod, proxies) for uid, pod in mine.items()}
        misses = {uid: self._sidecars.misses(uid) for uid in mine}
        budgeted = frozenset(uid for uid, pod in mine.items() if not reading.evictable(budgets, pod))
        return View(target, mine, gauges, reading.min_available(budgets, mine.values()), needed, misses, budgeted)

    async def _replica_set(self, namespace: str, name: str) -> Object | None:
        return await self._parents.get((namespace, name), lambda: self._api.find(REPLICA_SETS, namespace, name))


def needed_seconds(pod: Object, proxies: dict[str, StreamProxy]) -> float:
    """Seconds that the pod's sidecar may need to end: what its StreamProxy says, else what the pod itself asks for."""
    name = (pod["metadata"].get("annotations") or {}).get(names.STREAM_PROXY)
    if name is None:
        return reading.grace_of(pod)
    proxy = proxies.get(name)
    if proxy is None:
        return reading.NEEDED_SECONDS
    return float(proxy.spec.drain_seconds)


def policy_of(policy: DrainPolicyObject, replicas: int) -> Policy:
    """A DrainPolicy's rules, with percentages resolved for so many replicas."""
    spec = policy.spec
    return Policy(
        order=Order(spec.order.value),
        max_draining=spec.busy_limit(replicas),
        hold_deadline_seconds=float(spec.hold_deadline_seconds),
        evictions=Evictions(spec.evictions.value),
    )


def _oldest(namespace: str, policies: Sequence[Object], owners: list[tuple[str, str, str]]) -> Governed | None:
    found = []
    for raw in policies:
        try:
            policy = parse_drain_policy(raw)
        except SpecError as error:
            log.warning("drainpolicy.unreadable", name=raw["metadata"]["name"], error=str(error))
            continue
        reference = policy.spec.target_ref
        workload = Workload(namespace, reference.kind, reference.name, reference.api_version)
        if workload.identity in owners:
            found.append(Governed(workload, policy, raw))
    return min(found, key=lambda each: each.policy.age, default=None)


def _outlives_owner(pod: Object, workload: Workload) -> bool:
    """Whether a pod on its way out is of a ReplicaSet that its owner has deleted (`revisionHistoryLimit`)."""
    owner, labels = reading.controller_of(pod) or {}, pod["metadata"].get("labels") or {}
    made = {f"{workload.name}-{labels.get(label)}" for label in names.TEMPLATE_HASHES}
    may = workload.kind not in {"StatefulSet", "ReplicaSet"}
    return may and "deletionTimestamp" in pod["metadata"] and owner.get("name") in made
