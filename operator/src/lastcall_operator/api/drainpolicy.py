"""DrainPolicy: how a workload may lose pods. The source of its CRD (scripts/generate_crds.py)."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from .schema import MAX_SECONDS, Part, SpecError, read

_PERCENT = re.compile(r"([1-9][0-9]?|100)%")


#: The kinds of apps/v1 that a policy may be for. One of any other group owns ReplicaSets: an Argo Rollout, say.
APPS_KINDS = ("Deployment", "StatefulSet", "ReplicaSet")
APPS = "apps/v1"
WRONG_TARGET = (
    "spec.targetRef must be a Deployment, StatefulSet or ReplicaSet of apps/v1, or name the apiVersion and kind of "
    "another owner of ReplicaSets, as argoproj.io/v1alpha1 and Rollout"
)


class OrderName(StrEnum):
    """Who leaves first."""

    LEAST_BUSY_FIRST = "LeastBusyFirst"
    OLDEST_FIRST = "OldestFirst"


class EvictionsName(StrEnum):
    """What becomes of evictions that would cut streams."""

    HOLD = "Hold"
    ALLOW = "Allow"


class TargetRef(Part, frozen=True):
    """The workload, in the policy's own namespace."""

    kind: Annotated[
        str,
        Meta(
            pattern="^[A-Z][A-Za-z0-9]{0,62}$",
            max_length=63,
            description="Deployment, StatefulSet or ReplicaSet; or another kind that owns ReplicaSets, as Rollout.",
        ),
    ]
    name: Annotated[str, Meta(min_length=1, max_length=253, description="Its name.")]
    api_version: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9.-]{1,253}/v[a-z0-9]{1,62}$",
            max_length=317,
            description="Its group and version: apps/v1, or that of another kind, as argoproj.io/v1alpha1.",
        ),
    ] = APPS


class DrainPolicySpec(Part, frozen=True):
    """What a DrainPolicy asks for."""

    target_ref: Annotated[TargetRef, Meta(description="The workload whose pods are meant.")]
    order: Annotated[
        OrderName,
        Meta(description="Who leaves first: LeastBusyFirst by what is in flight, or OldestFirst."),
    ] = OrderName.LEAST_BUSY_FIRST
    max_draining: Annotated[
        int | str | None,
        Meta(
            description="How many busy pods may be on their way out at a time, as a number or a percentage of the "
            "replicas (rounded up, at least 1). Unset: no pacing; a StatefulSet with OnDelete goes one by one."
        ),
    ] = None
    hold_deadline_seconds: Annotated[
        int, Meta(ge=1, le=MAX_SECONDS, description="After so long a removal of a pod is no longer refused.")
    ] = 3600
    evictions: Annotated[
        EvictionsName,
        Meta(
            description="Hold: an eviction of a busy pod with less grace than its streams may need is refused until "
            "they have ended. Allow: it is not."
        ),
    ] = EvictionsName.HOLD
    poll_seconds: Annotated[
        int, Meta(ge=1, le=300, description="How often sidecars are asked at rest; each second while something moves.")
    ] = 5

    def busy_limit(self, replicas: int) -> int | None:
        """`maxDraining` for so many replicas; None: no pacing."""
        if isinstance(self.max_draining, str):
            return max(1, math.ceil(replicas * int(self.max_draining.removesuffix("%")) / 100))
        return self.max_draining


@dataclass(frozen=True, slots=True)
class DrainPolicyObject:
    """A DrainPolicy of the cluster. `created` is its creationTimestamp (RFC 3339)."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: str
    spec: DrainPolicySpec
    annotations: Mapping[str, str] = field(default_factory=dict)
    resource_version: str = ""

    @property
    def age(self) -> tuple[str, str]:
        """What orders policies of one workload: the oldest wins, and of two as old the first by name."""
        return self.created, self.name


def parse_drain_policy(item: dict[str, Any]) -> DrainPolicyObject:
    """Read a DrainPolicy.

    Errors: SpecError.
    """
    metadata = item.get("metadata") or {}
    spec = read(item.get("spec") or {}, DrainPolicySpec)
    _check(spec)
    return DrainPolicyObject(
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace", "")),
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        created=str(metadata.get("creationTimestamp", "")),
        spec=spec,
        annotations=metadata.get("annotations") or {},
        resource_version=str(metadata.get("resourceVersion", "")),
    )


def _check(spec: DrainPolicySpec) -> None:
    if (spec.target_ref.api_version == APPS) is not (spec.target_ref.kind in APPS_KINDS):
        raise SpecError(f"{WRONG_TARGET}, not {spec.target_ref.kind} of {spec.target_ref.api_version}")
    limit = spec.max_draining
    if isinstance(limit, str) and not _PERCENT.fullmatch(limit):
        raise SpecError(f"spec.maxDraining must be a number of at least 1 or a percentage like 25%, not {limit!r}")
    if isinstance(limit, int) and limit < 1:
        raise SpecError(f"spec.maxDraining must be at least 1, not {limit}: nothing busy could ever leave")
