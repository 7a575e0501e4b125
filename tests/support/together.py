"""Tests that mostly wait, run together: all start when the first of them does, and each reports for itself.

    cases = Together()

    @cases.add
    async def a_silent_upstream_is_a_504(wire): …

    @pytest.fixture(scope="module", loop_scope="session")
    async def running(wire):
        async with cases.started(wire) as found:
            yield found

    @pytest.mark.parametrize("name", cases.names)
    async def test_a_limit_holds(running, name):
        await running[name]

Only for tests of one event loop (`loop_scope`), whose fixtures can bear company.
"""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

Case = Callable[..., Awaitable[None]]


class Together:
    """Cases by name, in their order; at most `limit` of them run at a time (None: all)."""

    def __init__(self, limit: int | None = None) -> None:
        self._cases: dict[str, Case] = {}
        self._limit = limit

    @property
    def names(self) -> list[str]:
        return list(self._cases)

    def add(self, case: Case) -> Case:
        """Add a case; its parameters are names of the resources that `started` is given."""
        self._cases[case.__name__.replace("_", " ")] = case
        return case

    @contextlib.asynccontextmanager
    async def started(self, **resources: Any) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
        """Start all of them; yields their tasks by name."""

        places = asyncio.Semaphore(self._limit or len(self._cases))

        async def run(case: Case) -> None:
            async with places:
                await case(**{name: resources[name] for name in inspect.signature(case).parameters})

        tasks = {name: asyncio.create_task(run(case)) for name, case in self._cases.items()}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
