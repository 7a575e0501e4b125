"""Marks come off when nobody wants the pod any more, and only ours do."""

from typing import Any

import pytest

from lastcall_operator.api import names
from lastcall_operator.status.marks import ask_again, clean
from tests.status.scenes import NOW, pod, reading

COST = {names.COST_WRITTEN: None, names.DELETION_COST: None}


@pytest.mark.parametrize(
    ("changes", "rested", "theirs", "expected"),
    [
        pytest.param({}, 60, False, None, id="unmarked"),
        pytest.param({"cost": "3", "cost_written": "3"}, 60, False, COST, id="our-cost"),
        pytest.param({"cost": "3", "cost_written": "3"}, 5, False, None, id="too-soon"),
        pytest.param({"cost": "4", "cost_written": "3"}, 60, False, {names.COST_WRITTEN: None}, id="another-writer"),
        pytest.param({"cost": "4"}, 60, False, None, id="not-ours-at-all"),
        pytest.param({"cost": "3", "cost_written": "3", "deleted": NOW}, 60, False, None, id="leaving"),
        pytest.param({"held_since": NOW - 50}, 60, True, {names.HELD_SINCE: None}, id="its-controllers-hold"),
        pytest.param({"held_since": NOW - 50}, 60, False, None, id="an-evictions-hold"),
        pytest.param({"held_since": NOW - 401}, 60, False, {names.HELD_SINCE: None}, id="forgotten"),
        pytest.param({"asked_again": NOW}, 60, False, {names.ASK_AGAIN: None}, id="touched"),
        pytest.param({"asked_again": NOW, "held_since": NOW}, 60, False, None, id="touched-and-held"),
        pytest.param(
            {"asked_again": NOW, "held_since": NOW}, 60, True, {names.HELD_SINCE: None, names.ASK_AGAIN: None}, id="all"
        ),
    ],
)
def test_marks_at_rest(changes: dict[str, Any], rested: float, theirs: bool, expected: Any) -> None:
    each = pod(**changes)
    found = clean(
        [each], NOW, rested_seconds=rested, deadline_seconds=100, theirs=frozenset({each.uid} if theirs else ())
    )
    assert [touch.annotations for touch in found] == ([] if expected is None else [expected])


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


def test_one_pod_of_each_owner_is_touched_the_least_busy() -> None:
    pods = [pod("a", held_since=1.0), pod("b", held_since=1.0), pod("c", held_since=1.0, owner="other")]
    readings = {"uid-a": reading(5), "uid-b": reading(2), "uid-c": reading(9)}
    found = ask_again(pods, readings, NOW, "now", freed=True, max_draining=1, deadline_seconds=100)
    assert [touch.pod for touch in found] == ["b", "c"]
