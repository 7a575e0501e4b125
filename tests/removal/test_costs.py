"""What a pod's going costs, and what is cleared and touched afterwards."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.removal.views import NEW, NOW, OLD, any_pods, pod, snapshot, snapshots, terminating, unknown

from lastcall_operator.removal import costs
from lastcall_operator.rollout import Order

BUSY, OLDEST = Order.LEAST_BUSY_FIRST, Order.OLDEST_FIRST
LAST = 2**31 - 1
ENOUGH = {OLD: 9}


@pytest.mark.parametrize(
    ("in_flight", "expected"),
    [(0, 0), (1, 1), (15, 15), (16, 16), (17, 32), (32, 32), (33, 64), (1000, 1024), (2**40, LAST - 1)],
)
def test_the_cost_is_the_load_up_to_sixteen_then_a_power_of_two(in_flight, expected):
    assert costs.cost(pod("a", in_flight), BUSY) == expected


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("view", [pod("a", None), unknown("a")], ids=["silent", "unknown"])
def test_who_does_not_answer_costs_most(view, order):
    assert costs.cost(view, order) == LAST


@pytest.mark.parametrize(
    ("created", "expected"), [(0.0, 0), (1.8e9 + 0.9, 1_800_000_000), (-3.0, 0), (2.0**33, LAST - 1)]
)
def test_of_the_oldest_first_the_cost_is_the_time_of_creation(created, expected):
    assert costs.cost(pod("a", 7, created=created), OLDEST) == expected


@given(any_pods(), any_pods(), st.sampled_from(Order))
def test_a_cost_is_a_non_negative_int32_and_never_turns_the_order_round(first, second, order):
    for view in (first, second):
        assert 0 <= costs.cost(view, order) <= LAST
    second = replace(second, load=first.load)
    if first.in_flight <= second.in_flight:
        assert costs.cost(first, BUSY) <= costs.cost(second, BUSY)


@pytest.mark.parametrize(
    ("cost", "written", "expected"),
    [(None, None, False), (None, 3, False), (3, 3, False), (3, 4, True), (0, None, True), (3, None, True)],
)
def test_a_cost_that_we_did_not_write_is_somebody_elses(cost, written, expected):
    assert costs.foreign(pod("a", cost=cost, cost_written=written)) is expected


@pytest.mark.parametrize(
    ("pods", "wanted", "expected"),
    [
        pytest.param([pod("a"), pod("b")], {OLD: 1}, {OLD}, id="more than wanted"),
        pytest.param([pod("a"), pod("b")], {OLD: 2}, set(), id="as many as wanted"),
        pytest.param([pod("a")], {OLD: 2}, set(), id="fewer than wanted"),
        pytest.param([pod("a"), terminating("b", 1)], {OLD: 1}, set(), id="one goes already"),
        pytest.param([pod("a"), pod("n", owner=NEW)], {OLD: 0, NEW: 1}, {OLD}, id="a rollout"),
        pytest.param([pod("a")], {}, set(), id="nobody says how many"),
    ],
)
def test_who_wants_to_lose_pods(pods, wanted, expected):
    assert costs.surplus(snapshot(*pods), wanted) == expected


OURS = {"cost": 3, "cost_written": 3}


@pytest.mark.parametrize(
    ("pods", "wanted", "expected"),
    [
        pytest.param([pod("a", **OURS), pod("b")], ENOUGH, ("uid-a",), id="our own, at rest"),
        pytest.param([pod("a", cost_written=3)], ENOUGH, ("uid-a",), id="our mark alone"),
        pytest.param([pod("a", cost=3)], ENOUGH, (), id="somebody else's"),
        pytest.param([pod("a", cost=3, cost_written=4)], ENOUGH, (), id="somebody else's over ours"),
        pytest.param([pod("a", **OURS), pod("b")], {OLD: 1}, (), id="while the set shrinks"),
        pytest.param([pod("a", **OURS), terminating("t", 0)], ENOUGH, (), id="while one goes"),
        pytest.param([pod("a", **OURS), pod("t", leased=True)], ENOUGH, (), id="while one drains"),
    ],
)
def test_costs_are_removed_at_rest(pods, wanted, expected):
    assert costs.costs_to_clear(snapshot(*pods), wanted) == expected


HELD = {"held_since": NOW - 50}


@pytest.mark.parametrize(
    ("pods", "wanted", "remembered", "expected"),
    [
        pytest.param([pod("a", **HELD), pod("b")], ENOUGH, (), ("uid-a",), id="nobody asks any more"),
        pytest.param([pod("a", **HELD)], ENOUGH, ("uid-a",), (), id="an eviction may come again"),
        pytest.param([pod("a", **HELD), pod("b")], {OLD: 1}, (), (), id="its set still shrinks"),
        pytest.param([pod("a", **HELD), terminating("t", 0)], ENOUGH, (), (), id="while one goes"),
    ],
)
def test_marks_of_a_hold_are_removed_at_rest(pods, wanted, remembered, expected):
    assert costs.holds_to_clear(snapshot(*pods), wanted, remembered) == expected


@given(snapshots())
def test_steady_state_writes_nothing(snap):
    plain = tuple(replace(view, cost=None, cost_written=None, held_since=None) for view in snap.pods)
    snap = replace(snap, pods=plain)
    assert costs.costs_to_clear(snap, {}) == costs.holds_to_clear(snap, {}, ()) == ()
    assert costs.to_touch(snap, {}, None, 0.0, NOW) == ()


@pytest.mark.parametrize(
    ("pods", "max_draining", "expected"),
    [
        pytest.param([pod("a", 1, **HELD)], 1, ("uid-a",), id="there is room"),
        pytest.param([pod("a", 1, **HELD), terminating("t", 1)], 1, (), id="there is none"),
        pytest.param([pod("a", 1, **HELD), terminating("t", 0)], 1, ("uid-a",), id="the other has finished"),
        pytest.param([pod("a", 1, **HELD), terminating("t", 1)], 2, ("uid-a",), id="room for two"),
        pytest.param([pod("a", 1, **HELD), terminating("t", 1)], None, ("uid-a",), id="without pacing"),
        pytest.param([pod("a", 0, **HELD), terminating("t", 1)], 1, ("uid-a",), id="it is idle by now"),
        pytest.param([pod("a", 1, allow_removal=True, **HELD), terminating("t", 1)], 1, ("uid-a",), id="a word"),
        pytest.param([pod("a", 1, held_since=NOW - 100), terminating("t", 1)], 1, ("uid-a",), id="past the deadline"),
        pytest.param([pod("a", 1)], 1, (), id="never held"),
        pytest.param([terminating("a", 1, **HELD), pod("b")], 1, (), id="it goes already"),
        pytest.param([pod("a", 1, owner=NEW, **HELD), pod("b")], 1, (), id="its set has no more than it wants"),
        pytest.param(
            [pod("a", 1, held_since=NOW - 5), pod("b", 1, held_since=NOW - 6)], 1, ("uid-b",), id="the longest held"
        ),
        pytest.param(
            [pod("a", 1, **HELD), pod("b", 1, owner="other", **HELD)], 1, ("uid-a", "uid-b"), id="one of each set"
        ),
        pytest.param([pod("a", 1, asked_again=NOW - 4, **HELD)], 1, (), id="touched just now"),
        pytest.param([pod("a", 1, asked_again=NOW - 5, **HELD)], 1, ("uid-a",), id="touched, and nobody came"),
        pytest.param([pod("a", 1, asked_again=NOW + 9, **HELD)], 1, ("uid-a",), id="touched in the future"),
    ],
)
def test_controllers_are_woken_when_it_is_worth_asking(pods, max_draining, expected):
    wanted = {OLD: 0, "other": 0, NEW: 1}
    assert costs.to_touch(snapshot(*pods), wanted, max_draining, 100.0, NOW) == expected
