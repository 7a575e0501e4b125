"""AdmissionReview v1 in and out: which removal is asked for, and the answer in the API server's words.

Pure: the webhook reads the body, finds the pod and its workload, decides, and sends what `answer` makes. The webhook's
configuration already matches the users by `matchConditions`; it is checked here again, because a decision about
anybody else's delete would be wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lastcall_operator.removal.model import Allow, Decision, Kind, Removal

API_VERSION: Final = "admission.k8s.io/v1"
#: Who deletes pods in the name of a ReplicaSet or a StatefulSet.
CONTROLLERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "system:serviceaccount:kube-system:replicaset-controller": Kind.REPLICA_SET,
        "system:serviceaccount:kube-system:statefulset-controller": Kind.STATEFUL_SET,
    }
)
#: The one user of all controllers, where a cluster runs without --use-service-account-credentials.
ALL_CONTROLLERS: Final = "system:kube-controller-manager"
#: What the garbage collector and the pod collector send with a delete, and the two controllers never do.
_NOT_THEIRS: Final = ("preconditions", "propagationPolicy", "gracePeriodSeconds")


class ReviewError(ValueError):
    """This is no AdmissionReview that could be answered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A removal that somebody asks for, before its pod has been looked up."""

    #: UID of the request, which the answer repeats
    review: str
    kind: Kind
    namespace: str
    name: str
    #: the pod itself, as a delete shows it; None for an eviction
    pod: dict[str, Any] | None
    #: the UID that the pod must have; None when an eviction does not say
    uid: str | None
    grace_seconds: float | None
    dry_run: bool

    def removal(self, uid: str) -> Removal:
        """Make the removal of the pod that was found by its name."""
        return Removal(self.kind, uid, self.grace_seconds, self.dry_run)


def uid_of(review: Any) -> str:
    """Read the UID that every answer repeats.

    Errors: ReviewError.
    """
    return _text(_request(review), "uid")


def asked(review: Any) -> Asked | None:
    """Read which removal is asked for; None when it is none of ours, and may go.

    Errors: ReviewError when it is no AdmissionReview of a pod's removal at all.
    """
    request = _request(review)
    resource = _object(request, "resource")
    if resource.get("group", "") != "" or resource.get("resource") != "pods":
        return None
    what = (request.get("operation"), request.get("subResource") or "")
    if what == ("DELETE", ""):
        return _deletion(request)
    if what == ("CREATE", "eviction"):
        return _eviction(request)
    return None


def answer(review: str, decision: Decision, kind: Kind | None = None) -> dict[str, Any]:
    """Say it to the API server. `review` is the UID of the request; `kind` is who asked.

    An eviction is refused with 429, as a PodDisruptionBudget would, and without `retryAfterSeconds`: with it client-go
    repeats the request ten times in silence, and nobody sees why `kubectl drain` waits. It tries again every 5 s by
    itself. A controller's delete is refused with 409: it tries again, whatever the code.
    """
    allowed = isinstance(decision, Allow)
    response: dict[str, Any] = {
        "uid": review,
        "allowed": allowed,
        "auditAnnotations": {"decision": type(decision).__name__, "why": decision.why},
    }
    if not allowed:
        code, reason = (429, "TooManyRequests") if kind is Kind.EVICTION else (409, "Conflict")
        response["status"] = {"status": "Failure", "code": code, "reason": reason, "message": decision.why}
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _deletion(request: dict[str, Any]) -> Asked | None:
    options = _object(request, "options")
    pod = _object(request, "oldObject")
    metadata = _object(pod, "metadata")
    kind = _deleter(_object(request, "userInfo").get("username"), _owner(metadata), options)
    if kind is None:
        return None
    return Asked(
        review=_text(request, "uid"),
        kind=kind,
        namespace=_text(request, "namespace"),
        name=_text(metadata, "name"),
        pod=pod,
        uid=_text(metadata, "uid"),
        grace_seconds=_grace(options),
        dry_run=_dry_run(request, options),
    )


def _deleter(user: Any, owner: Kind | None, options: dict[str, Any]) -> Kind | None:
    """Tell which controller deletes a pod of its own; None when it is somebody else, or somebody else's pod."""
    if user == ALL_CONTROLLERS:
        return None if any(options.get(name) is not None for name in _NOT_THEIRS) else owner
    return owner if isinstance(user, str) and owner is not None and CONTROLLERS.get(user) is owner else None


def _owner(metadata: dict[str, Any]) -> Kind | None:
    """Tell of what kind the pod's controller is; None when it is none of those whose deletes are decided."""
    for owner in _list(metadata, "ownerReferences"):
        if isinstance(owner, dict) and owner.get("controller") is True:
            group, _, _ = str(owner.get("apiVersion")).partition("/")
            kinds = (kind for kind in CONTROLLERS.values() if kind.value == owner.get("kind"))
            return next(kinds, None) if group == "apps" else None
    return None


def _eviction(request: dict[str, Any]) -> Asked:
    eviction = _object(request, "object")
    options = _object(eviction, "deleteOptions")
    named = request if request.get("name") else _object(eviction, "metadata")
    uid = _object(options, "preconditions").get("uid")
    return Asked(
        review=_text(request, "uid"),
        kind=Kind.EVICTION,
        namespace=_text(request, "namespace"),
        name=_text(named, "name"),
        pod=None,
        uid=uid if isinstance(uid, str) else None,
        grace_seconds=_grace(options),
        dry_run=_dry_run(request, options),
    )


def _grace(options: dict[str, Any]) -> float | None:
    found = options.get("gracePeriodSeconds")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int):
        raise ReviewError(f"gracePeriodSeconds is no whole number: {found!r}")
    return float(found)


def _dry_run(request: dict[str, Any], options: dict[str, Any]) -> bool:
    """Tell whether nothing may come of it: `kubectl drain --dry-run=server` says so only inside the Eviction."""
    return request.get("dryRun") is True or bool(_list(options, "dryRun"))


def _request(review: Any) -> dict[str, Any]:
    if not isinstance(review, dict) or review.get("apiVersion") != API_VERSION:
        raise ReviewError(f"not an AdmissionReview of {API_VERSION}")
    request = _object(review, "request")
    _text(request, "uid")
    return request


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """Read an object; an empty one where it is missing or null, as Go writes it."""
    found = parent.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ReviewError(f"{name} is no object")
    return found


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    found = parent.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ReviewError(f"{name} is no list")
    return found


def _text(parent: dict[str, Any], name: str) -> str:
    found = parent.get(name)
    if not isinstance(found, str) or not found:
        raise ReviewError(f"{name} is missing, or no text")
    return found
