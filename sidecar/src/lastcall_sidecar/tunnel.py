"""Another protocol between a client and the app, once both have agreed on it by `Upgrade`: WebSockets, most of all.

Called by `pipeline.py` in mode Ingress with the app's 101 in hand. Bytes pass both ways as they come. A tunnel is a
stream: it is counted, and a drain waits for it up to the ceiling, where a WebSocket is told by a close frame. It may
live longer than a request; only silence in both directions ends it (`limits.stallTimeoutSeconds`).
"""

import asyncio

from .core.timers import Clock
from .errors import UpstreamFailure
from .exchange import Exchange
from .relay import read_slices
from .upstream import SWITCHING_PROTOCOLS, UpstreamResponse
from .wire.headers import response_headers
from .wire.protocol import ErrorKind
from .wire.websocket import following


async def tunnel(exchange: Exchange, answer: UpstreamResponse) -> None:
    """Pass bytes both ways until the app ends it.

    Errors: UpstreamFailure when the app breaks the connection.
    """
    protocol = answer.header.get(b"upgrade", b"")
    if not protocol:
        raise UpstreamFailure("protocol", 502, ErrorKind.API, "upstream: it answered 101 and named no protocol")
    exchange.mark_stream()
    headers = response_headers(answer.raw_headers, keep_cookies=exchange.keeps_cookies)
    exchange.tunnelled = passage = following(protocol)
    exchange.timers.stop(Clock.MAX_DURATION)
    await exchange.send_head(SWITCHING_PROTOCOLS, [*headers, (b"upgrade", protocol)])
    exchange.parts = True  # no next request comes over this connection
    upward = asyncio.create_task(_pass_up(exchange, answer))
    try:
        async for chunk in read_slices(exchange, answer):
            if ready := passage.feed(chunk):
                await exchange.send_body(ready)
        await exchange.send_body(passage.rest(), more=False)
    finally:
        upward.cancel()


async def _pass_up(exchange: Exchange, answer: UpstreamResponse) -> None:
    """From the client to the app; its end is seen by `Exchange` itself."""
    while True:
        chunk, _ = await exchange.next_chunk()
        if chunk:
            exchange.start(Clock.STALL)
            await answer.stream.write(chunk)
