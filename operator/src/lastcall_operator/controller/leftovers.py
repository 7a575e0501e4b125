"""Configurations whose StreamProxy was deleted while no controller ran: nobody tells of them, so they are sought."""

from collections.abc import Callable

from .cache import Cache
from .writes import Writes

#: How often. Those that are left while a controller runs are told by an event.
LOOK_SECONDS = 600.0


class Leftovers:
    """Looks through the ConfigMaps of a namespace, or of all, and wakes the reconciler of StreamProxies for its own."""

    def __init__(
        self, cache: Callable[[], Cache], writes: Writes, wake: Callable[[str, tuple[str, ...]], None]
    ) -> None:
        self._cache, self._writes, self._wake = cache, writes, wake

    async def step(self, key: tuple[str]) -> float:
        """Look once. An empty name stands for all namespaces."""
        for namespace, proxy in await self._writes.configurations(key[0] or None):
            if self._cache().proxy(namespace, proxy) is None:
                self._wake("StreamProxy", (namespace, proxy))
        return LOOK_SECONDS
