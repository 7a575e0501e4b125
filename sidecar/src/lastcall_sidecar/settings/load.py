"""File and environment into settings and secrets: everything is checked, and every problem told, at once.

Called at the start, by `lastcall-sidecar check`, and by `config_watch.py` when a file has changed. Reads files; the
environment is given.
"""

import hashlib
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from . import checks
from .document import Document, join, parse
from .environment import Overlay, overlay
from .files import Files
from .keys import ApiKey, Secrets, api_keys, one_secret
from .problems import ConfigError, Finding, Problem
from .schema import DEFAULT_UPSTREAM_URL, Mode, Provider, Settings
from .shape import build

#: The providers' own APIs, where no URL is given.
PROVIDER_URLS: Mapping[str, str] = {
    Provider.ANTHROPIC: DEFAULT_UPSTREAM_URL,
    Provider.OPENAI: "https://api.openai.com",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    `hash` is of what the file says, without the generation: whoever wrote the file can compute it, whatever the
    environment adds in each pod. Without a file it is of the settings in force. It tells no secret. `generation` is
    None where nobody counts; `files` has the digest of every file that was read (None: unreadable), for
    `config_watch.py`.
    """

    settings: Settings
    secrets: Secrets
    hash: str
    generation: int | None
    warnings: tuple[str, ...] = ()
    files: Mapping[str, str | None] = field(default_factory=dict, repr=False)


def load(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration file (None: there is none, a laptop's defaults hold) with the environment on top.

    Errors: ConfigError with all problems.
    """
    files = Files()
    try:
        document = Document() if path is None else parse(files.read(str(path)), str(path))
    except ValueError as error:
        document = Document(problems=[Problem(str(path), str(error))])
    if document.problems and document.value is None:  # nothing to go on with
        raise ConfigError(document.problems, files.digests)
    above = overlay(environ)
    raw = _merge(document.value, above.values)
    given = set(_paths(raw))
    below = laptop_defaults(environ) if path is None else {}
    settings, problems = build(Settings, _merge(_merge(below, _derived(raw)), raw) if isinstance(raw, dict) else raw)
    settings = _with_urls(settings)
    bad = {problem.where for problem in (*document.problems, *problems)}
    problems += [Problem(it.where, it.what) for it in checks.findings(settings, given) if not _touches(it, bad)]
    secrets, more = _secrets(settings, above, files)
    problems += [*more, *_ca_file(settings, files)]
    problems = [*document.problems, *above.problems, *(_placed(problem, document, above) for problem in problems)]
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0), files.digests)
    return Loaded(
        settings,
        secrets,
        hash=settings_hash(msgspec.to_builtins(settings) if path is None else document.value or {}),
        generation=settings.generation or None,
        warnings=(*above.warnings, *checks.warnings(settings), *_unread(settings, above)),
        files=files.digests,
    )


def settings_hash(values: Mapping[str, Any]) -> str:
    """The hash that is shown in `/livez`: of sorted compact JSON, so that order, comments and notation do not count."""
    canonical = msgspec.json.encode({**values, "generation": 0}, order="sorted")
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def laptop_defaults(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What differs from the schema's defaults when there is no configuration file."""
    return {
        "listen": {"traffic": "127.0.0.1:8080", "admin": "127.0.0.1:8081"},
        "admin": {"controlSocket": user_control_socket(environ)},
    }


def user_control_socket(environ: Mapping[str, str]) -> str:
    """The control socket's path where no file names one: in a folder that only this user can enter."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        return str(Path(runtime, "lastcall", "control.sock"))
    return f"/tmp/lastcall-{os.getuid()}/control.sock"  # noqa: S108 - the same in every shell; its folder is made 0700


def control_socket_candidates(environ: Mapping[str, str], path: Path | None = None) -> tuple[str, ...]:
    """Where a sidecar's control socket may be, best first, for the commands that use it.

    Never fails: a pod must be drained although its configuration has become unusable since it started.
    """
    named = environ.get("LASTCALL_ADMIN__CONTROL_SOCKET", "").strip()
    if not named and path is not None:
        try:
            value = parse(Files().read(str(path)), str(path)).value
        except ValueError:
            value = None
        admin = value.get("admin") if isinstance(value, dict) else None
        socket = admin.get("controlSocket") if isinstance(admin, dict) else None
        named = socket if isinstance(socket, str) else Settings().admin.control_socket
    return (named,) if named else (Settings().admin.control_socket, user_control_socket(environ))


def _merge(below: Any, above: Mapping[str, Any], levels: int = 2) -> Any:
    """Lay settings over others, field by field of each section; what is no mapping below stays, to be refused."""
    if below is None:
        below = {}
    if not isinstance(below, dict):
        return below
    merged = dict(below)
    for key, value in above.items():
        if value is None and isinstance(merged.get(key), dict):
            continue  # a section with all its lines commented out
        deeper = levels > 1 and isinstance(value, Mapping)  # a field that is a mapping is replaced, as any other
        merged[key] = _merge(merged.get(key), value, levels - 1) if deeper else value
    return merged


def _derived(raw: Any) -> dict[str, Any]:
    """Defaults that follow from other fields."""
    upstream = raw.get("upstream") if isinstance(raw.get("upstream"), dict) else {}
    provider = upstream.get("provider", Provider.ANY if raw.get("mode") == Mode.INGRESS else Provider.ANTHROPIC)
    derived = {"provider": provider}
    if isinstance(provider, str) and provider in PROVIDER_URLS:
        derived["url"] = PROVIDER_URLS[provider]
    return {"upstream": derived}


def _with_urls(settings: Settings) -> Settings:
    """Where an upstream of `upstreams` names no URL, it is its provider's."""
    upstreams = (
        msgspec.structs.replace(it, url=PROVIDER_URLS.get(it.provider)) if it.url is None else it
        for it in settings.upstreams
    )
    return msgspec.structs.replace(settings, upstreams=tuple(upstreams))


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, join(path, key))


def _touches(finding: Finding, bad: set[str]) -> bool:
    """Whether the finding may only follow from a field that is wrong by itself and stands at its default now."""
    places = (finding.where, *finding.others)
    return any(place == path or place.startswith(f"{path}.") for place in places for path in bad)


def _placed(problem: Problem, document: Document, above: Overlay) -> Problem:
    """Name the variable or the line that the problem's value came from."""
    where = problem.where
    for path, variable in above.origins.items():
        if where == path or where.startswith((f"{path}.", f"{path}[")):
            place = path if where.startswith(f"{path}[") else where  # entries of a list are not counted in a variable
            return Problem(f"{place} ({variable})", problem.what)
    line = document.lines.get(where)
    if line is None and where.startswith("upstreams["):  # a field that is not there: its upstream's line
        line = document.lines.get(where.rpartition(".")[0])
    return Problem(where, problem.what, line)


def _secrets(settings: Settings, above: Overlay, files: Files) -> tuple[Secrets, list[Problem]]:
    problems: list[Problem] = []

    def text(path: str, file: str | None) -> tuple[str, str] | None:
        """Where a secret's text came from, and the text; a variable wins over a file."""
        if path in above.secrets:
            variable, content = above.secrets[path]
            return f"{path} ({variable})", content
        if file is None:
            return None
        try:
            return f"{path}File", files.read(file).decode("utf-8-sig")
        except UnicodeDecodeError:
            problems.append(Problem(f"{path}File", f"{file} is not UTF-8 text"))
        except ValueError as error:
            problems.append(Problem(f"{path}File", str(error)))
        return None

    def one(path: str, file: str | None) -> str | None:
        found = text(path, file)
        return None if found is None else _or_told(found[0], lambda: one_secret(found[1]), problems)

    keys: tuple[ApiKey, ...] = ()
    clients = text("auth.apiKeys", settings.auth.api_keys_file)
    if clients is not None:
        from_file = "auth.apiKeys" not in above.secrets
        keys, faults = api_keys(clients[1].splitlines() if from_file else clients[1].split(","))
        problems += [Problem(clients[0], fault) for fault in faults]
    upstream = one("upstream.apiKey", settings.upstream.api_key_file)
    named = {it.name: one(f"upstreams[{index}].apiKey", it.api_key_file) for index, it in enumerate(settings.upstreams)}
    secrets = Secrets(
        upstream_api_key=upstream,
        upstream_api_keys={name: key for name, key in named.items() if key is not None},
        api_keys=keys,
        admin_token=one("admin.token", None),
    )
    return secrets, problems


def _or_told(where: str, make: Callable[[], str], problems: list[Problem]) -> str | None:
    try:
        return make()
    except ValueError as error:
        problems.append(Problem(where, str(error)))
        return None


def _ca_file(settings: Settings, files: Files) -> Iterator[Problem]:
    path = settings.upstream.ca_file
    if path is None:
        return
    try:
        content = files.read(path).decode("ascii", "replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
    except ssl.SSLError:
        yield Problem("upstream.caFile", f"{path} holds no certificates in PEM")
    except ValueError as error:
        yield Problem("upstream.caFile", str(error))


def _unread(settings: Settings, above: Overlay) -> Iterator[str]:
    """Files that are named and not read, because a variable holds the secret itself."""
    named = {
        "upstream.apiKey": settings.upstream.api_key_file,
        "auth.apiKeys": settings.auth.api_keys_file,
    }
    for path, file in named.items():
        if file is not None and path in above.secrets:
            yield f"{path}File is not read: {above.secrets[path][0]} is set and wins"
