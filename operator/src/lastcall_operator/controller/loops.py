"""Loops that bring one object after another to where it should be: woken by events, else by their own delay.

A step looks at everything anew and says when it wants to be called again. What it raises is logged, and it is called
again later: no mistake in one object ends a loop, or holds up another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import structlog

K = TypeVar("K", bound=Hashable)

#: Events come in swarms: a step is followed by this much quiet.
GAP_SECONDS = 0.2
#: The longest that one step may take: API calls have their own, shorter, limits.
STEP_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 60.0

log = structlog.get_logger("lastcall.loops")


class Loops(Generic[K]):
    """One task for each key. `step` gives the seconds until the next one, or None: there is no such object any more."""

    def __init__(
        self, name: str, step: Callable[[K], Awaitable[float | None]], gap_seconds: float = GAP_SECONDS
    ) -> None:
        self.name = name
        self._step, self._gap = step, gap_seconds
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self._woken: dict[K, asyncio.Event] = {}
        #: loop time at which each object's next step is to have come to its end
        self._due: dict[K, float] = {}
        #: loop time at which a step last came to its end; None: none has
        self.finished: float | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def overdue_seconds(self, now: float) -> float:
        """For how long the step that is most overdue is so; 0 where none is. `now`: loop time."""
        return max((0.0, *(now - due for due in self._due.values())))

    def wake(self, key: K) -> None:
        """Have the object looked at soon."""
        if key in self._tasks:
            self._woken[key].set()
            return
        self._woken[key] = asyncio.Event()
        self._tasks[key] = asyncio.create_task(self._run(key), name=f"{self.name} {key}")

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: K) -> None:
        failures = 0
        woken = self._woken[key]
        try:
            while True:
                woken.clear()
                self._due[key] = asyncio.get_running_loop().time() + STEP_SECONDS
                try:
                    async with asyncio.timeout(STEP_SECONDS):
                        delay = await self._step(key)
                    failures = 0
                except Exception as error:  # the one place where a reconciler's mistakes end
                    failures += 1
                    delay = min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(failures, 6))
                    log.warning(
                        "step.failed", loop=self.name, key=key, error=repr(error), again_seconds=delay, exc_info=True
                    )
                self.finished = asyncio.get_running_loop().time()
                self._due[key] = self.finished + self._gap + (delay or 0.0) + STEP_SECONDS
                if delay is None and not woken.is_set():
                    return
                await asyncio.sleep(self._gap)
                await _first(woken, delay or 0.0)
        finally:
            del self._tasks[key], self._woken[key]
            self._due.pop(key, None)


async def _first(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return
