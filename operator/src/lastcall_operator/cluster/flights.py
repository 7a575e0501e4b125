"""Answers that many ask for at the same moment: fetched once, kept for a moment, shared."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Flights(Generic[Value]):
    """One fetch per key at a time; its outcome is good for `fresh_seconds` after it came. Failures are not kept."""

    def __init__(self, fresh_seconds: float) -> None:
        self._fresh_seconds = fresh_seconds
        self._held: dict[Hashable, tuple[Value, float]] = {}
        self._flying: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """The value of a key: kept, under way, or fetched now. Errors: those of `fetch`."""
        now = asyncio.get_running_loop().time()
        held = self._held.get(key)
        if held is not None and now - held[1] <= self._fresh_seconds:
            return held[0]
        task = self._flying.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key, fetch))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        # One of those who wait may give up; the others still want the answer.
        return await asyncio.shield(task)

    async def _fetch(self, key: Hashable, fetch: Callable[[], Awaitable[Value]]) -> Value:
        value = await fetch()
        now = asyncio.get_running_loop().time()
        self._held = {each: kept for each, kept in self._held.items() if now - kept[1] <= self._fresh_seconds}
        self._held[key] = value, now
        return value

    def _landed(self, key: Hashable, done: asyncio.Task[Value]) -> None:
        del self._flying[key]
        if not done.cancelled():
            done.exception()  # whoever waited has it; without anybody it is nobody's business
