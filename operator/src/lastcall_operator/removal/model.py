"""What a removal decision rests on, and what it says: frozen values with hardly any behaviour of their own.

Observers (`cluster/`) make a Snapshot, `review` makes a Removal, `decide` answers with a Decision, and the webhook
carries out what a Refuse asks for. Times are seconds since the epoch.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from lastcall_operator.rollout.ordering import Order


class Kind(StrEnum):
    """Who asks for the removal."""

    REPLICA_SET = "ReplicaSet"
    STATEFUL_SET = "StatefulSet"
    EVICTION = "Eviction"


class Load(StrEnum):
    """What is known of a pod's sidecar."""

    #: it answered: `in_flight` is true
    KNOWN = "known"
    #: it did not answer, for the first times: taken for busy
    SILENT = "silent"
    #: it has not answered for MISSES polls: ordered last, no longer held
    UNKNOWN = "unknown"


class Evictions(StrEnum):
    """What a DrainPolicy says of evictions that would cut streams."""

    HOLD = "Hold"
    ALLOW = "Allow"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of the workload, at this moment. Times are seconds since the epoch."""

    name: str
    uid: str
    #: UID of the ReplicaSet or StatefulSet that owns it
    owner: str
    created: float
    scheduled: bool
    running: bool
    ready: bool
    load: Load
    in_flight: int = 0
    #: serving, draining, drained, expired; None when silent
    state: str | None = None
    #: the drain is final
    final: bool = False
    #: deleted, or allowed to be by a reservation that has not run out
    terminating: bool = False
    #: when the grace of its deletion will have passed; None: not deleted
    ends: float | None = None
    #: a leased drain runs, or is reserved
    leased: bool = False
    #: its leased drain is one that was agreed on: nobody else was granted one beside it
    reserved: bool = False
    #: whether it has a sidecar at all; a pod without one is never held and counts for nothing
    sidecar: bool = True
    #: the pod's grace in seconds, and what its sidecar needs of it: ceiling + settle + margin
    grace_seconds: float = 30.0
    needed_seconds: float = 1955.0
    #: since when its removal has been refused, by the mark on it and by the policy's reservations; None: not there
    held_since: float | None = None
    reserved_since: float | None = None
    #: whether an eviction would be let by its PodDisruptionBudgets now
    evictable: bool = True
    allow_removal: bool = False
    #: the deletion cost that stands on it, and the one that we wrote last
    cost: int | None = None
    cost_written: int | None = None
    #: when it was last touched so that its controller asks again (the annotation lastcall.dev/ask-again)
    asked_again: float | None = None

    @property
    def idle(self) -> bool:
        """Whether it is known to carry nothing: its sidecar says so, or it has not started, or has ended altogether.

        A running pod that does not say what it carries is never idle.
        """
        if self.load is Load.KNOWN:
            return self.in_flight == 0
        return not self.running

    @property
    def going(self) -> bool:
        """Whether its end has begun, or is about to, and cannot be taken back."""
        return self.terminating or self.final

    @property
    def active(self) -> bool:
        """Whether the ReplicaSet controller looks at costs before it chooses this pod.

        Pods that are not scheduled, not running or not ready go before all others, whatever they cost.
        """
        return self.sidecar and not self.going and self.scheduled and self.running and self.ready


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The workload's pods, and what its PodDisruptionBudgets demand."""

    pods: tuple[Pod, ...]
    #: the most that any PodDisruptionBudget of these pods demands to stay healthy; 0 without one
    min_available: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """A DrainPolicy's `spec`, with percentages resolved against the workload's replicas."""

    order: Order = Order.LEAST_BUSY_FIRST
    #: None: no pacing
    max_draining: int | None = None
    hold_deadline_seconds: float = 3600.0
    evictions: Evictions = Evictions.HOLD


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal that somebody asks for."""

    kind: Kind
    #: UID of the pod
    pod: str
    #: `deleteOptions.gracePeriodSeconds`; None: the pod's own
    grace_seconds: float | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Allow:
    """It may go. `reserve`: it counts as terminating from now on, although the API server does not show it yet."""

    why: str
    reserve: bool = True
    #: worth an event: held before, past the deadline, or by a person's word
    notable: bool = False
    #: by a person's word, or past the deadline: it stands, even if it cannot be reserved
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """It stays, for now. Effects are for the caller to carry out; on a dry run there are none."""

    why: str
    #: deletion costs to write, by pod UID: only those that differ from what stands there. Empty when the costs are
    #: right already and the controller asked with an older view of them: it asks again by itself, after 10 ms at first
    costs: dict[str, int] = field(default_factory=dict)
    #: UID of the pod whose leased drain is to be started or renewed
    lease: str | None = None
    #: since when the pod's removal has been refused, this time included; None on a dry run
    since: float | None = None
    #: the pod itself does not say so yet: it is to be marked
    mark: bool = False
    #: somebody else writes deletion costs here: hands off
    conflicted: bool = False


Decision = Allow | Refuse
