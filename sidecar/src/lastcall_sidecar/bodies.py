"""A request's body: read whole where it must be understood, passed through where it need not be.

What is read whole is charged to `limits.maxBufferedBytes` over all requests; past it we stop reading, and TCP pushes
back. What takes longer than 5 ms to read or to translate is left to a child process (`apart.py`): it holds the
interpreter, and no other client's stream may wait that long. That is decided by counts (`wire/work.py`), not by size.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import msgspec

from .apart import Apart
from .core.budget import Budget
from .core.timers import Clock
from .destinations import Way
from .errors import Refusal, UpstreamFailure
from .exchange import Exchange
from .memory import Charge, Held, Memory
from .wire.body import BodyError, RequestBody, scan
from .wire.messages_on_chat import tokens
from .wire.protocol import ErrorKind
from .wire.splice import splice
from .wire.translate import TRANSLATIONS, Rewriting
from .wire.translation import Asked, Options, Translation, TranslationError
from .wire.work import Weight, answer_seconds, request_seconds, scanning, weigh
from .workers import PIECE_BYTES

#: What takes longer, on an idle core, is done by a child.
HERE_SECONDS = 0.005
#: Up to here a body is scanned where it is: it takes 5 ms at worst.
SCAN_HERE_BYTES = 512 * 1024
#: Up to here it is looked at whether a body can be translated where it is: the text alone of a larger one takes longer.
TRANSLATE_HERE_BYTES = 640 * 1024
#: The same for an upstream's whole answer, which hardly ever is as large.
ANSWER_HERE_BYTES = 128 * 1024
#: What is read or translated of more than this takes a pass of the loop for itself.
ALONE_BYTES = 16 * 1024
#: So much is weighed at a time, before others have their turn: half a millisecond.
WEIGHED_BYTES = 64 * 1024
#: Up to here a body goes to the upstream with the head, in one write.
ONE_WRITE_BYTES = 65536


@dataclass(slots=True)
class Body:
    """What goes upstream: nothing, bytes that we hold, or the client's bytes as they come."""

    stream: httpx.AsyncByteStream | httpx.ByteStream | None
    #: Of the bytes that we hold; None when the client's own framing goes on.
    length: int | None
    #: What the top level says, where it was read.
    content: RequestBody | None = None
    #: The bytes that we hold; None when the client's go on as they come.
    held: Held | None = None

    def let_go(self) -> None:
        """Hold nothing, because all of it is with the upstream: a stream lasts for minutes. Idempotent."""
        if self.held is not None:
            self.held.let_go()


class Bodies:
    """Reads bodies within the budget of all of them, and has the work on them done: here, or by a child."""

    def __init__(self, budget: Budget) -> None:
        self._memory = Memory(budget)
        self._apart = Apart(self._memory)
        self._here = asyncio.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes of bodies that are held now, and of the work on them."""
        return self._memory.used_bytes

    def resize(self, limit_bytes: int) -> None:
        """Take a new limit."""
        self._memory.resize(limit_bytes)

    async def _in_turn(self, size: int) -> None:
        """Wait for a pass of the loop in which no other body is worked on: four times 5 ms are 20."""
        if size > ALONE_BYTES:
            async with self._here:
                await asyncio.sleep(0)

    def close(self) -> None:
        """End what runs beside this process."""
        self._apart.close()

    @asynccontextmanager
    async def understood(self, exchange: Exchange) -> AsyncIterator[Body]:
        """Read and scan a whole body, and hold it until it is with the upstream, or the context ends.

        Errors: Refusal (400, 413; 503 or 529 where it would have to wait too long).
        """
        held = Held(self._memory)
        try:
            await self._read(exchange, held)
            content = await self._scan(exchange, held)
            exchange.understood(content)
            yield Body(_stream(exchange, held), exchange.body_bytes, content, held)
        finally:
            held.let_go()

    async def _read(self, exchange: Exchange, held: Held) -> None:
        limit = exchange.settings.limits.max_body_bytes
        #: Small pieces are put together: each object has 50 bytes of its own, and clients may send byte by byte.
        small = bytearray()
        more = True
        while more:
            chunk, more = await exchange.next_chunk()
            if exchange.body_bytes > limit:
                raise too_large(limit)
            if chunk:
                await self._memory.charge(exchange, held.account, len(chunk))
            if small or (more and len(chunk) < PIECE_BYTES):
                small += chunk
            elif chunk:
                held.pieces.append(chunk)
            if small and (not more or len(small) >= PIECE_BYTES):
                held.pieces.append(bytes(small))
                small.clear()

    async def _scan(self, exchange: Exchange, held: Held) -> RequestBody:
        try:
            if exchange.body_bytes <= SCAN_HERE_BYTES:
                await self._in_turn(exchange.body_bytes)
                return scan(b"".join(held.pieces))
            told, made = await self._apart.do(exchange, {"do": "scan"}, held, scanning(held.size))
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error
        made.close()
        return msgspec.convert(told, RequestBody)

    async def fit(self, exchange: Exchange, way: Way, body: Body) -> Asked | None:
        """Make a body what its upstream understands; returns what the translation of its answer must know.

        Errors: Refusal: 400 for what the other protocol cannot say, 413, 503 or 529 for what takes too much.
        """
        held, content = body.held, body.content
        if held is None or content is None:
            return None
        asked: Asked | None = None
        if way.rewriting is not None:
            asked = await self._translate(exchange, way, way.rewriting, held, content)
        else:
            edits = content.edits(model=way.model, stream=True if way.demoted else None)
            if not edits:
                return None
            held.pieces[:] = splice(held.pieces, edits)
        body.length, body.stream = held.size, _stream(exchange, held)
        return asked if way.translation is not None else None

    async def count(self, exchange: Exchange, body: Body, model: str) -> int:
        """About how many tokens a request has; the body becomes the question that a tokenizer is asked about it.

        Errors: Refusal, as `fit`.
        """
        held, content = body.held, body.content
        if held is None or content is None:
            raise AssertionError("only a body that was read is counted")  # pragma: no cover - the route says so
        try:
            await self._in_turn(held.size)
            whole = self._small(held, content)
            if whole is not None:
                about, question = tokens.count(whole, model)
                held.pieces[:] = [question]
            else:
                told = await self._rewrite(exchange, {"do": "count", "model": model}, held)
                about = told["about"]
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error
        body.length, body.stream = held.size, _stream(exchange, held)
        return about

    @contextmanager
    def holding(self, exchange: Exchange) -> Iterator[tuple[Held, Charge]]:
        """Something of an upstream's answer that is held until the context ends, and what charges it."""
        held = Held(self._memory)
        try:
            yield held, partial(self._memory.charge, exchange, held.account)
        finally:
            held.let_go()

    async def answered(self, exchange: Exchange, translation: Translation, held: Held, asked: Asked) -> None:
        """Put an upstream's whole answer into the client's protocol. What is held has been charged.

        Errors: UpstreamFailure; Refusal where there is not enough memory, or time.
        """
        await self._in_turn(held.size)
        whole = b"".join(held.pieces) if held.size <= ANSWER_HERE_BYTES else None
        try:
            if whole is not None and answer_seconds(whole) <= HERE_SECONDS:
                held.pieces[:] = [translation.answer(whole, asked)]
                return
            pair = next(pair for pair, one in TRANSLATIONS.items() if one is translation)
            await self._rewrite(exchange, {"do": "answer", "pair": pair, "asked": dataclasses.asdict(asked)}, held)
        except (TranslationError, BodyError) as error:
            raise not_understood(error) from error

    async def _translate(
        self, exchange: Exchange, way: Way, rewriting: Rewriting, held: Held, content: RequestBody
    ) -> Asked:
        options = Options(
            model=way.model or "",
            default_max_tokens=exchange.settings.upstream.default_max_tokens,
            force_stream=way.demoted,
        )
        try:
            await self._in_turn(held.size)
            whole = self._small(held, content)
            if whole is not None:
                made = rewriting.request(whole, options)
                asked = made.asked
                held.pieces[:] = [made.body]
            else:
                pair = exchange.route.protocol.name, way.destination.protocol
                job = {"do": "translate", "pair": pair, "options": dataclasses.asdict(options)}
                asked = msgspec.convert(await self._rewrite(exchange, job, held), Asked)
        except BodyError as error:
            raise Refusal(400, ErrorKind.INVALID_REQUEST, str(error)) from error
        return dataclasses.replace(asked, created=int(time.time()))

    def _small(self, held: Held, content: RequestBody) -> bytes | None:
        """The whole body, if the work on it may be done here."""
        if held.size > TRANSLATE_HERE_BYTES:
            return None
        whole = b"".join(held.pieces)
        seconds = request_seconds(whole, content.message_count, HERE_SECONDS)
        return whole if seconds <= HERE_SECONDS else None

    async def _rewrite(self, exchange: Exchange, job: dict[str, Any], held: Held) -> Any:
        """Have a child make another body of this one; returns what it says."""
        weight = Weight()
        for piece in held.pieces:
            for begin in range(0, len(piece), WEIGHED_BYTES):
                weight += weigh(bytes(piece[begin : begin + WEIGHED_BYTES]))
                await asyncio.sleep(0)
        told, made = await self._apart.do(exchange, job, held, weight)
        held.become(made)
        return told


def not_understood(error: ValueError) -> UpstreamFailure:
    """What is to be said of an upstream's answer that is none of its protocol's."""
    return UpstreamFailure("protocol", 502, ErrorKind.API, f"upstream: {error}")


def passed_through(exchange: Exchange) -> Body:
    """The client's body as it comes, of any size; none when the request has none."""
    framed = b"content-length" in exchange.header or b"transfer-encoding" in exchange.header
    return Body(_Passing(exchange) if framed else None, None)


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body that is larger than we are ready to hold."""
    return Refusal(413, ErrorKind.TOO_LARGE, f"the body is larger than {limit_bytes} bytes (limits.maxBodyBytes)")


def _stream(exchange: Exchange, held: Held) -> httpx.AsyncByteStream | httpx.ByteStream:
    if held.size <= ONE_WRITE_BYTES:
        return httpx.ByteStream(b"".join(held.pieces))
    return _Holding(exchange, held)


class _Holding(httpx.AsyncByteStream):
    """A body that we hold, in pieces, with the clocks of an upload."""

    def __init__(self, exchange: Exchange, held: Held) -> None:
        self._exchange = exchange
        self._held = held

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._held.pieces:
            self._exchange.start(Clock.UPLOAD)
            yield bytes(piece)
        self._exchange.uploaded()
        self._held.let_go()


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
