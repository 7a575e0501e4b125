"""Marks on pods that are under no DrainPolicy any more: it was removed, or has another target. Off they come."""

from collections.abc import Callable

from lastcall_operator.status.marks import strip

from .cache import Cache
from .writes import Writes


class Orphans:
    """Looks after the namespaces whose policies, or whose marked pods without one, have changed."""

    def __init__(self, cache: Callable[[], Cache], writes: Writes) -> None:
        self._cache, self._writes = cache, writes

    async def step(self, key: tuple[str]) -> None:
        """Look at one namespace. Nothing is left to look at again: what changes next comes as an event."""
        cache = self._cache()
        (namespace,) = key
        marked = [pod for pod in cache.pods_in(namespace) if pod.marked and not cache.policies_of(pod)]
        await self._writes.touch(namespace, strip(marked))
