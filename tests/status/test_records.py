"""What is kept of an object is what it says, whatever else anybody wrote into it."""

from typing import Any

import pytest

from lastcall_operator.api import names
from lastcall_operator.status.records import Note, pod_record, workload_record
from tests.status.scenes import notes, pod_body, workload_body


def test_a_pod_is_read() -> None:
    body = pod_body()
    body["metadata"]["annotations"] |= {
        names.ADMIN_PORT: "18081",
        names.NOTES: notes(("PortConflict", "taken")),
        names.HELD_SINCE: "1970-01-01T00:01:00Z",
        names.DELETION_COST: "4",
        names.COST_WRITTEN: "4",
    }
    body["metadata"] |= {"deletionTimestamp": "1970-01-01T01:00:00Z", "deletionGracePeriodSeconds": 600}
    found = pod_record(body)
    assert (found.owner_kind, found.owner, found.revision, found.port) == ("StatefulSet", "uid-chat", "old", 18081)
    assert (found.held_since, found.deleted, found.ends, found.grace_seconds) == (60.0, 3000.0, 3600.0, 2000.0)
    assert found.notes == (Note("PortConflict", "taken"),)
    assert found.proxy == "chat"
    assert found.ready
    assert found.sidecar


def test_a_bare_pod_is_read() -> None:
    found = pod_record({"metadata": {"name": "a", "uid": "b"}})
    assert (found.owner, found.revision, found.port, found.ip) == ("", "", 8081, None)
    assert not found.sidecar
    assert found.created == 0.0


def test_a_pod_on_its_nodes_network_is_nobody_to_ask() -> None:
    body = pod_body()
    body["spec"]["hostNetwork"] = True
    assert pod_record(body).ip is None


@pytest.mark.parametrize("port", ["", "0", "65536", "x", "-1", "²", "9" * 5000])
def test_a_port_that_is_none_is_the_usual_one(port: str) -> None:
    body = pod_body()
    body["metadata"]["annotations"][names.ADMIN_PORT] = port
    assert pod_record(body).port == 8081


@pytest.mark.parametrize("text", ["", "x", "{", "[1]", '[{"reason": "a"}]', "null", '{"a": 1}'])
def test_notes_that_are_not_ours_are_none(text: str) -> None:
    body = pod_body()
    body["metadata"]["annotations"][names.NOTES] = text
    assert pod_record(body).notes == ()


@pytest.mark.parametrize(
    ("reason", "creating", "waiting"),
    [
        pytest.param("ContainerCreating", True, 0, id="creating"),
        pytest.param("PodInitializing", True, 0, id="initializing"),
        pytest.param("ImagePullBackOff", False, 1, id="image"),
        pytest.param("CreateContainerConfigError", False, 1, id="config"),
    ],
)
def test_why_a_container_waits(reason: str, creating: bool, waiting: int) -> None:
    state = {"name": "lastcall", "state": {"waiting": {"reason": reason, "message": "because"}}}
    found = pod_record(pod_body(phase="Pending", initContainerStatuses=[state]))
    assert (found.creating, len(found.waiting)) == (creating, waiting)


@pytest.mark.parametrize(("kind", "revision"), [("StatefulSet", "old"), ("ReplicaSet", "hash"), ("Deployment", "hash")])
def test_a_workload_is_read(kind: str, revision: str) -> None:
    body = workload_body(progressDeadlineSeconds=600, updateStrategy={"type": "OnDelete"})
    body["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "hash"
    body["metadata"] |= {
        "annotations": {"deployment.kubernetes.io/revision": "7"},
        "ownerReferences": [{"kind": "Deployment", "name": "above", "uid": "u", "controller": True}],
    }
    found = workload_record(body, kind)
    assert (found.revision, found.sequence, found.observed) == (revision, 7, True)
    assert found.on_delete is (kind == "StatefulSet")
    assert found.owner_name == ("above" if kind == "ReplicaSet" else "")
    assert found.progress_deadline_seconds == (600 if kind == "Deployment" else None)


@pytest.mark.parametrize(
    ("kind", "update", "start", "rolled", "kept"),
    [
        pytest.param("StatefulSet", {"partition": 2}, None, 3, [0, 1], id="a partition"),
        pytest.param(
            "StatefulSet", {"partition": 9}, None, 0, [0, 1, 2, 3, 4], id="a partition of more than there are"
        ),
        pytest.param("StatefulSet", {"partition": 2}, 1, 3, [0, 1, 2], id="counted from the first ordinal"),
        pytest.param("StatefulSet", None, None, 5, [], id="none"),
        pytest.param("Deployment", {"partition": 2}, None, 5, [], id="another kind"),
    ],
)
def test_which_pods_a_partition_keeps(kind: str, update: Any, start: Any, rolled: int, kept: list[int]) -> None:
    body = workload_body(replicas=5, updateStrategy={"rollingUpdate": update}, ordinals=start and {"start": start})
    found = workload_record(body, kind)
    assert found.rolled == rolled
    assert [number for number in range(5) if found.keeps(pod_record(pod_body(f"chat-{number}")))] == kept


def test_a_pod_is_marked_by_what_is_ours() -> None:
    body = pod_body()
    assert not pod_record(body).marked
    for mark in names.POD_MARKS:
        body["metadata"]["annotations"] = {mark: "1970-01-01T00:01:00Z"}
        assert pod_record(body).marked
    body["metadata"]["annotations"] = {names.ALLOW_REMOVAL: "true", names.DELETION_COST: "1"}
    assert not pod_record(body).marked


def test_a_workload_without_replicas_wants_one() -> None:
    body = workload_body(replicas=None)
    body["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "x"}
    found = workload_record(body, "Deployment")
    assert (found.replicas, found.sequence) == (1, 0)


@pytest.mark.parametrize(
    ("status", "crashing"),
    [
        pytest.param({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, ("app",), id="waits-to-start-again"),
        pytest.param({"restartCount": 2, "ready": False, "state": {"running": {}}}, ("app",), id="between-two-ends"),
        pytest.param({"restartCount": 1, "ready": False, "state": {"running": {}}}, (), id="once"),
        pytest.param({"restartCount": 9, "ready": True, "state": {"running": {}}}, (), id="long-over"),
    ],
)
def test_an_app_that_crashes_beside_its_sidecar_is_noticed(status: dict[str, Any], crashing: tuple[str, ...]) -> None:
    listen = {"LASTCALL_LISTEN__TRAFFIC": "0.0.0.0:15080", "LASTCALL_LISTEN__ADMIN": "[::]:15081"}
    env = [{"name": name, "value": value} for name, value in listen.items()]
    body = {
        "metadata": {"name": "a", "uid": "u", "annotations": {names.INJECTED: "{}"}},
        "spec": {"initContainers": [{"name": "lastcall", "env": env}]},
        "status": {"containerStatuses": [{"name": "app", **status}]},
    }
    found = pod_record(body)
    assert (found.crashing, found.listening) == (crashing, (15080, 15081))
    del body["metadata"]["annotations"]
    assert pod_record(body).crashing == ()


@pytest.mark.parametrize(
    ("unready", "crashing"),
    [
        pytest.param("2026-11-29T09:59:50Z", ("app",), id="not-ready-since-it-ended"),
        pytest.param("2026-11-29T18:00:00Z", (), id="ready-for-hours-and-not-now"),
    ],
)
def test_an_app_that_was_ready_since_it_was_started_does_not_crash(unready: str, crashing: tuple[str, ...]) -> None:
    running = {"startedAt": "2026-11-29T10:00:00Z"}
    body = {
        "metadata": {"name": "a", "uid": "u", "annotations": {names.INJECTED: "{}"}},
        "status": {
            "conditions": [{"type": "ContainersReady", "status": "False", "lastTransitionTime": unready}],
            "containerStatuses": [{"name": "app", "restartCount": 2, "ready": False, "state": {"running": running}}],
        },
    }
    assert pod_record(body).crashing == crashing
