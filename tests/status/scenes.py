"""Records with what a test does not care about filled in."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lastcall_operator.api.gauge import Gauge, parse_livez
from lastcall_operator.status.policies import PolicyView
from lastcall_operator.status.proxies import ProxyView
from lastcall_operator.status.readings import Reading
from lastcall_operator.status.records import Pod, Workload, pod_record, workload_record

GOLDEN = Path(__file__).parent.parent / "contract" / "golden"
NOW = 1_000_000.0


def gauge(in_flight: int = 0, **changes: Any) -> Gauge:
    found = parse_livez((GOLDEN / "livez_serving.json").read_bytes())
    plain = {"in_flight": in_flight, "state": "serving", "config_error": None, "config_hash": "sha256:a"}
    return replace(found, **(plain | changes))


def reading(in_flight: int = 0, *, misses: int = 0, **changes: Any) -> Reading:
    return Reading(gauge(in_flight, **changes), misses, NOW)


def pod_body(name: str = "chat-0", **status: Any) -> dict[str, Any]:
    owner = {"kind": "StatefulSet", "name": "chat", "uid": "uid-chat", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-11-22T10:00:00Z",
            "labels": {"app": "chat", "lastcall.dev/sidecar": "true", "controller-revision-hash": "old"},
            "annotations": {"lastcall.dev/stream-proxy": "chat"},
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": "node-1", "terminationGracePeriodSeconds": 2000},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            **status,
        },
    }


def pod(name: str = "chat-0", **changes: Any) -> Pod:
    return replace(pod_record(pod_body(name)), **changes)


def workload_body(**spec: Any) -> dict[str, Any]:
    labels = {"app": "chat"}
    return {
        "metadata": {"name": "chat", "namespace": "default", "uid": "uid-chat", "generation": 2},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}},
            **spec,
        },
        "status": {"replicas": 1, "readyReplicas": 1, "updateRevision": "old", "observedGeneration": 2},
    }


def workload(kind: str = "StatefulSet", **changes: Any) -> Workload:
    return replace(workload_record(workload_body(), kind), **changes)


def policy_view(*pods: Pod, **changes: Any) -> PolicyView:
    given = pods or (pod(),)
    defaults: dict[str, Any] = {
        "kind": "StatefulSet",
        "name": "chat",
        "workload": workload(),
        "pods": given,
        "readings": {each.uid: reading() for each in given},
        "revision": "old",
        "max_draining": 1,
        "hold_deadline_seconds": 100.0,
    }
    return PolicyView(**(defaults | changes))


def proxy_view(*pods: Pod, **changes: Any) -> ProxyView:
    defaults: dict[str, Any] = {"pods": pods, "readings": {each.uid: reading() for each in pods}, "hash": "sha256:a"}
    return ProxyView(**(defaults | changes))


def notes(*pairs: tuple[str, str]) -> str:
    return json.dumps([{"reason": reason, "message": message} for reason, message in pairs])
