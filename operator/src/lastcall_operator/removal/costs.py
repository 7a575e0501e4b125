"""What it costs to lose a pod, as the ReplicaSet controller understands it.

`controller.kubernetes.io/pod-deletion-cost` is an int32, 0 where it is missing; among pods that are ready the one with
the lowest goes first. Costs are written only when a controller has asked for the wrong pod, and are removed when the
workload is at rest, so that nothing is written to pods that just serve.
"""

from collections.abc import Iterable
from typing import Final

from lastcall_operator.removal.model import Load, Pod, Snapshot
from lastcall_operator.rollout.ordering import Order

#: Up to here a cost is the load itself; above it is rounded up to a power of two, so that pods which are about equally
#: busy do not have their costs written again and again.
EXACT: Final = 16
#: The cost of a pod that does not say what it carries: the highest that an int32 holds.
LAST: Final = 2**31 - 1


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


def with_streams(snapshot: Snapshot, now: float) -> tuple[Pod, ...]:
    """Find the pods that are on their way out and still carry streams, or do not say that they carry none.

    One that is silent when its grace has passed is not waited for: its node has gone, and nobody deletes it.
    """
    return tuple(
        pod
        for pod in snapshot.pods
        if pod.sidecar and pod.going and not pod.idle and not (pod.load is not Load.KNOWN and _overdue(pod, now))
    )


def _overdue(pod: Pod, now: float) -> bool:
    return pod.ends is not None and now >= pod.ends
