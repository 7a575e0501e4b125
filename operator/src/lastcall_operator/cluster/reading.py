"""Pods and budgets as the API has them, read into what a removal decision rests on. No I/O here."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.annotations import seconds, whole_number
from lastcall_operator.api.gauge import Gauge
from lastcall_operator.removal.model import Load, Pod

from .selecting import selects
from .sidecars import MISSES

#: Seconds that a pod's sidecar needs when nothing says more: the default ceiling, settle time and margin.
NEEDED_SECONDS = 1955.0
#: What Kubernetes gives a pod that asks for nothing.
GRACE_SECONDS = 30.0

#: Of `controller.kubernetes.io/pod-deletion-cost`: an int32.
_LARGEST_COST = 2**31 - 1

Object = dict[str, Any]


def read_pod(pod: Object, gauge: Gauge | None, misses: int, needed_seconds: float) -> Pod:
    """A pod with what its sidecar says (None: it was silent, for the `misses`-th time in a row)."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    annotations = metadata.get("annotations") or {}
    owner = controller_of(pod) or {}
    known = gauge is not None
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        owner=owner.get("uid", ""),
        created=seconds(metadata.get("creationTimestamp")) or 0.0,
        scheduled=bool(spec.get("nodeName")),
        running=status.get("phase") == "Running",
        ready=is_ready(pod),
        load=Load.KNOWN if known else Load.UNKNOWN if misses >= MISSES else Load.SILENT,
        in_flight=gauge.in_flight if gauge is not None else 0,
        state=gauge.state if gauge is not None else None,
        final=gauge is not None and gauge.draining and gauge.final,
        terminating="deletionTimestamp" in metadata,
        ends=seconds(metadata.get("deletionTimestamp")),
        leased=gauge is not None and gauge.draining and not gauge.final,
        sidecar=has_sidecar(pod),
        grace_seconds=grace_of(pod),
        needed_seconds=needed_seconds,
        held_since=seconds(annotations.get(names.HELD_SINCE)),
        allow_removal=annotations.get(names.ALLOW_REMOVAL) == names.TRUE,
        cost=_cost(annotations.get(names.DELETION_COST)),
        cost_written=_cost(annotations.get(names.COST_WRITTEN)),
        asked_again=seconds(annotations.get(names.ASK_AGAIN)),
    )


def has_sidecar(pod: Object) -> bool:
    """Whether the pod has a sidecar that may be asked: never on the node's own network."""
    labelled = (pod["metadata"].get("labels") or {}).get(names.SIDECAR_LABEL) == names.TRUE
    return labelled and not (pod.get("spec") or {}).get("hostNetwork")


def is_ready(pod: Object) -> bool:
    """Whether the pod's condition Ready is true."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def grace_of(pod: Object) -> float:
    """The pod's own grace in seconds."""
    grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return GRACE_SECONDS if grace is None else float(grace)


def controller_of(thing: Object) -> dict[str, Any] | None:
    """The owner reference of the object's controller."""
    references: Iterable[dict[str, Any]] = thing["metadata"].get("ownerReferences") or []
    return next((each for each in references if each.get("controller")), None)


def min_available(budgets: Iterable[Object], pods: Iterable[Object]) -> int:
    """The most healthy pods that any PodDisruptionBudget of one of these pods demands; 0 without one."""
    labels: list[Mapping[str, str]] = [pod["metadata"].get("labels") or {} for pod in pods]
    return max(
        (
            _counted(budget, "desiredHealthy")
            for budget in budgets
            if any(selects(budget["spec"].get("selector"), each) for each in labels)
        ),
        default=0,
    )


def evictable(budgets: Iterable[Object], pod: Object) -> bool:
    """Whether the PodDisruptionBudgets of a pod let it be evicted now, as the API server judges it after us.

    A pod that is not ready takes nothing from its budget, unless too few others are healthy.
    """
    labels: Mapping[str, str] = pod["metadata"].get("labels") or {}
    mine = [budget for budget in budgets if selects(budget["spec"].get("selector"), labels)]
    if is_ready(pod):
        return all(_counted(budget, "disruptionsAllowed") > 0 for budget in mine)
    return all(
        budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
        or _counted(budget, "disruptionsAllowed") > 0
        or _counted(budget, "currentHealthy") >= _counted(budget, "desiredHealthy") > 0
        for budget in mine
    )


def timestamp(now: float) -> str:
    """Seconds since the epoch, as the API writes times."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _counted(budget: Object, what: str) -> int:
    return int((budget.get("status") or {}).get(what) or 0)


def _cost(text: str | None) -> int | None:
    return whole_number(text, least=-_LARGEST_COST - 1, most=_LARGEST_COST)
