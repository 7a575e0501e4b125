"""One DrainPolicy, looked at anew: what its workload's pods carry, what is told of it, which marks come off."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lastcall_operator.api.annotations import seconds
from lastcall_operator.api.drainpolicy import DrainPolicyObject, parse_drain_policy
from lastcall_operator.api.schema import SpecError
from lastcall_operator.cluster.resources import DRAIN_POLICIES
from lastcall_operator.removal import reservations
from lastcall_operator.rollout import DrainPolicy, Order
from lastcall_operator.status.lingering import lingers
from lastcall_operator.status.marks import REST_SECONDS, ask_again, clean
from lastcall_operator.status.networks import likely
from lastcall_operator.status.outcomes import Track
from lastcall_operator.status.policies import PolicyView, at_rest, conditions, moves, rows, scale, unreachable
from lastcall_operator.status.readings import Readings, in_flight
from lastcall_operator.status.records import Pod, Workload
from lastcall_operator.status.rollouts import Scene, roll_up, stamp
from lastcall_operator.status.told import Happened, Told, fallen, risen

from .agreement import Agreement, write
from .cache import Cache, Object
from .drains import Drains, PolicyKey
from .gauges import Gauges
from .metrics import Metrics
from .rollouts import OnDelete
from .traces import Traces
from .writes import Writes, about_ours, about_workload

#: While something moves.
FAST_SECONDS = 1.0
#: A policy that has no effect is looked at this often; events wake it anyway.
IDLE_SECONDS = 30.0
#: Conditions whose rising is told as a warning.
_WARNINGS = frozenset({"Conflicted", "Unreachable", "Stalled", "ProgressDeadlineTooShort"})


@dataclass(slots=True)
class _Memory:
    """What may be forgotten at any time: the worst that happens is that something is done a little later."""

    rested_since: float | None = None
    going: frozenset[str] = frozenset()


class Policies:
    """The reconciler of DrainPolicies."""

    def __init__(
        self,
        cache: Callable[[], Cache],
        gauges: Gauges,
        writes: Writes,
        drains: Drains,
        on_delete: OnDelete,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._cache, self._gauges, self._writes, self._drains = cache, gauges, writes, drains
        self._on_delete, self._metrics, self._traces = on_delete, metrics, traces
        self._memories: dict[PolicyKey, _Memory] = {}

    async def step(self, key: PolicyKey) -> float | None:
        """Look at one policy; seconds until the next look, None when it is gone."""
        obj = self._cache().policy(*key)
        if obj is None:
            self._memories.pop(key, None)
            self._writes.forget(DRAIN_POLICIES, *key)
            self._let_go(key)
            return None
        try:
            policy = parse_drain_policy(dict(obj))
        except SpecError as error:
            self._let_go(key)
            return await self._mistaken(obj, str(error))
        view = self._view(policy)
        if view.workload is None or view.older is not None:
            self._let_go(key)
            await self._write(obj, view, {"inFlight": 0, "pods": []}, policy.spec.poll_seconds)
            return IDLE_SECONDS
        return await self._govern(key, obj, policy, view, view.workload)

    def _let_go(self, key: PolicyKey) -> None:
        """It has no pods. What ended is nobody's, or another policy's."""
        self._metrics.pods(key, None)
        self._drains.outcomes(key)

    async def _govern(
        self, key: PolicyKey, obj: Object, policy: DrainPolicyObject, view: PolicyView, workload: Workload
    ) -> float:
        memory = self._memories.setdefault(key, _Memory())
        pause = FAST_SECONDS if self._moved(view) else float(policy.spec.poll_seconds)
        readings = await self._gauges.fresh(view.pods, pause * 0.9)
        view = _with(view, readings, await self._network(policy.namespace, view.pods, readings))
        rolling = False
        if workload.on_delete and workload.observed and workload.revision:
            rolling = await self._on_delete.step(obj, workload, _planned(policy, workload))
        values, happened = self._roll_up(key, obj, view, readings)
        await self._write(obj, view, values, float(policy.spec.poll_seconds), happened)
        await self._marks(policy, obj, view, memory)
        self._metrics.pods(key, scale(view))
        return FAST_SECONDS if rolling or moves(view) else float(policy.spec.poll_seconds)

    def _moved(self, view: PolicyView) -> bool:
        known = {pod.uid: found for pod in view.pods if (found := self._gauges.known(pod.uid)) is not None}
        return moves(_with(view, known, None))

    def _view(self, policy: DrainPolicyObject) -> PolicyView:
        cache, spec, now = self._cache(), policy.spec, self._writes.clock()
        kind, name = spec.target_ref.kind, spec.target_ref.name
        workload = cache.workload(policy.namespace, kind, name)
        pods = () if workload is None else tuple(cache.pods_of(workload))
        return PolicyView(
            kind=kind,
            name=name,
            workload=workload,
            pods=pods,
            readings={},
            revision="" if workload is None else cache.revision(workload),
            max_draining=None if workload is None else spec.busy_limit(workload.replicas),
            hold_deadline_seconds=float(spec.hold_deadline_seconds),
            lingering=tuple(
                track for track in self._drains.followed((policy.namespace, policy.name)) if lingers(track, now)
            ),
            older=older(policy, cache.rivals(policy.namespace, (kind, name), pods)),
        )

    def _roll_up(
        self, key: PolicyKey, obj: Object, view: PolicyView, readings: Readings
    ) -> tuple[Object, list[Happened]]:
        now = self._writes.clock()
        followed: list[Track] = [each for each in self._drains.followed(key) if each.revision != view.revision]
        workload = view.workload
        replicas = 0 if workload is None else workload.rolled
        kept = frozenset(pod.uid for pod in view.pods if workload is not None and workload.keeps(pod))
        scene = Scene(view.revision, replicas, view.pods, len(followed), kept)
        before = self._writes.status_of(obj).get("rollout")
        rollout, happened = roll_up(before, scene, readings, self._drains.outcomes(key), now)
        values: dict[str, Any] = {"inFlight": in_flight(view.pods, readings), "pods": rows(view.pods, readings)}
        if rollout is not None:
            values["rollout"] = rollout
            if rollout.get("finishedAt") and not (before or {}).get("finishedAt") and workload is not None:
                self._finished(workload, rollout, now)
        return values, happened

    def _finished(self, workload: Workload, rollout: Mapping[str, Any], now: float) -> None:
        took = now - (seconds(rollout.get("startedAt")) or now)
        self._metrics.rolled(dropped=rollout["dropped"])
        self._traces.rolled(
            workload.name, (workload.uid, rollout["revision"]), took, rollout["streamsFinished"], rollout["dropped"]
        )

    async def _write(
        self, obj: Object, view: PolicyView, values: Object, pace: float, happened: Sequence[Happened] = ()
    ) -> None:
        await self._tell(obj, conditions(view, self._writes.clock()), values, pace, happened)
        if view.workload is not None:
            await self._writes.tell(about_workload(view.workload), happened)

    async def _mistaken(self, obj: Object, mistake: str) -> float:
        told = [Told("Accepted", False, "Invalid", mistake)]
        await self._tell(obj, told, {"inFlight": 0, "pods": []}, IDLE_SECONDS)
        return IDLE_SECONDS

    async def _tell(
        self, obj: Object, told: Sequence[Told], values: Object, pace: float, happened: Sequence[Happened] = ()
    ) -> None:
        """Write the status, and post what has come true, and what else has happened, on the policy."""
        news = warnings(told, self._writes.status_of(obj).get("conditions") or [])
        await self._writes.status(DRAIN_POLICIES, obj, told, dict(values), pace)
        await self._writes.tell(about_ours(obj, "DrainPolicy"), [*news, *happened])

    async def _network(self, namespace: str, pods: Sequence[Pod], readings: Readings) -> str | None:
        if not unreachable(pods, readings, None).status:
            return None
        found = await self._writes.network_policies(namespace)
        return likely(found, pods[0].labels, {pod.port for pod in pods})

    async def _marks(self, policy: DrainPolicyObject, obj: Object, view: PolicyView, memory: _Memory) -> None:
        now, workload = self._writes.clock(), view.workload
        if workload is None:
            return
        if not at_rest(view):
            memory.rested_since = None
        elif memory.rested_since is None:
            memory.rested_since = now
        rested = 0.0 if memory.rested_since is None else now - memory.rested_since
        agreement = Agreement.of(obj, now)
        touches = clean(view.pods, agreement.reservations, rested_seconds=rested)
        gone = memory.going - {pod.uid for pod in view.pods}
        memory.going = frozenset(pod.uid for pod in view.pods if pod.deleted is not None)
        # Who evicts asks again by itself: only a workload that wants to lose pods has a controller to wake.
        if not workload.on_delete and view.surplus:
            touches += ask_again(
                view.pods,
                view.readings,
                now,
                stamp(now),
                freed=bool(gone),
                max_draining=view.max_draining,
                deadline_seconds=float(policy.spec.hold_deadline_seconds),
            )
        await self._writes.touch(policy.namespace, touches)
        if rested >= REST_SECONDS:
            await write(self._writes.api, agreement, reservations.at_rest(agreement.reservations))


def older(policy: DrainPolicyObject, rivals: Iterable[Object]) -> str | None:
    """The oldest policy for the same pods, if it is another one; ties go by name."""
    ages = [(each["metadata"].get("creationTimestamp", ""), each["metadata"]["name"]) for each in rivals]
    oldest = min([policy.age, *ages])[1]
    return None if oldest == policy.name else oldest


def warnings(told: Sequence[Told], before: Sequence[Mapping[str, Any]]) -> list[Happened]:
    """What is worth an event: conditions that have come true, and a policy that has no effect. One of each reason."""
    news = [each for each in risen(told, before) if each.type in _WARNINGS]
    news += [each for each in fallen(told, before) if each.type == "Accepted"]
    return [Happened(each.reason, each.message, warning=True) for each in {each.reason: each for each in news}.values()]


def _planned(policy: DrainPolicyObject, workload: Workload) -> DrainPolicy:
    return DrainPolicy.on_delete(
        Order(policy.spec.order.value),
        policy.spec.busy_limit(workload.replicas),
        float(policy.spec.hold_deadline_seconds),
    )


def _with(view: PolicyView, readings: Readings, network: str | None) -> PolicyView:
    return replace(view, readings=readings, network=network)
