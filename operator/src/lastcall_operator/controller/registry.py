"""What kopf watches for us: indexes and events, nothing else.

No `on.create`, `on.update`, `on.delete`, daemon or timer on anything, our own resources included: those write
annotations and finalizers. Handlers keep a few fields and wake reconcilers.
"""

from collections.abc import Callable, Iterator
from typing import Any

import kopf

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import PODS
from lastcall_operator.injection.trial import template_of
from lastcall_operator.status.records import Pod, pod_record, service_record, workload_record

from .cache import Cache, object_keys, pod_keys, target_of, template_keys, workload_keys
from .missed import WATCHED

#: kind, namespace and name of what is to be looked at: DrainPolicy, StreamProxy, or Pod (with its UID); Marks with a
#: namespace alone
Wake = Callable[[str, tuple[str, ...]], None]

_WORKLOADS = {"deployments": "Deployment", "replicasets": "ReplicaSet", "statefulsets": "StatefulSet"}
_SIDECAR = {names.SIDECAR_LABEL: names.TRUE}


def settings(peering: str = "") -> kopf.OperatorSettings:
    """Settings of kopf. Nothing of it is ever written, but for the peering: no handler of ours keeps progress."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.posting.loggers = False
    found.peering.standalone = not peering
    if peering:  # never kopf's own `default`, which every operator joins that knows no better
        found.peering.name, found.peering.mandatory = peering, True
    found.watching.server_timeout = 300
    found.watching.client_timeout = 310
    found.watching.connect_timeout = 10
    found.watching.label_selectors["", "v1", "pods"] = f"{names.SIDECAR_LABEL}={names.TRUE}"
    found.networking.request_timeout = 60
    found.queueing.idle_timeout = 2.0
    found.persistence.finalizer = f"{names.GROUP}/never-used"
    found.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    found.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP, key="never-used")
    return found


def registry(
    wake: Wake,
    heard: Callable[[Pod], None],
    begun: Callable[[Cache], None],
    listed: Callable[[], None],
    login: Callable[..., Any],
) -> kopf.OperatorRegistry:
    """The handlers.

    `heard` gets every pod as it changes, `begun` the indexes, which fill later; `listed` is called for each object that
    a watch finds when it begins.
    """
    found = kopf.OperatorRegistry()
    cache: list[Cache] = []

    @kopf.on.login(registry=found)
    def _login(**kwargs: Any) -> Any:
        return login(**kwargs)

    @kopf.on.startup(registry=found)
    async def _begin(**kwargs: Any) -> None:
        cache.append(
            Cache(
                pods=kwargs["pods"],
                workloads=tuple(kwargs[plural] for plural in _WORKLOADS),
                services=kwargs["services"],
                proxies=kwargs["proxies"],
                policies=kwargs["policies"],
                templates=tuple(kwargs[f"{plural}_templates"] for plural in _WORKLOADS),
            )
        )
        begun(cache[0])

    @kopf.index("", "v1", "pods", id="pods", labels=_SIDECAR, registry=found)
    async def _pods(body: kopf.Body, **_: Any) -> Any:
        return pod_keys(pod_record(body))

    @kopf.on.event("", "v1", "pods", labels=_SIDECAR, registry=found)
    async def _pod(body: kopf.Body, **_: Any) -> None:
        pod = pod_record(body)
        heard(pod)
        _wake_for_pod(wake, cache[0], pod)

    @kopf.index("", "v1", "services", id="services", registry=found)
    async def _services(body: kopf.Body, **_: Any) -> Any:
        record = service_record(body)
        return {("namespace", record.namespace): record}

    @kopf.on.event("", "v1", "services", registry=found)
    async def _service(namespace: str | None, **_: Any) -> None:
        _wake_all(wake, "StreamProxy", cache[0].proxies_in(namespace or ""))

    _watch_lists(found, listed)
    for plural, kind in _WORKLOADS.items():
        _watch_workloads(found, wake, cache, plural, kind)
    for plural, kind, index in (
        (names.STREAM_PROXIES, "StreamProxy", "proxies"),
        (names.DRAIN_POLICIES, "DrainPolicy", "policies"),
    ):
        _watch_ours(found, wake, cache, plural, kind, index)
    return found


def handlers(found: kopf.OperatorRegistry) -> Iterator[tuple[str, Any]]:
    """Every handler of a registry with the kind of its registration, for whoever wants to make sure of them."""
    for kind in ("_activities", "_indexing", "_watching", "_spawning", "_changing", "_webhooks"):
        for handler in getattr(found, kind)._handlers:  # noqa: SLF001 - kopf has no other way to list them
            yield kind.strip("_"), handler


def _watch_lists(found: kopf.OperatorRegistry, listed: Callable[[], None]) -> None:
    for each in WATCHED:
        labels = _SIDECAR if each is PODS else None
        which = each.group, each.version, each.plural

        @kopf.on.event(*which, id=f"{each.plural}-listed", labels=labels, when=_is_listed, registry=found)
        async def _listed(**_: Any) -> None:
            listed()


def _watch_workloads(found: kopf.OperatorRegistry, wake: Wake, cache: list[Cache], plural: str, kind: str) -> None:
    @kopf.index("apps", "v1", plural, id=plural, registry=found)
    async def _index(body: kopf.Body, **_: Any) -> Any:
        return workload_keys(workload_record(body, kind))

    @kopf.index("apps", "v1", plural, id=f"{plural}_templates", registry=found)
    async def _templates(body: kopf.Body, **_: Any) -> Any:
        return template_keys(template_of(body, kind))

    @kopf.on.event("apps", "v1", plural, id=f"{plural}-event", registry=found)
    async def _event(body: kopf.Body, **_: Any) -> None:
        record = workload_record(body, kind)
        owners = {(kind, record.name), (record.owner_kind, record.owner_name)}
        wanted = [each for each in cache[0].policies_in(record.namespace) if target_of(each) in owners]
        _wake_all(wake, "DrainPolicy", wanted)
        if not record.observed and template_of(body, kind) is not None:  # a spec that its controller has yet to see
            _wake_all(wake, "StreamProxy", cache[0].proxies_in(record.namespace))


def _watch_ours(
    found: kopf.OperatorRegistry, wake: Wake, cache: list[Cache], plural: str, kind: str, index: str
) -> None:
    @kopf.index(names.GROUP, names.VERSION, plural, id=index, registry=found)
    async def _index(body: kopf.Body, **_: Any) -> Any:
        return object_keys({**body, "metadata": {**body["metadata"], "managedFields": None}})

    @kopf.on.event(names.GROUP, names.VERSION, plural, id=f"{plural}-event", registry=found)
    async def _event(namespace: str | None, name: str, **_: Any) -> None:
        if namespace is None:
            return
        wake(kind, (namespace, name))
        if kind == "DrainPolicy":  # it may be gone, or have another target
            wake("Marks", (namespace,))
        # The youngest of several may be the only one left, or the older one.
        here = cache[0].proxies_in(namespace) if kind == "StreamProxy" else cache[0].policies_in(namespace)
        _wake_all(wake, kind, here)


def _is_listed(event: kopf.RawEvent, **_: Any) -> bool:
    return event["type"] is None


def _wake_for_pod(wake: Wake, cache: Cache, pod: Pod) -> None:
    if pod.deleted is not None:
        wake("Pod", (pod.namespace, pod.name, pod.uid))
    if pod.proxy is not None:
        wake("StreamProxy", (pod.namespace, pod.proxy))
    policies = cache.policies_of(pod)
    if pod.marked and not policies:
        wake("Marks", (pod.namespace,))
    _wake_all(wake, "DrainPolicy", policies)


def _wake_all(wake: Wake, kind: str, objects: list[Any]) -> None:
    for each in objects:
        wake(kind, (each["metadata"]["namespace"], each["metadata"]["name"]))
