"""What it costs to lose a pod, as the ReplicaSet controller understands it, and what is cleared up afterwards.

`controller.kubernetes.io/pod-deletion-cost` is an int32, 0 where it is missing; among pods that are ready the one with
the lowest goes first. Costs are written only when a controller has asked for the wrong pod, and are removed when the
workload is at rest, so that nothing is written to pods that just serve.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from lastcall_operator.removal.model import Load, Pod, Snapshot
from lastcall_operator.rollout.ordering import Order

#: Up to here a cost is the load itself; above it is rounded up to a power of two, so that pods which are about equally
#: busy do not have their costs written again and again.
EXACT: Final = 16
#: The cost of a pod that does not say what it carries: the highest that an int32 holds.
LAST: Final = 2**31 - 1
#: Seconds after which a held pod is touched once more if its controller has not come back.
TOUCH_EVERY_SECONDS: Final = 5.0


def cost(pod: Pod, order: Order) -> int:
    """Say what the pod's going costs: the lower, the sooner it goes. Pods of the same cost are all the same to us."""
    if pod.load is not Load.KNOWN:
        return LAST
    if order is Order.OLDEST_FIRST:
        return max(0, min(int(pod.created), LAST - 1))
    if pod.in_flight <= EXACT:
        return pod.in_flight
    return min(1 << (pod.in_flight - 1).bit_length(), LAST - 1)


def foreign(pod: Pod) -> bool:
    """Tell whether somebody else wrote the cost that stands on the pod."""
    return pod.cost is not None and pod.cost != pod.cost_written


def to_write(pods: Iterable[Pod], order: Order) -> dict[str, int]:
    """Find the costs that differ from what stands on the pods, by UID."""
    return {pod.uid: cost(pod, order) for pod in pods if cost(pod, order) != (pod.cost or 0)}


def surplus(snapshot: Snapshot, wanted: Mapping[str, int]) -> frozenset[str]:
    """Find the owners that want to lose pods now, by UID.

    `wanted`: how many pods each owner wants to keep. For a ReplicaSet its `spec.replicas`; for a StatefulSet that is
    being rolled, how many of its pods are of the new revision already. Owners that are not in there want all they have.
    """
    has: dict[str, int] = {}
    for pod in snapshot.pods:
        if not pod.going:
            has[pod.owner] = has.get(pod.owner, 0) + 1
    return frozenset(owner for owner, count in has.items() if count > wanted.get(owner, count))


def at_rest(snapshot: Snapshot, wanted: Mapping[str, int]) -> bool:
    """Tell whether nobody is leaving and no controller wants anybody to."""
    return not surplus(snapshot, wanted) and not any(pod.going or pod.leased for pod in snapshot.pods)


def costs_to_clear(snapshot: Snapshot, wanted: Mapping[str, int]) -> tuple[str, ...]:
    """Find the pods whose cost, and our mark of it, are to be removed now, by UID: those that bear our own, at rest."""
    if not at_rest(snapshot, wanted):
        return ()
    return tuple(pod.uid for pod in snapshot.pods if pod.cost_written is not None and not foreign(pod))


def holds_to_clear(snapshot: Snapshot, wanted: Mapping[str, int], remembered: Iterable[str]) -> tuple[str, ...]:
    """Find the pods whose held-since is to be removed now, by UID: those that nobody asks for any more.

    `remembered`: the pods of which `reservations` still knows that an eviction was refused. Nobody can see from
    outside whether an eviction will be tried again, and a mark that went too soon would begin its deadline anew.
    """
    if not at_rest(snapshot, wanted):
        return ()
    kept = frozenset(remembered)
    return tuple(pod.uid for pod in snapshot.pods if pod.held_since is not None and pod.uid not in kept)


def to_touch(
    snapshot: Snapshot, wanted: Mapping[str, int], max_draining: int | None, hold_deadline_seconds: float, now: float
) -> tuple[str, ...]:
    """Find the held pods to touch now, by UID, so that their controllers ask again: one for each owner that wants less.

    A controller that was refused often waits up to 1,000 s before it asks by itself. It is worth asking as soon as
    there is room for one more, or the pod has been held long enough. Level-based: a touch that got lost is made again.
    """
    room = max_draining is None or len(with_streams(snapshot)) < max_draining
    shrinking = surplus(snapshot, wanted)
    found: dict[str, Pod] = {}
    for pod in sorted(snapshot.pods, key=lambda pod: (pod.held_since or 0.0, pod.uid)):
        if pod.held_since is None or pod.going or pod.owner not in shrinking:
            continue
        if room or pod.idle or pod.allow_removal or now >= pod.held_since + hold_deadline_seconds:
            found.setdefault(pod.owner, pod)
    return tuple(pod.uid for pod in found.values() if _touch_is_due(pod, now))


def with_streams(snapshot: Snapshot) -> tuple[Pod, ...]:
    """Find the pods that are on their way out and still carry streams, or do not say that they carry none."""
    return tuple(pod for pod in snapshot.pods if pod.sidecar and pod.going and not pod.idle)


def _touch_is_due(pod: Pod, now: float) -> bool:
    return pod.asked_again is None or not 0 <= now - pod.asked_again < TOUCH_EVERY_SECONDS
