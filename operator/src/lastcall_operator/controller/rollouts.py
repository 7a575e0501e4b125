"""Rollouts of StatefulSets with `OnDelete`: planned by the pure ring, carried out here, one step at a time.

Nothing is remembered between steps: who drains is what the sidecars say, since when is written on the pods, and who is
next follows from both. A controller that starts in the middle goes on where the last one stopped. Evictions drain pods,
too: each drain is reserved in the policy before it begins, so that both together never drain more than may be.
"""

from collections.abc import Iterable, Mapping

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.errors import LastcallError
from lastcall_operator.removal.reservations import LEASE_SECONDS, LEASE_WITHIN_SECONDS, Reservations, Reserved, leased
from lastcall_operator.rollout import DrainPod, DrainPolicy, PodState, PodView, ReplacePod, Snapshot, leases, plan
from lastcall_operator.status.marks import Touch
from lastcall_operator.status.readings import Reading
from lastcall_operator.status.records import Pod, Workload, pod_record
from lastcall_operator.status.rollouts import stamp

from .agreement import newest, write
from .cache import Object
from .gauges import Gauges, Poller, target
from .writes import Writes

#: A lease is renewed when less than two thirds of it are left.
RENEW_BELOW_SECONDS = 40.0

log = structlog.get_logger("lastcall.rollouts")


class OnDelete:
    """Carries rollouts out."""

    def __init__(self, gauges: Gauges, sidecars: Poller, key: DrainKey | None, writes: Writes) -> None:
        self._gauges, self._sidecars, self._key, self._writes = gauges, sidecars, key, writes

    async def step(self, obj: Object, workload: Workload, policy: DrainPolicy) -> bool:
        """Do what is to be done now under the DrainPolicy `obj`; whether a rollout is under way."""
        found = [pod_record(each) for each in await self._writes.all_pods(workload)]
        pods = {pod.name: pod for pod in found if pod.owner == workload.uid}
        await self._unmark(pod for pod in pods.values() if pod.revision == workload.revision)
        if not any(pod.revision != workload.revision for pod in pods.values()):
            return False
        readings = await self._gauges.fresh(pods.values(), 0.9)
        now = self._writes.clock()
        agreement = await newest(self._writes.api, obj, now)  # after the look: what began meanwhile is in it
        views = [view(pod, readings.get(pod.uid), workload, agreement.reservations) for pod in pods.values()]
        snapshot = Snapshot(workload.revision, workload.replicas, tuple(views))
        drains: list[tuple[Pod, str]] = []
        for action in plan(snapshot, policy, now):
            match action:
                case ReplacePod(name, why):
                    await self._replace(pods[name], why)
                case DrainPod(name, _) if not pods[name].sidecar:
                    # nobody knows what it carries, and nobody could drain it
                    await self._replace(pods[name], "it has no sidecar yet")
                case DrainPod(name, why):
                    drains.append((pods[name], why))
        renewals = [pods[name] for name in leases(snapshot, policy) if _runs_out(pods[name], readings, now)]
        uids = [*(pod.uid for pod, _ in drains), *(pod.uid for pod in renewals)]
        # Who was faster may have begun a drain of another pod: looked at anew in a second.
        if await write(self._writes.api, agreement, leased(agreement.reservations, uids, now)):
            for pod, why in drains:
                await self._drain(pod, why, now)
            for pod in renewals:
                await self._lease(pod, "the rollout goes on", now)
        return True

    async def _unmark(self, pods: Iterable[Pod]) -> None:
        """Take off what is left of a rollout that was taken back: these pods are as they should be."""
        for pod in pods:
            if pod.rollout_since is not None:
                await self._writes.touch(pod.namespace, [Touch(pod.name, pod.uid, {names.ROLLOUT_SINCE: None})])

    async def _replace(self, pod: Pod, why: str) -> None:
        if await self._writes.delete_pod(pod.namespace, pod.name, pod.uid):
            log.info("pod.replaced", pod=pod.name, why=why)

    async def _drain(self, pod: Pod, why: str, now: float) -> None:
        log.info("pod.drains", pod=pod.name, why=why)
        await self._writes.touch(pod.namespace, [Touch(pod.name, pod.uid, {names.ROLLOUT_SINCE: stamp(now)})])
        await self._lease(pod, why, now)

    async def _lease(self, pod: Pod, why: str, reserved_at: float) -> None:
        if self._key is None or pod.ip is None:
            return
        try:
            headers = await self._key.headers(pod.uid)
            if self._writes.clock() - reserved_at > LEASE_WITHIN_SECONDS:  # its reservation would be over first
                log.warning("lease.late", pod=pod.name)
                return
            await self._sidecars.lease(target(pod), int(LEASE_SECONDS), why, headers)
        except LastcallError as error:  # the planner sees that it does not drain, and its deadline counts all the same
            log.warning("lease.failed", pod=pod.name, error=str(error))


def view(pod: Pod, reading: Reading | None, workload: Workload, reservations: Reservations) -> PodView:
    """A pod as the planner sees it. One without sidecar has no say: it counts as idle when its turn comes."""
    gauge = None if reading is None else reading.now
    ended = pod.phase in {"Succeeded", "Failed"}
    state = PodState.GONE if ended else None if gauge is None else PodState(gauge.state)
    started = pod.ip is not None or pod.ready
    return PodView(
        name=pod.name,
        revision=pod.revision,
        ready=pod.ready,
        in_flight=gauge.in_flight if gauge is not None else None if pod.sidecar and started else 0,
        state=state if pod.sidecar or ended else PodState.SERVING,
        started=pod.created,
        oldest_request_seconds=None if gauge is None else gauge.oldest_request_seconds,
        removal_since=None if pod.revision == workload.revision else pod.rollout_since,
        reserved=(pod.uid, Reserved.LEASE) in reservations,
        terminating=pod.deleted is not None or (pod.uid, Reserved.REMOVAL) in reservations,
        unreachable=reading is not None and reading.unknown,
        allow_removal=pod.allow_removal,
    )


def _runs_out(pod: Pod, readings: Mapping[str, Reading], now: float) -> bool:
    """Whether the lease of a pod that is to drain is to be renewed now."""
    reading = readings.get(pod.uid)
    gauge = None if reading is None else reading.now
    if not pod.sidecar or (gauge is not None and gauge.final):
        return False
    return gauge is None or gauge.lease_expires is None or gauge.lease_expires - now < RENEW_BELOW_SECONDS
