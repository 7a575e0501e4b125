"""What the planner does next: each situation and its answer."""

import pytest
from tests.rollout.views import draining, pod, snapshot, successor

from lastcall_operator.rollout import DrainPod, DrainPolicy, Finished, Order, PodState, ReplacePod, Wait, leases, plan

NOW = 100.0


def decide(snap, now=NOW, **policy):
    return [
        (type(action).__name__, getattr(action, "pod", None) or getattr(action, "pods", ()))
        for action in plan(snap, DrainPolicy(**policy), now)
    ]


@pytest.mark.parametrize(
    ("snap", "policy", "expected"),
    [
        pytest.param(snapshot(pod("a", 5), pod("b", 2), pod("c", 9)), {}, [("DrainPod", "b")], id="least busy begins"),
        pytest.param(
            snapshot(pod("a", 0, started=9), pod("b", 7, started=3)),
            {"order": Order.OLDEST_FIRST},
            [("DrainPod", "b")],
            id="oldest begins, when asked for",
        ),
        pytest.param(
            snapshot(pod("a", None), pod("b", 99)), {}, [("DrainPod", "b")], id="a silent pod is taken for the busiest"
        ),
        pytest.param(
            snapshot(pod("a", 0), draining("b", 3)), {}, [("Wait", ("b",))], id="one at a time, however idle the next"
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", 0), draining("c", 3)),
            {"max_draining": 2},
            [("DrainPod", "b")],
            id="two at a time, when allowed",
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", 0), pod("c", 2)),
            {"max_draining": 2},
            [("DrainPod", "b"), ("DrainPod", "a")],
            id="two begin together, least busy first",
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", 4, removal_since=99.0)),
            {},
            [("Wait", ("b",))],
            id="a pod that was asked and does not say so yet counts",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 0)), {}, [("Wait", ("b",))], id="nothing in flight is not DRAINED yet"
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 0, state=PodState.DRAINED)),
            {},
            [("ReplacePod", "b")],
            id="DRAINED is replaced",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 2, state=PodState.DRAINED)),
            {},
            [("Wait", ("b",))],
            id="DRAINED with a request that has just come in is not",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 2, state=PodState.EXPIRED)),
            {},
            [("ReplacePod", "b")],
            id="EXPIRED is replaced",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 2), replicas=2),
            {"hold_deadline_seconds": 100.0},
            [("ReplacePod", "b")],
            id="the hold's deadline ends the wait",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 2)),
            {"hold_deadline_seconds": 100.5},
            [("Wait", ("b",))],
            id="and not before",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 2, removal_since=None)),
            {"hold_deadline_seconds": 0.0},
            [("Wait", ("b",))],
            id="no deadline without a beginning",
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", None, removal_since=0.0, ready=False)),
            {"hold_deadline_seconds": 100.0},
            [("ReplacePod", "b")],
            id="nor does silence hold a rollout for ever",
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", 0, state=PodState.GONE, ready=False, removal_since=0.0)),
            {},
            [("ReplacePod", "b")],
            id="a pod that has ended is replaced",
        ),
        pytest.param(
            snapshot(pod("a", 1), draining("b", 0, state=PodState.DRAINED, terminating=True)),
            {"hold_deadline_seconds": 0.0},
            [("Wait", ("b",))],
            id="an ending pod is left alone",
        ),
        pytest.param(snapshot(pod("a", 1), replicas=2), {}, [("Wait", ())], id="a missing pod takes up the place"),
        pytest.param(
            snapshot(pod("a", 1), replicas=2), {"max_draining": 2}, [("DrainPod", "a")], id="and only one place"
        ),
        pytest.param(
            snapshot(pod("a", 0), successor("b", ready=False)), {}, [("Wait", ("b",))], id="a successor must be Ready"
        ),
        pytest.param(
            snapshot(pod("a", 0), successor("b")), {}, [("DrainPod", "a")], id="then it is the next one's turn"
        ),
        pytest.param(
            snapshot(pod("a", 0), successor("b", state=PodState.DRAINING, in_flight=2)),
            {},
            [("Wait", ("b",))],
            id="a drain by somebody else counts, too",
        ),
        pytest.param(
            snapshot(pod("a", 0), successor("b", state=PodState.GONE, ready=False)),
            {},
            [("Wait", ("b",))],
            id="a successor that crashed must come back",
        ),
        pytest.param(
            snapshot(pod("a", 1), pod("b", 0, ready=False), pod("c", 0, ready=False), successor("d", ready=False)),
            {},
            [("ReplacePod", "b"), ("ReplacePod", "c")],
            id="not ready and idle: replaced at once, whatever else moves",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", 4, ready=False)),
            {},
            [("DrainPod", "b")],
            id="not ready but busy: first in turn",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", None, ready=False)),
            {},
            [("DrainPod", "b")],
            id="not ready and silent: drained, never simply replaced",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", None, ready=False, unreachable=True), draining("c", 3)),
            {},
            [("ReplacePod", "b")],
            id="not ready and unreachable for long: replaced at once, whatever else moves",
        ),
        pytest.param(
            snapshot(pod("a", 9), pod("b", None, unreachable=True)),
            {},
            [("DrainPod", "a")],
            id="unreachable but ready: last in turn",
        ),
        pytest.param(
            snapshot(pod("b", None, unreachable=True), successor("a")),
            {},
            [("DrainPod", "b")],
            id="its turn comes: it is asked all the same",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", None, unreachable=True, removal_since=99.0)),
            {},
            [("ReplacePod", "b")],
            id="and not waited for",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", None, unreachable=True, terminating=True)),
            {},
            [("Wait", ("b",))],
            id="nor touched when it is ending",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", 0, ready=False)),
            {},
            [("ReplacePod", "b")],
            id="what is replaced takes up the place of a drain",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", 4, reserved=True)),
            {},
            [("Wait", ("b",))],
            id="a drain that is agreed on counts",
        ),
        pytest.param(
            snapshot(pod("a", 0), pod("b", 4, allow_removal=True), draining("c", 3)),
            {},
            [("ReplacePod", "b")],
            id="a person lets it go: at once, whatever else moves",
        ),
        pytest.param(
            snapshot(pod("b", 4, allow_removal=True, terminating=True), successor("a", allow_removal=True)),
            {},
            [("Wait", ("b",))],
            id="which says nothing of one that ends, or that nobody wants to go",
        ),
        pytest.param(snapshot(successor("a"), successor("b")), {}, [("Finished", ())], id="all new, all ready"),
        pytest.param(snapshot(), {}, [("Finished", ())], id="nothing wanted, nothing there"),
    ],
)
def test_the_next_step(snap, policy, expected):
    assert decide(snap, **policy) == expected


@pytest.mark.parametrize(
    ("snap", "expected"),
    [
        pytest.param(
            snapshot(pod("a", 5), pod("b", 2)),
            DrainPod("b", "the least busy of 2 outdated pods: 2 in flight"),
            id="turn by load",
        ),
        pytest.param(snapshot(pod("b", 2)), DrainPod("b", "the last outdated pod: 2 in flight"), id="turn of the last"),
        pytest.param(
            snapshot(pod("b", None, ready=False)),
            DrainPod("b", "not ready, so it goes first: it does not say what is in flight"),
            id="turn of the broken",
        ),
        pytest.param(
            snapshot(draining("b", 2, oldest_request_seconds=11.6)),
            Wait("b finishes its streams: 2 in flight, the oldest for 12 s", ("b",)),
            id="streams with an age",
        ),
        pytest.param(
            snapshot(draining("b", 2)), Wait("b finishes its streams: 2 in flight", ("b",)), id="streams without an age"
        ),
        pytest.param(snapshot(draining("b", 0)), Wait("b has nothing in flight and settles", ("b",)), id="settling"),
        pytest.param(snapshot(draining("b", 0, terminating=True)), Wait("b is ending", ("b",)), id="ending"),
        pytest.param(
            snapshot(successor("b", ready=False)), Wait("b of revision 2 is not ready yet", ("b",)), id="starting"
        ),
        pytest.param(
            snapshot(successor("b", state=PodState.GONE)), Wait("b has ended and must come back", ("b",)), id="crashed"
        ),
        pytest.param(snapshot(replicas=2), Wait("2 of 2 pods not made yet"), id="missing"),
        pytest.param(
            snapshot(draining("b", 3, state=PodState.EXPIRED)),
            ReplacePod("b", "its drain reached the ceiling, with 3 in flight"),
            id="ceiling",
        ),
        pytest.param(
            snapshot(draining("b", 3, removal_since=-4000.0)),
            ReplacePod("b", "held for 3600 s, with 3 in flight"),
            id="held too long",
        ),
        pytest.param(
            snapshot(pod("b", None, ready=False, unreachable=True)),
            ReplacePod("b", "not ready, and its sidecar has not answered for long"),
            id="broken",
        ),
        pytest.param(
            snapshot(pod("b", 0, ready=False)), ReplacePod("b", "not ready, and nothing in flight"), id="useless"
        ),
        pytest.param(
            snapshot(pod("b", None, removal_since=9.0, unreachable=True)),
            ReplacePod("b", "its turn has come, and its sidecar has not answered for long"),
            id="out of reach",
        ),
        pytest.param(snapshot(successor("a")), Finished("all 1 pods are ready at revision 2"), id="over"),
    ],
)
def test_it_says_why(snap, expected):
    assert plan(snap, DrainPolicy(), NOW) == (expected,)


def test_waiting_for_several_names_them_all():
    snap = snapshot(draining("a", 1), draining("b", 0), successor("c", ready=False))
    assert plan(snap, DrainPolicy(max_draining=3), NOW) == (
        Wait("a finishes its streams: 1 in flight; b has nothing in flight and settles", ("a", "b")),
    )


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        pytest.param(draining("a", 3), True, id="it drains"),
        pytest.param(draining("a", 0, state=PodState.DRAINED), True, id="drained, and not ended yet"),
        pytest.param(pod("a", 3, removal_since=0.0), True, id="told, and does not say so"),
        pytest.param(pod("a", None, removal_since=0.0), True, id="told, and silent"),
        pytest.param(pod("a", 3), False, id="it serves"),
        pytest.param(draining("a", 3, terminating=True), False, id="it is ending"),
        pytest.param(draining("a", 3, state=PodState.EXPIRED), False, id="past its ceiling"),
        pytest.param(pod("a", None, state=PodState.GONE), False, id="it has ended"),
        pytest.param(draining("a", 3, revision="2"), False, id="a new one"),
        pytest.param(draining("a", 3, removal_since=None), False, id="somebody else drains it"),
        pytest.param(pod("a", 3, reserved=True), False, id="somebody else is about to"),
    ],
)
def test_whose_lease_is_kept_up(view, kept):
    assert leases(snapshot(view, pod("z", 3)), DrainPolicy()) == (("a",) if kept else ())


@pytest.mark.parametrize(
    ("views", "kept"),
    [
        pytest.param([draining("a", 3), pod("b", 3, reserved=True)], (), id="somebody else has its place"),
        pytest.param([draining("a", 3), pod("b", 3, terminating=True)], (), id="another one ends"),
        pytest.param([draining("a", 3, reserved=True), pod("b", 3, reserved=True)], ("a",), id="its place was kept"),
        pytest.param(
            [draining("a", 3), draining("b", 3, reserved=True, removal_since=9.0)], ("b",), id="another one's was kept"
        ),
    ],
)
def test_a_drain_is_renewed_only_in_a_place_of_its_own(views, kept):
    assert leases(snapshot(*views), DrainPolicy()) == kept


def test_no_more_leases_are_kept_up_than_may_drain_at_once():
    snap = snapshot(draining("c", 3, removal_since=2.0), draining("b", 3), draining("a", 3, removal_since=1.0))
    assert leases(snap, DrainPolicy(max_draining=2)) == ("b", "a")


@pytest.mark.parametrize(("max_draining", "expected"), [(None, 1), (3, 3)], ids=["unset: one at a time", "set"])
def test_a_stateful_set_rolled_on_delete_is_always_paced(max_draining, expected):
    policy = DrainPolicy.on_delete(Order.OLDEST_FIRST, max_draining, 60.0)
    assert policy == DrainPolicy(Order.OLDEST_FIRST, expected, 60.0)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param({"max_draining": 0}, "max_draining must be at least 1", id="a rollout that could never begin"),
        pytest.param({"hold_deadline_seconds": -1.0}, "must not be negative", id="a deadline before the beginning"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        DrainPolicy(**values)
