"""What holds for removals in every situation, searched for by Hypothesis."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.removal.views import NOW, any_pods, eviction, pod, policies, removals, replica_set, snapshots
from tests.removal.world import CEILING, World, refused

from lastcall_operator.removal import Allow, Evictions, Kind, Load, Policy, Refuse, Removal, Snapshot, decide
from lastcall_operator.rollout import Order


def of(snap, uid):
    return next(view for view in snap.pods if view.uid == uid)


def may_carry(view):
    """Whether the pod carries streams, or nobody knows that it does not."""
    return view.in_flight > 0 if view.load is Load.KNOWN else view.running


def finishing(snap):
    """The pods that are on their way out and may carry streams."""
    going = [view for view in snap.pods if view.sidecar and (view.terminating or view.final) and may_carry(view)]
    return [view for view in going if view.load is Load.KNOWN or view.ends is None or view.ends > NOW]


def overridden(view, policy):
    """Whether a person or the deadline has spoken."""
    since = [each for each in (view.held_since, view.reserved_since) if each is not None and each <= NOW]
    return view.allow_removal or any(each + policy.hold_deadline_seconds <= NOW for each in since)


@given(st.data(), snapshots(), policies())
def test_the_same_inputs_give_the_same_answer_in_whatever_order_pods_were_seen(data, snap, policy):
    removal = data.draw(removals(snap))
    shuffled = replace(snap, pods=tuple(data.draw(st.permutations(snap.pods))))
    assert decide(removal, snap, policy, NOW) == decide(removal, shuffled, policy, NOW)


@given(st.data(), snapshots(), policies())
def test_a_dry_run_gets_the_same_answer_without_effects(data, snap, policy):
    removal = data.draw(removals(snap))
    dry = decide(replace(removal, dry_run=True), snap, policy, NOW)
    real = decide(replace(removal, dry_run=False), snap, policy, NOW)
    assert (type(dry), dry.why) == (type(real), real.why)
    if isinstance(dry, Allow):
        assert (dry.reserve, dry.notable, dry.owed) == (False, False, False)
    else:
        assert (dry.costs, dry.lease, dry.since, dry.mark) == ({}, None, None, False)


@given(st.data(), snapshots(), policies())
def test_a_deadline_and_a_persons_word_end_every_refusal(data, snap, policy):
    removal = data.draw(removals(snap))
    late = replace(of(snap, removal.pod), held_since=NOW - policy.hold_deadline_seconds)
    others = tuple(view for view in snap.pods if view.uid != late.uid)
    remembered = replace(late, held_since=None, reserved_since=late.held_since)
    for view in (late, remembered, replace(late, held_since=None, allow_removal=True)):
        assert not refused(removal, replace(snap, pods=(view, *others)), policy, NOW)


@given(st.data(), snapshots(), policies())
def test_whoever_is_refused_has_a_deadline(data, snap, policy):
    removal = replace(data.draw(removals(snap)), dry_run=False)
    decision = decide(removal, snap, policy, NOW)
    if isinstance(decision, Refuse):
        marked = of(snap, removal.pod).held_since
        assert decision.since is not None
        assert decision.since <= NOW
        assert decision.mark or (marked is not None and decision.since <= marked <= NOW)


@given(st.data(), snapshots(), policies())
def test_unknown_is_never_treated_as_idle(data, snap, policy):
    """Whatever is allowed for a pod that nobody hears from is allowed for a busy one, or for its silence's sake."""
    removal = data.draw(removals(snap))
    silent = replace(of(snap, removal.pod), load=Load.SILENT, running=True, in_flight=0)
    busy = replace(silent, load=Load.KNOWN, in_flight=10**6)
    others = tuple(view for view in snap.pods if view.uid != silent.uid)
    if not refused(removal, replace(snap, pods=(silent, *others)), policy, NOW):
        # a number can be compared with those of other pods, and be too high; silence is higher than any
        assert not refused(
            removal, replace(snap, pods=(busy, *others)), replace(policy, order=Order.LEAST_BUSY_FIRST), NOW
        )


@given(st.lists(st.integers(0, 60) | st.none(), min_size=1, max_size=8), st.data())
def test_an_idler_pod_of_the_set_goes_before_a_busier_one(loads, data):
    views = [pod(f"p-{number}", load) for number, load in enumerate(loads)]
    victim = data.draw(st.sampled_from(views))
    decision = decide(replica_set(victim.name), Snapshot(tuple(views)), Policy(), NOW)
    worth = [10**6 if view.load is not Load.KNOWN else view.in_flight for view in views]
    mine = 10**6 if victim.load is not Load.KNOWN else victim.in_flight
    if isinstance(decision, Allow):
        assert min(worth) == mine if mine <= 16 else min(worth) * 2 > mine
        return
    assert min(worth) < mine
    standing = {view.uid: 0 for view in views} | decision.costs
    by_cost = sorted(views, key=lambda view: standing[view.uid])
    assert not refused(replica_set(by_cost[0].name), Snapshot(tuple(views)), Policy(), NOW), "the next choice is right"


@given(st.lists(any_pods(), min_size=1, max_size=6), policies(), st.data())
def test_removals_asked_at_the_same_time_never_exceed_max_draining(views, policy, data):
    """Each is decided with the reservations of those before it; only overrides and silence may go beyond."""
    pods = {f"uid-{number}": replace(view, uid=f"uid-{number}") for number, view in enumerate(views)}
    for uid in data.draw(st.permutations(sorted(pods))):
        snap = Snapshot(tuple(pods.values()))
        removal = Removal(data.draw(st.sampled_from(Kind)), uid, data.draw(st.sampled_from([None, 1955.0])))
        decision = decide(removal, snap, policy, NOW)
        if isinstance(decision, Refuse):
            continue
        view = pods[uid]
        counts = view.sidecar and may_carry(view) and not (view.terminating or view.final)
        cut = removal.kind is Kind.EVICTION and policy.evictions is Evictions.ALLOW
        if counts and not overridden(view, policy) and view.load is not Load.UNKNOWN and not cut:
            assert policy.max_draining is None or len(finishing(snap)) < policy.max_draining
        # what a budget is about to refuse comes to nothing; everything else counts from now on
        assert decision.reserve or not view.sidecar or (removal.kind is Kind.EVICTION and not view.evictable)
        pods[uid] = replace(view, terminating=view.terminating or decision.reserve)


@given(snapshots(), policies(), st.data())
def test_at_most_one_new_lease_and_always_enough_that_serve(snap, policy, data):
    view = data.draw(st.sampled_from(snap.pods))
    decision = decide(eviction(view.name), snap, policy, NOW)
    if isinstance(decision, Allow) or decision.lease is None:
        return
    assert decision.lease == view.uid
    assert not view.going
    others = [other for other in snap.pods if other.uid != view.uid and not (other.terminating or other.final)]
    assert view.reserved or not any(other.leased for other in others)
    assert sum(other.ready and not other.leased for other in others) >= max(1, snap.min_available)


@st.composite
def worlds(draw):
    """A workload that shrinks or is rolled, with busy, silent and broken pods in it."""
    loads = draw(st.lists(st.integers(0, 12) | st.none(), min_size=1, max_size=7))
    views = [
        pod(
            f"p-{number}",
            load,
            created=-float(draw(st.integers(0, 1000))),
            ready=load is None or draw(st.sampled_from([True, True, True, False])),
            running=draw(st.sampled_from([True, True, True, True, False])) or load is not None,
        )
        for number, load in enumerate(loads)
    ]
    policy = Policy(
        order=draw(st.sampled_from(Order)),
        max_draining=draw(st.none() | st.integers(1, 3)),
        hold_deadline_seconds=draw(st.sampled_from([5.0, 60.0, 500.0])),
    )
    return World(views, policy, draw(st.integers(1, len(views))), draw(st.randoms(use_true_random=False)))


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_every_removal_comes_to_an_end_in_order_and_paced(world):
    # each pod waits for one that finishes within the ceiling, or for its own deadline, whichever is sooner
    limit = len(world.pods) * (min(CEILING, world.policy.hold_deadline_seconds) + 2) + 2
    while world.left and world.now < limit:
        world.second()
    assert world.left == 0, "somebody is refused for ever"
    for snap, uid, decision in world.allowed:
        victim = of(snap, uid)
        if "held for" in decision.why:
            continue
        limit = world.policy.max_draining
        if may_carry(victim) and limit is not None:
            assert len(finishing(snap)) < limit
        if victim.ready and victim.running and world.policy.order is Order.LEAST_BUSY_FIRST:
            same = [view for view in snap.pods if view.ready and view.running and not view.terminating]
            known = [view.in_flight for view in same if view.load is Load.KNOWN]
            mine = victim.in_flight if victim.load is Load.KNOWN else 10**6
            assert min(known, default=mine) >= min(mine, 17) or (mine > 16 and min(known) > mine / 2)
