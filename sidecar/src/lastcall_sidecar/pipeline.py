"""The way of a request, from its head to its last byte: admit → read → queue → upstream → relay → account.

Called by `app.py` for every request that is not for one of our own routes. This file is the order of things; what each
step does stands in the module that it calls.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import structlog

from .bodies import Bodies, Body, passed_through
from .calling import calling
from .core.inflight import InFlight, Outcome
from .core.timers import Clock
from .counting import count_tokens
from .destinations import Way, choose
from .drain_loop import DrainLoop
from .errors import Refusal, UpstreamFailure
from .exchange import Exchange, Headers, Receive, Send, Stop
from .farewell import end, farewell, tell
from .ids import new_request_id
from .intake import admit, outgoing
from .listing import list_models
from .live import Live
from .relay import read_end, relay
from .reports import Reports
from .settings import Provider
from .translating import relay_as_one, relay_translated
from .tunnel import tunnel
from .upstream import SWITCHING_PROTOCOLS, UpstreamResponse
from .waiting import Turnstile
from .wire.protocol import ErrorKind, Route
from .wire.translation import Asked

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
        self,
        route: Route,
        target: bytes,
        scope: dict[str, Any],
        header: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        extra: Headers,
    ) -> None:
        """Serve one request: counted from here, and released below, exactly once.

        `header` is what `wire/headers.joined` makes of the scope's; `extra` are headers for the answer.
        """
        self._drains.arrive()
        ticket = self._gauge.take(asyncio.get_running_loop().time())
        outcome = Outcome.FAILED
        exchange = Exchange(
            scope,
            header,
            receive,
            send,
            request_id=new_request_id(),
            route=route,
            gauge=self._gauge,
            ticket=ticket,
            settings=self._live.settings,
            limits=self._live.clock_limits,
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
        caller = admit(exchange, self._live.secrets)
        exchange.caller = caller.name
        exchange.start(Clock.MAX_DURATION)
        # Upstreams, their keys and transports of this moment: a reload may come while we read or wait.
        every = self._live.destinations
        async with self._live.transports() as transports:
            exchange.watch_client()
            if exchange.route.name == "models" and exchange.settings.upstream.provider is not Provider.ANY:
                await list_models(exchange, every, transports, caller)
                return
            async with self._body(exchange) as body, self._slot(exchange, caller.name):
                exchange.start(Clock.MAX_DURATION)
                way = choose(exchange.settings, every, exchange.route, body.content)
                exchange.upstream_name = way.destination.name
                transport = transports.to(way.destination)
                if exchange.route.name == "count_tokens" and way.translation is not None:
                    about = await self._bodies.count(exchange, body, way.model or "")
                    await count_tokens(exchange, way, transport, caller, about, body)
                    return
                asked = await self._bodies.fit(exchange, way, body)
                head = outgoing(exchange, target, caller, way, length=body.length)
                async with calling(exchange, transport, head, body) as answer:
                    await self._pass_on(exchange, answer, way, asked)

    async def _pass_on(self, exchange: Exchange, answer: UpstreamResponse, way: Way, asked: Asked | None) -> None:
        """The answer, verbatim or as its way says; or what the app speaks from here on."""
        if answer.status_code == SWITCHING_PROTOCOLS:
            await tunnel(exchange, answer)
        elif way.demoted:
            await relay_as_one(exchange, answer, way.translation, asked, self._bodies)
            await read_end(exchange, answer)
        elif way.translation is not None and asked is not None:
            await relay_translated(exchange, answer, way.translation, asked, self._bodies)
        else:
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
            exchange.stop(Stop.CEILING)


def _verdict(exchange: Exchange) -> Outcome:
    """How an answer counts that was relayed to its end."""
    return Outcome.COMPLETED if exchange.ended_well else Outcome.FAILED


async def _ended(exchange: Exchange) -> Outcome:
    """The client has all that its protocol gives; only the connection's own end was still to come."""
    await end(exchange)
    return _verdict(exchange)
