"""What was the user's own, and the way back: `undo` takes an injection out of a pod.

Pure. Injecting begins with it, so that injecting twice is injecting once: after another webhook has added a container
(`reinvocationPolicy: IfNeeded`), and for a template that was copied from an injected pod. Only what is still as the
injection left it is taken back; what somebody changed since is theirs.

The annotation `lastcall.dev/original`:

    {"terminationGracePeriodSeconds": 30, "containers": {"app": {
        "preStop": {…},                 the hook that was replaced; null: there was none
        "ports": {"http": "http-app"},  renamed
        "declared": {"http": 15080},    declared anew for the sidecar
        "env": ["ANTHROPIC_BASE_URL"], "fields": ["startupProbe"],    added
        "probes": ["livenessProbe"]}}}  given a grace period of their own
"""

from typing import Any, Literal

import msgspec

from lastcall_operator.api import names
from lastcall_operator.configuration.paths import is_our_volume
from lastcall_operator.injection.containers import Object, all_containers, copied, remove_named, rename_port
from lastcall_operator.injection.errors import InjectionError

DRAIN_COMMAND = ["lastcall-sidecar", "drain", "--wait"]
WAIT_PATH = "/drain/wait?role=app"
#: What Kubernetes takes where a pod says nothing.
DEFAULT_GRACE_SECONDS = 30

_ANNOTATIONS = (names.ADMIN_PORT, names.STREAM_PROXY, names.INJECTED, names.ORIGINAL, names.NOTES)


class Record(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What was changed in one container."""

    pre_stop: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    ports: dict[str, str] = {}
    declared: dict[str, int] = {}
    env: list[str] = []
    fields: list[Literal["args", "livenessProbe", "readinessProbe", "startupProbe"]] = []
    probes: list[Literal["livenessProbe", "startupProbe"]] = []


class Original(msgspec.Struct, rename="camel"):
    """What an injection changes, collected while it does. None: the pod named no grace period."""

    termination_grace_period_seconds: int | None = None
    containers: dict[str, Record] = {}

    def of(self, container: Object) -> Record:
        """The record of a container, to write to."""
        return self.containers.setdefault(container["name"], Record())

    def as_json(self) -> str:
        """The annotation's text."""
        self.containers = {name: record for name, record in self.containers.items() if record != Record()}
        return msgspec.json.encode(self, order="sorted").decode()


def undo(pod: Object) -> Object:
    """A copy of the pod as it was before an injection; the same if there was none.

    Errors: InjectionError when the annotation is not what an injection writes.
    """
    pod = copied(pod)
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    if names.INJECTED not in annotations:
        return pod
    original = _parse(annotations.get(names.ORIGINAL, "{}"))
    for name in _ANNOTATIONS:
        annotations.pop(name, None)
    _remove_safe_volumes(annotations)
    if not annotations:
        del metadata["annotations"]
    (metadata.get("labels") or {}).pop(names.SIDECAR_LABEL, None)
    remove_named(spec, "initContainers", [names.SIDECAR_CONTAINER])
    _remove_volumes(spec, "volumes")
    for container in all_containers(spec):
        _remove_volumes(container, "volumeMounts")
        _restore(container, original.containers.get(container["name"], Record()))
    grace = original.termination_grace_period_seconds
    if grace is not None:
        spec["terminationGracePeriodSeconds"] = grace
    else:
        spec.pop("terminationGracePeriodSeconds", None)
    return pod


def is_our_hook(hook: Object) -> bool:
    """Whether a preStop hook is one that an injection writes."""
    path = (hook.get("httpGet") or {}).get("path")
    return path == WAIT_PATH or (hook.get("exec") or {}).get("command") == DRAIN_COMMAND


def _remove_volumes(owner: Object, key: str) -> None:
    named = [item["name"] for item in owner.get(key) or [] if "name" in item]
    remove_named(owner, key, [name for name in named if is_our_volume(name)])


def _remove_safe_volumes(annotations: Object) -> None:
    listed = annotations.pop(names.SAFE_TO_EVICT_VOLUMES, "").split(",")
    left = ",".join(name for name in listed if not is_our_volume(name))
    if left:
        annotations[names.SAFE_TO_EVICT_VOLUMES] = left


def _restore(container: Object, record: Record) -> None:
    lifecycle = container.get("lifecycle") or {}
    if record.pre_stop is not msgspec.UNSET and is_our_hook(lifecycle.get("preStop") or {}):
        if record.pre_stop is not None:
            lifecycle["preStop"] = record.pre_stop
        else:
            del lifecycle["preStop"]
            if not lifecycle:
                del container["lifecycle"]
    ports = container.get("ports")
    if ports and record.declared:
        container["ports"] = [
            port for port in ports if record.declared.get(port.get("name", "")) != port.get("containerPort")
        ]
    for old, new in record.ports.items():
        rename_port(container, new, old)
    remove_named(container, "env", record.env)
    for probe in record.probes:
        (container.get(probe) or {}).pop("terminationGracePeriodSeconds", None)
    for field in record.fields:
        container.pop(field, None)


def _parse(text: str) -> Original:
    try:
        return msgspec.json.decode(text, type=Original)
    except (msgspec.DecodeError, RecursionError) as error:
        what = f"metadata.annotations[{names.ORIGINAL}] is not what an injection writes, remove it: {error}"
        raise InjectionError(what) from error
