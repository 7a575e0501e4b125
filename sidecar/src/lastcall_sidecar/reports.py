"""What is said about a request once it is over: a line in the log, and the metrics.

Never a body, a credential or the value of a query parameter.
"""

import asyncio
import json
import re

import structlog

from .core.inflight import Outcome
from .exchange import Exchange, Stop
from .printable import printable
from .telemetry.metrics import Metrics
from .wire.headers import echoable
from .wire.target import mask_query

_UPSTREAM_CLOCKS = frozenset(
    {Stop.UPLOAD, Stop.RESPONSE_HEADER, Stop.FIRST_EVENT, Stop.STALL},
)
_PLAIN = re.compile(r"[\w.:/+@%,;&*~=?-]+", re.ASCII)

log = structlog.get_logger(__name__)


class Reports:
    """Tells of requests that ended."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """A request is over."""
        protocol = exchange.route.protocol.name
        self._metrics.ended(protocol, outcome, first_event_seconds=exchange.first_event_seconds)
        cause = exchange.stopped.value if exchange.stopped in _UPSTREAM_CLOCKS else exchange.cause
        if cause is not None:
            self._metrics.upstream_failed(cause)
        if outcome is Outcome.DROPPED and exchange.stopped is not None:
            self._metrics.dropped(exchange.stopped.value)
            if exchange.stopped is Stop.CEILING:
                words = "request dropped: the drain's ceiling was reached"
                log.error(words, request_id=exchange.request_id, sent_bytes=exchange.sent_bytes)
        account = exchange.account or exchange.accumulated
        fields = {
            "request_id": exchange.request_id,
            "method": exchange.scope["method"],
            "route": exchange.route.name,
            "status": exchange.status,
            "outcome": outcome.value,
            "model": _shown(exchange.model),
            "upstream": exchange.upstream_name or None,
            "stream": exchange.is_stream,
            "seconds": round(asyncio.get_running_loop().time() - exchange.ticket.started, 3),
            "request_bytes": exchange.body_bytes,
            "response_bytes": exchange.sent_bytes,
        }
        if account is not None:
            fields |= {
                "input_tokens": account.input_tokens,
                "output_tokens": account.output_tokens,
                "stop_reason": _shown(account.stop_reason),
            }
        client_id = echoable(exchange.header.get(b"x-request-id", b""))
        if client_id is not None:
            fields["client_request_id"] = client_id
        fields = {name: value for name, value in fields.items() if value is not None}
        if outcome in {Outcome.COMPLETED, Outcome.REFUSED}:
            log.info("request", **fields, **({"error": printable(exchange.failure)} if exchange.failure else {}))
        elif outcome is Outcome.DISCONNECTED:
            log.info("request: the client is gone", **fields, error=_shown(exchange.failure))
        else:
            log.warning(
                "request failed", **fields, error=printable(exchange.failure or "the upstream sent an error event")
            )
            log.warning(failure_line(exchange))


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def failure_line(exchange: Exchange) -> str:
    """One line of key=value pairs about a request that failed; values that hold more than plain words are quoted."""
    pairs = {
        "request_id": exchange.request_id,
        "model": exchange.model,
        "stream": exchange.is_stream,
        "body_bytes": exchange.body_bytes,
        "has_thinking": exchange.has_thinking,
        "anthropic_beta": exchange.header.get(b"anthropic-beta", b"").decode("latin-1"),
        "query": mask_query(exchange.scope["query_string"]),
        "elapsed": f"{asyncio.get_running_loop().time() - exchange.ticket.started:.3f}s",
        "ctx_err": exchange.stopped.value if exchange.stopped is not None else None,
        "error": exchange.failure or "upstream_error_event",
    }
    return "forward failed " + " ".join(f"{key}={_value(value)}" for key, value in pairs.items())


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case _:
            text = str(value)
            return text if _PLAIN.fullmatch(text) else json.dumps(text)
