"""How a workload may lose its pods: what a DrainPolicy's `spec` says, validated."""

from dataclasses import dataclass
from typing import Self

from lastcall_operator.rollout.ordering import Order


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """The rules of one workload's rollout; the names follow the DrainPolicy resource.

    Raises ValueError on values that no rollout could follow.
    """

    order: Order = Order.LEAST_BUSY_FIRST
    #: pods that may be on their way out at once; 1, so that capacity never falls by more than one pod
    max_draining: int = 1
    #: after this long a pod is replaced whatever it carries; an hour is longer than any stream that is let live
    hold_deadline_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.max_draining < 1:
            raise ValueError(f"max_draining must be at least 1, not {self.max_draining}: the rollout could never begin")
        if self.hold_deadline_seconds < 0:
            raise ValueError(f"hold_deadline_seconds must not be negative, not {self.hold_deadline_seconds}")

    @classmethod
    def on_delete(cls, order: Order, max_draining: int | None, hold_deadline_seconds: float) -> Self:
        """Make the rules for a StatefulSet with `OnDelete`, where nobody but us takes pods away.

        `max_draining`: None stands for one at a time. Kubernetes' own controllers are not paced then, but they keep to
        a budget of their own; here there is no other.
        """
        return cls(order, 1 if max_draining is None else max_draining, hold_deadline_seconds)
