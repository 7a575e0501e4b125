"""What every protocol of a caller must be able to say, and what we note down about a stream of it.

Called by the pipeline (errors before the first byte) and the relay (errors, heartbeats and the account of a stream).
The protocols themselves are in `anthropic.py` and `openai.py`; which path speaks which one, in `routes.py`.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, TypeVar

import msgspec

from lastcall_sidecar.wire.sse import Decoder, Event

#: What an account keeps of one event, mostly. Those that it reads are far smaller; of larger ones it needs the name.
MAX_KEPT_BYTES = 64 * 1024

_STATUS_DIGITS = 3

#: Names and reasons of the upstream's end up in log lines: this much of them.
_MAX_WORD_CHARS = 64

#: The empty line is for clients that take a stream apart at those, and would lose the event behind a mere comment line.
_COMMENT_HEARTBEAT = b": keep-alive\n\n"
#: OpenAI's SDKs take an empty line for an event (Python's: once the stream has had an `id`; Go's before 3.43: always),
#: and fail on its empty data. https://github.com/maximhq/bifrost/issues/5874
COMMENT_LINE_HEARTBEAT = b": keep-alive\n"
_ID_LINE = re.compile(rb"(?:^|[\r\n])id:")
_EVENT_LINE = re.compile(rb"(?:^|[\r\n])event: ?([^\r\n]+)")
_DATA_TYPE = re.compile(r'\s*\{\s*"type"\s*:\s*"([^"\\]+)"')


#: A count that somebody may have counted.
Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

_T = TypeVar("_T")


class ErrorKind(StrEnum):
    """What went wrong, in words that are no vendor's."""

    INVALID_REQUEST = "invalid_request"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    UNSUPPORTED_MEDIA = "unsupported_media"
    #: Something of ours or of the upstream's broke.
    API = "api"
    #: All slots and places in the queue are taken.
    OVERLOADED = "overloaded"
    #: The upstream took too long.
    TIMEOUT = "timeout"
    #: The upstream cannot be reached, or went away.
    UNAVAILABLE = "unavailable"
    NOT_IMPLEMENTED = "not_implemented"


#: The statuses that both vendors agree on.
STATUSES: Mapping[ErrorKind, int] = {
    ErrorKind.INVALID_REQUEST: 400,
    ErrorKind.AUTHENTICATION: 401,
    ErrorKind.PERMISSION: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED_MEDIA: 415,
    ErrorKind.RATE_LIMIT: 429,
    ErrorKind.API: 500,
    ErrorKind.NOT_IMPLEMENTED: 501,
    ErrorKind.UNAVAILABLE: 502,
    ErrorKind.OVERLOADED: 503,
    ErrorKind.TIMEOUT: 504,
}


class Account:
    """What is known of one stream, from the bytes that went by. This one knows no protocol and reads nothing.

    `feed` never raises, whatever comes: an account can never break the relay.
    """

    __slots__ = (
        "_last_block",
        "error",
        "first_content",
        "has_ids",
        "input_tokens",
        "output_chars",
        "output_tokens",
        "started",
        "stop_reason",
        "terminal",
    )

    #: Whether an end without a terminal event is a failure.
    knows_terminal: ClassVar[bool] = False

    def __init__(self) -> None:
        #: The protocol's last event has gone by: nothing may be added.
        self.terminal = False
        #: The type of the error event that ended the stream, if one did.
        self.error: str | None = None
        #: The protocol's first event has gone by.
        self.started = False
        #: The stream numbers its events.
        self.has_ids = False
        #: Content of the answer has gone by.
        self.first_content = False
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.stop_reason: str | None = None
        #: Characters of content so far; only counted on demand, as each delta must be parsed for it.
        self.output_chars = 0
        self._last_block = b""

    def __repr__(self) -> str:
        words = [name for name in ("started", "first_content", "terminal") if getattr(self, name)]
        return f"{type(self).__name__}({', '.join([*words, self.last_event])})"

    @property
    def last_event(self) -> str:
        """The name of the last event of the last block, as the `event` line tells it; empty if none does."""
        names: list[bytes] = _EVENT_LINE.findall(self._last_block)
        return names[-1][:_MAX_WORD_CHARS].decode("utf-8", "replace") if names else ""

    def feed(self, block: bytes) -> None:
        """Take bytes that left the `Framer`: mostly whole events, though any split is understood."""
        self._last_block = block
        if block and not self.started:
            self.started = True
            self.has_ids = _ID_LINE.search(block) is not None


class EventAccount(Account, ABC):
    """An account that reads events: those that may matter, for their bytes are looked at before any parsing.

    Subclasses decide by a few byte searches in `feed` whether a block matters and call `_read` with it; in `_take` they
    note down what one event says. While `_eager`, every block must be read.
    """

    __slots__ = ("_count_output", "_decoder", "_eager")

    knows_terminal = True

    #: What is kept of one event, at most.
    kept_bytes: ClassVar[int] = MAX_KEPT_BYTES

    def __init__(self, *, count_output: bool = False) -> None:
        super().__init__()
        self._decoder = Decoder(self.kept_bytes, truncate=True)
        self._count_output = count_output
        self._eager = True

    def _read(self, block: bytes) -> None:
        for event in self._decoder.feed(block):
            self.has_ids = bool(event.id)  # an id stays until there is another
            if not self.terminal:
                self._take(event)
        self._eager = self._count_output or not self.first_content or self._decoder.pending

    @abstractmethod
    def _take(self, event: Event) -> None:
        """Note down what `event` says. The stream is not over yet."""

    def _end(self, error: object = None) -> None:
        """Note that the terminal event has come, with its error's type if it was one."""
        self.terminal = True
        self.error = word(error)


class Protocol(ABC):
    """What a caller speaks: the shapes of errors, and what must be known to relay its streams. Has no state."""

    #: `anthropic`, `openai` or `none`.
    name: ClassVar[str]

    def status(self, kind: ErrorKind) -> int:
        """Return the HTTP status of an answer of ours."""
        return STATUSES[kind]

    @abstractmethod
    def error_body(self, status: int, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the JSON body of an answer of ours with `status`."""

    @abstractmethod
    def error_event(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return the complete event that ends a stream which has begun."""

    @abstractmethod
    def account(self, *, count_output: bool = False) -> Account:
        """Return the account of one stream; with `count_output` it counts `output_chars`, which costs more."""

    def heartbeat(self, account: Account) -> bytes:
        """Return what keeps the client patient; nothing once the terminal event has gone by."""
        if account.terminal:
            return b""
        return COMMENT_LINE_HEARTBEAT if account.has_ids else _COMMENT_HEARTBEAT


@dataclass(frozen=True, slots=True)
class Route:
    """What is known of a request by its method and path."""

    #: A word for metrics and logs; `passthrough` where nothing is known.
    name: str
    protocol: Protocol
    #: The path upstream, byte for byte as it came in, with the prefix that an alias leaves out.
    upstream_path: str
    #: Takes one of the slots for generation.
    generation: bool = False
    #: Its body is read and scanned before it goes on.
    understood: bool = False


def to_json(value: Mapping[str, object]) -> bytes:
    """JSON in ASCII: it can be made of any string, and is one line."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def word(value: object) -> str | None:
    """Return `value` if it is a string, shortened to what a log line takes."""
    return value[:_MAX_WORD_CHARS] if isinstance(value, str) else None


def told_status(value: object) -> int | None:
    """Return the HTTP status of an error that tells its `code`, as a number or in digits; None if that is none."""
    if isinstance(value, str) and len(value) == _STATUS_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def event_name(event: Event) -> str:
    """Return the name of an event: its `event` line, or else the `type` of its data, as far as those were kept."""
    if event.event != "message":
        return event.event
    if event.truncated:
        begin = _DATA_TYPE.match(event.data)
        return begin[1] if begin else ""
    return parse(event.data, _Typed, _UNTYPED).type


class _Typed(msgspec.Struct):
    type: str = ""


_UNTYPED = _Typed()


def parse(data: str, shape: type[_T], otherwise: _T) -> _T:
    """Parse JSON of which only the fields of `shape` matter; `otherwise` if it is none, or of other types."""
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError:
        return otherwise
    except (msgspec.DecodeError, RecursionError):
        return _parse_leniently(data, shape, otherwise)


def _parse_leniently(data: str, shape: type[_T], otherwise: _T) -> _T:
    """Parse what vendors' SDKs, with the standard library, do parse: half a surrogate pair, for one."""
    try:
        return msgspec.convert(json.loads(data), shape)
    except (ValueError, msgspec.ValidationError, RecursionError):
        return otherwise
