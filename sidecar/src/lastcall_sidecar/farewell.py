"""What a client is told when its request does not end well, and how that counts.

Before the first byte: a status and the caller's protocol's error body. In a stream: its own error event, behind the
last whole event, and never anything that looks like a good end. Where neither can be said any more (no stream, or an
event half sent) the answer is left unterminated: that, too, no client takes for a good end.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from .core.inflight import Outcome
from .errors import Refusal, UpstreamFailure
from .exchange import Exchange, Headers, Stop
from .settings import Settings
from .wire.protocol import ErrorKind
from .wire.websocket import GOING_AWAY, INTERNAL_ERROR

#: Seconds for the last words to a client that may not be reading.
LAST_WORDS_SECONDS = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a stopped request's client is told, and how the request counts."""

    status: int
    kind: ErrorKind
    message: str
    outcome: Outcome


def farewell(stop: Stop, settings: Settings) -> Farewell:
    """The words for a reason."""
    limits = settings.limits
    match stop:
        case Stop.CEILING:
            return Farewell(
                503,
                ErrorKind.UNAVAILABLE,
                f"this pod is shutting down and its drain reached its ceiling of {settings.drain.ceiling_seconds} s "
                "(drain.ceilingSeconds); please try again",
                Outcome.DROPPED,
            )
        case Stop.MAX_DURATION:
            return Farewell(
                504,
                ErrorKind.TIMEOUT,
                f"the request took longer than {limits.max_duration_seconds} s (limits.maxDurationSeconds)",
                Outcome.DROPPED,
            )
        case Stop.OUTPUT:
            return Farewell(
                502,
                ErrorKind.API,
                f"the answer is longer than {limits.max_output_chars} characters (limits.maxOutputChars)",
                Outcome.DROPPED,
            )
        case Stop.CLIENT_BODY:
            return Farewell(
                408,
                ErrorKind.TIMEOUT,
                f"the request's body came too slowly: in all {limits.body_grace_seconds} s were waited "
                f"(limits.bodyGraceSeconds) at less than {limits.min_body_bytes_per_second} bytes a second "
                "(limits.minBodyBytesPerSecond)",
                Outcome.DISCONNECTED,
            )
        case Stop.WRITE_STALL:
            return Farewell(
                504,
                ErrorKind.TIMEOUT,
                f"the client took no byte for {limits.write_stall_seconds} s (limits.writeStallSeconds)",
                Outcome.DISCONNECTED,
            )
        case Stop.CLIENT_GONE:
            return Farewell(499, ErrorKind.API, "the client closed the connection", Outcome.DISCONNECTED)
        case _:
            return Farewell(504, ErrorKind.TIMEOUT, _upstream_late(stop, settings), Outcome.FAILED)


def _upstream_late(stop: Stop, settings: Settings) -> str:
    limits = settings.limits
    match stop:
        case Stop.UPLOAD:
            return (
                f"the upstream took no byte of the request for {limits.stall_timeout_seconds} s "
                "(limits.stallTimeoutSeconds)"
            )
        case Stop.RESPONSE_HEADER:
            return (
                f"the upstream sent no response header within {settings.upstream.response_header_timeout_seconds} s "
                "(upstream.responseHeaderTimeoutSeconds)"
            )
        case Stop.FIRST_EVENT:
            return (
                f"the upstream sent no event within {limits.first_event_timeout_seconds} s of its response header "
                "(limits.firstEventTimeoutSeconds)"
            )
        case _:
            return f"the upstream sent nothing for {limits.stall_timeout_seconds} s (limits.stallTimeoutSeconds)"


async def end(exchange: Exchange) -> None:
    """End an answer properly to which nothing is missing."""
    if not exchange.finished:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await exchange.send_body(b"", more=False)


async def tell(exchange: Exchange, failure: Refusal | UpstreamFailure | Farewell) -> None:
    """Tell the client, as far as it can still be told."""
    retry_after = failure.retry_after_seconds if isinstance(failure, Refusal) else None
    if exchange.finished:
        return
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            if exchange.status is None:
                await _tell_by_status(exchange, failure.status, failure.kind, failure.message, retry_after)
            elif exchange.insertable:
                await _tell_by_event(exchange, failure.kind, failure.message)
            elif exchange.tunnelled is not None:
                code = GOING_AWAY if isinstance(failure, Farewell) else INTERNAL_ERROR
                await exchange.send_body(exchange.tunnelled.last_word(code, failure.message), more=False)


async def _tell_by_status(
    exchange: Exchange, status: int, kind: ErrorKind, message: str, retry_after_seconds: int | None
) -> None:
    protocol = exchange.route.protocol
    body = protocol.error_body(status, kind, message, exchange.request_id)
    headers: Headers = [(name, exchange.header[name]) for name in _ECHOED if name in exchange.header]
    if retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % retry_after_seconds))
    if kind is ErrorKind.NOT_IMPLEMENTED:
        headers.append(NO_RETRY)
    await exchange.send_json(status, body, headers)


#: Both vendors' SDKs try a 501 again, unless they are told not to.
NO_RETRY = (b"x-should-retry", b"false")
_ECHOED = (b"anthropic-version", b"anthropic-beta")


async def _tell_by_event(exchange: Exchange, kind: ErrorKind, message: str) -> None:
    knows_terminal = exchange.account is not None and exchange.account.knows_terminal
    exchange.insertable = False
    event = exchange.route.protocol.error_event(kind, message, exchange.request_id)
    # A protocol without terminal events would take a proper end for a good one.
    await exchange.send_body(event, more=not knows_terminal)
