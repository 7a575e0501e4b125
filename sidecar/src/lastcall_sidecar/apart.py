"""Work on a body in a child process: who may have one done, how much memory it may take, and how long.

Called by `bodies.py`. Two lanes, each for one job at a time: the small never waits behind the large. Within a lane the
callers have their turns, as everywhere (`core/admission.py`). What a job takes is charged to its request's account, so
that `limits.maxBufferedBytes` holds for it, too, and its child can have no more: the kernel sees to that.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from .core.admission import Admission
from .core.budget import Account
from .core.timers import Clock
from .errors import Refusal
from .exchange import Exchange
from .memory import RETRY_AFTER_SECONDS, Held, Memory
from .waiting import Turnstile
from .wire.protocol import ErrorKind
from .wire.work import Weight
from .workers import File, KilledError, OutOfMemoryError, Workers

#: What takes longer, on an idle core, is a large job.
SMALL_SECONDS = 0.25
#: Seconds that a child may take, on a busy machine.
CHILD_SECONDS = 30.0
#: Requests that may wait for each lane; each holds its body meanwhile, and waits `limits.queueTimeoutSeconds` at most.
MAX_QUEUED = 100
#: What one request may hold, body and work together: this part of `limits.maxBufferedBytes`. All may hold the whole of
#: that, and the one that goes past it (`core/budget.py`) this part more: 384 MiB by default, of a pod's 512.
SHARE = 2

_BUSY = "Server busy — too many large bodies are being translated"

log = structlog.get_logger(__name__)


class Apart:
    """Has jobs done, within the memory of all. One for the process."""

    def __init__(self, memory: Memory, workers: Workers | None = None) -> None:
        self._memory = memory
        self._workers = workers or Workers()
        self._small = Turnstile(Admission(1, MAX_QUEUED), _BUSY)
        self._large = Turnstile(Admission(1, MAX_QUEUED), _BUSY)

    async def do(self, exchange: Exchange, job: Mapping[str, Any], held: Held, weight: Weight) -> tuple[Any, File]:
        """Have a job done with a body; returns what the child says, and the file that it made.

        What it made is charged to the account in the place of what the work took, and the body stays charged.
        Errors: Refusal (413, and 503 or 529 when it would take too long); BodyError as the job has it.
        """
        account, need = held.account, weight.memory_bytes
        most = self._memory.limit_bytes // SHARE
        if need and account.used + need > most:
            raise _too_much(account.used + need, most)
        async with self._turn(exchange, account, weight):
            await self._memory.charge(exchange, account, need)
            kept = 0
            try:
                body = await held.in_a_file()
                says, made = await self._workers.run({**job, "memory": need}, body, CHILD_SECONDS)
                kept = made.size
            except TimeoutError:
                log.warning("a child took too long", job=job["do"], bytes=held.size, seconds=CHILD_SECONDS)
                raise _busy(exchange, f"Server busy — the body was not read within {CHILD_SECONDS:.0f} s") from None
            except KilledError:
                log.warning("a child was killed", job=job["do"], bytes=held.size)
                raise _busy(exchange, "Server busy — there was no memory for the work on the body") from None
            except OutOfMemoryError:
                raise _too_much(account.used, most) from None
            finally:
                self._memory.give(account, max(0, need - kept))
            return says, made

    @asynccontextmanager
    async def _turn(self, exchange: Exchange, account: Account, weight: Weight) -> AsyncIterator[None]:
        if account.is_past_limit:  # nobody else gets memory before it is done, so that it would wait for itself
            yield
            return
        lane = self._small if weight.seconds <= SMALL_SECONDS else self._large
        async with lane.slot(exchange, exchange.caller):
            exchange.start(Clock.MAX_DURATION)
            yield

    def close(self) -> None:
        """End the process that the children come from."""
        self._workers.close()


def _busy(exchange: Exchange, message: str) -> Refusal:
    status = exchange.route.protocol.status(ErrorKind.OVERLOADED)
    return Refusal(status, ErrorKind.OVERLOADED, message, RETRY_AFTER_SECONDS)


def _too_much(need: int, most: int) -> Refusal:
    message = (
        f"to translate the body takes about {need} bytes of memory, "
        f"and one request may take {most} (half of limits.maxBufferedBytes)"
    )
    return Refusal(413, ErrorKind.TOO_LARGE, message)
