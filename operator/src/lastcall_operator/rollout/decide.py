"""The rollout's one decision: given what the pods are now, what may be done now.

Level-based: there is no memory of what was asked before. A planner that starts in the middle of a rollout goes on
where the last one stopped, and asking twice changes nothing. The order of things is that of this file:

1. What has nothing left to lose is replaced at once: outdated pods whose drain is over, whose hold has run out, or
   which are not ready and known to be idle, or have not been reachable for long; and those that a person lets go.
2. The next pods in order begin to drain, as long as no more than `max_draining` pods are on the way: draining,
   ending, or not ready yet in their new life.
3. Otherwise it waits, and says for whom.
"""

from lastcall_operator.rollout.actions import Action, DrainPod, Finished, ReplacePod, Wait
from lastcall_operator.rollout.ordering import Order, in_order
from lastcall_operator.rollout.policy import DrainPolicy
from lastcall_operator.rollout.snapshot import PodState, PodView, Snapshot

_SUPERLATIVE = {Order.LEAST_BUSY_FIRST: "least busy", Order.OLDEST_FIRST: "oldest"}


def plan(snapshot: Snapshot, policy: DrainPolicy, now: float) -> tuple[Action, ...]:
    """Say what to do now: at least one action; `Wait` and `Finished` come alone."""
    outdated = in_order((pod for pod in snapshot.pods if snapshot.outdated(pod)), policy.order)
    replacements = _replacements(outdated, policy, now)
    drains = _drains(snapshot, outdated, policy, frozenset(action.pod for action in replacements))
    actions: tuple[Action, ...] = (*replacements, *drains)
    return actions or (_rest(snapshot),)


def leases(snapshot: Snapshot, policy: DrainPolicy) -> tuple[str, ...]:
    """Name the outdated pods whose drain is to be kept up, for those who drain by leases: a lease ends by itself.

    This rollout has told them to drain and has not told them to end. One that does not say so (its lease ran out, or
    never came) is among them; one that drains because somebody else asked for it is not. No more than may be at once:
    those that were told first. One whose place was not kept (its reservation has run out) takes what places are left:
    somebody else may have been granted a drain meanwhile.
    """
    told = sorted((pod for pod in snapshot.pods if _told(snapshot, pod)), key=lambda pod: (pod.removal_since, pod.name))
    agreed = [pod for pod in told if pod.reserved][: policy.max_draining]
    others = sum(pod.removing for pod in snapshot.pods if pod not in told)
    left = max(0, policy.max_draining - len(agreed) - others)
    late = [pod for pod in told if not pod.reserved][:left]
    return tuple(pod.name for pod in (*agreed, *late))


def _told(snapshot: Snapshot, pod: PodView) -> bool:
    """Tell whether this rollout has told the pod to drain, and waits for that."""
    waits = not pod.terminating and pod.state not in {PodState.GONE, PodState.EXPIRED}
    return snapshot.outdated(pod) and pod.removal_since is not None and waits


def _replacements(outdated: list[PodView], policy: DrainPolicy, now: float) -> list[ReplacePod]:
    """Find the outdated pods that nothing speaks for any more."""
    found = []
    for pod in outdated:
        why = None if pod.terminating else _why_replace(pod, policy, now)
        if why is not None:
            found.append(ReplacePod(pod.name, why))
    return found


def _why_replace(pod: PodView, policy: DrainPolicy, now: float) -> str | None:
    """Say why the pod may go at once; None when it may not."""
    if pod.allow_removal:
        return f"its annotation allows it, with {_load(pod)}"
    if pod.state is PodState.GONE:
        return "its process has ended"
    if pod.state is PodState.EXPIRED:
        return f"its drain reached the ceiling, with {_load(pod)}"
    if pod.state is PodState.DRAINED and pod.idle:
        return "drained: nothing in flight, and quiet since"
    if not pod.removing:
        return None if pod.ready else _why_replace_unready(pod)
    if pod.unreachable:
        return "its turn has come, and its sidecar has not answered for long"
    if pod.removal_since is not None and now - pod.removal_since >= policy.hold_deadline_seconds:
        return f"held for {policy.hold_deadline_seconds:.0f} s, with {_load(pod)}"
    return None


def _why_replace_unready(pod: PodView) -> str | None:
    """Say why a pod that serves nobody new need not even drain; None when it has streams to finish first."""
    if pod.idle:
        return "not ready, and nothing in flight"
    return "not ready, and its sidecar has not answered for long" if pod.unreachable else None


def _drains(
    snapshot: Snapshot, outdated: list[PodView], policy: DrainPolicy, replaced: frozenset[str]
) -> list[DrainPod]:
    """Choose the next pods to drain: as many as may be on the way beside those that already are."""
    moving = snapshot.missing + sum(_moving(snapshot, pod) or pod.name in replaced for pod in snapshot.pods)
    waiting = [pod for pod in outdated if not pod.removing and pod.name not in replaced]
    chosen = waiting[: max(0, policy.max_draining - moving)]
    return [DrainPod(pod.name, _why_next(pod, len(waiting), policy.order)) for pod in chosen]


def _why_next(pod: PodView, waiting: int, order: Order) -> str:
    """Say why it is this pod's turn."""
    if not pod.ready:
        return f"not ready, so it goes first: {_load(pod)}"
    if waiting == 1:
        return f"the last outdated pod: {_load(pod)}"
    return f"the {_SUPERLATIVE[order]} of {waiting} outdated pods: {_load(pod)}"


def _moving(snapshot: Snapshot, pod: PodView) -> bool:
    """Tell whether the pod takes up a place: on its way out, or a successor that does not serve yet."""
    return pod.removing or (not snapshot.outdated(pod) and not pod.ready)


def _rest(snapshot: Snapshot) -> Wait | Finished:
    """Say why there is nothing to do: all is done, or somebody is waited for."""
    for whom, why in (
        ([pod for pod in snapshot.pods if pod.removing and not pod.terminating], _why_draining),
        ([pod for pod in snapshot.pods if pod.terminating], _why_ending),
        ([pod for pod in snapshot.pods if _moving(snapshot, pod)], _why_starting),
    ):
        if whom:
            return Wait("; ".join(why(pod) for pod in whom), tuple(pod.name for pod in whom))
    if snapshot.missing:
        return Wait(f"{snapshot.missing} of {snapshot.replicas} pods not made yet")
    return Finished(f"all {len(snapshot.pods)} pods are ready at revision {snapshot.revision}")


def _why_draining(pod: PodView) -> str:
    if pod.state is PodState.GONE:
        return f"{pod.name} has ended and must come back"
    if pod.idle:
        return f"{pod.name} has nothing in flight and settles"
    oldest = "" if pod.oldest_request_seconds is None else f", the oldest for {pod.oldest_request_seconds:.0f} s"
    return f"{pod.name} finishes its streams: {_load(pod)}{oldest}"


def _why_ending(pod: PodView) -> str:
    return f"{pod.name} is ending"


def _why_starting(pod: PodView) -> str:
    return f"{pod.name} of revision {pod.revision} is not ready yet"


def _load(pod: PodView) -> str:
    """Say in words what the pod carries."""
    return "it does not say what is in flight" if pod.in_flight is None else f"{pod.in_flight} in flight"
