"""A request's body: read whole where it must be understood, passed through where it need not be.

What is read whole is charged to `limits.maxBufferedBytes` over all requests; past it we stop reading, and TCP pushes
back. A large body is scanned in a child process: the scanner is C and holds the interpreter for 77 ms at 64 MiB, and
no other client's stream may wait that long.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import msgspec

from .core.budget import Account, Budget
from .core.timers import Clock
from .errors import Refusal
from .exchange import Exchange
from .wire.body import BodyError, RequestBody, scan
from .wire.protocol import ErrorKind

#: Up to here a body is scanned where it is: it takes about a millisecond for each MiB.
SCAN_HERE_BYTES = 4 * 1024 * 1024
#: Seconds that the child may take for the largest body on a busy machine.
CHILD_SECONDS = 30.0
#: Up to here a body goes to the upstream with the head, in one write.
ONE_WRITE_BYTES = 65536
#: What a client is told to wait, in seconds, when too many bodies are held.
RETRY_AFTER_SECONDS = 5


def _nothing() -> None:
    """What there is to do for a body that is not held."""


@dataclass(slots=True)
class Body:
    """What goes upstream: nothing, bytes that we hold, or the client's bytes as they come."""

    stream: httpx.AsyncByteStream | httpx.ByteStream | None
    #: Of the bytes that we hold; None when the client's own framing goes on.
    length: int | None
    #: What the top level says, where it was read.
    content: RequestBody | None = None
    #: To be called when all of it is with the upstream: a stream lasts for minutes, and must not hold its prompt.
    let_go: Callable[[], None] = _nothing


class Bodies:
    """Reads bodies within the budget of all of them."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: dict[Account, asyncio.Future[None]] = {}
        # One child at a time: each holds a copy of its body.
        self._child = asyncio.Semaphore(1)

    @property
    def used_bytes(self) -> int:
        """Bytes of bodies that are held now."""
        return self._budget.used

    def resize(self, limit_bytes: int) -> None:
        """Take a new limit."""
        self._grant(self._budget.resize(limit_bytes))

    @asynccontextmanager
    async def understood(self, exchange: Exchange) -> AsyncIterator[Body]:
        """Read and scan a whole body, and hold it until it is with the upstream, or the context ends.

        Errors: Refusal (400, 413).
        """
        account = self._budget.open()
        chunks: list[bytes] = []

        def let_go() -> None:
            chunks.clear()
            self._grant(account.close())

        try:
            await self._read(exchange, account, chunks)
            content = await self._scan(exchange, chunks)
            exchange.understood(content)
            yield Body(_held(exchange, chunks, let_go), exchange.body_bytes, content, let_go)
        finally:
            let_go()

    async def _read(self, exchange: Exchange, account: Account, chunks: list[bytes]) -> None:
        limit = exchange.settings.limits.max_body_bytes
        more = True
        while more:
            chunk, more = await exchange.next_chunk()
            if exchange.body_bytes > limit:
                raise too_large(limit)
            if chunk:
                await self._charge(exchange, account, len(chunk))
                chunks.append(chunk)

    async def _charge(self, exchange: Exchange, account: Account, size: int) -> None:
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
                "Server busy — too many request bodies are held (limits.maxBufferedBytes)",
                RETRY_AFTER_SECONDS,
            ) from None
        finally:
            del self._waiting[account]

    def _grant(self, accounts: list[Account]) -> None:
        for account in accounts:
            turn = self._waiting.get(account)
            if turn is not None and not turn.done():
                turn.set_result(None)

    async def _scan(self, exchange: Exchange, chunks: list[bytes]) -> RequestBody:
        try:
            if exchange.body_bytes <= SCAN_HERE_BYTES:
                return scan(b"".join(chunks))
            async with self._child:
                return await scan_apart(chunks)
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error


def passed_through(exchange: Exchange) -> Body:
    """The client's body as it comes, of any size; none when the request has none."""
    framed = b"content-length" in exchange.header or b"transfer-encoding" in exchange.header
    return Body(_Passing(exchange) if framed else None, None)


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body that is larger than we are ready to hold."""
    return Refusal(413, ErrorKind.TOO_LARGE, f"the body is larger than {limit_bytes} bytes (limits.maxBodyBytes)")


def _held(
    exchange: Exchange, chunks: list[bytes], let_go: Callable[[], None]
) -> httpx.AsyncByteStream | httpx.ByteStream:
    if exchange.body_bytes <= ONE_WRITE_BYTES:
        return httpx.ByteStream(b"".join(chunks))
    return _Holding(exchange, chunks, let_go)


class _Holding(httpx.AsyncByteStream):
    """A body that we hold, in pieces, with the clocks of an upload."""

    def __init__(self, exchange: Exchange, chunks: list[bytes], let_go: Callable[[], None]) -> None:
        self._exchange = exchange
        self._chunks = chunks
        self._let_go = let_go

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self._exchange.start(Clock.UPLOAD)
            yield chunk
        self._exchange.uploaded()
        self._let_go()


class _Passing(httpx.AsyncByteStream):
    """The client's body as it comes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""  # sends the head: an upstream may answer before the client's first byte
        more = True
        while more:
            self._exchange.timers.stop(Clock.UPLOAD)
            chunk, more = await self._exchange.next_chunk()
            if chunk:
                self._exchange.uploading()
                yield chunk
        self._exchange.uploaded()


async def scan_apart(chunks: list[bytes]) -> RequestBody:
    """Scan a large body in a child process, through memory that both see.

    Errors: BodyError, as `scan`.
    """
    shared = os.memfd_create("lastcall-body")
    try:
        for chunk in chunks:
            os.write(shared, chunk)
            await asyncio.sleep(0)  # 64 MiB take 20 ms to copy: others go first
        os.lseek(shared, 0, os.SEEK_SET)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "lastcall_sidecar.scan_child",
            stdin=shared,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us, not for it
        )
    finally:
        os.close(shared)
    try:
        async with asyncio.timeout(CHILD_SECONDS):
            told, _ = await child.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            child.kill()
        raise
    answer = json.loads(told)
    if "error" in answer:
        raise BodyError(answer["error"])
    return msgspec.convert(answer, RequestBody)
