"""The marks that asked-for removals leave on pods: when they are taken off, and when a controller is to ask again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lastcall_operator.api import names

from .readings import Readings, in_flight
from .records import Pod

#: A workload has been at rest for this long before marks are taken off: controllers pause between their steps.
REST_SECONDS = 10.0
#: A mark of an eviction outlives its deadline by this much; who evicts asks each 5 s and would have got the pod.
FORGOTTEN_SECONDS = 300.0
#: A held pod that may go is touched this often: its controller's own patience doubles up to a quarter of an hour.
ASK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Touch:
    """Annotations to write on a pod; None removes one."""

    pod: str
    uid: str
    annotations: Mapping[str, str | None]


def clean(
    pods: Sequence[Pod], now: float, *, rested_seconds: float, deadline_seconds: float, theirs: frozenset[str]
) -> list[Touch]:
    """What to take off pods of a workload at rest. `theirs`: UIDs whose hold the workload's own controller caused.

    Only costs that we wrote are taken off. A hold of an eviction stays until its deadline is long past: the evictor may
    be asking still, and its patience counts from the first time.
    """
    if rested_seconds < REST_SECONDS:
        return []
    found = []
    for pod in pods:
        off: dict[str, str | None] = {}
        if pod.deleted is not None:
            continue
        if pod.cost_written is not None:
            off[names.COST_WRITTEN] = None
            if pod.cost == pod.cost_written:
                off[names.DELETION_COST] = None
        held = pod.held_since
        forgotten = held is not None and now - held > deadline_seconds + FORGOTTEN_SECONDS
        if held is not None and (pod.uid in theirs or forgotten):
            off[names.HELD_SINCE] = None
        if pod.asked_again is not None and (held is None or names.HELD_SINCE in off):
            off[names.ASK_AGAIN] = None
        if off:
            found.append(Touch(pod.name, pod.uid, off))
    return found


def ask_again(
    pods: Sequence[Pod],
    readings: Readings,
    now: float,
    stamp: str,
    *,
    freed: bool,
    max_draining: int | None,
    deadline_seconds: float,
) -> list[Touch]:
    """Which pods to touch, one of each owner, so that the owner's controller asks again now.

    `freed`: a pod that was terminating has just gone. Otherwise only where a removal that was held may go by now.
    """
    busy = sum(pod.deleted is not None and _load(pod, readings) != 0 for pod in pods)
    room = max_draining is None or busy < max_draining
    found: dict[str, Touch] = {}
    for pod in sorted(pods, key=lambda each: (_load(each, readings), each.name)):
        if pod.held_since is None or pod.deleted is not None or pod.owner in found:
            continue
        may = room or _load(pod, readings) == 0 or now - pod.held_since >= deadline_seconds
        due = pod.asked_again is None or now - pod.asked_again >= ASK_SECONDS
        if freed or (may and due and now - pod.held_since >= ASK_SECONDS):
            found[pod.owner] = Touch(pod.name, pod.uid, {names.ASK_AGAIN: stamp})
    return list(found.values())


def _load(pod: Pod, readings: Readings) -> float:
    """Requests in flight; a silent pod may carry any number."""
    reading = readings.get(pod.uid)
    return float("inf") if reading is None or reading.now is None else in_flight([pod], readings)
