"""The environment laid over the file: `LASTCALL_LIMITS__MAX_CONCURRENT=8` is `limits.maxConcurrent: 8`.

Only names with `__` are ours: for a Service of the name `lastcall` Kubernetes injects `LASTCALL_PORT=tcp://…` into all
pods. The variables of two older proxies are understood, too, where ours are not set. Called by `load.py`, which gives
the environment.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from msgspec import inspect as types

from .durations import go_seconds, milliseconds
from .problems import Problem
from .schema import Settings
from .shape import ELSEWHERE, show

PREFIX = "LASTCALL_"
#: Variables that hold a secret itself.
SECRETS: Mapping[str, str] = {
    "LASTCALL_UPSTREAM__API_KEY": "upstream.apiKey",
    "LASTCALL_AUTH__API_KEYS": "auth.apiKeys",
    "LASTCALL_ADMIN__TOKEN": "admin.token",
}
#: Who we are, by the downward API: read at the start, no part of the configuration.
IDENTITY = frozenset({"LASTCALL_POD__NAME", "LASTCALL_POD__UID"})
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Alias:
    """Another program's variable, and the one of ours that it stands for."""

    name: str
    stands_for: str
    convert: Callable[[str], Any]


ALIASES = (
    Alias("ANTHROPIC_RESPONSE_HEADER_TIMEOUT", "LASTCALL_UPSTREAM__RESPONSE_HEADER_TIMEOUT_SECONDS", go_seconds),
    Alias(
        "ANTHROPIC_DEMOTE_NONSTREAMING",
        "LASTCALL_STREAMING__DEMOTE_NON_STREAMING",
        lambda text: _typed(text, types.BoolType()),
    ),
    Alias("CLAUDE_PROXY_MAX_CONCURRENT", "LASTCALL_LIMITS__MAX_CONCURRENT", lambda text: _typed(text, types.IntType())),
    Alias("CLAUDE_PROXY_QUEUE_TIMEOUT_MS", "LASTCALL_LIMITS__QUEUE_TIMEOUT_SECONDS", milliseconds),
    Alias("CLAUDE_PROXY_API_KEY", "LASTCALL_AUTH__API_KEYS", str),
)
#: What stands in the file only.
_FILE_ONLY = (PREFIX + "MODE", PREFIX + "GENERATION", PREFIX + "UPSTREAMS")


@dataclass(slots=True)
class Overlay:
    """What the environment says.

    `values` is nested as the file is; `origins` has the variable of each path in it; `secrets` the variable and text by
    path (`upstream.apiKey`, `auth.apiKeys`, `admin.token`).
    """

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def variables() -> dict[str, tuple[str, str, types.Type]]:
    """Our variables: section, key within it (as in the file), and type of each."""
    return dict(_variables())


def overlay(environ: Mapping[str, str]) -> Overlay:
    """Read what is ours in an environment. Never raises for what it holds."""
    known = variables()
    result = Overlay()
    for name, text in sorted(environ.items()):
        if name in SECRETS:
            result.secrets[SECRETS[name]] = name, text
        elif name in known:
            _take(result, known[name], name, text.strip(), partial(_typed, info=known[name][2]))
        elif name.startswith(PREFIX) and "__" in name and name not in IDENTITY:
            result.warnings.append(f"{name} is not a setting: {_why_not(name, [*known, *SECRETS])}")
        elif name in _FILE_ONLY:
            result.warnings.append(f"{name} is not read: only names with __ are; it can be set in the file")
    _aliases(result, known, environ)
    return result


def _variables() -> Iterator[tuple[str, tuple[str, str, types.Type]]]:
    for section in msgspec.structs.fields(Settings):
        if not (isinstance(section.type, type) and issubclass(section.type, Struct)):
            continue
        for item in msgspec.structs.fields(section.type):
            info = types.type_info(item.type)
            info = info.type if isinstance(info, types.Metadata) else info
            name = f"{PREFIX}{section.name}__{item.name}".upper()
            yield name, (section.encode_name, item.encode_name, info)


def _aliases(result: Overlay, known: Mapping[str, tuple[str, str, types.Type]], environ: Mapping[str, str]) -> None:
    for alias in ALIASES:
        text = environ.get(alias.name, "").strip()
        if not text or alias.stands_for in environ:  # those proxies take an empty one as not set
            continue
        if alias.stands_for in SECRETS:
            result.secrets[SECRETS[alias.stands_for]] = alias.name, text
            continue
        _take(result, known[alias.stands_for], alias.name, text, alias.convert)
    for name in sorted(environ):
        if name.startswith("CLAUDE_PROXY_") and name not in {alias.name for alias in ALIASES}:
            result.warnings.append(f"{name} is ignored: of that proxy's variables this version does not know it")


def _take(
    result: Overlay, place: tuple[str, str, types.Type], name: str, text: str, convert: Callable[[str], Any]
) -> None:
    section, key, _ = place
    try:
        value = convert(text)
    except ValueError as error:
        result.problems.append(Problem(f"{section}.{key} ({name})", str(error)))
        return
    result.values.setdefault(section, {})[key] = value
    result.origins[f"{section}.{key}"] = name


def _typed(text: str, info: types.Type) -> Any:
    """The value that is meant; text that does not look like its type stays text, and the schema then refuses it.

    Errors: ValueError for a list of pairs that is none.
    """
    match info:
        case types.IntType() if re.fullmatch(r"[-+]?[0-9]{1,40}", text):
            return int(text)
        case types.BoolType():
            return _WORDS.get(text.lower(), text)
        case types.VarTupleType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case types.DictType():
            return _pairs(text)
    return text


def _pairs(text: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError("must be NAME=MODEL, separated by commas")
        if name in made:
            raise ValueError(f"has a name twice: {show(name)}")
        made[name] = value
    return made


def _why_not(name: str, names: list[str]) -> str:
    section, _, key = name.removeprefix(PREFIX).lower().partition("__")
    camel = re.sub(r"_+([a-z0-9])", lambda match: match[1].upper(), key)
    reason = ELSEWHERE.get(f"{section}.{camel}") or ELSEWHERE.get(section)
    if reason is not None:
        return reason.partition(";")[0]
    if section == "upstreams":
        return "upstreams stand in the file only"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "unknown"
