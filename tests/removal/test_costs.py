"""What a pod's going costs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.removal.views import any_pods, pod, unknown

from lastcall_operator.removal import costs
from lastcall_operator.rollout import Order

BUSY, OLDEST = Order.LEAST_BUSY_FIRST, Order.OLDEST_FIRST
LAST = 2**31 - 1


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
