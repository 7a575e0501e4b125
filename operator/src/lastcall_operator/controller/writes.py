"""What the reconcilers write into the cluster: little, and only what has changed.

Objects that are gone meanwhile are no mistake: nothing is left to be done for them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.conditions import Status, set_condition
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.events import About, Events
from lastcall_operator.cluster.mounting import mounts
from lastcall_operator.cluster.resources import CONFIG_MAPS, EVENTS, PODS, STREAM_PROXIES, Resource
from lastcall_operator.errors import ConflictError, ForbiddenError, NotFoundError, NotOursError
from lastcall_operator.injection.trial import Template
from lastcall_operator.status.marks import Touch
from lastcall_operator.status.records import Workload
from lastcall_operator.status.rollouts import stamp
from lastcall_operator.status.told import Happened, Told, steady

Place = tuple[Resource, str, str]

#: The label of every ConfigMap that we write.
_MANAGED = ("app.kubernetes.io/managed-by", "lastcall")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")


class Writes:
    """Everything that the controller writes. `clock`: seconds since the epoch."""

    def __init__(self, api: Api, events: Events, clock: Callable[[], float]) -> None:
        self.api, self.events, self.clock = api, events, clock
        #: the last status written, when, and of which resource, namespace and name, by the object's UID
        self._written: dict[str, tuple[Object, float, Place]] = {}

    def status_of(self, obj: Mapping[str, Any]) -> Object:
        """The status as we wrote it last: the watch may lag behind."""
        written = self._written.get(obj["metadata"]["uid"])
        return dict(obj.get("status") or {}) if written is None else written[0]

    async def status(
        self, resource: Resource, obj: Mapping[str, Any], told: Iterable[Told], values: Object, pace_seconds: float
    ) -> bool:
        """Write a status if it is another one; what only counts streams, no more often than `pace_seconds`."""
        metadata, before, now = obj["metadata"], self.status_of(obj), self.clock()
        generation = int(metadata.get("generation") or 0)
        conditions = list(before.get("conditions") or [])
        for each in told:
            conditions = set_condition(
                conditions,
                each.type,
                Status(each.word),
                reason=each.reason,
                message=each.message,
                generation=generation,
                now=stamp(now),
            )
        listed = {each.type for each in told}
        conditions = [each for each in conditions if each.get("type") in listed]
        after = {**values, "observedGeneration": generation, "conditions": conditions}
        written = self._written.get(metadata["uid"])
        at = 0.0 if written is None else written[1]
        if after == before or (steady(after) == steady(before) and now - at < pace_seconds):
            return False
        try:
            patch = {"status": merge_patch(before, after)}
            await self.api.patch(resource, metadata["namespace"], metadata["name"], patch, subresource="status")
        except NotFoundError:
            return False
        self._written[metadata["uid"]] = after, now, (resource, metadata["namespace"], metadata["name"])
        return True

    def forget(self, resource: Resource, namespace: str, name: str) -> None:
        """There is no such object any more."""
        place = resource, namespace, name
        self._written = {uid: written for uid, written in self._written.items() if written[2] != place}

    async def tell(self, about: About, happened: Iterable[Happened]) -> None:
        """Post events."""
        for each in happened:
            await self.events.post(
                about, each.reason, each.message, warning=each.warning, once=each.once, identity=each.identity
            )

    async def touch(self, namespace: str, touches: Sequence[Touch]) -> None:
        """Write annotations on pods: on these very ones, not on others of their names."""
        for each in touches:
            patch = {"metadata": {"uid": each.uid, "annotations": dict(each.annotations)}}
            try:
                await self.api.patch(PODS, namespace, each.pod, patch)
            except (NotFoundError, ConflictError):
                continue

    async def delete_pod(self, namespace: str, name: str, uid: str, *, grace_seconds: int | None = None) -> bool:
        """Delete this very pod; whether it was there. One that is going already may be given a shorter grace."""
        try:
            await self.api.delete(PODS, namespace, name, uid=uid, grace_seconds=grace_seconds)
        except (NotFoundError, ConflictError):
            return False
        return True

    async def pod_exists(self, namespace: str, name: str, uid: str) -> bool:
        """Whether this very pod is there, asked of the API server: a watch can miss a deletion."""
        found = await self.api.find(PODS, namespace, name)
        return found is not None and found["metadata"]["uid"] == uid

    async def config_map(self, proxy: Mapping[str, Any], text: str) -> bool:
        """Bring the ConfigMap of a StreamProxy to this text; whether it was another.

        It has no owner: it outlives a StreamProxy that is deleted while its pods live.

        Errors: NotOursError, for one of that name that is not a StreamProxy's of this name.
        """
        namespace, of = proxy["metadata"]["namespace"], proxy["metadata"]["name"]
        name = names.config_map_name(of)
        wanted: Object = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": dict([_MANAGED]),
                # No label: those have 63 characters at most.
                "annotations": {names.STREAM_PROXY: of},
            },
            "data": {names.CONFIG_FILE: text},
        }
        found = await self.api.find(CONFIG_MAPS, namespace, name)
        if found is None:
            await self.api.create(CONFIG_MAPS, namespace, wanted)
            return True
        if not _is_configuration(found, of):
            raise NotOursError(
                f"ConfigMap {name} is there already and is not Lastcall's: it is left alone; name the StreamProxy "
                "otherwise, or remove the ConfigMap"
            )
        owners = found["metadata"].get("ownerReferences") or []
        others = [each for each in owners if not _is_proxy(each, of)]
        if (found.get("data") or {}).get(names.CONFIG_FILE) == text and others == owners:
            return False
        # Its UID is part of the patch: another one that has its name by now is left alone.
        wanted["metadata"] |= {"uid": found["metadata"]["uid"], "ownerReferences": others or None}
        await self.api.patch(CONFIG_MAPS, namespace, name, wanted)
        return True

    async def proxy_exists(self, namespace: str, name: str) -> bool:
        """Whether there is such a StreamProxy, asked of the API server: a watch may lag behind."""
        return await self.api.find(STREAM_PROXIES, namespace, name) is not None

    async def left_behind(self, namespace: str, proxy: str) -> Object | None:
        """The ConfigMap of a StreamProxy that is gone; None when there is none of ours."""
        found = await self.api.find(CONFIG_MAPS, namespace, names.config_map_name(proxy))
        return found if found is not None and _is_configuration(found, proxy) else None

    async def configurations(self, namespace: str | None) -> list[tuple[str, str]]:
        """The StreamProxies, by namespace and name, whose ConfigMaps are there."""
        found = await self.api.list(CONFIG_MAPS, namespace, labels="=".join(_MANAGED))
        told = [
            (each["metadata"], (each["metadata"].get("annotations") or {}).get(names.STREAM_PROXY)) for each in found
        ]
        return [
            (metadata["namespace"], of)
            for metadata, of in told
            if of is not None and metadata["name"] == names.config_map_name(of)
        ]

    async def mounting(self, namespace: str, config_map: str) -> list[str]:
        """The pods, by name, that have a ConfigMap in a volume and may still start a container with it."""
        return [pod["metadata"]["name"] for pod in await self.api.list(PODS, namespace) if mounts(pod, config_map)]

    async def delete_config_map(self, found: Object) -> None:
        """Delete this very one."""
        metadata = found["metadata"]
        try:
            await self.api.delete(CONFIG_MAPS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except (NotFoundError, ConflictError):
            return

    async def configuration(self, namespace: str, proxy: str) -> str | None:
        """The text that stands in a StreamProxy's ConfigMap; None when there is none."""
        found = await self.api.find(CONFIG_MAPS, namespace, names.config_map_name(proxy))
        return None if found is None else (found.get("data") or {}).get(names.CONFIG_FILE)

    async def network_policies(self, namespace: str) -> list[Object]:
        """The NetworkPolicies of a namespace; none where we may not see them."""
        try:
            return await self.api.list(NETWORK_POLICIES, namespace)
        except ForbiddenError:
            return []

    async def unmounted(self, namespace: str, uid: str) -> str | None:
        """The kubelet's words on a volume that it cannot mount into a pod; None when there are none to be seen."""
        try:
            found = await self.api.list(EVENTS, namespace, fields=f"involvedObject.uid={uid},reason=FailedMount")
        except ForbiddenError:
            return None
        return str(found[-1].get("message", "")) if found else None

    async def plain_pods(self, namespace: str) -> list[Object]:
        """The pods that ask for a sidecar and have none."""
        selector = f"{names.INJECT_LABEL}={names.TRUE},{names.SIDECAR_LABEL}!={names.TRUE}"
        return await self.api.list(PODS, namespace, labels=selector)

    async def all_pods(self, workload: Workload) -> list[Object]:
        """The pods of a StatefulSet, with and without sidecar."""
        selector = ",".join(f"{key}={value}" for key, value in sorted(workload.selector.items()))
        return await self.api.list(PODS, workload.namespace, labels=selector)


def _is_configuration(found: Mapping[str, Any], proxy: str) -> bool:
    """Whether a ConfigMap is that of a StreamProxy of this name; older versions said so by an owner."""
    metadata = found["metadata"]
    marked = (metadata.get("annotations") or {}).get(names.STREAM_PROXY) == proxy
    managed = _MANAGED in (metadata.get("labels") or {}).items()
    return (marked and managed) or any(_is_proxy(each, proxy) for each in metadata.get("ownerReferences") or [])


def _is_proxy(owner: Mapping[str, Any], name: str) -> bool:
    """Whether an owner is a StreamProxy of this name: of one that was there before, too, which is being collected."""
    ours = str(owner.get("apiVersion", "")).startswith(f"{names.GROUP}/") and owner.get("kind") == "StreamProxy"
    return ours and owner.get("name") == name


def about_workload(workload: Workload | Template) -> About:
    """A workload as the object of an event."""
    return About(workload.api_version, workload.kind, workload.namespace, workload.name, workload.uid)


def about_pod(namespace: str, name: str, uid: str) -> About:
    """A pod as the object of an event."""
    return About("v1", "Pod", namespace, name, uid)


def about_ours(obj: Mapping[str, Any], kind: str) -> About:
    """One of our own resources as the object of an event."""
    return About.of(dict(obj), api_version=names.API_VERSION, kind=kind)


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    """What makes the one of the other by RFC 7396: all of it, and None for what is no longer there, at every depth."""
    found: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        found[key] = merge_patch(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return found
