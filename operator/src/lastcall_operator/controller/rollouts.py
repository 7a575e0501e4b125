"""Rollouts of StatefulSets with `OnDelete`: planned by the pure ring, carried out here, one step at a time.

Nothing is remembered between steps: who drains is what the sidecars say, since when is written on the pods, and who is
next follows from both. A controller that starts in the middle goes on where the last one stopped.
"""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.errors import LastcallError
from lastcall_operator.rollout import DrainPod, DrainPolicy, PodState, PodView, ReplacePod, Snapshot, leases, plan
from lastcall_operator.status.marks import Touch
from lastcall_operator.status.readings import Reading
from lastcall_operator.status.records import Pod, Workload, pod_record
from lastcall_operator.status.rollouts import stamp

from .gauges import Gauges, Poller, target
from .writes import Writes

#: A lease lasts this long, and is renewed when less than two thirds of it are left.
LEASE_SECONDS = 60
RENEW_BELOW_SECONDS = 40.0

log = structlog.get_logger("lastcall.rollouts")


class OnDelete:
    """Carries rollouts out."""

    def __init__(self, gauges: Gauges, sidecars: Poller, key: DrainKey | None, writes: Writes) -> None:
        self._gauges, self._sidecars, self._key, self._writes = gauges, sidecars, key, writes

    async def step(self, workload: Workload, policy: DrainPolicy) -> bool:
        """Do what is to be done now; whether a rollout is under way."""
        found = [pod_record(each) for each in await self._writes.all_pods(workload)]
        pods = {pod.name: pod for pod in found if pod.owner == workload.uid}
        if not any(pod.revision != workload.revision for pod in pods.values()):
            return False
        readings = await self._gauges.fresh(pods.values(), 0.9)
        now = self._writes.clock()
        snapshot = Snapshot(
            workload.revision, workload.replicas, tuple(view(pod, readings.get(pod.uid)) for pod in pods.values())
        )
        for action in plan(snapshot, policy, now):
            match action:
                case ReplacePod(name, why):
                    await self._replace(pods[name], why)
                case DrainPod(name, why):
                    await self._drain(pods[name], why, now)
        for name in leases(snapshot):
            await self._renew(pods[name], readings, now)
        return True

    async def _replace(self, pod: Pod, why: str) -> None:
        if await self._writes.delete_pod(pod.namespace, pod.name, pod.uid):
            log.info("pod.replaced", pod=pod.name, why=why)

    async def _drain(self, pod: Pod, why: str, now: float) -> None:
        if not pod.sidecar:  # nobody knows what it carries, and nobody could drain it
            await self._replace(pod, "it has no sidecar yet")
            return
        log.info("pod.drains", pod=pod.name, why=why)
        await self._writes.touch(pod.namespace, [Touch(pod.name, pod.uid, {names.HELD_SINCE: stamp(now)})])
        await self._lease(replace(pod, held_since=now), why)

    async def _renew(self, pod: Pod, readings: Mapping[str, Reading], now: float) -> None:
        reading = readings.get(pod.uid)
        gauge = None if reading is None else reading.now
        if not pod.sidecar or (gauge is not None and gauge.final):
            return
        if gauge is None or gauge.lease_expires is None or gauge.lease_expires - now < RENEW_BELOW_SECONDS:
            await self._lease(pod, "the rollout goes on")

    async def _lease(self, pod: Pod, why: str) -> None:
        if self._key is None or pod.ip is None:
            return
        try:
            headers = await self._key.headers(pod.uid)
            await self._sidecars.lease(target(pod), LEASE_SECONDS, why, headers)
        except LastcallError as error:  # the planner sees that it does not drain, and its deadline counts all the same
            log.warning("lease.failed", pod=pod.name, error=str(error))


def view(pod: Pod, reading: Reading | None) -> PodView:
    """A pod as the planner sees it. One without sidecar has no say: it counts as idle when its turn comes."""
    gauge = None if reading is None else reading.now
    ended = pod.phase in {"Succeeded", "Failed"}
    state = PodState.GONE if ended else None if gauge is None else PodState(gauge.state)
    since = pod.held_since
    if gauge is not None and gauge.drain_since is not None and since is None:
        since = gauge.drain_since
    started = pod.ip is not None or pod.ready
    return PodView(
        name=pod.name,
        revision=pod.revision,
        ready=pod.ready,
        in_flight=gauge.in_flight if gauge is not None else None if pod.sidecar and started else 0,
        state=state if pod.sidecar or ended else PodState.SERVING,
        started=pod.created,
        oldest_request_seconds=None if gauge is None else gauge.oldest_request_seconds,
        removal_since=since,
        terminating=pod.deleted is not None,
        unreachable=reading is not None and reading.unknown,
    )
