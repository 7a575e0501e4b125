"""Marks come off when nobody wants the pod any more, and only ours do."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_operator.api import names
from lastcall_operator.removal import Allow, Kind, Policy, Removal, Snapshot, decide
from lastcall_operator.removal.reservations import (
    LIMIT,
    REMEMBER_SECONDS,
    REPEAT_SECONDS,
    Reserved,
    Span,
    after,
    at_rest,
    held_since,
    parse,
    render,
)
from lastcall_operator.status.marks import ask_again, clean, strip
from tests.removal import views
from tests.status.scenes import NOW, pod, reading

COST = {names.COST_WRITTEN: None, names.DELETION_COST: None}
UNHELD = {names.HELD_SINCE: None}


@pytest.mark.parametrize(
    ("changes", "rested", "remembered", "expected"),
    [
        pytest.param({}, 60, None, None, id="unmarked"),
        pytest.param({"cost": "3", "cost_written": "3"}, 60, None, COST, id="our-cost"),
        pytest.param({"cost": "3", "cost_written": "3"}, 5, None, None, id="too-soon"),
        pytest.param({"cost": "4", "cost_written": "3"}, 60, None, {names.COST_WRITTEN: None}, id="another-writer"),
        pytest.param({"cost": "4"}, 60, None, None, id="not-ours-at-all"),
        pytest.param({"cost": "3", "cost_written": "3", "deleted": NOW}, 60, None, None, id="leaving"),
        pytest.param({"rollout_since": NOW}, 60, Reserved.HELD, {names.ROLLOUT_SINCE: None}, id="a-rollouts"),
        pytest.param({"held_since": NOW - 50}, 60, None, UNHELD, id="nobody-asks-any-more"),
        pytest.param({"held_since": NOW - 50}, 60, Reserved.WANTED, UNHELD, id="its-controllers-hold"),
        pytest.param({"held_since": NOW - 50}, 60, Reserved.HELD, None, id="an-evictions-hold"),
        pytest.param({"asked_again": NOW}, 60, None, {names.ASK_AGAIN: None}, id="touched"),
        pytest.param({"asked_again": NOW}, 60, Reserved.HELD, {names.ASK_AGAIN: None}, id="touched-not-held"),
        pytest.param({"asked_again": NOW, "held_since": NOW}, 60, Reserved.HELD, None, id="touched-and-held"),
        pytest.param(
            {"asked_again": NOW, "held_since": NOW}, 60, None, {names.HELD_SINCE: None, names.ASK_AGAIN: None}, id="all"
        ),
    ],
)
def test_marks_at_rest(changes: dict[str, Any], rested: float, remembered: Reserved | None, expected: Any) -> None:
    each = pod(**changes)
    known = {} if remembered is None else {(each.uid, remembered): Span(NOW - 50, NOW + 50)}
    found = clean([each], known, rested_seconds=rested)
    assert [touch.annotations for touch in found] == ([] if expected is None else [expected])


def test_holds_of_which_more_are_there_than_can_be_remembered_stay() -> None:
    crowd = {(f"uid-{number}", Reserved.HELD): Span(1.0, NOW) for number in range(LIMIT)}
    assert clean([pod(held_since=1.0)], crowd, rested_seconds=60) == []


def test_of_a_pod_under_no_policy_everything_of_ours_is_taken_off() -> None:
    marked = pod(held_since=1.0, rollout_since=1.0, asked_again=1.0, cost="3", cost_written="3")
    (touch,) = strip([marked, pod("other"), pod("going", held_since=1.0, deleted=NOW)])
    assert touch.pod == "chat-0"
    assert touch.annotations == dict.fromkeys([*names.POD_MARKS, names.DELETION_COST])


@given(
    st.lists(st.floats(60, REMEMBER_SECONDS - REPEAT_SECONDS - 1), min_size=1, max_size=5),
    st.sampled_from([(Kind.EVICTION,), tuple(Kind)]).flatmap(
        lambda any_of: st.lists(st.sampled_from(any_of), min_size=1)
    ),
    st.lists(st.booleans(), min_size=1, max_size=5),
    st.floats(1, 4000),
)
def test_nothing_is_refused_for_ever_whoever_asks_and_whatever_becomes_of_the_marks(
    gaps: list[float], kinds: list[Kind], written: list[bool], deadline: float
) -> None:
    """Marks may be forbidden, and a workload that nobody but evictors wants a pod of is at rest all the time."""
    policy = Policy(max_draining=1, hold_deadline_seconds=deadline)
    mark, text, now = None, "", views.NOW
    steps = zip(itertools.cycle(gaps), itertools.cycle(kinds), itertools.cycle(written), strict=False)
    for gap, kind, may_write in steps:
        known = parse(text, now)
        victim = views.pod("a", 9, held_since=mark, reserved_since=held_since(known, "uid-a"))
        removal = Removal(kind, "uid-a", grace_seconds=30.0)
        decision = decide(removal, Snapshot((victim, views.terminating("t", 1))), policy, now)
        if isinstance(decision, Allow):
            return
        assert now < views.NOW + deadline, "its deadline began anew"
        text = render(after(known, removal, decision, now))
        if decision.mark and may_write:
            mark = decision.since
        now += gap
        if set(kinds) == {Kind.EVICTION}:
            known = at_rest(parse(text, now))
            text = render(known)
            touches = clean([pod("a", uid="uid-a", held_since=mark)], known, rested_seconds=60)
            mark = None if any(names.HELD_SINCE in each.annotations for each in touches) else mark


@pytest.mark.parametrize(
    ("held", "load", "others", "freed", "limit", "asked", "expected"),
    [
        pytest.param(20, 3, 1, False, 1, None, False, id="no-room"),
        pytest.param(20, 3, 1, True, 1, NOW, True, id="one-is-gone"),
        pytest.param(20, 3, 0, False, 1, None, True, id="room"),
        pytest.param(20, 3, 0, False, 1, NOW - 5, False, id="asked-just-now"),
        pytest.param(20, 3, 0, False, 1, NOW - 10, True, id="asked-a-while-ago"),
        pytest.param(5, 3, 0, False, 1, None, False, id="held-just-now"),
        pytest.param(20, 0, 1, False, 1, None, True, id="idle-now"),
        pytest.param(100, 3, 1, False, 1, None, True, id="deadline"),
        pytest.param(20, 3, 1, False, None, None, True, id="not-paced"),
        pytest.param(None, 0, 0, True, 1, None, False, id="not-held"),
    ],
)
def test_who_is_touched(held: Any, load: int, others: int, freed: bool, limit: Any, asked: Any, expected: bool) -> None:
    mine = pod("a", held_since=None if held is None else NOW - held, asked_again=asked)
    leaving = [pod(f"l{number}", deleted=NOW) for number in range(others)]
    readings = {"uid-a": reading(load)}  # those that leave are silent: any number of streams
    found = ask_again([mine, *leaving], readings, NOW, "now", freed=freed, max_draining=limit, deadline_seconds=100)
    assert [(touch.pod, touch.annotations) for touch in found] == (
        [("a", {names.ASK_AGAIN: "now"})] if expected else []
    )


def test_a_pod_on_a_dead_node_takes_up_no_place() -> None:
    mine, lost = pod("a", held_since=NOW - 20), pod("lost", deleted=NOW - 100, ends=NOW)
    for now, expected in ((NOW - 1, []), (NOW, ["a"])):
        found = ask_again(
            [mine, lost], {"uid-a": reading(3)}, now, "now", freed=False, max_draining=1, deadline_seconds=100
        )
        assert [touch.pod for touch in found] == expected


def test_one_pod_of_each_owner_is_touched_the_least_busy() -> None:
    pods = [pod("a", held_since=1.0), pod("b", held_since=1.0), pod("c", held_since=1.0, owner="other")]
    readings = {"uid-a": reading(5), "uid-b": reading(2), "uid-c": reading(9)}
    found = ask_again(pods, readings, NOW, "now", freed=True, max_draining=1, deadline_seconds=100)
    assert [touch.pod for touch in found] == ["b", "c"]
