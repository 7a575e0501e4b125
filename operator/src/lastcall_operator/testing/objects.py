"""Kubernetes objects as the API server shows them, short enough to read in a test."""

import copy
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.removal.model import Kind
from lastcall_operator.removal.review import ALL_CONTROLLERS, CONTROLLERS

from .sidecars import FakeSidecar

Object = dict[str, Any]
NAMESPACE = "default"


def deployment(name: str = "chat", replicas: int = 3) -> Object:
    """A Deployment whose selector is `app: <name>`."""
    return _workload("deployments", name, replicas)


def stateful_set(name: str = "chat", replicas: int = 3) -> Object:
    """A StatefulSet whose selector is `app: <name>`."""
    return _workload("statefulsets", name, replicas)


def replica_set(name: str = "chat-old", app: str = "chat", owner: str | None = "chat") -> Object:
    """A ReplicaSet of the Deployment `owner`; None: of nobody."""
    found = _workload("replicasets", name, 3, app)
    if owner is not None:
        found["metadata"]["ownerReferences"] = [_reference("Deployment", owner, f"uid-deployments-{owner}")]
    return found


def pod(
    name: str,
    sidecar: FakeSidecar | None = None,
    *,
    port: int = 8081,
    owner: tuple[str, str] = ("ReplicaSet", "chat-old"),
    app: str = "chat",
    grace_seconds: int = 2000,
    ready: bool = True,
    annotations: dict[str, str] | None = None,
) -> Object:
    """A running pod; with a sidecar it is labelled, and has the sidecar's address and UID."""
    plural = f"{owner[0].lower()}s"
    labels = {"app": app} | ({} if sidecar is None else {names.SIDECAR_LABEL: names.TRUE})
    own = {} if sidecar is None else {names.ADMIN_PORT: str(port)}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-pods-{name}" if sidecar is None else sidecar.uid,
            "creationTimestamp": "2026-11-22T10:00:00Z",
            "labels": labels,
            "annotations": {**own, **(annotations or {})},
            "ownerReferences": [_reference(*owner, f"uid-{plural}-{owner[1]}")],
        },
        "spec": {"nodeName": "node-1", "terminationGracePeriodSeconds": grace_seconds, "containers": [{"name": "app"}]},
        "status": {
            "phase": "Running",
            "podIP": "127.9.9.9" if sidecar is None else sidecar.ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def drain_policy(name: str = "chat", target: tuple[str, str] = ("Deployment", "chat"), **spec: Any) -> Object:
    """A DrainPolicy with every default of the CRD, as the API server fills them in."""
    reference = {"apiVersion": "apps/v1", "kind": target[0], "name": target[1]}
    defaults = {"order": "LeastBusyFirst", "holdDeadlineSeconds": 3600, "evictions": "Hold", "pollSeconds": 5}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
        "spec": {"targetRef": reference, **defaults, **spec},
    }


def pod_deletion_review(victim: Object, *, user: Kind | str = Kind.REPLICA_SET, dry_run: bool = False) -> Object:
    """The AdmissionReview of a delete by a controller (the kind), or by a user of that name."""
    by_kind = {kind: name for name, kind in CONTROLLERS.items()}
    username = by_kind[user] if isinstance(user, Kind) else user or ALL_CONTROLLERS
    request = _request(victim, "DELETE", username, dry_run=dry_run)
    options = {"apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions"}
    return _review({**request, "object": None, "oldObject": copy.deepcopy(victim), "options": options})


def eviction_review(
    victim: Object, *, grace_seconds: int | None = None, dry_run: bool = False, nested_dry_run: bool = False
) -> Object:
    """The AdmissionReview of an eviction. `nested_dry_run`: where `kubectl drain --dry-run=server` puts it."""
    options: Object = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
    if nested_dry_run:
        options["dryRun"] = ["All"]
    metadata = {"name": victim["metadata"]["name"], "namespace": NAMESPACE}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    request = _request(victim, "CREATE", "kubernetes-admin", dry_run=dry_run)
    return _review({**request, "subResource": "eviction", "object": eviction, "oldObject": None})


def _workload(plural: str, name: str, replicas: int, app: str | None = None) -> Object:
    labels = {"app": app or name}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{plural}-{name}", "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}},
    }


def _reference(kind: str, name: str, uid: str) -> Object:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def _request(victim: Object, operation: str, user: str, *, dry_run: bool) -> Object:
    return {
        "uid": f"review-of-{victim['metadata']['name']}",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": victim["metadata"]["name"],
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": user},
        "dryRun": dry_run,
    }


def _review(request: Object) -> Object:
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
