"""The table of removals, row by row: what is asked, what there is, what the answer is."""

import pytest
from tests.removal.views import (
    NEEDED,
    NEW,
    NOW,
    eviction,
    pod,
    replica_set,
    snapshot,
    stateful_set,
    terminating,
    unknown,
)

from lastcall_operator.removal import Allow, Evictions, Policy, Refuse, decide
from lastcall_operator.rollout import Order

OLDEST = {"order": Order.OLDEST_FIRST}
ONE = {"max_draining": 1}
LAST = 2**31 - 1
LONG = eviction("a", grace_seconds=NEEDED)


def judge(removal, snap, now=NOW, **policy):
    return decide(removal, snap, Policy(**policy), now)


def allowed(removal, snap, **policy):
    return isinstance(judge(removal, snap, **policy), Allow)


def case(wanted, *pods, name, ask=None, policy=None, **more):
    return pytest.param(ask or replica_set("a"), snapshot(*pods, **more), policy or {}, wanted, id=name)


@pytest.mark.parametrize(
    ("removal", "snap", "policy", "wanted"),
    [
        case(False, pod("a", 3), pod("b", 2), name="an idler pod is there"),
        case(True, pod("a", 2), pod("b", 3), name="it is the idlest"),
        case(True, pod("a", 2), pod("b", 2), name="it is as idle as the other"),
        case(True, pod("a", 2), name="it is the only one"),
        case(False, pod("a", 17), pod("b", 16), name="exact up to sixteen"),
        case(True, pod("a", 32), pod("b", 17), name="above, about as busy is as busy"),
        case(False, pod("a", 33), pod("b", 32), name="twice as busy is busier"),
        case(True, pod("a", 3), pod("b", 0, owner=NEW), name="the idler one belongs to another ReplicaSet"),
        case(True, pod("a", 3), terminating("b", 0), name="the idler one is going already"),
        case(True, pod("a", 3), pod("b", 0, terminating=True), name="the idler one is reserved"),
        case(True, pod("a", 3), pod("b", 0, final=True), name="the idler one ends by itself"),
        case(True, pod("a", 3), pod("b", 0, ready=False), name="the idler one is not ready: it would be chosen anyway"),
        case(True, pod("a", 3), pod("b", 0, running=False), name="the idler one has not started"),
        case(True, pod("a", 3), pod("b", 0, scheduled=False), name="the idler one has no node"),
        case(True, pod("a", 3), pod("b", 0, sidecar=False), name="the idler one has no sidecar"),
        case(True, pod("a", 3, ready=False), pod("b", 0), name="not ready: no cost would change the choice"),
        case(True, pod("a", 3, terminating=True), pod("b", 0), name="asked again while it goes"),
        case(False, pod("a", None), pod("b", 99), name="silent counts as busier than any number"),
        case(True, pod("a", 99), pod("b", None), name="and never goes before a number"),
        case(False, unknown("a"), pod("b", 99), name="unknown is ordered last"),
        case(True, unknown("a"), pod("b", None), name="unknown and silent are all the same"),
        case(False, pod("a", 0, created=20.0), pod("b", 9, created=10.0), policy=OLDEST, name="oldest first"),
        case(True, pod("a", 9, created=10.0), pod("b", 0, created=20.0), policy=OLDEST, name="it is the oldest"),
        case(True, pod("a", 1, created=10.9), pod("b", 0, created=10.1), policy=OLDEST, name="of the same second"),
        case(False, pod("a", None, created=1.0), pod("b", 0, created=9.0), policy=OLDEST, name="silent last"),
        case(True, pod("a", 3), pod("b", 0, cost=7), name="somebody else's cost on the other: no order"),
        case(True, pod("a", 3, cost=7, cost_written=6), pod("b", 0), name="somebody else's cost on it: no order"),
        case(False, pod("a", 3, cost=7, cost_written=7), pod("b", 0), name="a cost of ours"),
        case(False, pod("a", 3, cost_written=7), pod("b", 0), name="a cost of ours that somebody removed"),
        case(False, pod("a", 3), pod("b", 0), pod("c", 0, owner=NEW, cost=7), name="a cost that is none of its set"),
    ],
)
def test_the_idler_goes_first(removal, snap, policy, wanted):
    assert allowed(removal, snap, **policy) is wanted


@pytest.mark.parametrize("ask", [replica_set("a"), stateful_set("a"), LONG], ids=["set", "stateful", "eviction"])
@pytest.mark.parametrize(
    ("pods", "policy", "wanted"),
    [
        pytest.param([pod("a", 1), terminating("t", 1)], ONE, False, id="one finishes its streams already"),
        pytest.param([pod("a", 1), terminating("t", 1)], {}, True, id="without pacing"),
        pytest.param([pod("a", 1), terminating("t", 1)], {"max_draining": 2}, True, id="room for two"),
        pytest.param(
            [pod("a", 1), terminating("t", 1), terminating("u", 9)], {"max_draining": 2}, False, id="no room for three"
        ),
        pytest.param([pod("a", 0), terminating("t", 1)], ONE, True, id="idle is never paced"),
        pytest.param([pod("a", 0, state="drained"), terminating("t", 1)], ONE, True, id="nor is drained"),
        pytest.param(
            [pod("a", 1, state="drained"), terminating("t", 1)], ONE, False, id="drained, and a request has just come"
        ),
        pytest.param([pod("a", None), terminating("t", 1)], ONE, False, id="silent is busy"),
        pytest.param([unknown("a"), terminating("t", 1)], ONE, True, id="unknown is no longer held"),
        pytest.param([pod("a", None, running=False), terminating("t", 1)], ONE, True, id="not started carries nothing"),
        pytest.param([pod("a", 1), terminating("t", 0)], ONE, True, id="the other has finished"),
        pytest.param([pod("a", 1), terminating("t", None)], ONE, False, id="the other is silent"),
        pytest.param([pod("a", 1), unknown("t", terminating=True)], ONE, False, id="the other is unknown: not idle"),
        pytest.param(
            [pod("a", 1), unknown("t", terminating=True, ends=NOW + 1)], ONE, False, id="the other has time left"
        ),
        pytest.param(
            [pod("a", 1), unknown("t", terminating=True, ends=NOW)], ONE, True, id="the other's node must be dead"
        ),
        pytest.param([pod("a", 1), terminating("t", None, ends=NOW)], ONE, True, id="the other is silent, and overdue"),
        pytest.param([pod("a", 1), terminating("t", 1, ends=NOW)], ONE, False, id="the other is overdue, and answers"),
        pytest.param(
            [pod("a", 1), terminating("t", None, running=False)], ONE, True, id="the other has ended altogether"
        ),
        pytest.param([pod("a", 1), terminating("t", 1, owner=NEW)], ONE, False, id="the other is of another owner"),
        pytest.param([pod("a", 1), pod("t", 1, terminating=True)], ONE, False, id="the other is reserved"),
        pytest.param([pod("a", 1), pod("t", 1, final=True)], ONE, False, id="the other ends by itself"),
        pytest.param([pod("a", 1), pod("t", 1, leased=True, state="draining")], ONE, True, id="a lease is no removal"),
        pytest.param([pod("a", 1), terminating("t", 1, sidecar=False)], ONE, True, id="the other has no sidecar"),
        pytest.param([pod("a", 1, terminating=True)], ONE, True, id="it does not wait for itself"),
        pytest.param([pod("a", 1, terminating=True), terminating("t", 1)], ONE, True, id="it counts already"),
    ],
)
def test_busy_pods_are_paced(ask, pods, policy, wanted):
    assert allowed(ask, snapshot(*pods), **policy) is wanted


def test_pacing_is_all_that_a_stateful_set_meets():
    assert allowed(stateful_set("a"), snapshot(pod("a", 9), pod("b", 0)), max_draining=1)


SHORT = {"ask": eviction("a", grace_seconds=NEEDED - 1)}
OWN_SHORT = {"ask": eviction("a", grace_seconds=None)}


@pytest.mark.parametrize(
    ("removal", "snap", "policy", "wanted"),
    [
        case(True, pod("a", 9), pod("b", 0), ask=LONG, name="its grace covers what its streams need"),
        case(False, pod("a", 9), **SHORT, name="a second less does not"),
        case(True, pod("a", 9, grace_seconds=NEEDED), **OWN_SHORT, name="the pod's own grace covers it"),
        case(False, pod("a", 9, grace_seconds=60.0), **OWN_SHORT, name="the pod's own grace does not"),
        case(False, pod("a", 9, grace_seconds=NEEDED), **SHORT, name="the eviction's grace counts before the pod's"),
        case(False, pod("a", 9), ask=eviction("a", grace_seconds=0.0), name="no grace at all"),
        case(True, pod("a", 9), policy={"evictions": Evictions.ALLOW}, **SHORT, name="evictions allowed"),
        case(
            False,
            pod("a", 0),
            pod("b", 9, leased=True),
            pod("c", 9),
            min_available=2,
            **SHORT,
            name="idle, but another drains on a lease, and the budget needs both of the rest",
        ),
        case(
            True,
            pod("a", 0),
            pod("b", 9, leased=True),
            pod("c", 9),
            min_available=1,
            **SHORT,
            name="idle, and the budget has room beside the leased drain",
        ),
        case(
            False,
            pod("a", 0),
            pod("b", 0, leased=True, terminating=True),
            pod("c", 9),
            min_available=2,
            **SHORT,
            name="idle, and what was leased may go, which nobody sees yet",
        ),
        case(
            True,
            pod("a", 0),
            pod("b", 9, leased=True, terminating=True, ends=NOW + 30),
            pod("c", 9),
            min_available=2,
            **SHORT,
            name="idle, and what was leased is going: the budget's own account shows that",
        ),
        case(
            True,
            pod("a", 0, ready=False),
            pod("b", 9, leased=True),
            pod("c", 9),
            min_available=2,
            **SHORT,
            name="idle, and it does not serve anyway",
        ),
        case(True, pod("a", 0), **SHORT, name="idle"),
        case(True, pod("a", 0, leased=True, state="drained"), **SHORT, name="drained"),
        case(False, pod("a", 0, leased=True, state="draining"), **SHORT, name="idle, and its drain has not settled"),
        case(True, pod("a", 0, leased=True, state="draining"), ask=LONG, name="its drain settles within its grace"),
        case(False, pod("a", 1, leased=True, state="drained"), **SHORT, name="drained, and a request has just come"),
        case(False, pod("a", None), **SHORT, name="silent"),
        case(True, unknown("a"), **SHORT, name="unknown is no longer held"),
        case(False, terminating("a", 9), **SHORT, name="it is going, and would be cut short"),
        case(True, terminating("a", 9), ask=LONG, name="it is going, and keeps its grace"),
    ],
)
def test_evictions(removal, snap, policy, wanted):
    assert allowed(removal, snap, **policy) is wanted


@pytest.mark.parametrize(
    ("pods", "min_available", "wanted"),
    [
        pytest.param([pod("a", 9), pod("b", 9)], 0, True, id="another one serves"),
        pytest.param([pod("a", 9)], 0, False, id="never the last that serves"),
        pytest.param([pod("a", 9), pod("b"), pod("c")], 2, True, id="the budget is kept"),
        pytest.param([pod("a", 9), pod("b"), pod("c")], 3, False, id="the budget would not be kept"),
        pytest.param([pod("a", 9), pod("b", ready=False)], 0, False, id="the other is not ready"),
        pytest.param([pod("a", 9), terminating("b", 0, ready=True)], 0, False, id="the other is going"),
        pytest.param([pod("a", 9), pod("b", state="draining")], 0, False, id="the other drains, its probe lags"),
        pytest.param([pod("a", 9), pod("b", None, state=None)], 0, True, id="the other is silent, but Ready"),
        pytest.param([pod("a", 9), pod("b", sidecar=False, state=None)], 0, True, id="the other has no sidecar"),
        pytest.param([pod("a", 9), pod("b"), pod("c", 1, leased=True)], 0, False, id="another one drains first"),
        pytest.param([pod("a", 9), pod("b"), terminating("c", 1, leased=True)], 0, True, id="the drained one goes"),
        pytest.param([pod("a", 9, leased=True), pod("b")], 0, True, id="renewed"),
        pytest.param(
            [pod("a", 9, leased=True, reserved=True), pod("b"), pod("c", leased=True)],
            0,
            True,
            id="renewed beside another: its place was kept",
        ),
        pytest.param(
            [pod("a", 9, leased=True), pod("b"), pod("c", leased=True)],
            0,
            False,
            id="not renewed beside another: its place was not kept",
        ),
        pytest.param(
            [pod("a", 9), pod("b"), pod("c", leased=True, terminating=True)],
            0,
            False,
            id="the drained one may go, which nobody sees yet",
        ),
        pytest.param([pod("a", 9, leased=True), pod("b", ready=False)], 0, False, id="not renewed: it must serve"),
        pytest.param([pod("a", None), pod("b")], 0, False, id="silent: nobody to ask"),
        pytest.param([pod("a", None, leased=True), pod("b")], 0, True, id="silent, but renewed"),
        pytest.param([terminating("a", 9), pod("b")], 0, False, id="going already"),
    ],
)
def test_a_held_eviction_drains_one_pod_at_a_time(pods, min_available, wanted):
    decision = judge(eviction("a"), snapshot(*pods, min_available=min_available))
    assert isinstance(decision, Refuse)
    assert decision.lease == ("uid-a" if wanted else None)


BLOCKED = (pod("b", 0), terminating("t", 1))


@pytest.mark.parametrize("ask", [replica_set("a"), stateful_set("a"), eviction("a")], ids=["set", "stateful", "evict"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"held_since": NOW - 100}, "held for 100 s, with 9 streams in flight", id="past the deadline"),
        pytest.param({"held_since": NOW - 99}, None, id="not yet"),
        pytest.param({"held_since": None}, None, id="never held"),
        pytest.param({"held_since": NOW + 5}, None, id="held since the future"),
        pytest.param(
            {"reserved_since": NOW - 100}, "held for 100 s, with 9 streams in flight", id="remembered, and not marked"
        ),
        pytest.param(
            {"held_since": NOW - 1, "reserved_since": NOW - 100},
            "held for 100 s, with 9 streams in flight",
            id="marked later than remembered",
        ),
        pytest.param(
            {"held_since": NOW + 5, "reserved_since": NOW - 99},
            None,
            id="marked in the future, remembered since",
        ),
        pytest.param({"allow_removal": True}, "its annotation allows it", id="a person's word"),
    ],
)
def test_nothing_is_held_for_ever(ask, values, expected):
    decision = judge(ask, snapshot(pod("a", 9, **values), *BLOCKED), hold_deadline_seconds=100.0, max_draining=1)
    if expected is None:
        assert isinstance(decision, Refuse)
    else:
        assert decision == Allow(expected, notable=True, owed=True)


@pytest.mark.parametrize(
    ("held", "reserved", "since", "marked"),
    [
        pytest.param(None, None, NOW, True, id="the first time"),
        pytest.param(NOW - 1, None, NOW - 1, False, id="marked already"),
        pytest.param(NOW, None, NOW, False, id="marked just now"),
        pytest.param(NOW + 1, None, NOW, True, id="marked by a clock that is ahead"),
        pytest.param(None, NOW - 7, NOW - 7, True, id="remembered, and its mark was lost"),
        pytest.param(NOW - 3, NOW - 7, NOW - 7, False, id="remembered for longer"),
    ],
)
@pytest.mark.parametrize("ask", [replica_set("a"), stateful_set("a"), eviction("a")], ids=["set", "stateful", "evict"])
def test_who_is_refused_is_marked_with_the_first_time(ask, held, reserved, since, marked):
    victim = pod("a", 9, held_since=held, reserved_since=reserved)
    decision = judge(ask, snapshot(victim, *BLOCKED), max_draining=1)
    assert isinstance(decision, Refuse)
    assert (decision.since, decision.mark) == (since, marked)


@pytest.mark.parametrize(
    ("ask", "reserve"),
    [(replica_set("a"), True), (stateful_set("a"), True), (eviction("a"), False)],
    ids=["set", "stateful", "eviction"],
)
@pytest.mark.parametrize("values", [{}, {"allow_removal": True}], ids=["idle", "a person's word"])
def test_an_eviction_that_a_budget_refuses_next_counts_for_nothing(ask, reserve, values):
    for evictable, counts in ((True, True), (False, reserve)):
        decision = judge(ask, snapshot(pod("a", 0, evictable=evictable, **values)))
        assert isinstance(decision, Allow)
        assert decision.reserve is counts


@pytest.mark.parametrize(
    ("removal", "snap", "expected"),
    [
        pytest.param(replica_set("x"), snapshot(pod("a")), "it is none of the workload's pods", id="somebody else's"),
        pytest.param(eviction("a"), snapshot(pod("a", 9, sidecar=False)), "it has no sidecar", id="no sidecar"),
    ],
)
def test_what_is_none_of_ours_goes_and_counts_for_nothing(removal, snap, expected):
    assert judge(removal, snap, max_draining=1) == Allow(expected, reserve=False)


@pytest.mark.parametrize(
    ("pods", "policy", "expected"),
    [
        pytest.param(
            [pod("a", 3), pod("b", 0), pod("c", 40), pod("d", None)],
            {},
            {"uid-a": 3, "uid-c": 64, "uid-d": LAST},
            id="of all among which is chosen, but where it is 0 already",
        ),
        pytest.param(
            [pod("a", 3, cost=3, cost_written=3), pod("b", 0, cost=5, cost_written=5)], {}, {"uid-b": 0}, id="changed"
        ),
        pytest.param([pod("a", 3, cost=3, cost_written=3), pod("b", 0)], {}, {}, id="right already: it asks again"),
        pytest.param(
            [pod("a", 3), pod("b", 0), terminating("t", 3), pod("n", 3, ready=False), pod("o", 3, owner=NEW)],
            {},
            {"uid-a": 3},
            id="not of others",
        ),
        pytest.param(
            [pod("a", 0, created=20.7), pod("b", 0, created=10.0)], OLDEST, {"uid-a": 20, "uid-b": 10}, id="oldest"
        ),
    ],
)
def test_costs_are_written_where_they_differ(pods, policy, expected):
    decision = judge(replica_set("a"), snapshot(*pods), **policy)
    assert isinstance(decision, Refuse)
    assert decision.costs == expected


@pytest.mark.parametrize(
    ("ask", "other", "expected"),
    [
        pytest.param(replica_set("a"), pod("b", 0, cost=7), True, id="another writer"),
        pytest.param(replica_set("a"), pod("b", 9), False, id="nobody else"),
        pytest.param(stateful_set("a"), pod("b", 0, cost=7), False, id="costs mean nothing to a StatefulSet"),
    ],
)
def test_another_writer_of_costs_is_told_and_left_alone(ask, other, expected):
    decision = judge(ask, snapshot(pod("a", 3), other, terminating("t", 1)), max_draining=1)
    assert isinstance(decision, Refuse)
    assert (decision.conflicted, decision.costs) == (expected, {})


@pytest.mark.parametrize(
    ("removal", "snap", "policy", "expected"),
    [
        pytest.param(
            replica_set("a"),
            snapshot(pod("a", 3), pod("b", 1)),
            {},
            "b goes first (LeastBusyFirst): 1 stream in flight, and here 3 streams in flight",
            id="order",
        ),
        pytest.param(
            replica_set("a"),
            snapshot(pod("a", None), pod("c", 0), pod("b", 0)),
            {},
            "b goes first (LeastBusyFirst): nothing in flight, and here its sidecar does not answer",
            id="order of the silent, ties by name",
        ),
        pytest.param(
            stateful_set("a"),
            snapshot(pod("a", 3), *(terminating(name, 1) for name in "utxwv")),
            ONE,
            "t, u, v and 2 more must finish first (maxDraining 1), and here 3 streams in flight",
            id="pacing",
        ),
        pytest.param(
            stateful_set("a"),
            snapshot(pod("a", 3), *(terminating(name, 1) for name in "tuv")),
            ONE,
            "t, u, v must finish first (maxDraining 1), and here 3 streams in flight",
            id="pacing, all named",
        ),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", 3), pod("b")),
            {},
            "3 streams in flight, and a grace of 30 s; it drains, and may go when they have finished",
            id="eviction that drains",
        ),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", 0, leased=True, state="draining"), pod("b")),
            {},
            "nothing in flight, and a grace of 30 s; it drains, and may go when it has settled",
            id="eviction of one that settles",
        ),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", 3), pod("b", leased=True)),
            {},
            "3 streams in flight, and a grace of 30 s; b drains first",
            id="eviction that waits",
        ),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", 3), pod("b"), min_available=2),
            {},
            "3 streams in flight, and a grace of 30 s; it cannot drain while 1 others are Ready, of 2 that must be",
            id="eviction of one that is needed",
        ),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", None), pod("b")),
            {},
            "its sidecar does not answer, and a grace of 30 s; it cannot drain before its sidecar answers",
            id="eviction of a silent one",
        ),
        pytest.param(
            eviction("a"),
            snapshot(terminating("a", 3), pod("b")),
            {},
            "3 streams in flight, and a grace of 30 s; it is on its way out already",
            id="eviction of one that goes",
        ),
        pytest.param(replica_set("a"), snapshot(terminating("a", 3)), {}, "it is on its way out already", id="going"),
        pytest.param(replica_set("a"), snapshot(pod("a", 3)), {}, "nothing speaks against it", id="free to go"),
        pytest.param(eviction("a"), snapshot(pod("a")), {}, "nothing in flight", id="idle"),
        pytest.param(eviction("a"), snapshot(unknown("a")), {}, "its sidecar has not answered for long", id="unknown"),
        pytest.param(
            eviction("a"),
            snapshot(pod("a", 1)),
            {"evictions": Evictions.ALLOW},
            "the policy allows evictions, with 1 stream in flight",
            id="allowed by the policy",
        ),
    ],
)
def test_it_says_why(removal, snap, policy, expected):
    assert judge(removal, snap, **policy).why == expected


@pytest.mark.parametrize(("held", "notable"), [(None, False), (NOW - 1, True)], ids=["asked once", "held before"])
def test_a_pod_that_was_held_and_may_go_is_worth_an_event(held, notable):
    assert judge(replica_set("a"), snapshot(pod("a", 1, held_since=held))) == Allow(
        "nothing speaks against it", notable=notable
    )


@pytest.mark.parametrize(
    ("ask", "pods"),
    [
        pytest.param(replica_set, [pod("a", 3), pod("b", 0)], id="costs"),
        pytest.param(eviction, [pod("a", 3), pod("b", 0)], id="lease"),
        pytest.param(replica_set, [pod("a", 3, held_since=NOW - 5)], id="reservation and event"),
    ],
)
def test_a_dry_run_says_the_same_and_does_nothing(ask, pods):
    real, dry = judge(ask("a"), snapshot(*pods)), judge(ask("a", dry_run=True), snapshot(*pods))
    assert type(dry) is type(real)
    assert dry.why == real.why
    assert dry == (Allow(real.why, reserve=False) if isinstance(real, Allow) else Refuse(real.why))
    assert dry != real
