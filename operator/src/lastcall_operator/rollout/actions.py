"""What the planner can ask for: frozen values that say what to do and, for people, why.

`decide.plan` makes them; whoever observes the pods carries them out. Each is safe to carry out twice.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class DrainPod:
    """Ask the pod to drain: it takes no new work, and finishes what it has."""

    pod: str
    why: str


@dataclass(frozen=True, slots=True)
class ReplacePod:
    """End the pod and let its successor of the wanted revision start."""

    pod: str
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now. `pods` are those waited for, and `why` says what they must do first."""

    why: str
    pods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """Every pod is of the wanted revision and ready: the rollout is over."""

    why: str


Action: TypeAlias = DrainPod | ReplacePod | Wait | Finished
