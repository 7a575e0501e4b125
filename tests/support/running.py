"""Sidecars from coroutines, and several slow scenarios at once: what waits costs nothing while another one waits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.gated import GatedUpstream
from tests.support.sidecar_process import SidecarProcess, merged

THREADS = 64
#: Longer than any scenario takes on a busy machine: one that hangs is to fail, not to wait for its streams' own limits.
SCENARIO_SECONDS = 150


@contextlib.asynccontextmanager
async def running(sidecar: SidecarProcess) -> AsyncIterator[SidecarProcess]:
    """Start a sidecar and end it, while this event loop goes on."""
    await asyncio.to_thread(sidecar.__enter__)
    try:
        yield sidecar
    except BaseException as error:
        await asyncio.to_thread(sidecar.__exit__, type(error), error, error.__traceback__)
        raise
    await asyncio.to_thread(sidecar.__exit__, None, None, None)


@contextlib.asynccontextmanager
async def gated_sidecar(
    settings: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[GatedUpstream, SidecarProcess]]:
    """An upstream whose answers wait for the test, and a sidecar in front of it."""
    async with GatedUpstream() as upstream:
        given = merged({"upstream": {"url": upstream.url}}, settings or {})
        async with running(SidecarProcess(given, **options)) as sidecar:
            yield upstream, sidecar


class Outcomes:
    """What scenarios that ran together came to; asking for one that failed raises what it failed with."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> Any:
        found = self._found[name]
        if isinstance(found, BaseException):
            raise found
        return found


def together(*scenarios: Callable[[], Awaitable[Any]]) -> Outcomes:
    """Run coroutine functions at the same time, each to its end; found by their names afterwards."""

    async def bounded(scenario: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(SCENARIO_SECONDS):
            return await scenario()

    async def all_of_them() -> list[Any]:
        # A thread for each that waits: the default pool has fewer, and one scenario would hold up another.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        return await asyncio.gather(*map(bounded, scenarios), return_exceptions=True)

    names = [scenario.__name__ for scenario in scenarios]
    return Outcomes(dict(zip(names, asyncio.run(all_of_them()), strict=True)))
