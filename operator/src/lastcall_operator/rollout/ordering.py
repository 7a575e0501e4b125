"""In which order pods leave. Every tie is broken, so that two planners never disagree."""

from collections.abc import Iterable
from enum import StrEnum

from lastcall_operator.rollout.snapshot import PodView


class Order(StrEnum):
    """The orders that a DrainPolicy may ask for, by their names there."""

    #: fewest requests in flight first: the cheapest pod to wait for, and the others shrink meanwhile
    LEAST_BUSY_FIRST = "LeastBusyFirst"
    #: the pod that has run longest first
    OLDEST_FIRST = "OldestFirst"


def in_order(pods: Iterable[PodView], order: Order) -> list[PodView]:
    """Sort the pods into the order in which they should leave.

    Pods that are not ready come first in either order: they serve nobody, so their going costs nothing. Pods that do
    not say what they carry come last among their equals. Ties go by ordinal, highest first, as StatefulSets count down.
    """
    return sorted(pods, key=lambda pod: (pod.ready, *_wish(pod, order), -ordinal(pod.name), pod.name))


def _wish(pod: PodView, order: Order) -> tuple[bool, float]:
    """Tell what the order itself asks of a pod: whether it is silent, then the number to sort by."""
    load = 0 if pod.idle else pod.in_flight
    if order is Order.OLDEST_FIRST:
        return load is None, pod.started
    return load is None, load or 0


def ordinal(name: str) -> int:
    """Read the number at the end of a pod's name (`chat-10` is 10); -1 where there is none."""
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if digits else -1
