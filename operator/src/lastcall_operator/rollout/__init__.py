"""The pure ring of the operator: which pod of a workload goes next, and why the others wait.

Callers observe (`local/`, `cluster/`), call `plan`, and act on what it returns. Nothing in here waits, talks to
anything, or remembers: the same snapshot, policy and time give the same actions, whoever asks and however often.
"""

from lastcall_operator.rollout.actions import Action, DrainPod, Finished, ReplacePod, Wait
from lastcall_operator.rollout.decide import leases, plan
from lastcall_operator.rollout.ordering import Order, in_order
from lastcall_operator.rollout.policy import DrainPolicy
from lastcall_operator.rollout.snapshot import PodState, PodView, Snapshot

__all__ = [
    "Action",
    "DrainPod",
    "DrainPolicy",
    "Finished",
    "Order",
    "PodState",
    "PodView",
    "ReplacePod",
    "Snapshot",
    "Wait",
    "in_order",
    "leases",
    "plan",
]
