"""Whether another controller looks after the same: then this one rests. Off unless a peering is named.

kopf keeps the peering object and pauses its watches by it, but knows nothing of our loops, which would go on with what
they saw last. They ask here. Controllers of one peering are equals: of two that are there at once, both rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import Resource
from lastcall_operator.errors import NotFoundError

K = TypeVar("K")
Step = Callable[[K], Awaitable[float | None]]

#: kopf's own: one for a cluster, or one in each namespace that is looked after.
CLUSTER_PEERINGS = Resource("kopf.dev", "v1", "clusterkopfpeerings", "ClusterKopfPeering", namespaced=False)
PEERINGS = Resource("kopf.dev", "v1", "kopfpeerings", "KopfPeering")
#: Seconds between looks at the peering; peers sign it every minute at least.
LOOK_SECONDS = 10.0


class Peers:
    """The peering, as our loops ask it. `identity`: under which kopf signs for this process."""

    def __init__(self, api: Api, name: str, namespaces: Sequence[str], identity: str) -> None:
        self._api, self._name, self._identity = api, name, identity
        self._places: list[tuple[Resource, str | None]] = [(PEERINGS, each) for each in namespaces]
        self._places = self._places or [(CLUSTER_PEERINGS, None)]
        self._alone = False
        self._looked: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def alone(self) -> bool:
        """Whether nobody else is at work. Without the peering's object nobody is known to be alone.

        Errors: ApiError.
        """
        async with self._one_at_a_time:
            now = asyncio.get_running_loop().time()
            if self._looked is None or now - self._looked >= LOOK_SECONDS:
                self._alone = await self._look()
                self._looked = now
            return self._alone

    async def _look(self) -> bool:
        for resource, namespace in self._places:
            try:
                found = await self._api.get(resource, namespace, self._name)
            except NotFoundError:
                return False
            if others(found.get("status") or {}, self._identity, datetime.now(UTC)):
                return False
        return True


def others(status: Mapping[str, Any], identity: str, now: datetime) -> list[str]:
    """The other controllers that have signed within their lifetime, by identity."""
    return sorted(name for name, peer in status.items() if name != identity and _alive(peer, now))


def _alive(peer: Any, now: datetime) -> bool:
    try:
        seen = datetime.fromisoformat(peer["lastseen"])
        return now < seen + timedelta(seconds=int(peer.get("lifetime", 60)))
    except (KeyError, TypeError, ValueError, OverflowError):
        return False  # it was not kopf that wrote it


def gated(peers: Peers | None, step: Step[K]) -> Step[K]:
    """A step that is taken only while nobody else is at work."""
    if peers is None:
        return step

    async def taken(key: K) -> float | None:
        return await step(key) if await peers.alone() else LOOK_SECONDS

    return taken
