"""Requests and answers on their way between two protocols, and streams that become one answer (demotion).

Called by `pipeline.py` where a request's way says so; the shapes are `wire/`'s. Bodies are rewritten in `bodies.py`.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .bodies import Bodies, not_understood
from .calling import Answer
from .core.timers import Clock
from .errors import UpstreamFailure
from .exchange import Exchange, Headers
from .memory import Charge, Held
from .relay import (
    cut_short,
    is_encoded,
    is_stream,
    read_pieces,
    read_slices,
    read_whole,
    relay,
    relay_stream,
)
from .upstream import UpstreamResponse
from .wire.accumulate import MessageAccumulator
from .wire.anthropic import ANTHROPIC
from .wire.headers import response_headers
from .wire.protocol import ErrorKind
from .wire.sse import Decoder, EventTooLargeError
from .wire.translate import TRANSLATIONS
from .wire.translation import Asked, StreamTranslator, Translation, TranslationError

#: Of an upstream's answer, what is said anew of ours.
_ABOUT_THE_BODY = frozenset({b"content-type", b"content-length", b"content-encoding"})
#: A beta with which a tool's input keeps what there is of a string that was cut short.
_CUT_STRINGS = b"fine-grained-tool-streaming"
_JSON: Headers = [(b"content-type", b"application/json")]
_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8")]

#: An upstream's error of more bytes is not read: the client is told of its status.
MAX_ERROR_BYTES = 64 * 1024

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


class Translating:
    """A stream's passage into the client's protocol: whole events in, whole events out."""

    insertable = True

    def __init__(self, translator: StreamTranslator) -> None:
        self._decoder = Decoder()
        self._translator = translator

    @property
    def held(self) -> int:
        """Bytes of an event that is not whole yet."""
        return self._decoder.held

    @property
    def enough(self) -> bool:
        """Whether the client has its end, and the upstream need not go on to its own."""
        return self._translator.enough

    def feed(self, chunk: bytes) -> bytes:
        """Take what the upstream sent, return what may leave now.

        Errors: UpstreamFailure.
        """
        return understood(self._translated, chunk)

    def _translated(self, chunk: bytes) -> bytes:
        return b"".join([self._translator.feed(event) for event in self._decoder.feed(chunk)])

    def finish(self) -> bytes:
        """Return what is left at the end of the upstream's body.

        Errors: UpstreamFailure.
        """
        return understood(self._translator.finish)


async def relay_translated(
    exchange: Exchange, answer: UpstreamResponse, translation: Translation, asked: Asked, bodies: Bodies
) -> None:
    """Pass an answer on in the client's protocol.

    Errors: UpstreamFailure when it is cut short, or none of the upstream's protocol.
    """
    status = answer.status_code
    headers = _headers(answer)
    if status >= 400:
        body = await read_whole(exchange, answer)
        await exchange.send_json(status, _error(exchange, translation, status, body), headers)
    elif status >= 300:
        raise UpstreamFailure("protocol", 502, ErrorKind.API, f"upstream: it answered {status}, which leads nowhere")
    elif asked.stream and is_stream(answer) and not is_encoded(answer):
        with bodies.holding(exchange) as (_, charge):
            passage = Translating(translation.stream(asked))
            await relay_stream(exchange, answer, [*_STREAM, *headers], passage, charge)
    elif asked.stream and b"json" not in answer.header.get(b"content-type", b"").lower():
        raise _no_stream()
    else:
        with bodies.holding(exchange) as (held, charge):
            held.pieces += await read_pieces(exchange, answer, charge)
            # No error is longer, and a long answer is not read here.
            begin = b"".join(held.pieces) if held.size <= MAX_ERROR_BYTES else b""
            failed = translation.failed(begin)
            if failed is not None:
                # Clients try a 502 again, and some of what fails with status 200 never goes well.
                await exchange.send_json(failed, translation.error(failed, begin, exchange.request_id), headers)
            elif asked.stream:
                raise _no_stream()
            else:
                await _send_translated(exchange, held, translation, asked, headers, bodies)


def _no_stream() -> UpstreamFailure:
    return UpstreamFailure(
        "protocol", 502, ErrorKind.API, "the upstream was asked for a stream and answered with something else"
    )


async def relay_as_one(
    exchange: Exchange,
    answer: UpstreamResponse,
    translation: Translation | None,
    asked: Asked | None,
    bodies: Bodies,
) -> None:
    """Put a stream of Anthropic's together, and pass it on as the one answer that the client asked for.

    Errors: UpstreamFailure when it is cut short, or no such stream.
    """
    whole = is_stream(answer) and answer.status_code == 200
    if not whole and translation is not None and asked is not None:
        await relay_translated(exchange, answer, translation, asked, bodies)
    elif not whole:
        await relay(exchange, answer)
    else:
        with bodies.holding(exchange) as (held, charge):
            status, body = await _accumulated(exchange, answer, charge)
            if translation is not None and asked is not None:
                if status == 200:
                    held.pieces.append(body)
                    await _send_translated(exchange, held, translation, asked, _headers(answer), bodies)
                    return
                body = _error(exchange, translation, status, body)
            await exchange.send_json(status, body, _headers(answer))


async def _send_translated(
    exchange: Exchange, held: Held, translation: Translation, asked: Asked, headers: Headers, bodies: Bodies
) -> None:
    await bodies.answered(exchange, translation, held, asked)
    await exchange.send_head(200, [*_JSON, (b"content-length", b"%d" % held.size), *headers])
    for piece in held.pieces:
        await exchange.send_body(bytes(piece))
    await exchange.send_body(b"", more=False)


def _error(exchange: Exchange, translation: Translation, status: int, body: bytes) -> bytes:
    """The client's error. What is longer than any API's is a page of somebody's, and takes long to read as JSON."""
    return translation.error(status, body if len(body) <= MAX_ERROR_BYTES else b"", exchange.request_id)


async def pass_error(exchange: Exchange, answer: Answer) -> None:
    """Pass on an upstream's refusal of a question of ours, in the caller's protocol."""
    pair = (exchange.route.protocol.name, answer.destination.protocol)
    translation = TRANSLATIONS.get(pair)
    headers = [pair for pair in answer.headers if pair[0].lower() not in _ABOUT_THE_BODY]
    if translation is not None:
        await exchange.send_json(answer.status, _error(exchange, translation, answer.status, answer.body), headers)
        return
    # As it came, and called what it was called: it may be the page of a balancer before the upstream.
    headers += [pair for pair in answer.headers if pair[0].lower() == b"content-type"]
    await exchange.send_head(answer.status, [*headers, (b"content-length", b"%d" % len(answer.body))])
    await exchange.send_body(answer.body, more=False)


async def _accumulated(exchange: Exchange, answer: UpstreamResponse, charge: Charge) -> tuple[int, bytes]:
    """The status and body that a stream comes to: a message, or the error that ended it."""
    if is_encoded(answer):
        raise UpstreamFailure("protocol", 502, ErrorKind.API, "the upstream encoded a stream that must be understood")
    betas = exchange.header.get(b"anthropic-beta", b"")
    decoder, message = Decoder(), MessageAccumulator(keep_cut_strings=_CUT_STRINGS in betas)
    account = ANTHROPIC.account(count_output=exchange.settings.limits.max_output_chars > 0)
    exchange.start(Clock.FIRST_EVENT)
    async for chunk in read_slices(exchange, answer):
        await charge(len(chunk))
        account.feed(chunk)
        exchange.watch_output(account)
        for event in understood(decoder.feed, chunk):
            exchange.saw_event()
            understood(message.feed, event)
        if message.over:
            break
    if not message.over:
        raise cut_short()
    exchange.accumulated = account
    if message.error is not None:
        begin = b'{"type":"error","error":' + message.error.raw
        return message.error.status, begin + b',"request_id":"' + exchange.request_id.encode("ascii") + b'"}'
    return 200, understood(message.message)


def _headers(answer: UpstreamResponse) -> Headers:
    return response_headers(answer.raw_headers, keep_cookies=False, drop=_ABOUT_THE_BODY)


def understood(make: Callable[_Given, _Made], *given: _Given.args, **named: _Given.kwargs) -> _Made:
    """What `make` makes of the upstream's bytes.

    Errors: UpstreamFailure where nothing can be.
    """
    try:
        return make(*given, **named)
    except (EventTooLargeError, TranslationError) as error:
        raise not_understood(error) from error
