"""Whether a pod may go now: the one decision for every way to lose it.

`_RULES` reads like the table in docs: for each kind of removal the rules in their order; the first that has an opinion
decides, and without one the pod may go. It is called by the webhook, waits for nothing and remembers nothing: what was
allowed a moment ago is in the snapshot, because a reservation makes its pod count as terminating.

Whoever is refused asks again: the ReplicaSet and StatefulSet controllers by themselves (after 10 ms, doubling, and at
once when a pod of theirs is touched), `kubectl drain` every 5 s. Each refusal is bounded by the hold deadline, which
counts from a mark on the pod, or from the policy's reservations, whichever says that it began earlier.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from lastcall_operator.removal import costs
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

#: Pods that a sentence names at most.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class _Case:
    """A removal with everything that speaks for it or against."""

    victim: Pod
    removal: Removal
    snapshot: Snapshot
    policy: Policy
    now: float

    @property
    def siblings(self) -> list[Pod]:
        """The other pods among which the ReplicaSet controller would choose by cost."""
        return [
            pod for pod in self.snapshot.pods if pod.owner == self.victim.owner and pod.active and not self._is(pod)
        ]

    @property
    def others(self) -> list[Pod]:
        """All pods of the workload but this one."""
        return [pod for pod in self.snapshot.pods if not self._is(pod)]

    @property
    def drained_meanwhile(self) -> list[Pod]:
        """The others that drain on a lease, so that they may go.

        Those that were only just allowed to are among them: until the deletion shows, it may come to nothing.
        """
        return [pod for pod in self.others if pod.leased and not pod.final and pod.ends is None]

    @property
    def serving(self) -> int:
        """How many others new requests find."""
        return sum(_serves(pod) for pod in self.others)

    @property
    def held_since(self) -> float | None:
        """Since when its removal has been refused; None when it has not been.

        A time in the future (another clock, a slip of somebody's hand) would hold the pod for longer than the deadline.
        """
        said = (self.victim.held_since, self.victim.reserved_since)
        return min((since for since in said if since is not None and since <= self.now), default=None)

    @property
    def foreign_costs(self) -> bool:
        """Whether somebody else writes costs among which the ReplicaSet controller chooses."""
        return any(costs.foreign(pod) for pod in (self.victim, *self.siblings))

    def _is(self, pod: Pod) -> bool:
        return pod.uid == self.victim.uid


def decide(removal: Removal, snapshot: Snapshot, policy: Policy, now: float) -> Decision:
    """Decide one removal. `now` is seconds since the epoch. A dry run gets the same answer, without any effect."""
    victim = next((pod for pod in snapshot.pods if pod.uid == removal.pod), None)
    if victim is None:
        return Allow("it is none of the workload's pods", reserve=False)
    if not victim.sidecar:
        return Allow("it has no sidecar", reserve=False)
    case = _Case(victim, removal, snapshot, policy, now)
    opinions = (rule(case) for rule in _RULES[removal.kind])
    decision = next((opinion for opinion in opinions if opinion is not None), Allow("nothing speaks against it"))
    return _without_effects(decision) if removal.dry_run else _with_effects(decision, case)


def _by_word(case: _Case) -> Decision | None:
    """A person said that it may go, whatever it carries."""
    return Allow("its annotation allows it", notable=True, owed=True) if case.victim.allow_removal else None


def _past_deadline(case: _Case) -> Decision | None:
    """It was refused for as long as the policy allows."""
    since, limit = case.held_since, case.policy.hold_deadline_seconds
    if since is None or case.now < since + limit:
        return None
    return Allow(f"held for {limit:.0f} s, with {_load(case.victim)}", notable=True, owed=True)


def _going_already(case: _Case) -> Decision | None:
    """Its end has begun: it counts already, and asking twice changes nothing."""
    return Allow("it is on its way out already") if case.victim.going else None


def _idler_first(case: _Case) -> Decision | None:
    """The ReplicaSet controller chose it although an idler pod is there: let it choose again, by costs.

    A victim that is not ready was not chosen by cost, and no cost would change that.
    """
    if not case.victim.active or case.foreign_costs:
        return None
    order = case.policy.order
    idlest = min(case.siblings, key=lambda pod: (costs.cost(pod, order), pod.name), default=case.victim)
    if costs.cost(idlest, order) >= costs.cost(case.victim, order):
        return None
    return Refuse(
        f"{idlest.name} goes first ({order}): {_load(idlest)}, and here {_load(case.victim)}",
        costs=costs.to_write((case.victim, *case.siblings), order),
    )


def _paced(case: _Case) -> Decision | None:
    """It is busy, and enough other pods of the workload finish their streams already."""
    limit = case.policy.max_draining
    if limit is None or case.victim.idle or case.victim.load is Load.UNKNOWN:
        return None
    finishing = costs.with_streams(case.snapshot, case.now)
    if len(finishing) < limit:
        return None
    return Refuse(
        f"{_names(finishing)} must finish first (maxDraining {limit}), and here {_load(case.victim)}",
        conflicted=case.removal.kind is Kind.REPLICA_SET and case.foreign_costs,
    )


def _budget_in_use(case: _Case) -> Decision | None:
    """A pod drains on a lease of ours already, which its budget's account shows only when its probe has failed."""
    drained, serving = case.drained_meanwhile, case.serving
    if not drained or not _serves(case.victim) or serving >= case.snapshot.min_available:
        return None
    return Refuse(
        f"{_names(drained)} drains first, and {serving} others are Ready, of {case.snapshot.min_available} that must be"
    )


def _idle(case: _Case) -> Decision | None:
    """Nothing is lost, however short the grace.

    While a leased drain settles, a client that keeps its connection may be between two requests: the next would be cut.
    """
    return Allow("nothing in flight") if case.victim.idle and not _settles(case.victim) else None


def _given_up(case: _Case) -> Decision | None:
    """Its sidecar has been silent for too long to hold it any longer."""
    return Allow("its sidecar has not answered for long") if case.victim.load is Load.UNKNOWN else None


def _would_cut_streams(case: _Case) -> Decision | None:
    """The eviction leaves the pod less time than its streams may need."""
    grace = case.victim.grace_seconds if case.removal.grace_seconds is None else case.removal.grace_seconds
    if grace >= case.victim.needed_seconds:
        return None
    if case.policy.evictions is Evictions.ALLOW:
        return Allow(f"the policy allows evictions, with {_load(case.victim)}")
    lease, outlook = _lease(case)
    return Refuse(f"{_load(case.victim)}, and a grace of {grace:.0f} s; {outlook}", lease=lease)


def _lease(case: _Case) -> tuple[str | None, str]:
    """Choose whether the pod drains meanwhile: one at a time, and never the last that serves."""
    victim = case.victim
    if victim.going:
        return None, "it is on its way out already"
    leased = case.drained_meanwhile
    # A renewal is no different from a first lease unless its place was kept: another may have been granted meanwhile.
    if leased and not victim.reserved:
        return None, f"{_names(leased)} drains first"
    demanded, serving = max(1, case.snapshot.min_available), case.serving
    if serving < demanded:
        return None, f"it cannot drain while {serving} others are Ready, of {demanded} that must be"
    if victim.load is not Load.KNOWN and not victim.leased:
        return None, "it cannot drain before its sidecar answers"
    return victim.uid, f"it drains, and may go when {'it has settled' if victim.idle else 'they have finished'}"


def _settles(pod: Pod) -> bool:
    """Tell whether a leased drain runs in which requests came a moment ago."""
    return pod.leased and pod.state == "draining"


def _serves(pod: Pod) -> bool:
    """Tell whether new requests find the pod: readiness lags behind a drain by a probe or two."""
    return pod.ready and not pod.going and not pod.leased and pod.state in {None, "serving"}


_Rule: TypeAlias = Callable[[_Case], Decision | None]

#: For each kind of removal its rules, in their order. An eviction is not let off because its pod is going already:
#: evicting a pod that is being deleted shortens its grace.
_RULES: Final[Mapping[Kind, tuple[_Rule, ...]]] = {
    Kind.REPLICA_SET: (_by_word, _past_deadline, _going_already, _idler_first, _paced),
    Kind.STATEFUL_SET: (_by_word, _past_deadline, _going_already, _paced),
    Kind.EVICTION: (
        _by_word,
        _past_deadline,
        _budget_in_use,
        _idle,
        _given_up,
        _would_cut_streams,
        _going_already,
        _paced,
    ),
}


def _with_effects(decision: Decision, case: _Case) -> Decision:
    """Add what every decision of its kind carries: since when the pod is held, or that a hold is over."""
    victim, since = case.victim, case.held_since
    if isinstance(decision, Allow):
        # An eviction that a budget is about to refuse takes nothing away: it must not hold up others.
        comes = case.removal.kind is not Kind.EVICTION or victim.evictable
        return replace(decision, notable=decision.notable or since is not None, reserve=decision.reserve and comes)
    marked = victim.held_since is not None and victim.held_since <= case.now
    return replace(decision, since=case.now if since is None else since, mark=not marked)


def _without_effects(decision: Decision) -> Decision:
    """Keep of a decision only what it says."""
    if isinstance(decision, Allow):
        return replace(decision, reserve=False, notable=False, owed=False)
    return Refuse(decision.why, conflicted=decision.conflicted)


def _load(pod: Pod) -> str:
    """Say in words what the pod carries."""
    if pod.idle:
        return "nothing in flight"
    if pod.load is not Load.KNOWN:
        return "its sidecar does not answer"
    return f"{pod.in_flight} stream{'' if pod.in_flight == 1 else 's'} in flight"


def _names(pods: Iterable[Pod]) -> str:
    """Name the pods, or the first of many."""
    names = sorted(pod.name for pod in pods)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
