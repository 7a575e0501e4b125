"""The way of a request, from its head to its last byte: admit → read → queue → upstream → relay → account.

Called by `app.py` for every request that is not for one of our own routes. This file is the order of things; what each
step does stands in the module that it calls.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import httpx
import structlog

from .bodies import Bodies, Body, passed_through
from .core.inflight import InFlight, Outcome
from .core.timers import Clock
from .drain_loop import DrainLoop
from .errors import Refusal, UpstreamFailure
from .exchange import Exchange, Headers, Receive, Send, Stop
from .farewell import end, farewell, tell
from .ids import new_request_id
from .intake import Outgoing, admit, outgoing
from .live import Live
from .relay import relay
from .reports import Reports
from .upstream import PooledTransport, UpstreamRequest, UpstreamResponse
from .waiting import Turnstile
from .wire.protocol import ErrorKind, Route

#: Attempts to make a connection, and the pause between them: (least, most) seconds, so that a crowd spreads.
CONNECT_TRIES = 2
CONNECT_PAUSE_SECONDS = (0.05, 0.2)

NO_BODY = httpx.ByteStream(b"")

log = structlog.get_logger(__name__)


class Pipeline:
    """Serves requests. One for the process."""

    def __init__(
        self, *, live: Live, gauge: InFlight, drains: DrainLoop, turnstile: Turnstile, bodies: Bodies, reports: Reports
    ) -> None:
        self._live = live
        self._gauge = gauge
        self._drains = drains
        self._turnstile = turnstile
        self._bodies = bodies
        self._reports = reports
        self._under_way: set[Exchange] = set()

    @property
    def draining(self) -> bool:
        """Whether new work is no longer wanted."""
        return self._drains.draining

    async def serve(
        self, route: Route, target: bytes, scope: dict[str, Any], receive: Receive, send: Send, extra: Headers
    ) -> None:
        """Serve one request: counted from here, and released below, exactly once."""
        self._drains.arrive()
        ticket = self._gauge.take(asyncio.get_running_loop().time())
        outcome = Outcome.FAILED
        exchange = Exchange(
            scope,
            receive,
            send,
            request_id=new_request_id(),
            route=route,
            gauge=self._gauge,
            ticket=ticket,
            settings=self._live.settings,
            draining=lambda: self.draining,
        )
        exchange.extra_headers += extra
        self._under_way.add(exchange)
        try:
            outcome = await self._guarded(exchange, target)
        finally:
            exchange.close()
            self._under_way.discard(exchange)
            self._gauge.release(ticket, asyncio.get_running_loop().time(), outcome)
            if not exchange.parts:
                self._drains.kept()
            if not self._gauge.count:
                self._drains.idle()
            self._reports.ended(exchange, outcome)

    async def _guarded(self, exchange: Exchange, target: bytes) -> Outcome:
        """Answer, and turn every way in which that can end into words for the client and an outcome for us."""
        try:
            await self._answer(exchange, target)
            exchange.over()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if exchange.stopped is None or task is None:
                raise
            task.uncancel()
            exchange.over()
            if exchange.protocol_over:
                return await _ended(exchange)
            words = farewell(exchange.stopped, exchange.settings)
            exchange.failure = words.message
            if exchange.stopped is Stop.WRITE_STALL:
                exchange.reset_client()
            elif exchange.stopped is not Stop.CLIENT_GONE:
                await tell(exchange, words)
            # Whoever has not finished asking has lost no answer.
            return Outcome.FAILED if words.outcome is Outcome.DROPPED and not exchange.asked else words.outcome
        except (Refusal, UpstreamFailure) as failure:
            exchange.over()
            if exchange.protocol_over:
                return await _ended(exchange)
            exchange.failure = failure.message
            exchange.cause = failure.cause if isinstance(failure, UpstreamFailure) else None
            await tell(exchange, failure)
            return Outcome.REFUSED if isinstance(failure, Refusal) else Outcome.FAILED
        except Exception:
            exchange.over()
            exchange.failure = "a bug of ours"
            log.exception("a bug ended a request", request_id=exchange.request_id)
            await tell(exchange, Refusal(500, ErrorKind.API, "the proxy failed; its log says why"))
            return Outcome.FAILED
        return _verdict(exchange)

    async def _answer(self, exchange: Exchange, target: bytes) -> None:
        """The way itself."""
        secrets = self._live.secrets
        caller = admit(exchange, secrets)
        exchange.start(Clock.MAX_DURATION)
        # The transport goes with the settings and secrets of this moment: a reload may come while we read or wait.
        async with self._live.transport() as transport:
            exchange.watch_client()
            async with self._body(exchange) as body, self._slot(exchange, caller.name):
                exchange.start(Clock.MAX_DURATION)
                head = outgoing(exchange, target, caller, secrets, length=body.length)
                async with _upstream(exchange, transport, head, body) as answer:
                    await relay(exchange, answer)

    def _body(self, exchange: Exchange) -> AbstractAsyncContextManager[Body]:
        if exchange.route.understood:
            return self._bodies.understood(exchange)
        return nullcontext(passed_through(exchange))

    def _slot(self, exchange: Exchange, key: str) -> AbstractAsyncContextManager[None]:
        if exchange.route.generation:
            return self._turnstile.slot(exchange, key)
        return nullcontext()

    def expire(self) -> None:
        """The drain's ceiling has come: end what is left."""
        for exchange in tuple(self._under_way):
            if exchange.asked:
                log.error(
                    "request dropped: the drain's ceiling was reached",
                    request_id=exchange.request_id,
                    sent_bytes=exchange.sent_bytes,
                )
            exchange.stop(Stop.CEILING)


def _verdict(exchange: Exchange) -> Outcome:
    """How an answer counts that was relayed to its end."""
    return Outcome.COMPLETED if exchange.ended_well else Outcome.FAILED


async def _ended(exchange: Exchange) -> Outcome:
    """The client has all that its protocol gives; only the connection's own end was still to come."""
    await end(exchange)
    return _verdict(exchange)


@asynccontextmanager
async def _upstream(
    exchange: Exchange, transport: PooledTransport, head: Outgoing, body: Body
) -> AsyncIterator[UpstreamResponse]:
    """The upstream's answer, from its head on; its connection is closed unless the answer is read to its end."""
    request = UpstreamRequest(
        exchange.scope["method"],
        transport.origin,
        head.headers,
        body.stream or NO_BODY,
        head.target,
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
    if answer.status_code < 200:
        await answer.aclose()
        raise UpstreamFailure("protocol", 502, ErrorKind.API, f"upstream: it answered {answer.status_code}, unasked")
    try:
        yield answer
    finally:
        await answer.aclose()


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
