"""In which order pods leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rollout.views import pod, pods

from lastcall_operator.rollout import Order, PodState, in_order


def names(views, order=Order.LEAST_BUSY_FIRST):
    return [view.name for view in in_order(views, order)]


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        pytest.param([pod("a", 5), pod("b", 0), pod("c", 2)], ["b", "c", "a"], id="fewest in flight first"),
        pytest.param([pod("a", None), pod("b", 900)], ["b", "a"], id="silent counts as busier than any number"),
        pytest.param([pod("a", 0), pod("b", 9, ready=False)], ["b", "a"], id="not ready goes before idle"),
        pytest.param(
            [pod("a", None, ready=False), pod("b", 9, ready=False)], ["b", "a"], id="silent last among the not ready"
        ),
        pytest.param(
            [pod("a", None, state=PodState.GONE), pod("b", 1)], ["a", "b"], id="a pod that has ended carries nothing"
        ),
        pytest.param([pod("s-9", 1), pod("s-10", 1)], ["s-10", "s-9"], id="ties by ordinal, highest first"),
        pytest.param([pod("b", 1), pod("a", 1)], ["a", "b"], id="ties without ordinals by name"),
        pytest.param([pod("x", 1), pod("s-0", 1)], ["s-0", "x"], id="an ordinal before a name without one"),
    ],
)
def test_least_busy_first(views, expected):
    assert names(views) == expected


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        pytest.param(
            [pod("a", 0, started=20), pod("b", 9, started=10)], ["b", "a"], id="the oldest, however much it carries"
        ),
        pytest.param([pod("a", 0, started=20, ready=False), pod("b", 9, started=10)], ["a", "b"], id="not ready first"),
        pytest.param([pod("a", None, started=10), pod("b", 9, started=20)], ["b", "a"], id="silent last"),
        pytest.param([pod("s-1", 0), pod("s-2", 5)], ["s-2", "s-1"], id="ties by ordinal"),
    ],
)
def test_oldest_first(views, expected):
    assert names(views, Order.OLDEST_FIRST) == expected


@given(st.data(), pods(), st.sampled_from(Order))
def test_the_order_does_not_depend_on_the_order_seen(data, views, order):
    assert names(data.draw(st.permutations(views)), order) == names(views, order)
