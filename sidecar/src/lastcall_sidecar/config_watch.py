"""Notices that the configuration has changed: the file, and the files of secrets that it names.

By content, because a mounted ConfigMap or Secret swaps a symlink and editors rename. Run as one task by `process.py`;
it knows nothing of requests: `live.py` puts what it brings in force for new ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from .settings import ConfigError, Loaded, Problem, load
from .settings.checks import frozen_changes
from .settings.files import Files

#: How often the files are read, in seconds. With the pause below a change is in force well within two seconds.
POLL_SECONDS = 1.0
#: Files that changed are read again after so long, in seconds, and must be the same: a file that is being written may
#: be valid at half its length, and an empty one means all defaults.
SETTLE_SECONDS = 0.25


class ConfigWatch:
    """Watches what `loaded` was made of.

    `on_change` is told of each configuration that can be used, `on_error` of each that cannot; then the one before
    stays in force. A file that cannot be read is such an error, and mends like any other: by the next good content.
    """

    def __init__(
        self,
        path: Path | None,
        environ: Mapping[str, str],
        loaded: Loaded,
        *,
        on_change: Callable[[Loaded], Awaitable[None]],
        on_error: Callable[[ConfigError], None],
    ) -> None:
        self._path = path
        self._environ = environ
        self._on_change = on_change
        self._on_error = on_error
        #: What cannot change live is still as it was at the start.
        self._start = loaded
        #: The digests of the files that the last attempt read.
        self._known: Mapping[str, str | None] = loaded.files
        #: Digests that differ from these, seen once.
        self._unsettled: Mapping[str, str | None] | None = None

    @property
    def settling(self) -> bool:
        """Whether a change was seen that has not been read twice yet."""
        return self._unsettled is not None

    async def run(self) -> None:
        """Watch until canceled."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS if self.settling else POLL_SECONDS)
            await self.poll()

    async def poll(self) -> None:
        """Look at the files once; a change counts when two looks in a row find the same."""
        now = Files().look(self._known)
        if now == self._known:
            self._unsettled = None
        elif now != self._unsettled:
            self._unsettled = now
        else:
            self._unsettled = None
            await self._reload()

    async def _reload(self) -> None:
        try:
            # In a thread: reading YAML takes milliseconds, which streams under way should not wait for.
            loaded = await asyncio.to_thread(load, self._path, self._environ)
            self._known = loaded.files
            _refuse_frozen_changes(self._start, loaded)
        except ConfigError as error:
            self._known = error.files
            self._on_error(error)
            return
        await self._on_change(loaded)


def _refuse_frozen_changes(before: Loaded, after: Loaded) -> None:
    frozen = [Problem(it.where, it.what) for it in frozen_changes(before.settings, after.settings)]
    if frozen:
        raise ConfigError(frozen, after.files)
