"""A workload's rollout as its policy's status tells it: from one look at the pods to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lastcall_operator.api.names import Reason

from .outcomes import Outcome
from .readings import Readings, counted, draining
from .records import Pod
from .told import Happened


@dataclass(frozen=True, slots=True)
class Scene:
    """The workload now: the revision that is wanted, how many pods are to have it, and the pods that are there."""

    #: empty: not known, or a kind of workload that has no revisions
    revision: str
    replicas: int
    pods: tuple[Pod, ...]
    #: pods of older revisions whose end is still being followed
    followed: int = 0
    #: UIDs of pods that are to keep another revision
    kept: frozenset[str] = frozenset()

    @property
    def older(self) -> list[Pod]:
        """The pods that are to get another revision, those on their way out included."""
        return [pod for pod in self.pods if pod.revision != self.revision and pod.uid not in self.kept]

    @property
    def updated(self) -> list[Pod]:
        """The pods of the wanted revision that are Ready."""
        return [pod for pod in self.pods if pod.revision == self.revision and pod.ready and pod.deleted is None]


def roll_up(
    before: Mapping[str, Any] | None, scene: Scene, readings: Readings, outcomes: Sequence[Outcome], now: float
) -> tuple[dict[str, Any] | None, list[Happened]]:
    """The rollout as it is now, and what is to be told of it. A first installation is no rollout."""
    if not scene.revision:
        return (None if before is None else dict(before)), []
    happened: list[Happened] = []
    current = None if before is None else dict(before)
    if current is None or current.get("revision") != scene.revision:
        if not scene.older:
            return current, []
        current = {"revision": scene.revision, "startedAt": stamp(now), "streamsFinished": 0, "dropped": 0}
        older = counted(len(scene.older), "pod")
        happened.append(
            Happened(
                Reason.ROLLOUT_STARTED,
                f"revision {scene.revision} replaces {older} of another",
                once=True,
                identity=scene.revision + current["startedAt"],
            )
        )
    if current.get("finishedAt"):
        return current, []
    ended = [each for each in outcomes if each.revision != scene.revision]
    going = draining(scene.older, readings)
    current["total"] = scene.replicas
    current["updated"] = len(scene.updated)
    current["draining"] = len(going)
    current["waiting"] = len(scene.older) - len(going)
    current["streamsFinished"] = int(current.get("streamsFinished") or 0) + sum(each.finished for each in ended)
    current["dropped"] = int(current.get("dropped") or 0) + sum(each.dropped for each in ended)
    if not scene.older and not scene.followed and len(scene.updated) >= scene.replicas:
        current["finishedAt"] = stamp(now)
        happened.append(_finished(current))
    return current, happened


def stamp(now: float) -> str:
    """Seconds since the epoch as Kubernetes writes times."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _finished(rollout: Mapping[str, Any]) -> Happened:
    streams = f"{counted(rollout['streamsFinished'], 'stream')} finished, {rollout['dropped']} dropped"
    message = f"revision {rollout['revision']} is everywhere: {streams}"
    return Happened(
        Reason.ROLLOUT_FINISHED,
        message,
        warning=rollout["dropped"] > 0,
        once=True,
        identity=rollout["revision"] + rollout["startedAt"],
    )
