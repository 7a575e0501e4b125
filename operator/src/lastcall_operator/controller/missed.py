"""Objects that the watches hold although they are gone: then the process ends, and a new one knows what there is.

kopf forgets an object when it sees its deletion. A watch that begins anew (the API server has restarted, or was out of
reach for longer than it remembers; another controller was at work) lists what is there, and nobody is told what went
meanwhile: a pod would leave for ever, a policy be the older one for ever.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    STATEFUL_SETS,
    STREAM_PROXIES,
    Resource,
)
from lastcall_operator.errors import ApiUnavailableError, LastcallError, NotFoundError

from .cache import Cache, Identity

#: Seconds without a listed object until it is looked, and between the two looks: deletions that are on their way have
#: come by then, also where the machine is so busy that watches lag.
QUIET_SECONDS = 30.0
_LABELS = {PODS: f"{names.SIDECAR_LABEL}={names.TRUE}"}
#: What the controller has indexes of.
WATCHED = (PODS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, SERVICES, STREAM_PROXIES, DRAIN_POLICIES)

log = structlog.get_logger("lastcall.missed")


class Missed:
    """Looks for them, twice, after watches have begun; `end` ends the process."""

    def __init__(
        self,
        api: Api,
        cache: Callable[[], Cache],
        namespaces: Iterable[str],
        end: Callable[[], None],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._api, self._cache, self._namespaces = api, cache, tuple(namespaces)
        self._end, self._quiet = end, quiet_seconds
        self._listed = asyncio.Event()

    def listed(self) -> None:
        """A watch has begun, and has come upon an object."""
        self._listed.set()

    async def keep(self) -> None:
        """Look whenever watches have begun, until something has been missed."""
        while True:
            await self._listed.wait()
            while self._listed.is_set():
                self._listed.clear()
                await asyncio.sleep(self._quiet)
            try:
                gone = await self._gone()
                if gone:
                    await asyncio.sleep(self._quiet)
                    gone &= await self._gone()
            except LastcallError as error:
                log.warning("look.failed", error=str(error))
                if isinstance(error, ApiUnavailableError):  # later it may
                    self._listed.set()
                continue
            if gone:
                log.error("deletions.missed", objects=sorted(gone)[:10], count=len(gone), effect="starts anew")
                self._end()
                return

    async def _gone(self) -> set[Identity]:
        held = self._cache().held()  # first: what is made meanwhile is not held yet
        there = {_identity(resource, each) for resource in WATCHED for each in await self._there(resource)}
        return held - there

    async def _there(self, resource: Resource) -> list[Object]:
        try:
            return await self._api.list_in(resource, self._namespaces, labels=_LABELS.get(resource))
        except NotFoundError:  # the definition is gone, and with it every object
            return []


def _identity(resource: Resource, obj: Object) -> Identity:
    metadata = obj["metadata"]
    return resource.kind, metadata["namespace"], metadata["name"], metadata["uid"]
