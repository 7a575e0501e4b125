"""Whether the pods that a workload makes could have their sidecar: tried on its template, before there is a pod.

Pure. Called by the controller: a pod that the webhook refuses never exists, so that nothing in the cluster would tell
of it but an event on its ReplicaSet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.names import Reason
from lastcall_operator.api.streamproxy import StreamProxy
from lastcall_operator.injection.choose import choose_proxy
from lastcall_operator.injection.containers import Object
from lastcall_operator.injection.errors import InjectionError
from lastcall_operator.injection.inject import InjectionDefaults, inject, wants_injection


@dataclass(frozen=True, slots=True)
class Template:
    """The pod of a workload, as its spec has it. Old ReplicaSets of a Deployment are none: they make no new pods."""

    namespace: str
    kind: str
    name: str
    uid: str
    pod: Object
    api_version: str = "apps/v1"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no new pod of a workload gets its sidecar, and so none is made."""

    template: Template
    reason: Reason
    message: str


def template_of(body: Mapping[str, Any], kind: str) -> Template | None:
    """The template of a workload whose pods ask for a sidecar; None of every other."""
    metadata, pod = body["metadata"], (body.get("spec") or {}).get("template") or {}
    owned = any(each.get("controller") for each in metadata.get("ownerReferences") or [])
    if (kind == "ReplicaSet" and owned) or not wants_injection(pod):
        return None
    return Template(metadata.get("namespace", ""), kind, metadata["name"], metadata["uid"], dict(pod))


def refusals(
    templates: Iterable[Template], proxy: StreamProxy, proxies: Sequence[StreamProxy], defaults: InjectionDefaults
) -> tuple[Refusal, ...]:
    """The workloads whose pods are `proxy`'s among `proxies`, all of one namespace, and cannot have its sidecar."""
    found = []
    for template in sorted(templates, key=lambda each: (each.kind, each.name)):
        chosen, _ = choose_proxy(template.pod["metadata"]["labels"], proxies)
        if chosen is None or chosen.name != proxy.name:
            continue
        try:
            inject(template.pod, chosen, defaults)
        except InjectionError as error:
            reason = error.reason or Reason.INJECTION_REFUSED
            found.append(Refusal(template, reason, f"{template.kind} {template.name}: {error}"))
    return tuple(found)
