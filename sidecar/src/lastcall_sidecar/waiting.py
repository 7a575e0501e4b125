"""The queue for a slot: `core/admission.py` decides, the requests wait here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .core.admission import Admission, Place, PlaceState
from .core.timers import Clock
from .errors import Refusal
from .exchange import Exchange
from .wire.protocol import ErrorKind

#: What a refused client is told to wait, in seconds: about as long as a place takes to become free.
RETRY_AFTER_SECONDS = 5


class Turnstile:
    """Lets requests through, `limits.maxConcurrent` at a time; `busy` is what one is told that cannot wait longer."""

    def __init__(self, admission: Admission, busy: str = "Server busy — all request slots are occupied") -> None:
        self._admission = admission
        self._busy = busy
        self._waiting: dict[Place, asyncio.Future[None]] = {}

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return self._admission.running

    @property
    def queued(self) -> int:
        """Requests that wait for one."""
        return self._admission.queued

    @asynccontextmanager
    async def slot(self, exchange: Exchange, key: str) -> AsyncIterator[None]:
        """Hold a slot; waits in the queue of this key's owner.

        Errors: Refusal when the queue is full, or the wait too long.
        """
        place = self._admission.ask(key)
        try:
            if place.state is not PlaceState.ADMITTED:
                await self._wait(exchange, place)
            yield
        finally:
            self._admit(self._admission.leave(place))

    async def _wait(self, exchange: Exchange, place: Place) -> None:
        busy = Refusal(
            exchange.route.protocol.status(ErrorKind.OVERLOADED),
            ErrorKind.OVERLOADED,
            self._busy,
            RETRY_AFTER_SECONDS,
        )
        if place.state is PlaceState.REFUSED:
            raise busy
        turn = asyncio.get_running_loop().create_future()
        self._waiting[place] = turn
        exchange.mark_queued(True)
        exchange.timers.stop(Clock.MAX_DURATION)
        try:
            async with asyncio.timeout(exchange.settings.limits.queue_timeout_seconds):
                await turn
        except TimeoutError:
            raise busy from None
        finally:
            del self._waiting[place]
            exchange.mark_queued(False)

    def reconfigure(self, max_concurrent: int, max_queued: int) -> None:
        """Take new limits; nobody who holds a slot loses it."""
        self._admit(self._admission.reconfigure(max_concurrent, max_queued))

    def _admit(self, places: list[Place]) -> None:
        for place in places:
            turn = self._waiting.get(place)
            if turn is not None and not turn.done():
                turn.set_result(None)
