"""From the upstream to the client: verbatim, at once, and never a false end.

Called by `pipeline.py` with the answer's head in hand. A stream leaves in whole events as they complete; what is
unfinished is held back, so that whatever we insert stands between two events. An end that the protocol does not
know as one is a failure that the client is told.
"""

import re
from typing import Final

import httpx

from .core.timers import Clock
from .errors import UpstreamFailure
from .exchange import Exchange, Headers
from .upstream import UpstreamResponse
from .wire.headers import response_headers
from .wire.protocol import ErrorKind
from .wire.sse import Framer

#: A line that belongs to an event. Comments keep a connection alive; they are no answer.
NOT_A_COMMENT: Final = re.compile(rb"(?:^|[\r\n])[^:\r\n]")


async def relay(exchange: Exchange, answer: UpstreamResponse) -> None:
    """Pass an answer on to its end.

    Errors: UpstreamFailure when it is cut short.
    """
    headers = response_headers(answer.raw_headers, keep_cookies=exchange.keeps_cookies)
    kind = answer.header.get(b"content-type", b"")
    if kind.partition(b";")[0].strip().lower() == b"text/event-stream":
        await _relay_stream(exchange, answer, headers)
    else:
        await _relay_whole(exchange, answer, headers)


async def _relay_whole(exchange: Exchange, answer: UpstreamResponse, headers: Headers) -> None:
    """Anything that is no stream of events: bytes as they come, unterminated when they are cut short."""
    await exchange.send_head(answer.status_code, headers)
    while chunk := await read_some(exchange, answer):
        exchange.insertable = False
        await exchange.send_body(chunk)
    await exchange.send_body(b"", more=False)


async def _relay_stream(exchange: Exchange, answer: UpstreamResponse, headers: Headers) -> None:
    encoded = answer.header.get(b"content-encoding", b"identity").lower() != b"identity"
    exchange.mark_stream()
    await exchange.send_head(answer.status_code, [h for h in headers if h[0].lower() != b"content-length"])
    if encoded:
        # What we cannot read we pass on untouched, and put nothing into.
        await _relay_opaque(exchange, answer)
        return
    framer = Framer()
    account = exchange.account = exchange.route.protocol.account()
    exchange.insertable = True
    exchange.start(Clock.FIRST_EVENT)
    exchange.start(Clock.HEARTBEAT)
    over = False
    while chunk := await read_some(exchange, answer):
        ready = framer.feed(chunk)
        if ready and not over:
            if exchange.first_event_seconds is None and NOT_A_COMMENT.search(ready):
                exchange.saw_event()
            account.feed(ready)
            over = account.terminal
            if over:
                # The protocol's end: what still comes is passed on; how the upstream then ends is its own affair.
                exchange.start(Clock.LINGER)
        exchange.insertable = framer.insertable and not over
        if ready:
            await exchange.send_body(ready)
    if account.knows_terminal and not over:
        raise UpstreamFailure(
            "truncated", 502, ErrorKind.API, "the upstream ended its stream before the stream's own end"
        )
    await exchange.send_body(framer.finish(), more=False)


async def _relay_opaque(exchange: Exchange, answer: UpstreamResponse) -> None:
    while chunk := await read_some(exchange, answer):
        exchange.saw_event()
        await exchange.send_body(chunk)
    await exchange.send_body(b"", more=False)


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
