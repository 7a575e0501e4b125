"""Whether a pod may go now: the pure decision on every removal that Kubernetes asks for.

`review` reads what is asked for and writes the answer, `decide` decides, `reservations` lets two webhooks decide as
one, `costs` holds what deletion costs say and when they go, and `progress` what pacing means for a Deployment. Nothing
in here waits, talks to anything or remembers: the same inputs give the same answer, whoever asks and however often.
"""

from lastcall_operator.removal.decide import decide
from lastcall_operator.removal.model import (
    Allow,
    Decision,
    Evictions,
    Kind,
    Load,
    Pod,
    Policy,
    Refuse,
    Removal,
    Snapshot,
)

__all__ = [
    "Allow",
    "Decision",
    "Evictions",
    "Kind",
    "Load",
    "Pod",
    "Policy",
    "Refuse",
    "Removal",
    "Snapshot",
    "decide",
]
