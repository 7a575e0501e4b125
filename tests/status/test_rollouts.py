"""Rollouts and the ends of pods, as they are told."""

from typing import Any

import pytest

from lastcall_operator.status.outcomes import Outcome, Track, ended, follow, outcome, started
from lastcall_operator.status.rollouts import Scene, roll_up
from lastcall_operator.status.told import Told, fallen, risen, steady
from tests.status.scenes import NOW, gauge, pod, reading


def end(revision: str = "old", finished: int = 3, dropped: int = 0) -> Outcome:
    return Outcome("chat-0", "u", revision, 1.0, finished, dropped, expired=False, seen=True)


def test_a_first_installation_is_no_rollout() -> None:
    assert roll_up(None, Scene("new", 1, (pod(revision="new"),)), {}, [], NOW) == (None, [])


@pytest.mark.parametrize("before", [None, {"revision": "a"}], ids=["none", "some"])
def test_without_a_revision_nothing_changes(before: Any) -> None:
    assert roll_up(before, Scene("", 1, (pod(),)), {}, [], NOW) == (before, [])


def test_a_rollout_from_its_beginning_to_its_end() -> None:
    pods = (pod("a"), pod("b", deleted=NOW), pod("c", revision="new"))
    first, happened = roll_up({"revision": "older"}, Scene("new", 2, pods), {}, [], NOW)
    assert first is not None
    assert {key: first[key] for key in ("revision", "total", "updated", "draining", "waiting")} == {
        "revision": "new", "total": 2, "updated": 1, "draining": 1, "waiting": 1,
    }  # fmt: skip
    assert [each.reason for each in happened] == ["RolloutStarted"]
    middle, happened = roll_up(first, Scene("new", 2, pods), {}, [end(), end("new", 7)], NOW + 1)
    assert middle is not None
    assert (middle["streamsFinished"], middle["dropped"], happened) == (3, 0, [])
    both = (pod("c", revision="new"), pod("d", revision="new"))
    waiting, happened = roll_up(middle, Scene("new", 2, both, followed=1), {}, [], NOW + 2)
    assert waiting is not None
    assert "finishedAt" not in waiting
    last, happened = roll_up(waiting, Scene("new", 2, both), {}, [end(dropped=1)], NOW + 3)
    assert last is not None
    assert (last["streamsFinished"], last["dropped"], last["startedAt"]) == (6, 1, first["startedAt"])
    assert last["finishedAt"] == "1970-01-12T13:46:43Z"
    assert [(each.reason, each.warning) for each in happened] == [("RolloutFinished", True)]
    assert "6 streams finished, 1 dropped" in happened[0].message
    assert roll_up(last, Scene("new", 2, both), {}, [end()], NOW + 4) == (last, [])


@pytest.mark.parametrize("pods", [(), (pod(revision="new", ready=False),)], ids=["missing", "unready"])
def test_a_rollout_lasts_until_its_successors_are_ready(pods: Any) -> None:
    found, _ = roll_up({"revision": "new", "startedAt": "x"}, Scene("new", 1, pods), {}, [], NOW)
    assert found is not None
    assert "finishedAt" not in found


def test_a_rollout_of_a_part_ends_with_that_part() -> None:
    pods = (pod("a"), pod("b", revision="new"))
    found, happened = roll_up(
        {"revision": "new", "startedAt": "x"}, Scene("new", 1, pods, 0, frozenset({"uid-a"})), {}, [], NOW
    )
    assert found is not None
    assert (found["total"], found["waiting"]) == (1, 0)
    assert [each.reason for each in happened] == ["RolloutFinished"]


def test_a_leased_pod_drains() -> None:
    found, _ = roll_up(None, Scene("new", 1, (pod("a"),)), {"uid-a": reading(state="draining")}, [], NOW)
    assert found is not None
    assert (found["draining"], found["waiting"]) == (1, 0)


def track(*gauges: Any) -> Track:
    found = Track("chat-0", "u", "old", NOW)
    for each in gauges:
        found = follow(found, each)
    return found


def draining(in_flight: int, completed: int, dropped: int = 0, state: str = "draining") -> Any:
    return gauge(in_flight, completed=completed, dropped=dropped, state=state)


@pytest.mark.parametrize(
    ("gauges", "finished", "dropped", "reason", "words"),
    [
        pytest.param(
            [draining(3, 10), None, draining(0, 13)], 3, 0, "DrainFinished", "3 streams finished, 0", id="whole"
        ),
        pytest.param([draining(2, 10), draining(1, 11)], 1, 1, "DrainExpired", "did not finish", id="cut"),
        pytest.param([draining(1, 0), draining(0, 0, 1, "expired")], 0, 1, "DrainExpired", "1 dropped", id="ceiling"),
        pytest.param([draining(1, 0), draining(0, 0, 1)], 0, 1, "DrainFinished", "1 dropped", id="dropped"),
        pytest.param([draining(1, 9), draining(1, 2), draining(0, 3)], 1, 0, "DrainFinished", "1 stream", id="restart"),
        pytest.param([None], 0, 0, "DrainFinished", "never said", id="silent"),
    ],
)
def test_how_a_pod_ended(gauges: list[Any], finished: int, dropped: int, reason: str, words: str) -> None:
    found = outcome(track(*gauges), NOW + 5)
    assert (found.finished, found.dropped, found.seconds) == (finished, dropped, 5.0)
    event = ended(found)
    assert (event.reason, event.identity or "u") == (reason, "u")
    assert words in event.message
    assert event.warning is (dropped > 0 or words == "never said")


@pytest.mark.parametrize(("gauges", "words"), [([draining(2, 0)], "2 in flight"), ([], "not answer")])
def test_how_a_pod_begins_to_end(gauges: list[Any], words: str) -> None:
    event = started(track(*gauges))
    assert words in event.message
    assert event.identity == "u"


def test_a_condition_has_risen_when_it_is_true_for_a_new_reason() -> None:
    told = [Told("A", True, "x", ""), Told("B", True, "y", ""), Told("C", False, "z", ""), Told("D", None, "w", "")]
    before = [{"type": "A", "status": "True", "reason": "x"}, {"type": "B", "status": "True", "reason": "other"}]
    assert [each.type for each in risen(told, before)] == ["B"]
    assert [each.type for each in fallen(told, before)] == ["C"]
    assert fallen(told, [{"type": "C", "status": "False", "reason": "z"}]) == []
    assert [each.word for each in told] == ["True", "True", "False", "Unknown"]


def test_what_only_counts_streams_is_no_change() -> None:
    first = {"inFlight": 1, "conditions": [{"type": "A", "status": "True", "message": "1"}]}
    second = {"inFlight": 2, "conditions": [{"type": "A", "status": "True", "message": "2"}]}
    assert steady(first) == steady(second)
    assert steady(first) != steady({**second, "observedGeneration": 2})
