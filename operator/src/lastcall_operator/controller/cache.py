"""What the watches have seen, as the reconcilers ask for it. kopf keeps the indexes; tests give plain dictionaries."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lastcall_operator.injection.trial import Template
from lastcall_operator.status.records import Pod, Service, Workload, owner_of_sets

Key = tuple[str, ...]
Object = Mapping[str, Any]
#: kind, namespace, name and UID
Identity = tuple[str, str, str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cache:
    """Indexes: key to records. The keys are made by the functions below, and by nobody else."""

    pods: Mapping[Key, Collection[Pod]] = field(default_factory=dict)
    workloads: tuple[Mapping[Key, Collection[Workload]], ...] = ()
    services: Mapping[Key, Collection[Service]] = field(default_factory=dict)
    proxies: Mapping[Key, Collection[Object]] = field(default_factory=dict)
    policies: Mapping[Key, Collection[Object]] = field(default_factory=dict)
    templates: tuple[Mapping[Key, Collection[Template]], ...] = ()

    def pod(self, namespace: str, name: str) -> Pod | None:
        """A pod with a sidecar."""
        return _one(self.pods, ("name", namespace, name))

    def pods_of_proxy(self, namespace: str, proxy: str) -> list[Pod]:
        """The pods whose sidecar a StreamProxy configures."""
        return list(self.pods.get(("proxy", namespace, proxy), ()))

    def pods_in(self, namespace: str) -> list[Pod]:
        """All pods with a sidecar in a namespace."""
        return list(self.pods.get(("namespace", namespace), ()))

    def pods_of(self, workload: Workload) -> list[Pod]:
        """The pods of a workload that have a sidecar."""
        owners = [workload.uid, *(each.uid for each in self.sets_of(workload))]
        return [pod for owner in owners for pod in self.pods.get(("owner", owner), ())]

    def sets_of(self, workload: Workload) -> list[Workload]:
        """The ReplicaSets of a Deployment, or of another owner of such."""
        if workload.kind in {"StatefulSet", "ReplicaSet"}:
            return []
        return [each for index in self.workloads for each in index.get(("owner", workload.uid), ())]

    def revision(self, workload: Workload) -> str:
        """The revision that a workload wants; empty when it is not known, or has none."""
        if workload.kind == "ReplicaSet":
            return ""
        if workload.kind != "StatefulSet":
            newest = max(self.sets_of(workload), key=lambda each: each.sequence, default=None)
            known = newest is not None and workload.observed and (newest.sequence > 0 or workload.kind == "Deployment")
            return newest.revision if newest is not None and known else ""
        return workload.revision if workload.observed else ""

    def workload(self, namespace: str, kind: str, name: str) -> Workload | None:
        """A workload by its name."""
        found = next((found for index in self.workloads if (found := _one(index, (kind, namespace, name)))), None)
        return found or self._owner_of_sets(namespace, kind, name)

    def _owner_of_sets(self, namespace: str, kind: str, name: str) -> Workload | None:
        """A workload of a kind that is not watched, as its ReplicaSets tell of it."""
        key = ("owned", namespace, kind, name)
        return owner_of_sets([each for index in self.workloads for each in index.get(key, ())])

    def owners(self, pod: Pod) -> Iterator[Workload]:
        """The workloads that a pod belongs to: the nearest first."""
        nearest = self.workload(pod.namespace, pod.owner_kind, pod.owner_name)
        if nearest is not None:
            yield nearest
            if nearest.owner_name and (above := self.workload(pod.namespace, nearest.owner_kind, nearest.owner_name)):
                yield above

    def proxy(self, namespace: str, name: str) -> Object | None:
        """A StreamProxy."""
        return _one(self.proxies, ("name", namespace, name))

    def proxies_in(self, namespace: str) -> list[Object]:
        """The StreamProxies of a namespace."""
        return list(self.proxies.get(("namespace", namespace), ()))

    def policy(self, namespace: str, name: str) -> Object | None:
        """A DrainPolicy."""
        return _one(self.policies, ("name", namespace, name))

    def policies_in(self, namespace: str) -> list[Object]:
        """The DrainPolicies of a namespace."""
        return list(self.policies.get(("namespace", namespace), ()))

    def policies_of(self, pod: Pod) -> list[Object]:
        """The DrainPolicies that target one of a pod's owners."""
        owners = {(each.kind, each.name) for each in self.owners(pod)}
        return [each for each in self.policies_in(pod.namespace) if target_of(each) in owners]

    def rivals(self, namespace: str, target: tuple[str, str], pods: Iterable[Pod]) -> list[Object]:
        """The DrainPolicies for the same pods: of the same target, or of another owner of a pod."""
        targets = {target}
        for pod in {pod.owner: pod for pod in pods}.values():
            targets |= {(each.kind, each.name) for each in self.owners(pod)}
        return [each for each in self.policies_in(namespace) if target_of(each) in targets]

    def templates_in(self, namespace: str) -> list[Template]:
        """The templates of a namespace's workloads whose pods ask for a sidecar."""
        return [each for index in self.templates for each in index.get(("namespace", namespace), ())]

    def services_in(self, namespace: str) -> list[Service]:
        """The Services of a namespace."""
        return list(self.services.get(("namespace", namespace), ()))

    def held(self) -> set[Identity]:
        """All objects but templates, which are their workloads'."""
        found = {("Pod", each.namespace, each.name, each.uid) for each in _all(self.pods)}
        found |= {("Service", each.namespace, each.name, each.uid) for each in _all(self.services)}
        for index in self.workloads:
            found |= {(each.kind, each.namespace, each.name, each.uid) for each in _all(index)}
        for kind, ours in (("StreamProxy", self.proxies), ("DrainPolicy", self.policies)):
            metadata = (each["metadata"] for each in _all(ours))
            found |= {(kind, each["namespace"], each["name"], each["uid"]) for each in metadata}
        return found


def pod_keys(pod: Pod) -> dict[Key, Pod]:
    """Where a pod is found."""
    keys: list[Key] = [("name", pod.namespace, pod.name), ("namespace", pod.namespace), ("owner", pod.owner)]
    if pod.proxy is not None:
        keys.append(("proxy", pod.namespace, pod.proxy))
    return dict.fromkeys(keys, pod)


def workload_keys(workload: Workload) -> dict[Key, Workload]:
    """Where a workload is found."""
    keys: list[Key] = [(workload.kind, workload.namespace, workload.name)]
    if workload.owner:
        keys += [("owner", workload.owner), ("owned", workload.namespace, workload.owner_kind, workload.owner_name)]
    return dict.fromkeys(keys, workload)


def template_keys(template: Template | None) -> dict[Key, Template]:
    """Where a template is found; nowhere, if there is none."""
    return {} if template is None else {("namespace", template.namespace): template}


def object_keys(body: Object) -> dict[Key, Object]:
    """Where one of our own resources is found."""
    metadata = body["metadata"]
    return dict.fromkeys(
        [("name", metadata["namespace"], metadata["name"]), ("namespace", metadata["namespace"])], body
    )


def target_of(policy: Object) -> tuple[str, str]:
    """Kind and name of a DrainPolicy's target; empty where its spec does not say."""
    reference = (policy.get("spec") or {}).get("targetRef") or {}
    return str(reference.get("kind", "")), str(reference.get("name", ""))


def _all(index: Mapping[Key, Collection[T]]) -> Iterator[T]:
    return (each for found in index.values() for each in found)


def _one(index: Mapping[Key, Collection[T]], key: Key) -> T | None:
    return next(iter(index.get(key, ())), None)
