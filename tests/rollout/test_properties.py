"""What holds for the planner in every situation, searched for by Hypothesis."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.rollout.views import NEW, pod, pods, policies, snapshots

from lastcall_operator.rollout import (
    DrainPod,
    DrainPolicy,
    Finished,
    PodState,
    ReplacePod,
    Snapshot,
    Wait,
    leases,
    plan,
)

TIMES = st.floats(0, 300)


def by_name(snap):
    return {view.name: view for view in snap.pods}


@given(snapshots(), policies(), TIMES)
def test_same_inputs_same_answer(snap, policy, now):
    assert plan(snap, policy, now) == plan(snap, policy, now)


@given(st.data(), snapshots(), policies(), TIMES)
def test_the_order_in_which_pods_were_seen_changes_no_action(data, snap, policy, now):
    shuffled = replace(snap, pods=tuple(data.draw(st.permutations(snap.pods))))
    first, second = plan(snap, policy, now), plan(shuffled, policy, now)
    if isinstance(first[0], Wait):
        assert isinstance(second[0], Wait)
        assert set(first[0].pods) == set(second[0].pods)
    else:
        assert first == second


@given(snapshots(), policies(), TIMES)
def test_there_is_always_an_answer_and_rest_comes_alone(snap, policy, now):
    actions = plan(snap, policy, now)
    assert actions
    assert len(actions) == 1 or all(isinstance(action, DrainPod | ReplacePod) for action in actions)
    touched = [action.pod for action in actions if isinstance(action, DrainPod | ReplacePod)]
    assert len(touched) == len(set(touched)), "a pod was given two orders"


@given(snapshots(), policies(), TIMES)
def test_only_outdated_pods_are_touched_and_never_one_that_is_ending(snap, policy, now):
    for action in plan(snap, policy, now):
        if isinstance(action, DrainPod | ReplacePod):
            assert snap.outdated(by_name(snap)[action.pod])
            assert not by_name(snap)[action.pod].terminating


@given(snapshots(), policies(), TIMES)
def test_never_more_than_max_draining_on_the_way(snap, policy, now):
    before = sum(view.removing for view in snap.pods)
    begun = sum(isinstance(action, DrainPod) for action in plan(snap, policy, now))
    assert begun == 0 or before + begun <= policy.max_draining


@given(snapshots(), policies(), TIMES)
def test_a_pod_is_not_replaced_while_it_may_carry_streams(snap, policy, now):
    for action in plan(snap, policy, now):
        if isinstance(action, ReplacePod):
            view = by_name(snap)[action.pod]
            held = view.removal_since is not None and now - view.removal_since >= policy.hold_deadline_seconds
            assert view.idle or view.state is PodState.EXPIRED or held or view.unreachable or view.allow_removal


@given(snapshots(), policies(), TIMES)
def test_unknown_is_never_idle(snap, policy, now):
    """A silent pod is drained after every pod that is known, however busy, and replaced only after its deadline, or
    when it has been unreachable for long and is not ready, or its turn has come.
    """
    for action in plan(snap, policy, now):
        if not isinstance(action, DrainPod | ReplacePod) or by_name(snap)[action.pod].in_flight is not None:
            continue
        silent = by_name(snap)[action.pod]
        if isinstance(action, ReplacePod):
            assert silent.removing or silent.allow_removal or (silent.unreachable and not silent.ready)
            continue
        left = {view.name for view in snap.pods if snap.outdated(view) and not view.removing}
        left -= {step.pod for step in plan(snap, policy, now) if isinstance(step, DrainPod | ReplacePod)}
        assert all(by_name(snap)[name].in_flight is None for name in left if by_name(snap)[name].ready == silent.ready)


@given(st.lists(st.none() | st.integers(0, 50), min_size=2, max_size=8), st.integers(1, 4))
def test_an_idler_outdated_pod_goes_before_a_busier_one(loads, max_draining):
    snap = Snapshot(NEW, len(loads), tuple(pod(f"p-{number}", load) for number, load in enumerate(loads)))
    chosen = [action.pod for action in plan(snap, DrainPolicy(max_draining=max_draining), 0.0)]
    endless = float("inf")
    load = {view.name: endless if view.in_flight is None else view.in_flight for view in snap.pods}
    left = [name for name in load if name not in chosen]
    assert len(chosen) == min(max_draining, len(loads))
    assert [load[name] for name in chosen] == sorted(load[name] for name in chosen)
    assert max(load[name] for name in chosen) <= min((load[name] for name in left), default=endless)


@given(pods(), policies(), TIMES)
def test_a_drain_is_kept_up_exactly_while_an_outdated_pod_waits_for_its_end(views, policy, now):
    snap = Snapshot(NEW, len(views), tuple(views))
    kept = set(leases(snap, policy))
    assert len(kept) <= policy.max_draining
    for action in plan(snap, policy, now):
        assert not (isinstance(action, DrainPod) and action.pod in kept), "it is told to drain once"
    over = {PodState.GONE, PodState.EXPIRED}
    told = [view for view in views if snap.outdated(view) and view.removal_since is not None]
    told = [view for view in told if not view.terminating and view.state not in over]
    assert kept <= {view.name for view in told}
    places = policy.max_draining - sum(view.removing for view in views if view not in told)
    for view in told:
        if view.name in kept:
            continue
        before = [other for other in told if other.name in kept and (other.reserved or not view.reserved)]
        assert len(before) >= (policy.max_draining if view.reserved else places), "it waits for a place"
        assert all(other.removal_since <= view.removal_since for other in before if other.reserved == view.reserved)


@given(pods(), policies(), TIMES)
def test_finished_means_all_new_and_all_ready(views, policy, now):
    assume(views)
    snap = Snapshot(NEW, len(views), tuple(views))
    done = all(view.revision == NEW and view.ready and not view.removing for view in views)
    assert isinstance(plan(snap, policy, now)[0], Finished) == done


class Simulated:
    """A workload that does what it is told: drains lose a stream a tick, ended pods come back new."""

    def __init__(self, snap, late):
        pods = (replace(view, terminating=False, reserved=False) for view in snap.pods)
        self.snap = replace(snap, pods=tuple(pods))
        self.late = late  # requests that still come in after the drain has begun

    def apply(self, actions, now):
        told = {action.pod: action for action in actions if isinstance(action, DrainPod | ReplacePod)}
        self.snap = replace(
            self.snap, pods=tuple(self._step(view, told.get(view.name), now) for view in self.snap.pods)
        )
        while self.snap.missing:
            fresh = pod(f"n-{len(self.snap.pods)}", revision=NEW, ready=False)
            self.snap = replace(self.snap, pods=(*self.snap.pods, fresh))

    def _step(self, view, action, now):
        if isinstance(action, ReplacePod):
            return pod(view.name, revision=NEW, ready=False)
        if isinstance(action, DrainPod):
            return replace(view, removal_since=now, ready=False)
        if view.removing and view.revision == NEW:  # somebody else's leased drain, or a crash: it comes back
            return pod(view.name, revision=NEW)
        if view.removing:
            if self.late and view.in_flight is not None and view.state is not PodState.GONE:
                self.late -= 1
                return replace(view, state=PodState.DRAINING, in_flight=view.in_flight + 1)
            left = max(0, (view.in_flight or 0) - 1)
            return replace(view, state=PodState.DRAINING if left else PodState.DRAINED, in_flight=left)
        return replace(view, ready=True) if view.revision == NEW else view


@given(snapshots(), policies(), st.integers(0, 5))
def test_it_ends_when_pods_drain(snap, policy, late):
    workload = Simulated(snap, late)
    for tick in range(300):
        actions = plan(workload.snap, policy, float(tick))
        if isinstance(actions[0], Finished):
            break
        workload.apply(actions, float(tick))
    assert isinstance(actions[0], Finished)
    assert all(view.revision == NEW and view.ready for view in workload.snap.pods)
