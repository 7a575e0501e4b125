"""The target of a DrainPolicy: how many pods it wants, which they are, and who owns them.

Deployments, StatefulSets and ReplicaSets are read as they are. Of any other kind (an Argo Rollout, say) only this is
known: it owns ReplicaSets, and may have the scale subresource, which says how many pods it wants and how they are
labelled. Decides nothing.
"""

from dataclasses import dataclass
from typing import Any

import structlog

from lastcall_operator.errors import ForbiddenError, NotFoundError

from . import reading
from .api import Api, Object
from .flights import Flights
from .resources import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, Resource
from .selecting import selector_query

#: What is known of by name.
KINDS: dict[str, Resource] = {each.kind: each for each in (DEPLOYMENTS, STATEFUL_SETS, REPLICA_SETS)}
APPS = DEPLOYMENTS.api_version
#: Seconds for which it is remembered under which name a kind is served.
_SERVED_SECONDS = 60.0

log = structlog.get_logger("lastcall.targets")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a DrainPolicy may target."""

    namespace: str
    kind: str
    name: str
    api_version: str = APPS

    @property
    def identity(self) -> tuple[str, str, str]:
        """Group, kind and name: owners may name another version of the same group."""
        return group_of(self.api_version), self.kind, self.name


@dataclass(frozen=True, slots=True)
class Target:
    """A workload as far as decisions go. `query` selects its pods, among others that `owners` tell apart."""

    replicas: int
    query: str
    #: UIDs of what owns its pods
    owners: frozenset[str]


class Targets:
    """Looks targets up. One per process."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._plurals: Flights[dict[str, str]] = Flights(_SERVED_SECONDS)

    async def find(self, workload: Workload) -> Target:
        """The target.

        Errors: ApiError.
        """
        if workload.api_version != APPS:
            return await self._any(workload)
        found = await self._api.get(KINDS[workload.kind], workload.namespace, workload.name)
        query = selector_query(found["spec"].get("selector") or {})
        uid, owners = found["metadata"]["uid"], frozenset[str]()
        if workload.kind == DEPLOYMENTS.kind:
            sets = await self._api.list(REPLICA_SETS, workload.namespace, labels=query)
            owners = frozenset(each["metadata"]["uid"] for each in sets if owner_uid(each) == uid)
        return Target(_wanted(found), query, owners or frozenset({uid}))

    async def _any(self, workload: Workload) -> Target:
        sets = [
            each
            for each in await self._api.list(REPLICA_SETS, workload.namespace)
            if identity(reading.controller_of(each)) == workload.identity
        ]
        scale = await self._scale(workload)
        # Without a scale: while it is rolled, both revisions count.
        replicas = sum(_wanted(each) for each in sets) if scale is None else _wanted(scale)
        query = "" if scale is None else str((scale.get("status") or {}).get("selector") or "")
        owners = {each["metadata"]["uid"] for each in sets}
        if scale is not None and "uid" in scale["metadata"]:
            owners.add(scale["metadata"]["uid"])
        return Target(replicas, query, frozenset(owners))

    async def _scale(self, workload: Workload) -> Object | None:
        """Its scale; None where it has none, or we may not see it."""
        try:
            plurals = await self._plurals.get(workload.api_version, lambda: self._served(workload.api_version))
            if (plural := plurals.get(workload.kind)) is None:
                return None
            group, _, version = workload.api_version.rpartition("/")
            path = Resource(group, version, plural, workload.kind).path(workload.namespace, workload.name, "scale")
            return await self._api.call("GET", path)
        except (ForbiddenError, NotFoundError) as error:
            log.debug("scale.unseen", kind=workload.kind, name=workload.name, error=str(error))
            return None

    async def _served(self, api_version: str) -> dict[str, str]:
        """Plurals by kind, as the API server lists them."""
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        listed = (await self._api.call("GET", path)).get("resources") or []
        return {each["kind"]: each["name"] for each in listed if "/" not in each["name"]}


def group_of(api_version: str) -> str:
    """The group of an apiVersion; empty for the core group."""
    return api_version.rpartition("/")[0]


def identity(reference: Object | None) -> tuple[str, str, str]:
    """Group, kind and name of an owner; empty without one."""
    found: dict[str, Any] = reference or {}
    return group_of(found.get("apiVersion", "")), found.get("kind", ""), found.get("name", "")


def owner_uid(thing: Object) -> str | None:
    """UID of the object's controller."""
    owner = reading.controller_of(thing)
    return None if owner is None else owner["uid"]


def _wanted(found: Object) -> int:
    replicas = (found.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)
