"""What the controller keeps of each object that it watches: a few fields, whatever the size of the object.

Made by the indexes, read by the reconcilers and the roll-ups. All of them read objects as the API server gives them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.annotations import LARGEST_SEQUENCE, LAST_PORT, admin_port, seconds, whole_number
from lastcall_operator.api.gauge import LastWord, parse_last_word
from lastcall_operator.rollout.ordering import ordinal

#: What Kubernetes gives a pod that asks for nothing.
DEFAULT_GRACE_SECONDS = 30
#: Why a container waits, if that will not mend by waiting.
IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
#: Where the injection tells a sidecar the app's address, by environment.
_UPSTREAM = "LASTCALL_UPSTREAM__URL"
#: Where it listens.
_LISTEN = ("LASTCALL_LISTEN__TRAFFIC", "LASTCALL_LISTEN__ADMIN")


@dataclass(frozen=True, slots=True)
class Note:
    """What the injection had to tell of a pod."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container that does not start."""

    container: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with a sidecar. Times are seconds since the epoch."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    #: the controller that owns it: kind, name and UID; empty without one
    owner_kind: str
    owner_name: str
    owner: str
    created: float
    #: template hash or controller revision; empty when it has neither
    revision: str
    phase: str
    scheduled: bool
    ready: bool
    #: seconds since the epoch of the deletion's request; None: not deleted
    deleted: float | None
    #: when the grace of its deletion will have passed; None: not deleted
    ends: float | None
    grace_seconds: float
    #: the grace that its app had before the injection; None: not injected, or nobody can read it
    own_grace_seconds: int | None
    #: the grace of its deletion; None: not deleted
    deletion_grace_seconds: int | None
    #: where its sidecar answers; None: nowhere (no address yet, or the node's)
    ip: str | None
    port: int
    #: the StreamProxy that configures it
    proxy: str | None
    waiting: tuple[Waiting, ...]
    #: it has been placed, and its containers wait to be created: volumes or secrets may be missing
    creating: bool
    #: the app's port behind its sidecar; None: the sidecar stands before no app
    app_port: int | None
    #: number of each port's name, as Services find it: the containers' before the sidecars'
    ports: Mapping[str, int]
    notes: tuple[Note, ...]
    held_since: float | None
    #: since when a rollout of ours has waited for it
    rollout_since: float | None
    asked_again: float | None
    #: a person's word that it may go whatever it carries
    allow_removal: bool
    cost: str | None
    cost_written: str | None
    sidecar: bool = True
    #: containers beside an injected sidecar that end again and again
    crashing: tuple[str, ...] = ()
    #: where an injected sidecar listens: traffic, admin
    listening: tuple[int, ...] = ()
    #: the sidecar's account when it left; None: it has not, or left none
    last_word: LastWord | None = None

    @property
    def marked(self) -> bool:
        """Whether something of ours stands on it that means nothing without a policy."""
        marks = (self.held_since, self.rollout_since, self.asked_again, self.cost_written)
        return any(each is not None for each in marks)


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or ReplicaSet."""

    kind: str
    namespace: str
    name: str
    uid: str
    #: UID, kind and name of the Deployment, or whatever else, that owns a ReplicaSet; empty otherwise
    owner: str
    owner_name: str
    replicas: int
    #: what its own status counts
    current_replicas: int
    #: StatefulSet: the revision wanted; ReplicaSet: its template's hash; empty for a Deployment
    revision: str
    #: ReplicaSet: its place in the Deployment's history
    sequence: int
    on_delete: bool
    progress_deadline_seconds: int | None
    #: whether its controller has seen its newest spec
    observed: bool
    selector: Mapping[str, str]
    #: StatefulSet with RollingUpdate: so many pods, those of the lowest ordinals, keep the revision they have
    partition: int = 0
    #: StatefulSet: the ordinal of its first pod
    first_ordinal: int = 0
    api_version: str = "apps/v1"
    owner_kind: str = ""
    owner_api_version: str = ""

    @property
    def rolled(self) -> int:
        """How many pods are to have the wanted revision."""
        return max(0, self.replicas - self.partition)

    def keeps(self, pod: Pod) -> bool:
        """Whether a pod is to keep its revision, whatever is wanted of the others."""
        return self.partition > 0 and ordinal(pod.name) < self.first_ordinal + self.partition


@dataclass(frozen=True, slots=True)
class Service:
    """A Service: whom it selects, and which ports of theirs it targets (names or numbers)."""

    namespace: str
    name: str
    selector: Mapping[str, str]
    targets: tuple[str | int, ...]
    uid: str = ""


def pod_record(body: Mapping[str, Any]) -> Pod:
    """A pod's record."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    labels, annotations = dict(metadata.get("labels") or {}), metadata.get("annotations") or {}
    owner = owner_of(metadata)
    conditions = {each.get("type"): each.get("status") == "True" for each in status.get("conditions") or []}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    grace = metadata.get("deletionGracePeriodSeconds")
    ends = seconds(metadata.get("deletionTimestamp"))
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        labels=labels,
        owner_kind=owner.get("kind", ""),
        owner_name=owner.get("name", ""),
        owner=owner.get("uid", ""),
        created=seconds(metadata.get("creationTimestamp")) or 0.0,
        revision=_template_hash(labels) or labels.get("controller-revision-hash") or "",
        phase=status.get("phase", "Pending"),
        scheduled=bool(spec.get("nodeName")),
        ready=conditions.get("Ready", False),
        deleted=None if ends is None else ends - float(grace or 0),
        ends=ends,
        grace_seconds=float(spec.get("terminationGracePeriodSeconds") or 30),
        own_grace_seconds=_own_grace(annotations.get(names.ORIGINAL)),
        deletion_grace_seconds=None if ends is None or grace is None else int(grace),
        ip=None if spec.get("hostNetwork") else status.get("podIP") or None,
        port=admin_port(annotations),
        proxy=annotations.get(names.STREAM_PROXY),
        waiting=tuple(_waiting(containers)),
        creating=_creating(status, containers),
        app_port=_app_port(spec),
        ports=_ports(spec),
        notes=notes_of(annotations.get(names.NOTES)),
        held_since=seconds(annotations.get(names.HELD_SINCE)),
        rollout_since=seconds(annotations.get(names.ROLLOUT_SINCE)),
        asked_again=seconds(annotations.get(names.ASK_AGAIN)),
        allow_removal=annotations.get(names.ALLOW_REMOVAL) == names.TRUE,
        cost=annotations.get(names.DELETION_COST),
        cost_written=annotations.get(names.COST_WRITTEN),
        crashing=_crashing(status) if names.INJECTED in annotations else (),
        listening=_listening(spec),
        sidecar=labels.get(names.SIDECAR_LABEL) == names.TRUE,
        last_word=next(filter(None, map(_last_word, containers)), None),
    )


def _template_hash(labels: Mapping[str, str]) -> str:
    return next((labels[each] for each in names.TEMPLATE_HASHES if labels.get(each)), "")


def _own_grace(original: str | None) -> int | None:
    """Read what the injection has kept of the pod as it was; where it named no grace, Kubernetes' own counts."""
    if original is None:
        return None
    try:
        found: Any = json.loads(original)
        grace = found.get("terminationGracePeriodSeconds")
    except (ValueError, RecursionError, AttributeError):
        return None
    if grace is None:
        return DEFAULT_GRACE_SECONDS
    return grace if type(grace) is int and grace >= 0 else None


def _last_word(container: Mapping[str, Any]) -> LastWord | None:
    terminated = (container.get("state") or {}).get("terminated") or {}
    return parse_last_word(terminated.get("message"))


def workload_record(body: Mapping[str, Any], kind: str) -> Workload:
    """A workload's record."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    owner = owner_of(metadata) if kind == "ReplicaSet" else {}
    template = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    revision = status.get("updateRevision", "") if kind == "StatefulSet" else _template_hash(template)
    annotations = metadata.get("annotations") or {}
    sequence = next((annotations[each] for each in names.SEQUENCES if each in annotations), "0")
    strategy = spec.get("updateStrategy") or {}
    return Workload(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        owner=owner.get("uid", ""),
        owner_name=owner.get("name", ""),
        owner_kind=owner.get("kind", ""),
        owner_api_version=owner.get("apiVersion", ""),
        replicas=1 if spec.get("replicas") is None else int(spec["replicas"]),
        current_replicas=int(status.get("replicas") or 0),
        revision=revision,
        sequence=whole_number(sequence, most=LARGEST_SEQUENCE) or 0,
        on_delete=kind == "StatefulSet" and strategy.get("type") == "OnDelete",
        progress_deadline_seconds=spec.get("progressDeadlineSeconds") if kind == "Deployment" else None,
        observed=int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0),
        selector=dict((spec.get("selector") or {}).get("matchLabels") or {}),
        partition=int((strategy.get("rollingUpdate") or {}).get("partition") or 0) if kind == "StatefulSet" else 0,
        first_ordinal=int((spec.get("ordinals") or {}).get("start") or 0),
    )


def owner_of_sets(sets: Sequence[Workload]) -> Workload | None:
    """What owns these ReplicaSets, of whatever kind, as they tell of it; None: there are none.

    How many pods it wants is their sum: while it is rolled, both revisions are in it.
    """
    newest = max(sets, key=lambda each: each.sequence, default=None)
    if newest is None:
        return None
    return Workload(
        kind=newest.owner_kind,
        namespace=newest.namespace,
        name=newest.owner_name,
        uid=newest.owner,
        owner="",
        owner_name="",
        replicas=sum(each.replicas for each in sets),
        current_replicas=sum(each.current_replicas for each in sets),
        revision="",
        sequence=0,
        on_delete=False,
        progress_deadline_seconds=None,
        observed=all(each.observed for each in sets),
        selector=newest.selector,
        api_version=newest.owner_api_version,
    )


def service_record(body: Mapping[str, Any]) -> Service:
    """A Service's record."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    ports = [each for each in spec.get("ports") or [] if each.get("protocol", "TCP") == "TCP"]
    targets = tuple(each.get("targetPort") or each.get("port", 0) for each in ports)
    selector = dict(spec.get("selector") or {})
    return Service(metadata.get("namespace", ""), metadata["name"], selector, targets, metadata.get("uid", ""))


def owner_of(metadata: Mapping[str, Any]) -> Mapping[str, str]:
    """The controlling owner's reference; empty without one."""
    return next((each for each in metadata.get("ownerReferences") or [] if each.get("controller")), {})


def notes_of(text: str | None) -> tuple[Note, ...]:
    """The notes of an injection; nothing where the annotation is not ours."""
    try:
        found = json.loads(text or "[]")
        return tuple(Note(str(each["reason"]), str(each["message"])) for each in found)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


def _waiting(containers: list[dict[str, Any]]) -> list[Waiting]:
    found = [(each.get("name", ""), (each.get("state") or {}).get("waiting") or {}) for each in containers]
    return [
        Waiting(name, state["reason"], state.get("message", ""))
        for name, state in found
        if state.get("reason") in IMAGE_REASONS | CONFIG_REASONS
    ]


def _crashing(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Containers of the app that wait to be started again, or have been twice and have not been ready since."""
    changes = {each.get("type"): each.get("lastTransitionTime") for each in status.get("conditions") or []}
    since = seconds(changes.get("ContainersReady")) or 0.0
    return tuple(
        each.get("name", "")
        for each in status.get("containerStatuses") or []
        if ((each.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
        or (not each.get("ready") and (each.get("restartCount") or 0) > 1 and since <= _started(each, since))
    )


def _started(container: Mapping[str, Any], otherwise: float) -> float:
    running = (container.get("state") or {}).get("running") or {}
    found = seconds(running.get("startedAt"))
    return otherwise if found is None else found


def _creating(status: Mapping[str, Any], containers: list[dict[str, Any]]) -> bool:
    states = [(each.get("state") or {}) for each in containers]
    return (
        status.get("phase") == "Pending"
        and bool(states)
        and all(
            (state.get("waiting") or {}).get("reason") in {"ContainerCreating", "PodInitializing"} for state in states
        )
    )


def _app_port(spec: Mapping[str, Any]) -> int | None:
    return _address(spec, _UPSTREAM)


def _listening(spec: Mapping[str, Any]) -> tuple[int, ...]:
    found = (_address(spec, variable) for variable in _LISTEN)
    return tuple(port for port in found if port is not None)


def _address(spec: Mapping[str, Any], name: str) -> int | None:
    """The port of an address that the injection tells the sidecar."""
    for container in spec.get("initContainers") or []:
        if container.get("name") == names.SIDECAR_CONTAINER:
            for variable in container.get("env") or []:
                port = str(variable.get("value", "")).rpartition(":")[2]
                if variable.get("name") == name and (number := whole_number(port, most=LAST_PORT)):
                    return number
    return None


def _ports(spec: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for port in container.get("ports") or []:
            if port.get("name") and port.get("protocol", "TCP") == "TCP":
                found.setdefault(port["name"], int(port["containerPort"]))
    return found
