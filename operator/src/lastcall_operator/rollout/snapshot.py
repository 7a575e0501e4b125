"""What is known about a workload's pods at one moment: all that a decision may rest on.

Observers make these values, and the planner reads them. They hold no promise about the next moment.
"""

from dataclasses import dataclass
from enum import StrEnum


class PodState(StrEnum):
    """Where a pod stands in its sidecar's lifecycle, as `drain.state` of `/livez` gives it; `GONE` is our own."""

    #: takes new work
    SERVING = "serving"
    #: wants no new work and finishes what it has
    DRAINING = "draining"
    #: nothing in flight, and quiet for the settle time
    DRAINED = "drained"
    #: the drain's ceiling came before its streams ended
    EXPIRED = "expired"
    #: its processes have ended: it carries nothing, whatever it last said
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod, as last seen.

    `in_flight` and `state` are None when the sidecar does not answer. A silent pod may carry any number of streams,
    so it is never taken for idle. Times are seconds of the clock that `now` of the decision is read from.
    """

    name: str
    revision: str
    ready: bool
    in_flight: int | None
    state: PodState | None
    started: float
    oldest_request_seconds: float | None = None
    #: since when this rollout has waited for it to drain: by the rollout's own mark, so that a planner which has just
    #: started knows it, too. Drains that others asked for have none
    removal_since: float | None = None
    #: a drain has been agreed on, whoever asked for it, and may not show yet
    reserved: bool = False
    #: its end has begun (a deletion timestamp, a SIGTERM) and cannot be taken back
    terminating: bool = False
    #: its sidecar has been silent for so many polls that it is no longer waited for; it is still not taken for idle
    unreachable: bool = False
    #: a person said that it may go whatever it carries
    allow_removal: bool = False

    @property
    def idle(self) -> bool:
        """Whether it is known to carry nothing."""
        return self.state is PodState.GONE or self.in_flight == 0

    @property
    def removing(self) -> bool:
        """Whether it is on its way out: asked to drain, or draining by itself, or ending."""
        return (
            self.terminating
            or self.removal_since is not None
            or self.reserved
            or (self.state is not None and self.state is not PodState.SERVING)
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A workload at one moment: the revision and the number of pods that are wanted, and the pods that are there."""

    revision: str
    replicas: int
    pods: tuple[PodView, ...]

    def outdated(self, pod: PodView) -> bool:
        """Whether the pod is of another revision than the one that is wanted."""
        return pod.revision != self.revision

    @property
    def missing(self) -> int:
        """How many pods are not there at all: deleted, and their successors not made yet."""
        return max(0, self.replicas - len(self.pods))
