"""A pod with its sidecar: everything that an injection does to a pod, in the order of this file.

Pure. Called by the webhook for each pod that asks for it, and by `lastcall inject` offline. What was there before is
taken out first (`original.py`), and what others gave to it is put back (`merge.py`): injecting twice is injecting once.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.names import Reason
from lastcall_operator.api.streamproxy import EXIT_MARGIN_SECONDS, EgressWait, Mode, PreStopPolicy, StreamProxy
from lastcall_operator.configuration import paths
from lastcall_operator.injection import sidecar
from lastcall_operator.injection.appport import AppPort, find_app_port, take_over
from lastcall_operator.injection.containers import PROBES, Object, add_variables, all_containers, copied, taken_ports
from lastcall_operator.injection.errors import InjectionError, Note
from lastcall_operator.injection.merge import fields_set, keep_others, readable
from lastcall_operator.injection.original import DEFAULT_GRACE_SECONDS, Original, is_our_hook, undo
from lastcall_operator.injection.resources import is_guaranteed, sidecar_resources

#: Raised when what an injection writes changes, apart from the StreamProxy.
INJECTION_VERSION = 2
#: Ports of the sidecar, the first one that no container of the pod uses. It starts before the app: were its ports those
#: that apps like (8080), an app that does not declare its own could not start beside it.
TRAFFIC_PORTS = (15080, 18080, 28080)
ADMIN_PORTS = (15081, 18081, 28081)

_LISTEN_TRAFFIC, _LISTEN_ADMIN = "LASTCALL_LISTEN__TRAFFIC", "LASTCALL_LISTEN__ADMIN"


@dataclass(frozen=True, slots=True)
class InjectionDefaults:
    """What the installation says.

    `allowed_images` are shell patterns, whose `*` does not cross a `/`, that a StreamProxy's own
    `spec.sidecar.image` must match; none: any image.
    """

    image: str
    pull_policy: str = "IfNotPresent"
    allowed_images: tuple[str, ...] = ()
    #: the release's own namespace; empty: not known
    own_namespace: str = ""


@dataclass(frozen=True, slots=True)
class Injected:
    """The whole pod, and what its owner should be told."""

    pod: Object
    notes: tuple[Note, ...] = ()


def wants_injection(pod: Object) -> bool:
    """Whether the pod asks for a sidecar by its label."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(names.INJECT_LABEL) == names.TRUE)


def inject(pod: Object, proxy: StreamProxy, defaults: InjectionDefaults) -> Injected:
    """The pod with everything that the StreamProxy asks for; `pod` itself is not changed.

    Errors: InjectionError, a sentence that names the field.
    """
    before, plain = pod, undo(pod)
    pod = copied(plain)
    spec = pod.get("spec") or {}
    _require_possible(spec, proxy)
    original = Original(spec.get("terminationGracePeriodSeconds"))
    notes: list[Note] = []
    if proxy.spec.mode is Mode.GATEWAY:
        admin_port = _configure_gateway(spec, proxy, original, notes)
    else:
        admin_port = _add_sidecar(spec, proxy, defaults, original, notes)
    _extend_grace(spec, proxy, original)
    _mark(pod, plain, proxy, admin_port, original, notes)
    _keep_others(before, plain, pod, proxy)
    return Injected(pod, tuple(notes))


def never_injected(namespace: str, defaults: InjectionDefaults) -> str | None:
    """Why the webhook is not asked about pods of a namespace; None where it is.

    A webhook that waits for pods of its own would never start.
    """
    if namespace == "kube-system":
        return "in kube-system nothing is injected"
    if namespace == defaults.own_namespace:
        return f"in {namespace}, the namespace of Lastcall itself, nothing is injected: install it into one of its own"
    return None


def _require_possible(spec: Object, proxy: StreamProxy) -> None:
    if spec.get("hostNetwork"):
        what = "spec.hostNetwork: a pod on its node's network shares the node's ports; it cannot have a sidecar"
        raise InjectionError(what, Reason.PORT_CONFLICT)
    selected = (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    if "windows" in {(spec.get("os") or {}).get("name"), selected}:
        raise InjectionError("spec.os: the sidecar runs on Linux only, this pod on Windows")
    # A gateway's own container may be called as it likes: none of ours stands beside it.
    for key in ("initContainers",) if proxy.spec.mode is Mode.GATEWAY else ("initContainers", "containers"):
        if any(container["name"] == names.SIDECAR_CONTAINER for container in spec.get(key) or []):
            raise InjectionError(
                f"spec.{key}[{names.SIDECAR_CONTAINER}]: the name is the sidecar's; call the container another name, "
                "or let the injection add it"
            )
    for volume in spec.get("volumes") or []:
        if paths.is_our_volume(volume["name"]):
            raise InjectionError(f"spec.volumes[{volume['name']}]: the name is the sidecar's; call it another name")


# Ingress and Egress: a container of ours.


def _add_sidecar(
    spec: Object, proxy: StreamProxy, defaults: InjectionDefaults, original: Original, notes: list[Note]
) -> int:
    everybody = all_containers(spec)
    taken = taken_ports(everybody)
    app: AppPort | None = None
    if proxy.spec.mode is Mode.INGRESS:
        app = find_app_port(spec, proxy)
        taken.add(app.number)
    traffic_port = _free_port(TRAFFIC_PORTS, taken, "traffic")
    admin_port = _free_port(ADMIN_PORTS, taken, "admin")
    guaranteed = is_guaranteed(everybody) and not spec.get("resources")
    try:
        resources = sidecar_resources(proxy.spec.sidecar.resources, guaranteed=guaranteed)
    except ValueError as error:
        raise InjectionError(f"spec.sidecar.resources of StreamProxy {proxy.name}: {error}") from error
    if app is None:
        _point_to_sidecar(everybody, traffic_port, original)
    if app is not None or proxy.spec.drain.egress_wait is EgressWait.UNTIL_IDLE:
        for container in spec.get("containers") or []:
            _set_pre_stop(container, sidecar.wait_hook(admin_port), proxy, original, notes)
    if app is not None:  # after the hooks: those that are kept refer to the port, too
        take_over(spec, app, traffic_port, original, notes)
    made = sidecar.container(
        proxy,
        image=_image(proxy, defaults),
        pull_policy=defaults.pull_policy,
        resources=resources,
        root=(spec.get("securityContext") or {}).get("runAsUser") == 0,
        traffic_port=traffic_port,
        admin_port=admin_port,
        app_port=None if app is None else app.number,
    )
    # First: it stands before the app does, and init containers may call through it.
    spec["initContainers"] = [made, *(spec.get("initContainers") or [])]
    spec["volumes"] = [*(spec.get("volumes") or []), *sidecar.volumes(proxy, tmp=True)]
    return admin_port


def _free_port(candidates: Iterable[int], taken: set[int], what: str) -> int:
    for port in candidates:
        if port not in taken:
            return port
    listed = ", ".join(map(str, candidates))
    raise InjectionError(
        f"spec.containers[].ports: none of {listed} is free for the sidecar's {what} listener", Reason.PORT_CONFLICT
    )


def _image(proxy: StreamProxy, defaults: InjectionDefaults) -> str:
    image = proxy.spec.sidecar.image
    if not image:
        return defaults.image
    if defaults.allowed_images and not any(_matches(image, pattern) for pattern in defaults.allowed_images):
        raise InjectionError(
            f"spec.sidecar.image of StreamProxy {proxy.name}: {image} is not among the images that this installation "
            f"allows ({', '.join(defaults.allowed_images)})"
        )
    return image


def _matches(image: str, pattern: str) -> bool:
    """Whether a shell pattern matches an image's name. `*` does not cross a `/`: `org/app*` is not `org/app-evil/x`."""
    parts, patterns = image.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _point_to_sidecar(containers: list[Object], traffic_port: int, original: Original) -> None:
    base = f"http://127.0.0.1:{traffic_port}"
    variables = [{"name": "ANTHROPIC_BASE_URL", "value": base}, {"name": "OPENAI_BASE_URL", "value": f"{base}/v1"}]
    for container in containers:
        original.of(container).env = add_variables(container, variables)


def _set_pre_stop(container: Object, hook: Object, proxy: StreamProxy, original: Original, notes: list[Note]) -> None:
    lifecycle = container.get("lifecycle") or {}
    own = lifecycle.get("preStop")
    where = f"containers[{container['name']}].lifecycle.preStop"
    if own and not is_our_hook(own):
        if proxy.spec.drain.pre_stop_policy is PreStopPolicy.KEEP:
            what = f"spec.{where} is kept (spec.drain.preStopPolicy: Keep): it must itself outlast the streams"
            notes.append(Note(Reason.PRE_STOP_KEPT, what))
            return
        what = f"spec.{where} is replaced by a wait for the drain; it is kept in the annotation {names.ORIGINAL}"
        notes.append(Note(Reason.PRE_STOP_REPLACED, what))
        original.of(container).pre_stop = own
    else:
        original.of(container).pre_stop = None
    container["lifecycle"] = {**lifecycle, "preStop": copied(hook)}


# Gateway: the pod's only container is the sidecar.


def _configure_gateway(spec: Object, proxy: StreamProxy, original: Original, notes: list[Note]) -> int:
    containers = spec.get("containers") or []
    if len(containers) != 1:
        listed = ", ".join(container["name"] for container in containers) or "none"
        raise InjectionError(
            f"spec.containers: mode Gateway of StreamProxy {proxy.name} needs exactly one, which runs Lastcall's "
            f"image; here: {listed}"
        )
    (container,) = containers
    record = original.of(container)
    where = f"spec.containers[{container['name']}]"
    command = [*(container.get("command") or []), *(container.get("args") or [])]
    if not command:
        container["args"] = list(sidecar.SERVE_ARGUMENTS)
        record.fields.append("args")
    elif paths.CONFIG_PATH not in " ".join(command):
        needed = " ".join(sidecar.SERVE_ARGUMENTS)
        raise InjectionError(f"{where}.args: must be left out, or serve the configuration: {needed}")
    record.env = add_variables(
        container,
        [
            *sidecar.environment(proxy),
            {"name": _LISTEN_TRAFFIC, "value": f"[::]:{names.TRAFFIC_PORT_DEFAULT}"},
            {"name": _LISTEN_ADMIN, "value": f"[::]:{names.ADMIN_PORT_DEFAULT}"},
        ],
    )
    admin_port = _listening(container, where)
    probes = sidecar.probes(admin_port, ready=True)
    for field in PROBES:
        if not container.get(field):
            container[field] = probes[field]
            record.fields.append(field)
    _set_pre_stop(container, sidecar.DRAIN_HOOK, proxy, original, notes)
    _mount(spec, container, proxy, where)
    return admin_port


def _listening(container: Object, where: str) -> int:
    """The admin port, from the variable."""
    value = next(item.get("value", "") for item in container["env"] if item["name"] == _LISTEN_ADMIN)
    port = value.rpartition(":")[2]
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InjectionError(f"{where}.env[{_LISTEN_ADMIN}]: must be HOST:PORT, written as a value")
    return int(port)


def _mount(spec: Object, container: Object, proxy: StreamProxy, where: str) -> None:
    present = {mount["mountPath"].rstrip("/"): mount["name"] for mount in container.get("volumeMounts") or []}
    mounts = sidecar.mounts(proxy)
    for mount in mounts:
        path = mount["mountPath"]
        if path in present:
            raise InjectionError(f"{where}.volumeMounts[{present[path]}]: {path} is where the configuration goes")
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), *mounts]
    spec["volumes"] = [*(spec.get("volumes") or []), *sidecar.volumes(proxy, tmp=False)]


# All modes.


def _extend_grace(spec: Object, proxy: StreamProxy, original: Original) -> None:
    """Give the drain its time; a container that hangs is still restarted after the time that its owner gave.

    In Egress the app is told to end at once and the sidecar outlives it by itself: it needs only the time to settle.
    Where the app waits for the drain, it needs all of that, too.
    """
    drain = proxy.spec.drain
    named = original.termination_grace_period_seconds
    own = DEFAULT_GRACE_SECONDS if named is None else named
    waits = proxy.spec.mode is not Mode.EGRESS or drain.egress_wait is EgressWait.UNTIL_IDLE
    needed = proxy.spec.drain_seconds if waits else drain.settle_seconds + EXIT_MARGIN_SECONDS
    spec["terminationGracePeriodSeconds"] = own + needed
    for container in all_containers(spec):
        record = original.of(container)
        for probe in ("livenessProbe", "startupProbe"):
            found = container.get(probe)
            if found and found.get("terminationGracePeriodSeconds") is None:
                found["terminationGracePeriodSeconds"] = max(1, own)  # 0 is no time for a probe
                record.probes.append(probe)


def _mark(
    pod: Object, plain: Object, proxy: StreamProxy, admin_port: int, original: Original, notes: list[Note]
) -> None:
    metadata = pod.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), names.SIDECAR_LABEL: names.TRUE}
    annotations = {
        **(metadata.get("annotations") or {}),
        names.ADMIN_PORT: str(admin_port),
        names.STREAM_PROXY: proxy.name,
        names.ORIGINAL: original.as_json(),
    }
    local = [it["name"] for it in pod["spec"]["volumes"] if paths.is_our_volume(it["name"]) and "emptyDir" in it]
    theirs = annotations.get(names.SAFE_TO_EVICT_VOLUMES)
    annotations[names.SAFE_TO_EVICT_VOLUMES] = ",".join([*([theirs] if theirs else []), *local])
    if notes:
        annotations[names.NOTES] = _compact([note.as_json() for note in notes])
    written = {
        "version": INJECTION_VERSION,
        "hash": _hash(pod["spec"], proxy),
        "fields": fields_set(plain["spec"], pod["spec"]),
    }
    annotations[names.INJECTED] = _compact(written)
    metadata["annotations"] = annotations


def _keep_others(before: Object, plain: Object, pod: Object, proxy: StreamProxy) -> None:
    """Leave what others have given to an injection that was there already."""
    last, now = _written(before), _written(pod)
    if last is None or now is None:
        return
    spec = pod["spec"]
    ours = spec["containers"][0]["name"] if proxy.spec.mode is Mode.GATEWAY else names.SIDECAR_CONTAINER
    unchanged = all(last.get(key) == now[key] for key in ("version", "hash"))
    keep_others(before["spec"], plain["spec"], spec, last["fields"], ours=ours, unchanged=unchanged)


def _written(pod: Object) -> Object | None:
    """What an injection has written of itself; None: nothing that could be read."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    try:
        found = json.loads(annotations.get(names.INJECTED, "null"))
        return found if isinstance(found, dict) and readable(found.get("fields")) else None
    except (ValueError, RecursionError):
        return None


def _sidecars(spec: Object) -> list[Object]:
    """The sidecar, if it is one of ours that stands beside an app."""
    return [it for it in spec.get("initContainers") or [] if it["name"] == names.SIDECAR_CONTAINER]


def _hash(spec: Object, proxy: StreamProxy) -> str:
    """The hash of what is ours in the pod: the same for all pods of a template, whatever others add to each."""
    container = _sidecars(spec)
    volumes = [it for it in spec["volumes"] if paths.is_our_volume(it["name"])]
    ours = [proxy.spec.mode.value, container, volumes, spec["terminationGracePeriodSeconds"]]
    return f"sha256:{hashlib.sha256(_compact(ours).encode()).hexdigest()}"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
