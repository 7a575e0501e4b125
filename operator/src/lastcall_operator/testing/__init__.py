"""Fakes with real sockets: an API server, and any number of sidecars in one process."""

from .cluster import FakeCluster
from .objects import deployment, drain_policy, eviction_review, pod, pod_deletion_review, replica_set, stateful_set
from .sidecars import FakeSidecars
from .watched import WatchedCluster

__all__ = [
    "FakeCluster",
    "FakeSidecars",
    "WatchedCluster",
    "deployment",
    "drain_policy",
    "eviction_review",
    "pod",
    "pod_deletion_review",
    "replica_set",
    "stateful_set",
]
