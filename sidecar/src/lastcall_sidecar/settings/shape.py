"""Plain values into settings: names, types and bounds, by the schema alone. Every problem is found, not only the first.

Called by `load.py`; the schema is `schema.py`, what its types cannot say is in `checks.py`.
"""

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from .document import WHOLE, join
from .problems import Problem

T = TypeVar("T", bound=Struct)

_NOT_YET = "not in this version; leave it out"
_OPERATORS = "the operator's business, not the sidecar's; leave it out"
_NEVER_HERE = "a secret is never written in this file: name a file in {0}File or set {1}"
#: What the design has and this version, or this file, has not: why, instead of "unknown".
ELSEWHERE: Mapping[str, str] = {
    "recording": _NOT_YET,
    "telemetry": _NOT_YET,
    "upstream.models": _NOT_YET,
    "upstream.defaultMaxTokens": _NOT_YET,
    "limits.maxOutputChars": _NOT_YET,
    "streaming.demoteNonStreaming": _NOT_YET,
    "listen.trustedProxies": _NOT_YET,
    "logs.directory": _NOT_YET,
    "logs.retentionDays": _NOT_YET,
    "admin.tokenFile": _NOT_YET,
    "admin.passwordFile": _NOT_YET,
    "selector": _OPERATORS,
    "appPort": _OPERATORS,
    "sidecar": _OPERATORS,
    "drain.preStopPolicy": _OPERATORS,
    "drain.egressWait": _OPERATORS,
    "upstream.apiKeySecretRef": _OPERATORS,
    "auth.apiKeysSecretRef": _OPERATORS,
    "upstream.apiKey": _NEVER_HERE.format("upstream.apiKey", "LASTCALL_UPSTREAM__API_KEY"),
    "auth.apiKeys": _NEVER_HERE.format("auth.apiKeys", "LASTCALL_AUTH__API_KEYS"),
    "admin.token": "a secret is never written in this file: set LASTCALL_ADMIN__TOKEN",
}
#: Values that deserve their own sentence.
_REFUSED: Mapping[tuple[str, Any], str] = {
    ("upstream.provider", "AgentSDK"): "AgentSDK is not in this version; use Anthropic, OpenAI or Any",
}


def build(cls: type[T], value: object, path: str = "") -> tuple[T, list[Problem]]:
    """Make a section (or all settings) of a mapping as in the file; what is wrong is left at its default and told."""
    if value is None:  # a section with all its lines commented out
        value = {}
    if not isinstance(value, Mapping):
        return cls(), [Problem(path or WHOLE, f"must be a mapping of settings, not {show(value)}")]
    by_name = {item.encode_name: item for item in msgspec.structs.fields(cls)}
    problems: list[Problem] = []
    made: dict[str, Any] = {}
    for key, given in value.items():
        place = join(path, key)
        item = by_name.get(key)
        if item is None:
            problems.append(Problem(place, unknown(place, key, by_name)))
        elif isinstance(item.type, type) and issubclass(item.type, Struct):
            made[item.name], inner = build(item.type, given, place)
            problems += inner
        else:
            try:
                made[item.name] = msgspec.convert(_encodable(given), item.type)
            except msgspec.ValidationError:
                problems.append(Problem(place, _wrong(place, given, item.type)))
            except UnicodeEncodeError:
                problems.append(Problem(place, "must be Unicode text; it holds half a surrogate pair"))
    return cls(**made), problems


def unknown(place: str, key: str, names: Iterable[str]) -> str:
    """Why a name is not understood, with the one that was probably meant."""
    if place in ELSEWHERE:
        return ELSEWHERE[place]
    names = list(names)
    plain = {_plain(name): name for name in names}
    close = difflib.get_close_matches(_plain(key), plain, n=1, cutoff=0.7)
    if close:
        return f"unknown; did you mean {plain[close[0]]}?"
    return f"unknown; known are {', '.join(names)}"


def show(value: object) -> str:
    """A value in a message: short, and never the inside of a structure."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 40 else value[:40] + "…")
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)


def _encodable(value: Any) -> Any:
    """The value, if its text can be written as UTF-8; escapes in YAML and bytes in the environment may not.

    Errors: UnicodeEncodeError.
    """
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            text.encode()
    return value


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _wrong(place: str, given: Any, annotation: Any) -> str:
    if isinstance(given, str) and (place, given) in _REFUSED:
        return _REFUSED[place, given]
    info = types.type_info(annotation)
    info = info.type if isinstance(info, types.Metadata) else info
    if isinstance(info, types.StrType) and info.pattern is not None and isinstance(given, str):
        return f"must be {_expected(info)}"  # not repeated: a URL may hold a password
    what = f"must be {_expected(info)}, not {show(given)}"
    if isinstance(info, types.EnumType) and isinstance(given, str):
        close = difflib.get_close_matches(given.lower(), {_text(it).lower() for it in info.cls}, n=1)
        what += (
            f"; did you mean {next(_text(it) for it in info.cls if _text(it).lower() == close[0])}?" if close else ""
        )
    return what


def _expected(info: types.Type) -> str:
    match info:
        case types.IntType(ge=ge, le=le):
            return f"a whole number from {ge} to {le}"
        case types.BoolType():
            return "true or false"
        case types.EnumType(cls=cls):
            return "one of " + ", ".join(map(_text, cls))
        case types.StrType(pattern=str()):
            return "an http or https URL"
        case types.StrType(min_length=int()):
            return "text that is not empty"
        case types.StrType():
            return "text"
        case types.UnionType(types=options):
            return _expected(options[0])
        case types.VarTupleType(item_type=item, max_length=longest):
            return f"a list of at most {longest} entries, each {_expected(item)}"
    raise NotImplementedError(f"the schema has a type without words: {info}")


def _text(member: Enum) -> str:
    return str(member.value)
