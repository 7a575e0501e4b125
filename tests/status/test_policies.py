"""What a DrainPolicy says of its workload."""

from typing import Any

import pytest

from lastcall_operator.status.networks import likely
from lastcall_operator.status.policies import PolicyView, at_rest, conditions, moves, rows, scale, unreachable
from lastcall_operator.status.readings import Reading, named
from tests.status.scenes import NOW, pod, policy_view, reading, workload


def told(view: PolicyView) -> dict[str, tuple[bool | None, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in conditions(view, NOW)}


@pytest.mark.parametrize(
    ("changes", "kind", "status", "reason", "words"),
    [
        pytest.param({}, "Accepted", True, "Found", "1 pod with a sidecar", id="found"),
        pytest.param({"workload": None}, "Accepted", False, "TargetNotFound", "no StatefulSet chat", id="not-found"),
        pytest.param({"mistake": "spec.x"}, "Accepted", False, "Invalid", "spec.x", id="mistake"),
        pytest.param({"older": "first"}, "Accepted", False, "Conflicted", "first", id="younger"),
        pytest.param({"older": "first"}, "Conflicted", True, "Conflicted", "no effect", id="no-effect"),
        pytest.param({"pods": ()}, "Accepted", True, "NoSidecars", "yet", id="no-sidecars"),
        pytest.param({}, "Conflicted", False, "Alone", "no other", id="alone"),
        pytest.param({"pods": (pod(cost="7"),)}, "Conflicted", True, "ForeignDeletionCost", "chat-0", id="foreign"),
        pytest.param({"revision": "new"}, "Progressing", True, "RollingOut", "1 pod of", id="rolling"),
        pytest.param({}, "Progressing", False, "Settled", "no rollout", id="settled"),
        pytest.param(
            {"workload": workload(current_replicas=4)}, "Progressing", True, "ScalingDown", "from 4 to 1", id="scaling"
        ),
        pytest.param({}, "Draining", False, "Serving", "no pod", id="serving"),
        pytest.param(
            {"pods": (pod(deleted=NOW),), "readings": {"uid-chat-0": reading(5)}},
            "Draining", True, "Draining", "chat-0: 5 in flight", id="draining",
        ),
        pytest.param({"pods": (pod(held_since=NOW - 49),)}, "Stalled", False, "InTime", "", id="held-a-little"),
        pytest.param({"pods": (pod(held_since=NOW - 50),)}, "Stalled", True, "Held", "50 of 100 s", id="held-long"),
        pytest.param({}, "Unreachable", False, "Answering", "1 sidecar asked", id="answering"),
        pytest.param(
            {"readings": {"uid-chat-0": reading(misses=3)}, "network": "deny"},
            "Unreachable", True, "AllSilent", "NetworkPolicy deny", id="cut-off",
        ),
        pytest.param({"readings": {"uid-chat-0": reading(misses=2)}}, "Unreachable", False, "Answering", "", id="slow"),
        pytest.param(
            {"pods": (pod(), pod("chat-1")), "readings": {"uid-chat-0": reading(misses=3), "uid-chat-1": reading()}},
            "Unreachable", False, "SomeSilent", "chat-0", id="one-silent",
        ),
        pytest.param(
            {"workload": workload("Deployment", replicas=2, progress_deadline_seconds=600)},
            "ProgressDeadlineTooShort", True, "TooShort", "set it to 700", id="deadline-short",
        ),
        pytest.param(
            {"workload": workload("Deployment", replicas=2, progress_deadline_seconds=600), "max_draining": None},
            "ProgressDeadlineTooShort", False, "LongEnough", "", id="not-paced",
        ),
        pytest.param(
            {"workload": workload("Deployment", replicas=2, progress_deadline_seconds=700)},
            "ProgressDeadlineTooShort", False, "LongEnough", "", id="deadline-long",
        ),
        pytest.param(
            {"workload": workload("Deployment", replicas=2, progress_deadline_seconds=600), "pods": ()},
            "ProgressDeadlineTooShort", False, "LongEnough", "", id="deadline-of-nobody",
        ),
        pytest.param(
            {"workload": workload(partition=1), "revision": "new"},
            "Progressing", False, "Settled", "", id="kept-by-a-partition",
        ),
    ],
)  # fmt: skip
def test_a_condition(changes: dict[str, Any], kind: str, status: bool, reason: str, words: str) -> None:
    found = told(policy_view(**changes))[kind]
    assert found[:2] == (status, reason)
    assert words in found[2]


def test_a_policy_without_effect_says_nothing_of_pods() -> None:
    assert set(told(policy_view(workload=None))) == {"Accepted", "Conflicted"}


@pytest.mark.parametrize(
    ("changes", "moving", "resting"),
    [
        pytest.param({}, False, True, id="rest"),
        pytest.param({"revision": "new"}, True, False, id="rollout"),
        pytest.param({"revision": "new", "workload": workload(partition=1)}, False, True, id="partition"),
        pytest.param(
            {"revision": "new", "workload": workload(partition=1), "pods": (pod("chat-1"),)},
            True,
            False,
            id="beyond-it",
        ),
        pytest.param({"workload": workload(current_replicas=2)}, True, False, id="scale-down"),
        pytest.param({"pods": (pod(deleted=NOW),)}, True, True, id="leaving"),
        pytest.param({"pods": (pod(held_since=NOW),)}, False, True, id="an eviction is held"),
        pytest.param({"workload": workload(observed=False)}, True, False, id="not-observed"),
        pytest.param({"workload": None}, False, False, id="no-workload"),
        pytest.param({"readings": {"uid-chat-0": reading(state="draining")}}, True, True, id="leased"),
        pytest.param({"revision": ""}, False, True, id="no-revision"),
    ],
)
def test_when_each_second_counts(changes: dict[str, Any], moving: bool, resting: bool) -> None:
    view = policy_view(**changes)
    assert (moves(view), at_rest(view)) == (moving, resting)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, False, id="rest"),
        pytest.param({"revision": "new"}, True, id="rollout"),
        pytest.param({"workload": workload(current_replicas=2)}, True, id="scale-down"),
        pytest.param({"workload": workload(observed=False)}, False, id="not-observed"),
        pytest.param({"workload": None}, False, id="no-workload"),
    ],
)
def test_whose_controllers_want_pods_to_go(changes: dict[str, Any], expected: bool) -> None:
    assert policy_view(**changes).surplus is expected


def test_rows_are_the_busiest_first_and_a_hundred_at_most() -> None:
    pods = tuple(pod(f"chat-{number}") for number in range(120))
    readings = {each.uid: reading(number) for number, each in enumerate(pods)}
    found = rows(pods, readings)
    assert len(found) == 100
    assert found[0] == {
        "name": "chat-119", "revision": "old", "state": "serving", "inFlight": 119,
        "oldestRequestSeconds": int(reading().gauge.oldest_request_seconds or 0),  # type: ignore[union-attr]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("known", "deleted", "state"),
    [
        (None, None, "silent"),
        (Reading(None, 1, NOW), None, "silent"),
        (reading(3, misses=1), None, "silent"),
        (reading(0, oldest_request_seconds=None), NOW, "draining"),
        (reading(0, oldest_request_seconds=None, state="drained"), NOW, "drained"),
    ],
    ids=["unasked", "never", "missed", "deleted", "drained"],
)
def test_the_state_of_a_row(known: Reading | None, deleted: float | None, state: str) -> None:
    each = pod(deleted=deleted)
    readings = {} if known is None else {each.uid: known}
    (row,) = rows([each], readings)
    assert row["state"] == state
    assert row.get("inFlight") == (None if state == "silent" else 0)
    assert scale(policy_view(each, readings=readings)) == {state: 1}


def test_several_pods_of_a_state_are_counted() -> None:
    assert scale(policy_view(pod("a"), pod("b"))) == {"serving": 2}


def test_the_network_policy_is_only_guessed_where_none_is_known() -> None:
    each = pod()
    assert "a NetworkPolicy is" in unreachable([each], {each.uid: reading(misses=3)}, None).message


def test_names_are_listed_up_to_three() -> None:
    assert named("abcde") == "a, b, c and 2 more"


def network(name: str, *rules: dict[str, Any], labels: dict[str, str] | None = None, types: Any = None) -> Any:
    spec = {"podSelector": {"matchLabels": labels or {}}, "ingress": list(rules), "policyTypes": types}
    return {"metadata": {"name": name}, "spec": spec}


def expressing(operator: str, value: str) -> Any:
    found = network("a")
    found["spec"]["podSelector"] = {"matchExpressions": [{"key": "app", "operator": operator, "values": [value]}]}
    return found


@pytest.mark.parametrize(
    ("policies", "name"),
    [
        pytest.param([], None, id="none"),
        pytest.param([network("a", {"from": []}), network("b")], "b", id="one-that-lets-nobody-in"),
        pytest.param([network("a", {"ports": [{"port": 80}]})], "a", id="another-port"),
        pytest.param([network("a", {"ports": [{"port": 8081}]}), network("b")], "b", id="our-port"),
        pytest.param([network("a", labels={"app": "x"})], None, id="other-pods"),
        pytest.param([expressing("In", "db"), network("b")], "b", id="other-pods-by-expression"),
        pytest.param([expressing("NotIn", "db"), network("b")], "a", id="our-pods-by-expression"),
        pytest.param([network("a", types=["Egress"])], None, id="egress"),
    ],
)
def test_the_likely_network_policy(policies: list[Any], name: str | None) -> None:
    assert likely(policies, {"app": "chat"}, [8081]) == name
