"""`lastcall uninstall`: what the chart's pre-delete hook runs, so that nothing of ours stays in anybody's way."""

import asyncio
from collections.abc import Sequence

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.mounting import mounts
from lastcall_operator.cluster.resources import (
    CONFIG_MAPS,
    DRAIN_POLICIES,
    MUTATING_WEBHOOKS,
    PODS,
    SECRETS,
    STREAM_PROXIES,
    VALIDATING_WEBHOOKS,
    Resource,
)
from lastcall_operator.errors import ForbiddenError, NotFoundError
from lastcall_operator.settings import Settings

from .session import Exit

#: Seconds for all of it: Helm's own hooks have five minutes.
UNINSTALL_SECONDS = 120.0


async def uninstall(settings: Settings, *, records: Sequence[str] = (), remove_resources: bool) -> int:
    """Remove the webhooks first, so that nobody asks a service that is going; then our marks; then our objects.

    With the names of Helm's `records` of a release, only while Helm uninstalls it: whoever renders the chart and
    applies it without Helm (`helm template | kubectl apply`) applies its hooks, too, as ordinary objects.
    """
    async with (
        asyncio.timeout(UNINSTALL_SECONDS),
        await Api.connect(kubeconfig=settings.kubeconfig, context=settings.context) as api,
    ):
        if records and not await _being_uninstalled(api, settings.own_namespace, records):
            print(
                f"nothing was removed: in namespace {settings.own_namespace} none of Helm's records ({records[0]} and "
                "later) says that the release is being uninstalled"
            )
            return Exit.DONE
        await _delete(api, MUTATING_WEBHOOKS, None, settings.mutating_configuration)
        await _delete(api, VALIDATING_WEBHOOKS, None, settings.validating_configuration)
        if not settings.namespaces:
            await _clean(api, None, remove_resources=remove_resources)
        for namespace in settings.namespaces:
            try:
                await _clean(api, namespace, remove_resources=remove_resources)
            except ForbiddenError as error:  # it is gone, most likely, and with it the RoleBinding: nothing is left
                print(f"left alone: namespace {namespace}: {error}")
    return Exit.DONE


async def _being_uninstalled(api: Api, namespace: str, records: Sequence[str]) -> bool:
    """Whether one of Helm's records says so. It keeps them in Secrets, or in ConfigMaps (HELM_DRIVER)."""
    for resource in (SECRETS, CONFIG_MAPS):
        for name in records:
            record = await api.find(resource, namespace, name)
            if record is not None and (record["metadata"].get("labels") or {}).get("status") == "uninstalling":
                return True
    return False


async def _clean(api: Api, namespace: str | None, *, remove_resources: bool) -> None:
    await _strip(api, namespace)
    if remove_resources:
        for resource in (DRAIN_POLICIES, STREAM_PROXIES):
            for item in await _listed(api, resource, namespace):
                await _delete(api, resource, item["metadata"]["namespace"], item["metadata"]["name"])
        await _remove_configurations(api, namespace)


async def _remove_configurations(api: Api, namespace: str | None) -> None:
    """Remove the StreamProxies' ConfigMaps but those that pods have: a sidecar that starts again needs its own."""
    for item in await api.list(CONFIG_MAPS, namespace, labels="app.kubernetes.io/managed-by=lastcall"):
        metadata = item["metadata"]
        if names.STREAM_PROXY not in (metadata.get("annotations") or {}):
            continue
        pods = [pod for pod in await api.list(PODS, metadata["namespace"]) if mounts(pod, metadata["name"])]
        if pods:
            print(f"left: configmaps/{metadata['name']} in {metadata['namespace']}, which {len(pods)} pods have")
        else:
            await _delete(api, CONFIG_MAPS, metadata["namespace"], metadata["name"])


async def _listed(api: Api, resource: Resource, namespace: str | None) -> list[Object]:
    try:
        return await api.list(resource, namespace)
    except NotFoundError:  # the definition is gone already, and with it every object
        return []


async def _delete(api: Api, resource: Resource, namespace: str | None, name: str) -> None:
    try:
        await api.delete(resource, namespace, name)
    except NotFoundError:
        return
    print(f"deleted {resource.plural}/{name}")


async def _strip(api: Api, namespace: str | None) -> None:
    for pod in await api.list(PODS, namespace, labels=f"{names.SIDECAR_LABEL}={names.TRUE}"):
        metadata = pod["metadata"]
        marks = metadata.get("annotations", {})
        remove: dict[str, str | None] = {name: None for name in names.POD_MARKS if name in marks}
        # A cost that somebody else wrote stays theirs.
        if names.COST_WRITTEN in marks and marks.get(names.DELETION_COST) == marks[names.COST_WRITTEN]:
            remove[names.DELETION_COST] = None
        if remove:
            try:
                await api.annotate(PODS, metadata["namespace"], metadata["name"], remove)
            except NotFoundError:
                continue
            print(f"cleaned pods/{metadata['name']}")
