"""How long a paced rollout may stand still, and whether its Deployment would call that a failure.

The Deployment controller starts `progressDeadlineSeconds` anew with every pod that it adds, loses or sees Ready. A
paced rollout stands still from the moment when `maxDraining` pods finish their streams until one of them is gone.
"""

import math
from typing import Final

from lastcall_operator.removal.model import Policy

#: What Kubernetes gives a new pod to become Ready, its default of `progressDeadlineSeconds`.
PROGRESS_DEADLINE_DEFAULT: Final = 600


def needed_progress_deadline(policy: Policy, replicas: int, ceiling: float) -> int:
    """Say the least `progressDeadlineSeconds` that a rollout needs; 0 when it is never held up.

    `ceiling`: the longest that a pod may take to go, in seconds: what its sidecar needs, settle and margin included.
    The hold deadline ends a wait, too. What Kubernetes gives a new pod to start comes on top.
    """
    if policy.max_draining is None or replicas <= policy.max_draining:
        return 0
    return math.ceil(min(ceiling, policy.hold_deadline_seconds)) + PROGRESS_DEADLINE_DEFAULT


def progress_warning(policy: Policy, replicas: int, ceiling: float, progress_deadline: int | None) -> str | None:
    """Say what to set when a Deployment's `progressDeadlineSeconds` is too short; None when it is long enough.

    `progress_deadline`: what the Deployment has; None for Kubernetes' default.
    """
    has = PROGRESS_DEADLINE_DEFAULT if progress_deadline is None else progress_deadline
    needed = needed_progress_deadline(policy, replicas, ceiling)
    if has >= needed:
        return None
    return (
        f"progressDeadlineSeconds is {has}, but with maxDraining {policy.max_draining} a rollout may wait longer for "
        f"streams to finish and be reported as ProgressDeadlineExceeded: set it to {needed} or more"
    )
