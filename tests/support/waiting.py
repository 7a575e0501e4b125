"""Waiting, bounded, for something that another process or task brings about."""

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def eventually(holds: Callable[[], object], what: str, timeout_seconds: float = 10.0) -> None:
    """Block until something holds; `TimeoutError`, naming it, when it does not in time."""
    until = time.monotonic() + timeout_seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {timeout_seconds:g} s: {what}")
        time.sleep(POLL_SECONDS)


async def soon(holds: Callable[[], object], what: str, timeout_seconds: float = 10.0) -> None:
    """Let the event loop run until something holds, likewise. `holds` itself must not block."""
    until = time.monotonic() + timeout_seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {timeout_seconds:g} s: {what}")
        await asyncio.sleep(POLL_SECONDS / 10)
