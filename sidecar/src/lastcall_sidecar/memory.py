"""The memory of bodies and of the work on them: `core/budget.py` decides, the requests wait here."""

import asyncio
from collections.abc import Awaitable, Callable

from .core.budget import Account, Budget
from .core.timers import Clock
from .errors import Refusal
from .exchange import Exchange
from .wire.protocol import ErrorKind
from .wire.splice import Piece
from .workers import File

#: Charges so many bytes to what `limits.maxBufferedBytes` bounds; waits while others hold too much.
Charge = Callable[[int], Awaitable[None]]

#: What a client is told to wait, in seconds, when too much is held.
RETRY_AFTER_SECONDS = 5


class Memory:
    """What all requests hold together, within `limits.maxBufferedBytes`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[Account, asyncio.Future[None]] = {}

    @property
    def used_bytes(self) -> int:
        """Bytes that are held now."""
        return self._budget.used

    @property
    def limit_bytes(self) -> int:
        """The limit of all."""
        return self._budget.limit_bytes

    def resize(self, limit_bytes: int) -> None:
        """Take a new limit."""
        self._grant(self._budget.resize(limit_bytes))

    def open(self) -> Account:
        """An account for one request."""
        return self._budget.open()

    async def charge(self, exchange: Exchange, account: Account, size: int) -> None:
        """Charge so many bytes; waits while others hold too much.

        Errors: Refusal when the wait is too long.
        """
        if account.take(size):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[account] = turn
        exchange.timers.stop(Clock.CLIENT_BODY)
        try:
            async with asyncio.timeout(exchange.settings.limits.queue_timeout_seconds):
                await turn
        except TimeoutError:
            raise Refusal(
                exchange.route.protocol.status(ErrorKind.OVERLOADED),
                ErrorKind.OVERLOADED,
                "Server busy — too much is held in memory (limits.maxBufferedBytes)",
                RETRY_AFTER_SECONDS,
            ) from None
        finally:
            del self._waiting[account]

    def give(self, account: Account, size: int) -> None:
        """Give so many bytes back, or all that there are."""
        self._grant(account.give(min(size, account.used)))

    def close(self, account: Account) -> None:
        """Give everything back. Idempotent."""
        self._grant(account.close())

    def _grant(self, accounts: list[Account]) -> None:
        for account in accounts:
            turn = self._waiting.get(account)
            if turn is not None and not turn.done():
                turn.set_result(None)


class Held:
    """A body that is held: its pieces, the file that they are in, if they are in one, and what they are charged to."""

    def __init__(self, memory: Memory) -> None:
        self.pieces: list[Piece] = []
        self.account = memory.open()
        self._memory = memory
        self._file: File | None = None

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(map(len, self.pieces))

    async def in_a_file(self) -> File:
        """Have it in a file, for a child to see."""
        if self._file is None:
            self._file = File()
            await self._file.take(self.pieces)
        return self._file

    def become(self, made: File) -> None:
        """Hold what a child made, which is charged already, in the place of this."""
        self._memory.give(self.account, self.size)
        self._close()
        self._file = made
        self.pieces[:] = made.pieces()

    def let_go(self) -> None:
        """Hold it no longer. Idempotent."""
        if self.account.closed:
            return
        self.pieces.clear()
        self._close()
        self._memory.close(self.account)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
