"""From the upstream to the client: verbatim, at once, and never a false end.

Called by `pipeline.py` with the answer's head in hand. A stream leaves in whole events as they complete; what is
unfinished is held back, so that whatever we insert stands between two events. An end that the protocol does not
know as one is a failure that the client is told.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Protocol

import httpx

from .core.timers import Clock
from .errors import UpstreamFailure
from .exchange import Exchange, Headers
from .memory import Charge
from .upstream import UpstreamResponse
from .wire.headers import options, response_headers
from .wire.protocol import Account, ErrorKind
from .wire.sse import Framer

#: The largest answer that is translated or put together in one piece: as large as the largest event (`wire/sse.py`).
MAX_WHOLE_BYTES = 32 * 1024 * 1024

#: Bytes of a stream that are looked at before others have their turn.
SLICE_BYTES = 16 * 1024
#: Where so many hold more line ends than this (some 60 events of a vendor's), fewer bytes are: an event costs up to
#: 90 us, however short it is.
SLICE_LINE_ENDS = 192
#: Then about so many line ends are looked at, three milliseconds; and never fewer bytes than an ordinary event has,
#: whose line ends are not even counted.
SHORT_LINE_ENDS = 64
MIN_SLICE_BYTES = 256

#: What a stream may hold of an event without being charged for it: as much as a verbatim one holds at most.
HELD_FREE_BYTES = 64 * 1024

#: Seconds that a stream which has told its end may take for its body's, before its connection is given up.
BODY_END_SECONDS = 0.25

#: A line that belongs to an event. Comments keep a connection alive; they are no answer.
NOT_A_COMMENT: Final = re.compile(rb"(?:^|[\r\n])[^:\r\n]")


class Passage(Protocol):
    """What a stream's bytes go through on their way to the client: verbatim (`Framer`), or into another protocol."""

    #: Events of our own may be put behind what has left.
    insertable: bool

    @property
    def held(self) -> int:
        """Bytes of an event that is not whole yet."""

    @property
    def enough(self) -> bool:
        """Whether the stream is over for the client, whatever the upstream would still send."""

    def feed(self, chunk: bytes, /) -> bytes:
        """Take what the upstream sent, return what may leave now."""

    def finish(self) -> bytes:
        """Return what is left at the cleanly framed end of the upstream's body."""


async def relay(exchange: Exchange, answer: UpstreamResponse) -> None:
    """Pass an answer on to its end, verbatim.

    Errors: UpstreamFailure when it is cut short.
    """
    headers = response_headers(answer.raw_headers, keep_cookies=exchange.keeps_cookies)
    if not is_stream(answer):
        await _relay_whole(exchange, answer, headers)
        return
    headers = [h for h in headers if h[0].lower() != b"content-length"]
    if is_encoded(answer):
        # What we cannot read we pass on untouched, and put nothing into.
        exchange.mark_stream()
        await exchange.send_head(answer.status_code, headers)
        await _relay_opaque(exchange, answer)
        return
    await relay_stream(exchange, answer, headers, Framer())


def is_stream(answer: UpstreamResponse) -> bool:
    """Whether the upstream answers with a stream of events."""
    kinds = options(answer.header.get(b"content-type", b""))
    return any(kind.partition(b";")[0].strip() == b"text/event-stream" for kind in kinds)


def is_encoded(answer: UpstreamResponse) -> bool:
    """Whether the answer's bytes are not its content."""
    return any(coding != b"identity" for coding in options(answer.header.get(b"content-encoding", b"")))


async def _relay_whole(exchange: Exchange, answer: UpstreamResponse, headers: Headers) -> None:
    """Anything that is no stream of events: bytes as they come, unterminated when they are cut short."""
    await exchange.send_head(answer.status_code, headers)
    while chunk := await read_some(exchange, answer):
        exchange.insertable = False
        await exchange.send_body(chunk)
    await exchange.send_body(b"", more=False)


async def relay_stream(
    exchange: Exchange, answer: UpstreamResponse, headers: Headers, passage: Passage, charge: Charge | None = None
) -> None:
    """Pass a stream on through `passage`; `headers` are the answer's for the client.

    `charge` takes the bytes that the passage holds back, at their most.

    Errors: UpstreamFailure when it is cut short; those of `charge`.
    """
    charged = HELD_FREE_BYTES
    exchange.mark_stream()
    await exchange.send_head(answer.status_code, headers)
    limited = exchange.settings.limits.max_output_chars > 0
    account = exchange.account = exchange.route.protocol.account(count_output=limited)
    exchange.insertable = True
    exchange.start(Clock.FIRST_EVENT)
    exchange.start(Clock.HEARTBEAT)
    over = False
    rest = b""
    while rest or (rest := await read_some(exchange, answer)):
        size = slice_bytes(rest)
        chunk, rest = rest[:size], rest[size:]
        ready = passage.feed(chunk)
        if charge is not None and passage.held > charged:
            await charge(passage.held - charged)
            charged = passage.held
        if ready and not over:
            over = _is_over(exchange, account, ready)
            if limited:
                exchange.watch_output(account)
        exchange.insertable = passage.insertable and not over
        if ready:
            await exchange.send_body(ready)
        if passage.enough:
            break
        if rest:
            await asyncio.sleep(0)
    tail = passage.finish()
    if tail and not over:
        account.feed(tail)
        over = account.terminal
    if account.knows_terminal and not over:
        raise cut_short()
    await exchange.send_body(tail, more=False)


def _is_over(exchange: Exchange, account: Account, ready: bytes) -> bool:
    """Take account of what is about to leave; whether it ends the stream by the protocol's word."""
    if exchange.first_event_seconds is None and NOT_A_COMMENT.search(ready):
        exchange.saw_event()
    account.feed(ready)
    if account.terminal:
        # What still comes is passed on; how the upstream then ends is its own affair.
        exchange.start(Clock.LINGER)
    return account.terminal


def cut_short() -> UpstreamFailure:
    """What is to be said of a stream whose body ended before its protocol did."""
    return UpstreamFailure("truncated", 502, ErrorKind.API, "the upstream ended its stream before the stream's own end")


async def _relay_opaque(exchange: Exchange, answer: UpstreamResponse) -> None:
    while chunk := await read_some(exchange, answer):
        exchange.saw_event()
        await exchange.send_body(chunk)
    await exchange.send_body(b"", more=False)


async def read_whole(exchange: Exchange, answer: UpstreamResponse) -> bytes:
    """The whole body of an answer that we must understand, in one piece.

    Errors: as `read_pieces`.
    """
    return b"".join(await read_pieces(exchange, answer))


async def read_pieces(exchange: Exchange, answer: UpstreamResponse, charge: Charge | None = None) -> list[bytes]:
    """The whole body of an answer that we must understand. `charge` takes the bytes of each piece.

    Errors: UpstreamFailure, also for one that is encoded, or larger than `MAX_WHOLE_BYTES`; those of `charge`.
    """
    if is_encoded(answer):
        raise UpstreamFailure(
            "protocol", 502, ErrorKind.API, "the upstream encoded an answer that was asked for without encoding"
        )
    chunks, size = [], 0
    while chunk := await read_some(exchange, answer):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_WHOLE_BYTES:
            raise UpstreamFailure(
                "protocol", 502, ErrorKind.API, f"the upstream's answer is larger than {MAX_WHOLE_BYTES} bytes"
            )
        if charge is not None:
            await charge(len(chunk))
    return chunks


async def read_end(exchange: Exchange, answer: UpstreamResponse) -> None:
    """Read what is left of an answer that the client has in full: the next request can have its connection then."""
    with suppress(UpstreamFailure, TimeoutError):
        async with asyncio.timeout(BODY_END_SECONDS):
            while await read_some(exchange, answer):
                pass


def slice_bytes(data: bytes) -> int:
    """How many of these bytes are looked at before others have their turn."""
    if len(data) <= MIN_SLICE_BYTES:
        return MIN_SLICE_BYTES
    line_ends = data.count(b"\n", 0, SLICE_BYTES) + data.count(b"\r", 0, SLICE_BYTES)
    if line_ends <= SLICE_LINE_ENDS:
        return SLICE_BYTES
    return max(MIN_SLICE_BYTES, min(len(data), SLICE_BYTES) * SHORT_LINE_ENDS // line_ends)


async def read_slices(exchange: Exchange, answer: UpstreamResponse) -> AsyncIterator[bytes]:
    """The upstream's bytes to their end, never many at once, whatever the socket gave; others go first in between.

    (`relay_stream` does the same without a generator: that would cost each event 2 us.)

    Errors: UpstreamFailure.
    """
    while chunk := await read_some(exchange, answer):
        while chunk:
            size = slice_bytes(chunk)
            piece, chunk = chunk[:size], chunk[size:]
            yield piece
            if chunk:
                await asyncio.sleep(0)


async def read_some(exchange: Exchange, answer: UpstreamResponse) -> bytes:
    """The upstream's next bytes; empty at a cleanly framed end. The stall clock runs meanwhile, and only then.

    Errors: UpstreamFailure.
    """
    exchange.start(Clock.STALL)
    try:
        return await answer.stream.read_some()
    except httpx.RemoteProtocolError as error:
        raise UpstreamFailure("truncated", 502, ErrorKind.API, f"upstream: {error}") from error
    except httpx.TransportError as error:
        raise UpstreamFailure("reset", 502, ErrorKind.API, f"the upstream broke the connection: {error}") from error
    finally:
        exchange.timers.stop(Clock.STALL)
