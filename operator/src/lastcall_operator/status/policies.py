"""A DrainPolicy's conditions, and the rows of its pods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.names import Reason
from lastcall_operator.removal.model import Policy
from lastcall_operator.removal.progress import progress_warning

from .lingering import told
from .outcomes import Track
from .readings import Readings, askable, counted, cut_off, draining, in_flight, named
from .records import Pod, Workload
from .rollouts import stamp
from .told import Told

#: Rows of pods in a status at most.
ROWS = 100
#: A pod held for longer than this share of its deadline is told of.
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class PolicyView:
    """Everything that a DrainPolicy's conditions rest on. Times are seconds since the epoch."""

    kind: str
    name: str
    #: None: there is no such workload
    workload: Workload | None
    pods: tuple[Pod, ...]
    readings: Readings
    #: the revision wanted; empty when unknown
    revision: str
    #: `maxDraining` for its replicas; None: not paced
    max_draining: int | None
    hold_deadline_seconds: float
    #: pods that are drained and do not end
    lingering: tuple[Track, ...] = ()
    #: an older policy of the same workload
    older: str | None = None
    #: the spec's own mistake
    mistake: str | None = None
    #: the NetworkPolicy that is likely to be in the way
    network: str | None = None

    @property
    def outdated(self) -> list[Pod]:
        """The pods that are to get another revision."""
        workload = self.workload
        if workload is None or not self.revision:
            return []
        return [pod for pod in self.pods if pod.revision != self.revision and not workload.keeps(pod)]

    @property
    def surplus(self) -> bool:
        """Whether the workload's own controllers are the ones who want pods to go."""
        workload = self.workload
        return workload is not None and (bool(self.outdated) or workload.current_replicas > workload.replicas)


def conditions(view: PolicyView, now: float) -> list[Told]:
    """All of them, in the order in which a person asks."""
    accepted = _accepted(view)
    if not accepted.status:
        return [accepted, _conflicted(view)]
    return [
        accepted,
        _progressing(view),
        _draining(view, now),
        _stalled(view, now),
        _conflicted(view),
        unreachable(view.pods, view.readings, view.network),
        *_deadline(view),
    ]


def unreachable(pods: Sequence[Pod], readings: Readings, network: str | None) -> Told:
    """Whether sidecars are cut off from us."""
    asked, silent = [pod for pod in askable(pods) if pod.ready], cut_off(pods, readings)
    if not silent:
        return Told("Unreachable", False, "Answering", f"{counted(len(asked), 'sidecar')} asked, all answer")
    if len(silent) < len(asked):
        names = named(pod.name for pod in silent)
        return Told("Unreachable", False, "SomeSilent", f"no answer from {names}: ordered last, and no longer held")
    suspect = "NetworkPolicy " + network if network else "a NetworkPolicy"
    port = silent[0].port
    message = (
        f"none of {counted(len(silent), 'sidecar')} answers at port {port}, although the pods are Ready: {suspect} is "
        f"likely to keep the operator out; nothing is ordered or held until it lets TCP {port} in from there"
    )
    return Told("Unreachable", True, "AllSilent", message)


def moves(view: PolicyView) -> bool:
    """Whether something is on its way, so that each second counts. Who evicts a pod that is held asks by itself."""
    return bool(draining(view.pods, view.readings)) or _unsettled(view)


def at_rest(view: PolicyView) -> bool:
    """Whether its controllers want no pod to go: as many as wanted, all of the revision wanted.

    Pods may still finish their streams, or not be Ready: where there is always one of those, a hold that nobody wants
    any more would last until its deadline, and the pod would then go first, whatever it carries.
    """
    return view.workload is not None and not _unsettled(view)


def rows(pods: Sequence[Pod], readings: Readings) -> list[dict[str, Any]]:
    """The pods as `status.pods` lists them: the busiest first."""
    ordered = sorted(pods, key=lambda pod: (-in_flight([pod], readings), pod.name))
    return [_row(pod, readings) for pod in ordered[:ROWS]]


def _row(pod: Pod, readings: Readings) -> dict[str, Any]:
    row: dict[str, Any] = {"name": pod.name, "revision": pod.revision, "state": _state(pod, readings)}
    gauge = None if (reading := readings.get(pod.uid)) is None else reading.now
    if gauge is not None:
        row["inFlight"] = gauge.in_flight
        if gauge.oldest_request_seconds is not None:
            row["oldestRequestSeconds"] = int(gauge.oldest_request_seconds)
    return row


def _state(pod: Pod, readings: Readings) -> str:
    reading = readings.get(pod.uid)
    if reading is None or reading.now is None:
        return "silent"
    return "draining" if pod.deleted is not None and not reading.now.draining else reading.now.state


def _unsettled(view: PolicyView) -> bool:
    workload = view.workload
    if workload is None:
        return False
    return bool(view.outdated) or workload.current_replicas != workload.replicas or not workload.observed


def _accepted(view: PolicyView) -> Told:
    if view.mistake is not None:
        return Told("Accepted", False, "Invalid", view.mistake)
    if view.older is not None:
        return Told("Accepted", False, "Conflicted", f"DrainPolicy {view.older} is older and has the same pods")
    if view.workload is None:
        message = f"there is no {view.kind} {view.name} in this namespace"
        return Told("Accepted", False, Reason.TARGET_NOT_FOUND, message)
    if not view.pods:
        return Told("Accepted", True, "NoSidecars", f"no pod of {view.kind} {view.name} has a sidecar yet")
    return Told("Accepted", True, "Found", f"{view.kind} {view.name}: {counted(len(view.pods), 'pod')} with a sidecar")


def _progressing(view: PolicyView) -> Told:
    older = view.outdated
    if older:
        return Told("Progressing", True, "RollingOut", f"{counted(len(older), 'pod')} of an older revision left")
    workload = view.workload
    if workload is not None and workload.current_replicas > workload.replicas:
        return Told("Progressing", True, "ScalingDown", f"from {workload.current_replicas} to {workload.replicas} pods")
    return Told("Progressing", False, "Settled", "no rollout and no scale-down is under way")


def _draining(view: PolicyView, now: float) -> Told:
    going = draining(view.pods, view.readings)
    if not going:
        return Told("Draining", False, "Serving", "no pod is on its way out")
    if view.lingering:
        since = stamp(min(track.drained or now for track in view.lingering))
        return Told("Draining", True, Reason.APP_DOES_NOT_END, told(view.lingering, since))
    streams = in_flight(going, view.readings)
    return Told("Draining", True, "Draining", f"{named(pod.name for pod in going)}: {streams} in flight")


def _stalled(view: PolicyView, now: float) -> Told:
    late = [(pod, now - pod.held_since) for pod in view.pods if pod.held_since is not None and pod.deleted is None]
    late = [(pod, held) for pod, held in late if held >= view.hold_deadline_seconds * _PATIENCE]
    if not late:
        return Told("Stalled", False, "InTime", "no removal has been held for long")
    pod, held = max(late, key=lambda each: each[1])
    load = in_flight([pod], view.readings)
    message = (
        f"{pod.name} has been held for {held:.0f} of {view.hold_deadline_seconds:.0f} s, with {load} in flight; "
        f'it goes at the deadline, or at once with the annotation lastcall.dev/allow-removal: "true"'
    )
    return Told("Stalled", True, "Held", message)


def _conflicted(view: PolicyView) -> Told:
    if view.older is not None:
        message = f"DrainPolicy {view.older} is older and has the same pods: this one has no effect"
        return Told("Conflicted", True, Reason.CONFLICTED, message)
    foreign = [pod.name for pod in view.pods if pod.cost is not None and pod.cost != pod.cost_written]
    if foreign:
        message = f"somebody else writes pod-deletion-cost on {named(foreign)}: Lastcall orders no removals here"
        return Told("Conflicted", True, "ForeignDeletionCost", message)
    return Told("Conflicted", False, "Alone", "no other policy, and no other writer of deletion costs")


def _deadline(view: PolicyView) -> list[Told]:
    workload = view.workload
    if workload is None or workload.progress_deadline_seconds is None:
        return []
    policy = Policy(max_draining=view.max_draining, hold_deadline_seconds=view.hold_deadline_seconds)
    longest = max((pod.grace_seconds for pod in view.pods), default=0.0)
    warning = progress_warning(policy, workload.replicas, longest, workload.progress_deadline_seconds)
    if warning is None or not view.pods:
        message = "the Deployment waits long enough for a paced rollout"
        return [Told("ProgressDeadlineTooShort", False, "LongEnough", message)]
    return [Told("ProgressDeadlineTooShort", True, "TooShort", warning)]


def scale(view: PolicyView) -> Mapping[str, int]:
    """What the metrics count: pods by state."""
    found: dict[str, int] = {}
    for pod in view.pods:
        state = _state(pod, view.readings)
        found[state] = found.get(state, 0) + 1
    return found
