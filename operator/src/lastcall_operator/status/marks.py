"""The marks that asked-for removals leave on pods: when they are taken off, and when a controller is to ask again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lastcall_operator.api import names
from lastcall_operator.removal.reservations import Reservations, Reserved, full, of_kind

from .readings import Readings, in_flight
from .records import Pod

#: A workload has been at rest for this long before marks are taken off: controllers pause between their steps.
REST_SECONDS = 10.0
#: A held pod that may go is touched this often: its controller's own patience doubles up to a quarter of an hour.
ASK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Touch:
    """Annotations to write on a pod; None removes one."""

    pod: str
    uid: str
    annotations: Mapping[str, str | None]


def clean(pods: Iterable[Pod], reservations: Reservations, *, rested_seconds: float) -> list[Touch]:
    """What to take off pods of a workload at rest.

    Its own controllers want no pod any more. Whoever evicts one may be asking still: the mark of such a hold stays for
    as long as the policy remembers it, and so do all where there are more than it can remember.
    """
    if rested_seconds < REST_SECONDS:
        return []
    held = of_kind(reservations, Reserved.HELD)
    keep = full(reservations)
    return _taken_off((pod, keep or pod.uid in held) for pod in pods)


def strip(pods: Iterable[Pod]) -> list[Touch]:
    """What to take off pods that are under no policy: everything."""
    return _taken_off((pod, False) for pod in pods)


def _taken_off(pods: Iterable[tuple[Pod, bool]]) -> list[Touch]:
    """Take off what is ours; with each pod whether its hold stays."""
    found = []
    for pod, wanted in pods:
        off: dict[str, str | None] = {}
        if pod.deleted is not None:
            continue
        if pod.cost_written is not None:
            off[names.COST_WRITTEN] = None
            if pod.cost == pod.cost_written:
                off[names.DELETION_COST] = None
        if pod.rollout_since is not None:
            off[names.ROLLOUT_SINCE] = None
        stays = wanted and pod.held_since is not None
        if pod.held_since is not None and not stays:
            off[names.HELD_SINCE] = None
        if pod.asked_again is not None and not stays:
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
    busy = sum(_finishing(pod, readings, now) for pod in pods)
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


def _finishing(pod: Pod, readings: Readings, now: float) -> bool:
    """Whether a pod that goes takes up a place, as `removal.costs` has it."""
    load = _load(pod, readings)
    overdue = pod.ends is not None and now >= pod.ends
    return pod.deleted is not None and load != 0 and not (overdue and load == float("inf"))


def _load(pod: Pod, readings: Readings) -> float:
    """Requests in flight; a silent pod may carry any number."""
    reading = readings.get(pod.uid)
    return float("inf") if reading is None or reading.now is None else in_flight([pod], readings)
