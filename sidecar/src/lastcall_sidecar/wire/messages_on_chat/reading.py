"""JSON of the client's and the upstream's, read into the shapes that matter of it.

Numbers that go on are read as `msgspec.Raw`, so that every digit stays.
"""

import re
from typing import TypeVar

import msgspec

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.translation import TranslationError

_T = TypeVar("_T")

#: The default of a value that may be left out, or be null: msgspec has no `Raw | None`.
NOTHING = msgspec.Raw(b"null")

#: Every escape is taken whole, so that an escaped backslash begins none; group 1 is half a surrogate pair.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$?([^`]*)`)?", re.DOTALL)
_INDEX = re.compile(r"\[(\d+|\.\.\.)\]")


def is_given(raw: msgspec.Raw) -> bool:
    """Whether there is a value, and not null."""
    return bytes(memoryview(raw)[:4]) != b"null"


def read(raw: bytes | msgspec.Raw, shape: type[_T], path: str = "") -> _T:
    """Read a value of the client's that stands at `path`, as in `messages.0.content`.

    Half a surrogate pair, which JavaScript's clients cut out of their texts, becomes U+FFFD.
    Errors: BodyError, beginning with the path of what is wrong.
    """
    try:
        return _decode(raw, shape)
    except msgspec.ValidationError as error:
        raise BodyError(_told(str(error), path)) from None
    except (msgspec.DecodeError, RecursionError):
        raise BodyError(f"{path or 'the body'}: not valid JSON, or nested too deeply") from None


def answered(data: bytes, shape: type[_T]) -> _T:
    """Read what the upstream answered. Errors: TranslationError."""
    try:
        return _decode(data, shape)
    except msgspec.ValidationError:
        raise TranslationError("the upstream's answer is no chat completion") from None
    except (msgspec.DecodeError, RecursionError):
        raise TranslationError("the upstream's answer is not valid JSON") from None


def mended(data: bytes) -> bytes:
    """Return JSON with U+FFFD in place of bad UTF-8 and of half surrogate pairs, with which no UTF-8 can be made."""
    return _ESCAPE.sub(_whole, data.decode("utf-8", "replace").encode())


def _whole(escape: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if escape[1] else escape[0]


def _decode(data: bytes | msgspec.Raw, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(mended(bytes(data)), type=shape)


def _told(message: str, path: str) -> str:
    """What msgspec says, in the API's words: where, then what."""
    what, where = _AT.fullmatch(message).groups()  # type: ignore[union-attr] # matches anything
    inner = _INDEX.sub(r".\1", where or "").replace("....", "")
    return f"{(path + inner).lstrip('.') or 'the body'}: {what[0].lower()}{what[1:]}"
