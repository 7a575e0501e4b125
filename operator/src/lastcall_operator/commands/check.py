"""`lastcall check`: is everything there, does it work together, and what would surprise you at noon."""

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.drainpolicy import EvictionsName
from lastcall_operator.api.printable import printable
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import (
    DEFINITIONS,
    DEPLOYMENTS,
    DRAIN_POLICIES,
    MUTATING_WEBHOOKS,
    NODES,
    PODS,
    STREAM_PROXIES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from lastcall_operator.errors import ForbiddenError, NotFoundError
from lastcall_operator.status.readings import named

from .session import Exit, as_json, connect, look, where

#: Cluster autoscalers cap a pod's grace at this many seconds unless they are told otherwise.
AUTOSCALER_GRACE_SECONDS = 600
#: Every node of an AKS cluster has it; its value is the node resource group's name.
AKS_LABEL = "kubernetes.azure.com/cluster"
#: Conditions that are good when False.
_BAD_WHEN_TRUE = frozenset(
    {"PortConflict", "Bypassed", "Unreachable", "Conflicted", "Stalled", "ProgressDeadlineTooShort", "KeyUnusable"}
)
#: Of these, those that name a risk: nothing is broken.
_WARNINGS = frozenset({"ProgressDeadlineTooShort"})
_BAD_WHEN_FALSE = frozenset({"Accepted", "Configured", "Ready"})


_UNORDERED = "removals are neither ordered nor held"


class Mark(StrEnum):
    """How a finding weighs."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    mark: Mark
    subject: str
    text: str


async def check(arguments: argparse.Namespace) -> int:
    """Look at everything and tell; exit code 1 when something fails."""
    place = await where(arguments)
    async with await connect(place) as api:
        findings = [
            *await _definitions(api),
            *await _webhooks(api),
            *await _processes(api),
            *await _resources(api, STREAM_PROXIES, place.namespace),
            *await _resources(api, DRAIN_POLICIES, place.namespace),
            *await _pods(api, place.namespace),
            *await _nodes(api, place.namespace),
        ]
    if arguments.output == "json":
        print(as_json([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(printable(f"{finding.mark.value:<5} {finding.subject}: {finding.text}"))
    return Exit.NOT if any(finding.mark is Mark.FAIL for finding in findings) else Exit.DONE


async def _definitions(api: Api) -> list[Finding]:
    found = []
    for plural in (names.STREAM_PROXIES, names.DRAIN_POLICIES):
        name = f"{plural}.{names.GROUP}"
        try:
            await api.get(DEFINITIONS, None, name)
            found.append(Finding(Mark.OK, f"crd/{name}", "is there"))
        except NotFoundError:
            found.append(Finding(Mark.FAIL, f"crd/{name}", "is missing: helm upgrade with crds.enabled=true"))
        except ForbiddenError:
            found.append(Finding(Mark.WARN, f"crd/{name}", "you may not read definitions; not checked"))
    return found


async def _webhooks(api: Api) -> list[Finding]:
    found = []
    for resource, suffix, absent, loss in (
        (MUTATING_WEBHOOKS, "-injection", "labelled pods start without a sidecar", "labelled pods cannot be created"),
        (VALIDATING_WEBHOOKS, "-removals", _UNORDERED, _UNORDERED),
    ):
        try:
            configurations = [
                item for item in await api.list(resource) if item["metadata"]["name"].endswith(suffix) and _ours(item)
            ]
        except ForbiddenError:
            found.append(Finding(Mark.WARN, resource.plural, "you may not read them; not checked"))
            continue
        found += webhook_findings(configurations, resource.plural, absent, loss)
    return found


def webhook_findings(configurations: Sequence[Object], plural: str, absent: str, loss: str) -> list[Finding]:
    """What there is to say of webhook configurations. Pure.

    `absent`: what it means that there is none; `loss`: that one cannot be called.
    """
    if not configurations:
        return [Finding(Mark.FAIL, plural, f"none of Lastcall's is there: {absent}")]
    found = []
    for item in configurations:
        name = f"{plural}/{item['metadata']['name']}"
        bare = [hook["name"] for hook in item["webhooks"] if not hook["clientConfig"].get("caBundle")]
        if bare:
            found.append(
                Finding(Mark.FAIL, name, f"no caBundle yet in {', '.join(bare)}: {loss}; see the webhook's log")
            )
        else:
            found.append(Finding(Mark.OK, name, "has its certificate authority"))
    return found


def _ours(item: Object) -> bool:
    return bool(item["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "lastcall")


async def _processes(api: Api) -> list[Finding]:
    try:
        deployments = await api.list(DEPLOYMENTS, labels="app.kubernetes.io/part-of=lastcall")
    except ForbiddenError:
        return [Finding(Mark.WARN, "deployments", "you may not list them in all namespaces; not checked")]
    parts = {item["metadata"]["labels"].get("app.kubernetes.io/component"): item for item in deployments}
    found = []
    for component in ("operator", "webhook"):
        if (item := parts.get(component)) is None:
            found.append(Finding(Mark.FAIL, component, "there is no such Deployment"))
            continue
        ready, wanted = item.get("status", {}).get("readyReplicas", 0), item["spec"].get("replicas", 1)
        mark = Mark.OK if ready == wanted else Mark.WARN if ready else Mark.FAIL
        found.append(Finding(mark, f"deployment/{item['metadata']['name']}", f"{ready} of {wanted} Ready"))
    return found


async def _resources(api: Api, resource: Resource, namespace: str | None) -> list[Finding]:
    try:
        listed = await api.list(resource, namespace)
    except NotFoundError:
        return []
    return [finding for item in listed for finding in condition_findings(item, resource.kind)]


def condition_findings(item: Object, kind: str) -> Iterator[Finding]:
    """What an object's conditions say, for people. Pure."""
    subject = f"{kind.lower()}/{item['metadata']['namespace']}/{item['metadata']['name']}"
    status = item.get("status") or {}
    if status.get("observedGeneration") != item["metadata"].get("generation"):
        yield Finding(Mark.WARN, subject, "the controller has not looked at its newest version yet")
    bad = [
        condition
        for condition in status.get("conditions", [])
        if (condition["type"] in _BAD_WHEN_TRUE and condition["status"] == "True")
        or (condition["type"] in _BAD_WHEN_FALSE and condition["status"] == "False")
    ]
    for condition in bad:
        mark = Mark.WARN if condition["type"] in _WARNINGS else Mark.FAIL
        yield Finding(mark, subject, f"{condition['type']}={condition['status']}: {condition['message']}")
    if not bad:
        yield Finding(Mark.OK, subject, "all conditions are good")


async def _pods(api: Api, namespace: str | None) -> list[Finding]:
    pods = await api.list(PODS, namespace, labels=f"{names.SIDECAR_LABEL}={names.TRUE}")
    found = grace_findings(pods)
    lonely = await api.list(PODS, namespace, labels=f"{names.INJECT_LABEL}={names.TRUE},!{names.SIDECAR_LABEL}")
    injecting = await _injecting(api)
    found += [
        Finding(
            Mark.FAIL,
            _name(pod),
            f"asks for a sidecar by {names.INJECT_LABEL} and has none: {why_plain(pod, injecting)}",
        )
        for pod in lonely
    ]
    proxies = await api.list(STREAM_PROXIES, namespace) if pods else []
    found += gone_findings(pods, {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in proxies})
    silent = [row for row in await look(api, namespace) if row.in_flight is None and row.ready]
    found += [
        Finding(Mark.WARN, f"pod/{row.namespace}/{row.pod}", "its sidecar does not answer through the API server")
        for row in silent
    ]
    return found


async def _injecting(api: Api) -> list[Object] | None:
    """The webhook configurations that inject; None: the user may not read them."""
    try:
        return [item for item in await api.list(MUTATING_WEBHOOKS) if _ours(item)]
    except ForbiddenError:
        return None


def why_plain(pod: Object, injecting: Sequence[Object] | None) -> str:
    """Why a labelled pod has no sidecar. Pure."""
    namespace = pod["metadata"]["namespace"]
    if injecting is not None and not injecting:
        return "no webhook of Lastcall's injects"
    hooks = [hook for item in injecting or () for hook in item["webhooks"]]
    if hooks and not any(_asked_about(namespace, hook) for hook in hooks):
        return (
            f"the webhook is not asked about the namespace {namespace} (kube-system, the namespace of Lastcall itself, "
            "and whatever is not in operator.namespaces)"
        )
    return "made before its StreamProxy, or while no webhook was there; restart its workload to inject"


def _asked_about(namespace: str, hook: Object) -> bool:
    """Whether a webhook's namespaceSelector lets a namespace through, by its name; other labels are not looked at."""
    for each in (hook.get("namespaceSelector") or {}).get("matchExpressions") or ():
        if each["key"] == "kubernetes.io/metadata.name":
            among = namespace in (each.get("values") or ())
            if among is (each["operator"] == "NotIn"):
                return False
    return True


def gone_findings(pods: Sequence[Object], proxies: Collection[tuple[str, str]]) -> list[Finding]:
    """Pods that still have the configuration of a StreamProxy that was deleted. Pure."""
    users: dict[tuple[str, str], list[str]] = {}
    for pod in pods:
        metadata = pod["metadata"]
        name = (metadata.get("annotations") or {}).get(names.STREAM_PROXY)
        ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        if name is not None and not ended and (metadata["namespace"], name) not in proxies:
            users.setdefault((metadata["namespace"], name), []).append(metadata["name"])
    return [
        Finding(
            Mark.WARN,
            f"streamproxy/{namespace}/{name}",
            f"is gone, and {len(pods)} of its pods live: they keep its last configuration (ConfigMap "
            f"{names.config_map_name(name)}) until they are replaced: {named(pods)}",
        )
        for (namespace, name), pods in sorted(users.items())
    ]


def grace_findings(pods: Sequence[Object]) -> list[Finding]:
    """What autoscalers may do to pods with a long grace. Pure."""
    long = [pod for pod in pods if pod["spec"].get("terminationGracePeriodSeconds", 30) > AUTOSCALER_GRACE_SECONDS]
    found = [Finding(Mark.OK, "pods", f"{len(pods)} with a sidecar")]
    if long:
        text = (
            f"{len(long)} pods may drain for longer than {AUTOSCALER_GRACE_SECONDS} s, which is where "
            "cluster-autoscaler cuts a pod's grace unless --max-graceful-termination-sec says otherwise; a DrainPolicy "
            "with evictions: Hold keeps busy pods out of its reach"
        )
        found.append(Finding(Mark.WARN, "autoscalers", text))
    return found


async def _nodes(api: Api, namespace: str | None) -> list[Finding]:
    try:
        policies, nodes = await api.list(DRAIN_POLICIES, namespace), await api.list(NODES, labels=AKS_LABEL)
    except (NotFoundError, ForbiddenError):
        return []
    return aks_findings(policies, nodes)


def aks_findings(policies: Sequence[Object], nodes: Sequence[Object]) -> list[Finding]:
    """What AKS' node upgrades make of held evictions. Pure.

    Source: https://github.com/Azure/AKS/issues/5637
    """
    holding = [item for item in policies if item["spec"].get("evictions", EvictionsName.HOLD) == EvictionsName.HOLD]
    if not holding or not nodes:
        return []
    text = (
        "this is AKS, whose node upgrades may fail within seconds where an eviction is refused (Azure/AKS#5637): "
        f"during one say evictions: Allow in {named(item['metadata']['name'] for item in holding)}"
    )
    return [Finding(Mark.WARN, "nodes", text)]


def _name(pod: dict[str, Any]) -> str:
    return f"pod/{pod['metadata']['namespace']}/{pod['metadata']['name']}"
