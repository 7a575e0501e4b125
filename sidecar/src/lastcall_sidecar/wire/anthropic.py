"""The Anthropic Messages protocol: its errors, its terminal events, and the account of a stream.

https://docs.claude.com/en/api/errors and https://docs.claude.com/en/docs/build-with-claude/streaming; the judge of
every shape is the vendor's own SDK, which must raise the right exception on it.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from lastcall_sidecar.wire.protocol import (
    Account,
    ErrorKind,
    EventAccount,
    Protocol,
    Tokens,
    event_name,
    parse,
    to_json,
    word,
)
from lastcall_sidecar.wire.sse import EVENT_ENDS, Event

#: `error.type` of each kind. An upstream that is away has no type of its own there.
_TYPES: Mapping[ErrorKind, str] = {
    ErrorKind.INVALID_REQUEST: "invalid_request_error",
    ErrorKind.AUTHENTICATION: "authentication_error",
    ErrorKind.PERMISSION: "permission_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.TOO_LARGE: "request_too_large",
    ErrorKind.UNSUPPORTED_MEDIA: "invalid_request_error",
    ErrorKind.RATE_LIMIT: "rate_limit_error",
    ErrorKind.API: "api_error",
    ErrorKind.OVERLOADED: "overloaded_error",
    ErrorKind.TIMEOUT: "timeout_error",
    ErrorKind.UNAVAILABLE: "api_error",
    ErrorKind.NOT_IMPLEMENTED: "api_error",
}

_DELTA = b"event: content_block_delta\ndata: "
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class _Usage(msgspec.Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Start(msgspec.Struct):
    message: _Message | None = None


class _StopDelta(msgspec.Struct):
    stop_reason: str | None = None


class _MessageDelta(msgspec.Struct):
    delta: _StopDelta | None = None
    usage: _Usage | None = None


class _ContentDelta(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _BlockDelta(msgspec.Struct):
    delta: _ContentDelta | None = None


class _Failure(msgspec.Struct):
    type: str | None = None


class _Error(msgspec.Struct):
    error: _Failure | None = None


class AnthropicAccount(EventAccount):
    """The account of a Messages stream; `message_stop` and `error` end it."""

    __slots__ = ()

    def feed(self, block: bytes) -> None:
        """Take bytes that left the `Framer`; parses only what may be of the message's frame, or an error."""
        self._last_block = block
        if self._eager or b"message_" in block or b"error" in block or not block.endswith(EVENT_ENDS):
            if not self._count_output and not self._decoder.pending and block.endswith(b"\n\n") and b"\r" not in block:
                block = self._without_deltas(block)
            self._read(block)

    def _without_deltas(self, block: bytes) -> bytes:
        """Leave out the plain deltas of a block of whole events: most of its bytes, of which only one fact matters."""
        others, over = [], self.terminal
        for event in block[:-2].split(b"\n\n"):
            if not over and event.startswith(_DELTA) and event.count(b"\n") == 1:
                self.first_content = True
                continue
            over = over or b"message_stop" in event or b"error" in event
            others.append(event + b"\n\n")
        return b"".join(others)

    def _take(self, event: Event) -> None:
        match event_name(event):
            case "content_block_delta":
                self.first_content = True
                if self._count_output:
                    self._count(parse(event.data, _BlockDelta, _BlockDelta()).delta)
            case "content_block_start":
                self.first_content = True
            case "message_start":
                self.started = True
                message = parse(event.data, _Start, _Start()).message
                self._add(message.usage if message else None)
            case "message_delta":
                change = parse(event.data, _MessageDelta, _MessageDelta())
                self.stop_reason = (word(change.delta.stop_reason) if change.delta else None) or self.stop_reason
                self._add(change.usage)
            case "message_stop":
                self._end()
            case "error":
                failure = parse(event.data, _Error, _Error()).error
                self._end(failure.type if failure and failure.type else "error")

    def _count(self, delta: _ContentDelta | None) -> None:
        if delta:
            self.output_chars += len(delta.text) + len(delta.thinking) + len(delta.partial_json)

    def _add(self, usage: _Usage | None) -> None:
        """Usage comes in parts, each the sum so far: what a part does not tell stays."""
        if usage:
            self.input_tokens = self.input_tokens if usage.input_tokens is None else usage.input_tokens
            self.output_tokens = self.output_tokens if usage.output_tokens is None else usage.output_tokens


class Anthropic(Protocol):
    """What Anthropic's clients understand."""

    name: ClassVar[str] = "anthropic"

    def status(self, kind: ErrorKind) -> int:
        """Return the HTTP status; Anthropic has one of its own for overload."""
        return 529 if kind is ErrorKind.OVERLOADED else super().status(kind)

    def error_body(self, status: int, kind: ErrorKind, message: str, request_id: str) -> bytes:  # noqa: ARG002 - the interface's
        """Return `{"type": "error", "error": {"type", "message"}, "request_id"}`."""
        return to_json({"type": "error", "error": {"type": _TYPES[kind], "message": message}, "request_id": request_id})

    def error_event(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the same as an `error` event. Both vendors' SDKs raise on it."""
        return b"event: error\ndata: " + self.error_body(self.status(kind), kind, message, request_id) + b"\n\n"

    def account(self, *, count_output: bool = False) -> Account:
        """Return the account of a Messages stream."""
        return AnthropicAccount(count_output=count_output)

    def heartbeat(self, account: Account) -> bytes:
        """Return a comment before `message_start`, the protocol's own `ping` after it."""
        return _PING if account.started and not account.terminal else super().heartbeat(account)


class Unknown(Anthropic):
    """A route whose protocol we do not know: errors in Anthropic's shape, streams of which nothing is assumed."""

    name: ClassVar[str] = "none"

    def account(self, *, count_output: bool = False) -> Account:  # noqa: ARG002 - the interface's
        """Return an account that reads nothing: a cleanly framed end is a clean end."""
        return Account()

    def heartbeat(self, account: Account) -> bytes:
        """Return a comment, which every protocol has."""
        return Protocol.heartbeat(self, account)


ANTHROPIC = Anthropic()
UNKNOWN = Unknown()
