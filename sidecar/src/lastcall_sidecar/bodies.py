"""A request's body: read whole where it must be understood, passed through where it need not be.

What is read whole is charged to `limits.maxBufferedBytes` over all requests; past it we stop reading, and TCP pushes
back. A large body is scanned in a child process: the scanner is C and holds the interpreter for 77 ms at 64 MiB, and
no other client's stream may wait that long.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from .apart import count_apart, scan_apart, translate_apart
from .core.budget import Account, Budget
from .core.timers import Clock
from .destinations import Way
from .errors import Refusal
from .exchange import Exchange
from .wire.body import BodyError, RequestBody, scan
from .wire.messages_on_chat import tokens
from .wire.protocol import ErrorKind
from .wire.splice import splice
from .wire.translate import Rewriting
from .wire.translation import Asked, Options

#: Up to here a body is scanned where it is: it takes about a millisecond for each MiB.
SCAN_HERE_BYTES = 4 * 1024 * 1024
#: Up to here a body is translated where it is: it takes about seven milliseconds for a MiB, because all is built anew.
TRANSLATE_HERE_BYTES = 1024 * 1024
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
    #: The bytes that we hold; empty when the client's go on as they come.
    chunks: list[bytes] = field(default_factory=list)

    def replace(self, exchange: Exchange, chunks: Sequence[bytes]) -> None:
        """Hold other bytes, of about as many, in their place."""
        self.chunks[:] = chunks
        self.length = sum(map(len, chunks))
        self.stream = _held(exchange, self.chunks, self.length, self.let_go)


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
            length = exchange.body_bytes
            yield Body(_held(exchange, chunks, length, let_go), length, content, let_go, chunks)
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

    async def fit(self, exchange: Exchange, way: Way, body: Body) -> Asked | None:
        """Make a body what its upstream understands; returns what the translation of its answer must know.

        Errors: Refusal (400) for what the other protocol cannot say.
        """
        content = body.content
        if content is None:
            return None
        if way.rewriting is not None:
            asked = await self._rewrite(exchange, way, way.rewriting, body)
            return asked if way.translation is not None else None
        edits = content.edits(model=way.model, stream=True if way.demoted else None)
        if edits:
            body.replace(exchange, splice(body.chunks, edits))
        return None

    async def count(self, exchange: Exchange, body: Body, model: str) -> tuple[int, bytes]:
        """About how many tokens a request has, and the question that a tokenizer is asked about it.

        Errors: Refusal (400).
        """
        try:
            if exchange.body_bytes <= TRANSLATE_HERE_BYTES:
                whole = b"".join(body.chunks)
                return tokens.estimate(whole, model), tokens.tokenize_request(whole, model)
            async with self._child:
                return await count_apart(model, body.chunks)
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error

    async def _rewrite(self, exchange: Exchange, way: Way, rewriting: Rewriting, body: Body) -> Asked:
        options = Options(
            model=way.model or "",
            default_max_tokens=exchange.settings.upstream.default_max_tokens,
            force_stream=way.demoted,
        )
        try:
            if exchange.body_bytes <= TRANSLATE_HERE_BYTES:
                made = rewriting.request(b"".join(body.chunks), options)
                asked, chunks = made.asked, [made.body]
            else:
                pair = exchange.route.protocol.name, way.destination.protocol
                async with self._child:
                    asked, chunks = await translate_apart(pair, options, body.chunks)
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error
        body.replace(exchange, chunks)
        return dataclasses.replace(asked, created=int(time.time()))


def passed_through(exchange: Exchange) -> Body:
    """The client's body as it comes, of any size; none when the request has none."""
    framed = b"content-length" in exchange.header or b"transfer-encoding" in exchange.header
    return Body(_Passing(exchange) if framed else None, None)


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body that is larger than we are ready to hold."""
    return Refusal(413, ErrorKind.TOO_LARGE, f"the body is larger than {limit_bytes} bytes (limits.maxBodyBytes)")


def _held(
    exchange: Exchange, chunks: list[bytes], length: int, let_go: Callable[[], None]
) -> httpx.AsyncByteStream | httpx.ByteStream:
    if length <= ONE_WRITE_BYTES:
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
