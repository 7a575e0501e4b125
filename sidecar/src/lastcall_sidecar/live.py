"""The configuration in force, and what must change with it.

`config_watch.py` brings a new one; requests under way keep the one that they began with, transport included.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import structlog

from .settings import Loaded, Secrets, Settings
from .settings.schema import Upstream
from .upstream import PooledTransport, make_transport

log = structlog.get_logger(__name__)


class _Shared:
    """A transport and how many requests use it; closed when it is no longer wanted and the last one is done."""

    def __init__(self, transport: PooledTransport) -> None:
        self.transport = transport
        self.users = 0
        self.retired = False

    async def close_if_unused(self) -> None:
        if self.retired and not self.users:
            await self.transport.aclose()


class Live:
    """Settings, secrets and the transport made from them."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._shared: _Shared | None = None
        #: Why the newest configuration is not in force.
        self.error: str | None = None
        #: Configurations that were not taken, for the metrics.
        self.errors_total = 0
        #: Told of each new configuration.
        self.on_change: list[Callable[[Settings], None]] = []

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._loaded.settings

    @property
    def secrets(self) -> Secrets:
        """The secrets in force."""
        return self._loaded.secrets

    @property
    def loaded(self) -> Loaded:
        """All of what is in force, with its hash and generation."""
        return self._loaded

    async def apply(self, loaded: Loaded) -> None:
        """Put a configuration in force for new requests."""
        before, self._loaded, self.error = self._loaded, loaded, None
        if _upstream(before) != _upstream(loaded):
            await self._retire()
        for listener in self.on_change:
            listener(loaded.settings)
        log.info("configuration applied", hash=loaded.hash, generation=loaded.generation)
        for warning in loaded.warnings:
            log.warning(warning)

    def reject(self, error: str) -> None:
        """Keep what is in force; say why."""
        if error != self.error:
            self.errors_total += 1
            log.error("configuration rejected, the old one stays in force", error=error)
        self.error = error

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[PooledTransport]:
        """The transport to the upstream, for one request."""
        if self._shared is None:
            self._shared = _Shared(_make(self.settings))
        shared = self._shared
        shared.users += 1
        try:
            yield shared.transport
        finally:
            shared.users -= 1
            await shared.close_if_unused()

    async def _retire(self) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            shared.retired = True
            await shared.close_if_unused()

    async def close(self) -> None:
        """Close the transport's connections."""
        await self._retire()


def _upstream(loaded: Loaded) -> tuple[Upstream, int, str | None]:
    """What a transport depends on: settings, and the content of the file of authorities."""
    upstream, limits = loaded.settings.upstream, loaded.settings.limits
    return upstream, limits.stall_timeout_seconds, loaded.files.get(upstream.ca_file) if upstream.ca_file else None


def _make(settings: Settings) -> PooledTransport:
    upstream = settings.upstream
    return make_transport(
        httpx.URL(upstream.url),
        connect_timeout_seconds=upstream.connect_timeout_seconds,
        stall_seconds=settings.limits.stall_timeout_seconds,
        trust_env=upstream.trust_env,
        ca_file=upstream.ca_file,
    )
