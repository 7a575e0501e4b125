"""What follows from a decision: deletion costs, the mark of a hold, a leased drain, events. Never on a dry run.

Each is tried once and none is waited for by another: the controller or `kubectl drain` asks again, and then they follow
again. Failures are logged and counted.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.events import About, Events
from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.observe import Governed, View
from lastcall_operator.cluster.reading import timestamp
from lastcall_operator.cluster.resources import DRAIN_POLICIES, PODS
from lastcall_operator.cluster.sidecars import Sidecars
from lastcall_operator.errors import ConflictError, LastcallError, NotFoundError, SidecarError
from lastcall_operator.removal.model import Allow, Decision
from lastcall_operator.removal.reservations import LEASE_SECONDS, LEASE_WITHIN_SECONDS
from lastcall_operator.telemetry import tracing
from lastcall_operator.telemetry.metrics import Metrics

#: Pods that are patched at once.
PATCHES = 16

log = structlog.get_logger("lastcall.effects")


class Effects:
    """Carries out what decisions ask for."""

    def __init__(
        self,
        api: Api,
        sidecars: Sidecars,
        key: DrainKey,
        events: Events,
        metrics: Metrics,
    ) -> None:
        self._api, self._sidecars, self._key = api, sidecars, key
        self._events, self._metrics = events, metrics
        self._slots = asyncio.Semaphore(PATCHES)

    async def of(self, decision: Decision, pod: Object, governed: Governed, view: View) -> None:
        """Everything that a decision about a pod asks for."""
        if isinstance(decision, Allow):
            if decision.notable:
                await self._all([self._tell(decision, pod, governed)])
            return
        changes: dict[str, dict[str, str | None]] = {
            uid: {names.DELETION_COST: str(cost), names.COST_WRITTEN: str(cost)} for uid, cost in decision.costs.items()
        }
        if decision.mark and decision.since is not None:
            changes.setdefault(pod["metadata"]["uid"], {})[names.HELD_SINCE] = timestamp(decision.since)
        steps = [self._annotate(view, uid, change) for uid, change in changes.items()]
        if decision.lease is not None:
            steps.append(self._lease(view, decision.lease, decision.why))
        await self._all([*steps, self._tell(decision, pod, governed)])

    async def _all(self, steps: list[Coroutine[Any, Any, None]]) -> None:
        for outcome in await asyncio.gather(*steps, return_exceptions=True):
            if isinstance(outcome, Exception):
                self._metrics.fault(type(outcome).__name__)
                expected = isinstance(outcome, LastcallError)
                log.warning("effect.failed", error=str(outcome), exc_info=None if expected else outcome)

    async def _annotate(self, view: View, uid: str, change: dict[str, str | None]) -> None:
        async with self._slots:
            pod = view.pods.get(uid)
            if pod is None or _stands(pod, change):  # many refused at once ask for the same costs
                return
            metadata = pod["metadata"]
            try:
                # The UID is part of the patch: another pod of the same name (a StatefulSet's) is left alone.
                patch = {"metadata": {"uid": uid, "annotations": change}}
                written = await self._api.patch(PODS, metadata["namespace"], metadata["name"], patch)
            except (NotFoundError, ConflictError):
                return
            view.wrote(written)

    async def _lease(self, view: View, uid: str, why: str) -> None:
        target = view.target_of(uid)
        if target is None:
            return
        with tracing.span(f"drain {target.name}", {"lastcall.drain.reason": why}):
            try:
                async with asyncio.timeout(LEASE_WITHIN_SECONDS / 2):  # later than that its reservation is over first
                    headers = {**await self._key.headers(uid), **tracing.headers()}
                    await self._sidecars.lease(target, int(LEASE_SECONDS), why, headers)
            except TimeoutError:
                raise SidecarError(f"{target.name}: its drain could not be asked for in time") from None
            except SidecarError as error:
                if error.status == 401:
                    self._key.forget()
                raise

    async def _tell(self, decision: Decision, pod: Object, governed: Governed) -> None:
        allowed = isinstance(decision, Allow)
        reason = names.Reason.REMOVAL_ALLOWED if allowed else names.Reason.REMOVAL_REFUSED
        about_pod = About.of(pod, api_version=PODS.api_version, kind=PODS.kind)
        about_policy = About.of(governed.raw, api_version=DRAIN_POLICIES.api_version, kind=DRAIN_POLICIES.kind)
        await self._events.post(about_pod, reason, decision.why)
        await self._events.post(about_policy, reason, f"{about_pod.name}: {decision.why}")


def _stands(pod: Object, change: dict[str, str | None]) -> bool:
    """Whether the pod says so already."""
    annotations = pod["metadata"].get("annotations") or {}
    return all(annotations.get(name) == value for name, value in change.items())
