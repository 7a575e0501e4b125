"""A workload of a kind that nobody watches, as its ReplicaSets tell of it."""

from lastcall_operator.status.records import owner_of_sets, workload_record
from tests.status.scenes import workload_body


def replica_set(revision, replicas):
    body = workload_body(replicas=replicas)
    reference = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat", "uid": "uid-r"}
    body["metadata"] |= {
        "ownerReferences": [{**reference, "controller": True}],
        "annotations": {"rollout.argoproj.io/revision": str(revision)},
    }
    return workload_record(body, "ReplicaSet")


def test_its_pods_are_those_of_all_revisions_together():
    found = owner_of_sets([replica_set(2, 3), replica_set(1, 1)])
    assert (found.kind, found.name, found.uid, found.api_version) == (
        "Rollout",
        "chat",
        "uid-r",
        "argoproj.io/v1alpha1",
    )
    assert (found.replicas, found.current_replicas) == (4, 2)


def test_without_replicasets_nothing_is_known_of_it():
    assert owner_of_sets([]) is None
