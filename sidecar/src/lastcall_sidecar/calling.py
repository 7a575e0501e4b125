"""Asking an upstream: the request goes out once, the answer's head comes back.

Called by `pipeline.py`, and by those who ask more than one upstream, or more than once, for one request.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog

from .bodies import Body
from .destinations import Destination
from .errors import UpstreamFailure
from .exchange import Exchange, Headers
from .intake import Outgoing
from .relay import read_whole
from .upstream import PooledTransport, UpstreamRequest, UpstreamResponse
from .wire.headers import response_headers
from .wire.protocol import ErrorKind

#: Attempts to make a connection, and the pause between them: (least, most) seconds, so that a crowd spreads.
CONNECT_TRIES = 2
CONNECT_PAUSE_SECONDS = (0.05, 0.2)

log = structlog.get_logger(__name__)

NO_BODY = httpx.ByteStream(b"")


@asynccontextmanager
async def calling(
    exchange: Exchange, transport: PooledTransport, head: Outgoing, body: Body
) -> AsyncIterator[UpstreamResponse]:
    """The upstream's answer, from its head on; its connection is closed unless the answer is read to its end.

    Errors: UpstreamFailure.
    """
    exchange.upstream_status = None  # of an earlier call for the same request
    request = UpstreamRequest(
        head.method, transport.origin, head.headers, body.stream or NO_BODY, head.target, upgrade=head.upgrade
    )
    in_one_write = body.stream is None or isinstance(body.stream, httpx.ByteStream)
    if in_one_write:
        exchange.uploaded()
    answer = await _connected(lambda: transport.handle_async_request(request))
    if in_one_write:
        request.stream = NO_BODY
        body.stream = None
        body.let_go()
    exchange.answered(answer.status_code)
    if answer.status_code == 404 and exchange.route.generation and not transport.has_said_404:
        transport.has_said_404 = True
        log.warning("the upstream answered 404: it has no such path, or no such model", asked_for=_url(transport, head))
    if answer.status_code < 200 and not head.upgrade:
        await answer.aclose()
        raise UpstreamFailure("protocol", 502, ErrorKind.API, f"upstream: it answered {answer.status_code}, unasked")
    try:
        yield answer
    finally:
        await answer.aclose()


def _url(transport: PooledTransport, head: Outgoing) -> str:
    """What was asked for, without its query."""
    origin = transport.origin
    return f"{origin.scheme}://{origin.netloc.decode('ascii')}{head.target.partition(b'?')[0].decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's whole answer to a request of ours."""

    destination: Destination
    status: int
    headers: Headers
    body: bytes = field(repr=False)


async def ask(
    exchange: Exchange, transport: PooledTransport, destination: Destination, head: Outgoing, body: Body | None = None
) -> Answer:
    """Ask a question of our own on behalf of a request, and read the answer to its end.

    Errors: UpstreamFailure.
    """
    async with calling(exchange, transport, head, body or Body(None, 0)) as answer:
        headers = response_headers(answer.raw_headers, keep_cookies=False)
        return Answer(destination, answer.status_code, headers, await read_whole(exchange, answer))


async def _connected(send: Callable[[], Any]) -> UpstreamResponse:
    """Send; where no connection could be made, and so nothing can have arrived, once more.

    Errors: UpstreamFailure.
    """
    for tries_left in reversed(range(CONNECT_TRIES)):
        try:
            answer: UpstreamResponse = await send()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if not tries_left:
                late = isinstance(error, httpx.ConnectTimeout)
                raise UpstreamFailure(
                    "connect_timeout" if late else "connect",
                    504 if late else 502,
                    ErrorKind.TIMEOUT if late else ErrorKind.API,
                    f"cannot connect to the upstream: {error}",
                ) from error
            await asyncio.sleep(random.uniform(*CONNECT_PAUSE_SECONDS))  # noqa: S311 - spreads a crowd, hides nothing
        except httpx.RemoteProtocolError as error:
            raise UpstreamFailure("protocol", 502, ErrorKind.API, f"upstream: {error}") from error
        except httpx.TransportError as error:
            raise UpstreamFailure("reset", 502, ErrorKind.API, f"the upstream broke the connection: {error}") from error
        else:
            return answer
    raise AssertionError  # pragma: no cover - the loop returns or raises
