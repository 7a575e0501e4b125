"""The configuration in force, and what must change with it.

`config_watch.py` brings a new one; requests under way keep the one that they began with, transport included.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import structlog

from .core.timers import Clock
from .destinations import Destination, destinations
from .exchange import clock_limits
from .settings import Loaded, Secrets, Settings
from .settings.schema import Upstream
from .upstream import PooledTransport, make_transport

log = structlog.get_logger(__name__)


class Transports:
    """The transports of one configuration, each made when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[str, PooledTransport] = {}
        #: Requests that use them.
        self.users = 0
        self.retired = False

    def to(self, destination: Destination) -> PooledTransport:
        """The transport to an upstream."""
        transport = self._made.get(destination.url)
        if transport is None:
            transport = self._made[destination.url] = _make(self._settings, destination.url)
        return transport

    async def close_if_unused(self) -> None:
        """Close them once they are no longer wanted and the last request is done."""
        if self.retired and not self.users:
            for transport in self._made.values():
                await transport.aclose()


class Live:
    """Settings, secrets and what is made from them."""

    def __init__(self, loaded: Loaded) -> None:
        self._take(loaded)
        self._transports = Transports(loaded.settings)
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

    def _take(self, loaded: Loaded) -> None:
        self._loaded = loaded
        #: All upstreams in force.
        self.destinations: tuple[Destination, ...] = destinations(loaded.settings, loaded.secrets)
        #: The limits of a request's clocks.
        self.clock_limits: Mapping[Clock, float] = clock_limits(loaded.settings)

    @property
    def loaded(self) -> Loaded:
        """All of what is in force, with its hash and generation."""
        return self._loaded

    async def apply(self, loaded: Loaded) -> None:
        """Put a configuration in force for new requests."""
        before, self.error = self._loaded, None
        self._take(loaded)
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
    async def transports(self) -> AsyncIterator[Transports]:
        """The transports in force, for one request."""
        transports = self._transports
        transports.users += 1
        try:
            yield transports
        finally:
            transports.users -= 1
            if transports.retired:
                await transports.close_if_unused()

    async def _retire(self) -> None:
        before, self._transports = self._transports, Transports(self.settings)
        before.retired = True
        await before.close_if_unused()

    async def close(self) -> None:
        """Close the connections."""
        await self._retire()


def _upstream(loaded: Loaded) -> tuple[Upstream, tuple[str, ...], int, str | None]:
    """What transports depend on: settings, addresses, and the content of the file of authorities."""
    settings = loaded.settings
    urls = tuple(one.url for one in destinations(settings, loaded.secrets))
    authorities = loaded.files.get(settings.upstream.ca_file) if settings.upstream.ca_file else None
    return settings.upstream, urls, settings.limits.stall_timeout_seconds, authorities


def _make(settings: Settings, url: str) -> PooledTransport:
    upstream = settings.upstream
    return make_transport(
        httpx.URL(url),
        connect_timeout_seconds=upstream.connect_timeout_seconds,
        stall_seconds=settings.limits.stall_timeout_seconds,
        idle_seconds=upstream.idle_reuse_seconds,
        trust_env=upstream.trust_env,
        ca_file=upstream.ca_file,
    )
