"""What sidecars say, asked once for everybody who wants to know."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from lastcall_operator.api.gauge import Gauge
from lastcall_operator.cluster.sidecars import Target
from lastcall_operator.status.readings import Reading, askable
from lastcall_operator.status.records import Pod

#: Readings of pods that nobody has asked about for this long are forgotten.
_FORGET_SECONDS = 300.0


class Poller(Protocol):
    """Sidecars as they are asked and leased; `cluster.sidecars.Sidecars` is one."""

    async def poll(self, targets: Sequence[Target], within_seconds: float = 2.0) -> dict[str, Gauge | None]:
        """What each says, by pod UID."""

    async def lease(self, target: Target, seconds: int, reason: str, headers: Mapping[str, str]) -> Gauge:
        """Start or renew a leased drain."""


class Gauges:
    """Readings by pod UID. `clock`: seconds, of any beginning."""

    def __init__(self, sidecars: Poller, clock: Callable[[], float]) -> None:
        self._sidecars, self._clock = sidecars, clock
        self._readings: dict[str, Reading] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def fresh(self, pods: Iterable[Pod], within_seconds: float) -> dict[str, Reading]:
        """Readings no older than that, of all pods that can be asked."""
        wanted = askable(pods)
        now = self._clock()
        stale = [pod for pod in wanted if self._age(pod, now) > within_seconds]
        mine = [target(pod) for pod in stale if pod.uid not in self._asking]
        if mine:
            task = asyncio.create_task(self._ask(mine))
            self._asking.update((each.uid, task) for each in mine)
        # What somebody else asks already is waited for, not asked again.
        tasks = {self._asking[pod.uid] for pod in stale}
        if tasks:
            await asyncio.wait(tasks)
        return {pod.uid: self._readings[pod.uid] for pod in wanted if pod.uid in self._readings}

    async def _ask(self, targets: Sequence[Target]) -> None:
        try:
            self._note(await self._sidecars.poll(targets), self._clock())
        finally:
            for each in targets:
                del self._asking[each.uid]

    def known(self, uid: str) -> Reading | None:
        """The last reading, however old."""
        return self._readings.get(uid)

    def _age(self, pod: Pod, now: float) -> float:
        reading = self._readings.get(pod.uid)
        return float("inf") if reading is None else now - reading.at

    def _note(self, found: Mapping[str, Gauge | None], now: float) -> None:
        for uid, gauge in found.items():
            before = self._readings.get(uid)
            if gauge is not None:
                self._readings[uid] = Reading(gauge, 0, now)
            else:
                last, misses = (None, 0) if before is None else (before.gauge, before.misses)
                self._readings[uid] = Reading(last, misses + 1, now)
        for uid in [uid for uid, reading in self._readings.items() if now - reading.at > _FORGET_SECONDS]:
            del self._readings[uid]


def target(pod: Pod) -> Target:
    """Where a pod's sidecar is asked; only for pods that are askable."""
    return Target(pod.name, pod.uid, pod.ip or "", pod.port)
