"""What a request asks of the fake LLM: `[fake seconds=12 events=100 seed=7 kind=mixed]`.

Called by `fake_llm` for each request; pure. The keys and their meanings are in the docstring of `fake_llm`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: A directive in running text. Values hold no white space and no closing bracket.
_DIRECTIVE = re.compile(r"\[fake((?:\s+[^\s\]]+)*)\s*\]")

#: Longer streams than these are a mistake in a test, not a wish.
MAX_SECONDS = 7200.0
MAX_EVENTS = 1_000_000
MAX_EVENT_BYTES = 64 * 1024 * 1024
MAX_CALLS = 64


class DirectiveError(ValueError):
    """The directive cannot be understood; the message says which part of it."""


class Kind(StrEnum):
    """Which content blocks an answer has."""

    AUTO = "auto"
    TEXT = "text"
    TOOLS = "tools"
    THINKING = "thinking"
    MIXED = "mixed"
    CALLS = "calls"
    EVERYTHING = "everything"
    NONE = "none"


class Misbehavior(StrEnum):
    """What goes wrong with an answer that began well."""

    TRUNCATE = "truncate"
    RESET = "reset"
    STALL = "stall"
    NO_MESSAGE_STOP = "no_message_stop"
    LINGER = "linger"
    SLOW_HEADERS = "slow_headers"
    ENCODED = "encoded"
    ERROR_EVENT = "error_event"


class LineEnding(StrEnum):
    """How the lines of the event stream end: the three that the SSE standard knows."""

    LF = "lf"
    CR = "cr"
    CRLF = "crlf"

    @property
    def characters(self) -> bytes:
        """The bytes at the end of each line."""
        return {LineEnding.LF: b"\n", LineEnding.CR: b"\r", LineEnding.CRLF: b"\r\n"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One request's wishes; the defaults are an ordinary, short answer at once."""

    seconds: float = 0.0
    events: int = 24
    event_bytes: int = 0
    seed: int | None = None
    kind: Kind = Kind.AUTO
    calls: int = 1
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    stop: str | None = None
    error: int | None = None
    retry_after_seconds: int | None = None
    misbehave: Misbehavior | None = None
    after: int | None = None
    hold_seconds: float = 3600.0
    chunk_bytes: int = 0
    eol: LineEnding = LineEnding.LF
    noise: bool = False
    discard: bool = False
    stream: bool = False


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return number

    return read


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return number

    return read


def _flag(value: str) -> bool:
    if value not in {"0", "1"}:
        raise ValueError("must be 0 or 1")
    return value == "1"


#: Key in the text → field of `Directive` and its reader.
_KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "seconds": ("seconds", _number(0, MAX_SECONDS)),
    "events": ("events", _integer(1, MAX_EVENTS)),
    "event_bytes": ("event_bytes", _integer(0, MAX_EVENT_BYTES)),
    "seed": ("seed", _integer(0, 2**63 - 1)),
    "kind": ("kind", Kind),
    "calls": ("calls", _integer(1, MAX_CALLS)),
    "cache_read": ("cache_read_tokens", _integer(0, 2**31)),
    "cache_write": ("cache_write_tokens", _integer(0, 2**31)),
    "stop": ("stop", str),
    "error": ("error", _integer(400, 599)),
    "retry_after": ("retry_after_seconds", _integer(0, 86400)),
    "misbehave": ("misbehave", Misbehavior),
    "after": ("after", _integer(0, MAX_EVENTS)),
    "hold": ("hold_seconds", _number(0, MAX_SECONDS)),
    "chunk": ("chunk_bytes", _integer(0, MAX_EVENT_BYTES)),
    "eol": ("eol", LineEnding),
    "noise": ("noise", _flag),
    "discard": ("discard", _flag),
    "stream": ("stream", _flag),
}


def parse(words: str) -> Directive:
    """Read `key=value` words apart by white space, as a directive holds them or the `x-fake` header does."""
    fields: dict[str, Any] = {}
    for word in words.split():
        key, equals, value = word.partition("=")
        if not equals or key not in _KEYS:
            raise DirectiveError(f"unknown directive {word!r}; known: {', '.join(_KEYS)}")
        field, read = _KEYS[key]
        try:
            fields[field] = read(value)
        except ValueError as error:
            raise DirectiveError(f"{key}: {error}") from error
    return Directive(**fields)


def find(text: str) -> Directive:
    """Read the first directive in a text; without any, the defaults."""
    found = _DIRECTIVE.search(text)
    return parse(found[1]) if found else Directive()
