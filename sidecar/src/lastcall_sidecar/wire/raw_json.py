"""JSON of which every value stays the text that it came in: no digit of a number is lost, and nothing is built.

Called by whoever takes an upstream's messages apart and puts them together anew (`accumulate.py`).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

import msgspec

from lastcall_sidecar.wire.translation import TranslationError

NULL = b"null"

_SPACE = re.compile(r"[ \t\n\r]*+")


def members(raw: bytes) -> dict[str, bytes]:
    """Return the values of an object by their keys, each as the JSON that it is; of a key given twice, the last.

    Half a surrogate pair in a string is taken, as vendors' SDKs do: the other half may be in the next piece.
    Errors: TranslationError where `raw` is no object.
    """
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return _members_leniently(raw)
    return {key: bytes(value) for key, value in found.items()}


def items(raw: bytes) -> list[bytes]:
    """Return the values of a list, each as the JSON that it is.

    Errors: TranslationError where `raw` is no list.
    """
    try:
        return [bytes(value) for value in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError):
        raise TranslationError("the upstream sent something else where a list belongs") from None


def text(raw: bytes | bytearray | None) -> str | None:
    """Return the string that `raw` is; None for anything else, and for half a surrogate pair."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return None


def written(fields: Mapping[str, bytes]) -> bytes:
    """Return the object with these members."""
    parts = [part for key, value in fields.items() for part in (b",", json.dumps(key).encode(), b":", value)]
    return b"".join([b"{", *parts[1:], b"}"])  # in one copy: a value may have many megabytes


def written_list(values: Iterable[bytes]) -> bytes:
    """Return the list of these values."""
    parts = [part for value in values for part in (b",", value)]
    return b"".join([b"[", *parts[1:], b"]"])


def _unread(_: str) -> None:
    """What becomes of a number: nobody asks, and reading one of a million digits takes long."""


def _refuse(_: str) -> NoReturn:
    raise ValueError


#: Only finds where a value ends. NaN and the infinities are no JSON.
_DECODER = json.JSONDecoder(parse_float=_unread, parse_int=_unread, parse_constant=_refuse)


def _members_leniently(raw: bytes) -> dict[str, bytes]:
    try:
        return dict(_walk(raw.decode()))
    except (ValueError, RecursionError):
        raise TranslationError("the upstream sent something that is no JSON object") from None


def _walk(source: str) -> Iterator[tuple[str, bytes]]:
    """Every key with the text of its value. ValueError where `source` is no object."""
    mark, position = _mark(source, 0)
    if mark != "{":
        raise ValueError
    if _mark(source, position)[0] == "}":
        mark, position = _mark(source, position)
    while mark != "}":
        if mark not in {"{", ","}:
            raise ValueError
        key, position = _DECODER.raw_decode(source, _space_end(source, position))
        mark, position = _mark(source, position)
        if mark != ":" or not isinstance(key, str):
            raise ValueError
        begin = _space_end(source, position)
        _, position = _DECODER.raw_decode(source, begin)
        yield key, source[begin:position].encode()
        mark, position = _mark(source, position)
    if _space_end(source, position) != len(source):
        raise ValueError


def _mark(source: str, position: int) -> tuple[str, int]:
    """Return the character behind the white space at `position`, and where it ends; empty at the end of all."""
    begin = _space_end(source, position)
    return source[begin : begin + 1], begin + 1


def _space_end(source: str, position: int) -> int:
    space = _SPACE.match(source, position)
    return space.end() if space else position
