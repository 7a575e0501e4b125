"""What an upstream says of a message, whole or in a stream, and what it is called in a chat completion."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.protocol import Tokens, parse
from lastcall_sidecar.wire.translation import TranslationError

_T = TypeVar("_T")

_EMPTY = Raw(b"{}")

#: Half a surrogate pair, escaped; escaped backslashes and whole pairs are matched to be passed over.
_HALF = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")

#: `finish_reason` by `stop_reason`; any other is a `stop`.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Block(msgspec.Struct):
    """A content block, or a change of one. Of a type yet unknown, any field may be anything."""

    type: str = ""
    text: Any = ""
    thinking: Any = ""
    signature: Any = ""
    data: Any = ""
    partial_json: Any = ""
    id: Any = ""
    name: Any = ""
    input: Raw = _EMPTY


class _Details(msgspec.Struct):
    thinking_tokens: Tokens | None = None


class Usage(msgspec.Struct):
    """Tokens. A stream tells them in parts, each the sum so far."""

    input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    output_tokens_details: _Details | None = None

    def merge(self, raw: Raw) -> None:
        """Take a `usage` object; what it does not tell, or not well, stays as it was."""
        told = parse(bytes(raw).decode(), Usage, Usage())
        for name in self.__struct_fields__:
            value = getattr(told, name)
            if value is not None:
                setattr(self, name, value)

    def to_chat(self) -> dict[str, Any]:
        """Return OpenAI's `usage`; what nobody told is 0. Prompt tokens are all of them, cached or not."""
        read, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        prompt, completion = (self.input_tokens or 0) + read + written, self.output_tokens or 0
        thought = self.output_tokens_details.thinking_tokens if self.output_tokens_details else None
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
            **({} if thought is None else {"completion_tokens_details": {"reasoning_tokens": thought}}),
        }


def told(json: str, shape: type[_T]) -> _T:
    """Read the upstream's JSON with all its digits; TranslationError if it is none, or of other types.

    Half a surrogate pair, which the vendor's SDK takes, becomes U+FFFD.
    """
    try:
        return _decode(json, shape)
    except msgspec.ValidationError:
        raise TranslationError("the upstream's JSON is not of the Messages API") from None
    except (msgspec.DecodeError, RecursionError):
        raise TranslationError("the upstream sent what is not JSON") from None


def _decode(json: str, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(json, type=shape)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.json.decode(_HALF.sub(lambda found: r"\ufffd" if found[1] else found[0], json), type=shape)


def text(value: Any) -> str:
    """Return a value of a known block that must be text; TranslationError if it is not."""
    if not isinstance(value, str):
        raise TranslationError("the upstream's JSON is not of the Messages API")
    return value


def finish_reason(stop_reason: Any) -> str:
    """Return OpenAI's word for a `stop_reason`, known or not."""
    return FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"


def refusal(stop_details: Any) -> str | None:
    """Return why the model refused, if it did and the upstream says so."""
    explanation = stop_details.get("explanation") if isinstance(stop_details, dict) else None
    return explanation if isinstance(explanation, str) else None
