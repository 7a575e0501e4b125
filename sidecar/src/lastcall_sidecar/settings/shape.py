"""Plain values into settings: names, types and bounds, by the schema alone. Every problem is found, not only the first.

Called by `load.py`; the schema is `schema.py`, what its types cannot say is in `checks.py`.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from .document import WHOLE, join
from .problems import Problem
from .schema import NAME_PATTERN, URL_PATTERN

T = TypeVar("T", bound=Struct)

_NOT_YET = "not in this version; leave it out"
_OPERATORS = "the operator's business, not the sidecar's; leave it out"
_SECTION = "a mapping of settings"
_NOT_UNICODE = "must be Unicode text; it holds half a surrogate pair"
_NEVER_HERE = "a secret is never written in this file: name a file in {0}File or set {1}"
#: What the design has and this version, or this file, has not: why, instead of "unknown". `[]` is any place in a list.
ELSEWHERE: Mapping[str, str] = {
    "recording": _NOT_YET,
    "telemetry": _NOT_YET,
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
    "upstreams[].apiKeySecretRef": _OPERATORS,
    "auth.apiKeysSecretRef": _OPERATORS,
    "upstream.apiKey": _NEVER_HERE.format("upstream.apiKey", "LASTCALL_UPSTREAM__API_KEY"),
    "upstreams[].apiKey": "a secret is never written in this file: name a file in apiKeyFile",
    "auth.apiKeys": _NEVER_HERE.format("auth.apiKeys", "LASTCALL_AUTH__API_KEYS"),
    "admin.token": "a secret is never written in this file: set LASTCALL_ADMIN__TOKEN",
}
#: Values that deserve their own sentence.
_REFUSED: Mapping[tuple[str, Any], str] = {
    ("upstream.provider", "AgentSDK"): "AgentSDK is not in this version; use Anthropic, OpenAI or Any",
    ("upstreams[].provider", "AgentSDK"): "AgentSDK is not in this version; use Anthropic or OpenAI",
}
#: What a pattern of the schema means.
_PATTERNS: Mapping[str, str] = {
    URL_PATTERN: "an http or https URL",
    NAME_PATTERN: "at most 40 lower-case letters, digits and hyphens, none of these at an end",
}


def build(cls: type[T], value: object, path: str = "") -> tuple[T, list[Problem]]:
    """Make a section (or all settings) of a mapping as in the file; what is wrong is left at its default and told.

    What has no default and is wrong or missing is nothing of its type: an empty text, for one.
    """
    by_name = {item.encode_name: item for item in msgspec.structs.fields(cls)}
    problems: list[Problem] = []
    made: dict[str, Any] = {item.name: _nothing(item.type) for item in by_name.values() if item.required}
    if value is None:  # a section with all its lines commented out
        value = {}
    if not isinstance(value, Mapping):
        return cls(**made), [Problem(path or WHOLE, f"must be {_SECTION}, not {show(value)}")]
    for key, given in value.items():
        place = join(path, key)
        item = by_name.get(key)
        if item is None:
            problems.append(Problem(place, unknown(place, key, by_name)))
            continue
        try:
            made[item.name], inner = _field(item.type, given, place)
            problems += inner
        except msgspec.ValidationError:
            problems.append(Problem(place, _wrong(place, given, item.type)))
        except UnicodeEncodeError:
            problems.append(Problem(place, _NOT_UNICODE))
    missing = [item.encode_name for item in by_name.values() if item.required and item.encode_name not in value]
    problems += [Problem(join(path, name), "required") for name in missing]
    return cls(**made), problems


def _field(annotation: Any, given: Any, place: str) -> tuple[Any, list[Problem]]:
    """A field's value, and what is wrong within it.

    Errors: msgspec.ValidationError, UnicodeEncodeError: it is wrong as a whole.
    """
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return build(annotation, given, place)
    info, said = _info(annotation)
    match info:
        case types.VarTupleType(item_type=types.StructType(cls=cls), max_length=longest):
            given = [] if given is None else given
            if not isinstance(given, list) or (longest is not None and len(given) > longest):
                raise msgspec.ValidationError
            parts = [build(cls, part, f"{place}[{index}]") for index, part in enumerate(given)]
            return tuple(part for part, _ in parts), [problem for _, problems in parts for problem in problems]
        case types.DictType(max_length=longest):
            given = {} if given is None else given
            if not isinstance(given, Mapping) or (longest is not None and len(given) > longest):
                raise msgspec.ValidationError
            return _mapping(annotation, given, place)
    value = msgspec.convert(_encodable(given), annotation)
    if value not in said.get("enum", [value]):
        raise msgspec.ValidationError
    return value, []


def _mapping(annotation: Any, given: Mapping[str, Any], place: str) -> tuple[dict[Any, Any], list[Problem]]:
    """A mapping of names to values; an entry that is wrong is left out, and told with its own place."""
    key_type, value_type = get_args(get_args(annotation)[0])
    made: dict[Any, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        where = join(place, key if key and key.isprintable() else repr(key))
        misnamed = _fault(where, key, key_type)
        fault = _fault(where, value, value_type) if misnamed is None else f"the name {misnamed}"
        if fault is None:
            made[key] = value
        else:
            problems.append(Problem(where, fault))
    return made, problems


def _fault(place: str, given: Any, annotation: Any) -> str | None:
    try:
        msgspec.convert(_encodable(given), annotation)
    except msgspec.ValidationError:
        return _wrong(place, given, annotation)
    except UnicodeEncodeError:
        return _NOT_UNICODE
    return None


def unknown(place: str, key: str, names: Iterable[str]) -> str:
    """Why a name is not understood, with the one that was probably meant."""
    if _any(place) in ELSEWHERE:
        return ELSEWHERE[_any(place)]
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


def _any(place: str) -> str:
    """The place, whichever of a list it is in."""
    return re.sub(r"\[[0-9]+\]", "[]", place)


def _info(annotation: Any) -> tuple[types.Type, Mapping[str, Any]]:
    """What a type is, and what the JSON schema says of it besides."""
    info = types.type_info(annotation)
    if isinstance(info, types.Metadata):
        return info.type, info.extra_json_schema or {}
    return info, {}


def _nothing(annotation: Any) -> Any:
    match _info(annotation)[0]:
        case types.EnumType(cls=cls):
            return next(iter(cls))
        case types.VarTupleType():
            return ()
        case _:
            return ""


def _wrong(place: str, given: Any, annotation: Any) -> str:
    if isinstance(given, str) and (_any(place), given) in _REFUSED:
        return _REFUSED[_any(place), given]
    info, said = _info(annotation)
    info = info.types[0] if isinstance(info, types.UnionType) else info
    if isinstance(info, types.StrType) and info.pattern is not None and isinstance(given, str):
        return f"must be {_expected(info)}"  # not repeated: a URL may hold a password
    words = said.get("enum", [_text(member) for member in info.cls] if isinstance(info, types.EnumType) else [])
    what = f"must be {'one of ' + ', '.join(words) if words else _expected(info)}, not {show(given)}"
    if isinstance(given, str):
        close = difflib.get_close_matches(given.lower(), [word.lower() for word in words], n=1)
        what += f"; did you mean {next(word for word in words if word.lower() == close[0])}?" if close else ""
    return what


def _expected(info: types.Type) -> str:
    match info:
        case types.IntType(ge=ge, le=le):
            return f"a whole number from {ge} to {le}"
        case types.BoolType():
            return "true or false"
        case types.StrType():
            return _words(info)
        case types.StructType():
            return _SECTION
        case types.VarTupleType(item_type=item, min_length=None, max_length=longest):
            return f"a list of at most {longest} entries, each {_expected(item)}"
        case types.VarTupleType(item_type=item, min_length=shortest, max_length=longest):
            return f"a list of {shortest} to {longest} entries, each {_expected(item)}"
        case types.DictType(value_type=value, max_length=longest):
            return f"a mapping of at most {longest} entries, each {_expected(value)}"
    raise NotImplementedError(f"the schema has a type without words: {info}")


def _words(info: types.StrType) -> str:
    match info:
        case types.StrType(pattern=str(pattern)):
            return _PATTERNS[pattern]
        case types.StrType(min_length=int(shortest), max_length=int(longest)):
            return f"text of {shortest} to {longest} characters"
        case types.StrType(min_length=int()):
            return "text that is not empty"
    return "text"


def _text(member: Enum) -> str:
    return str(member.value)
