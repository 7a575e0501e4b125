"""What `lastcall-sidecar check` and `schema` say, and the settings for a start line. Prints nothing itself."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .addresses import asked_url
from .json_schema import json_schema
from .keys import Secrets
from .load import load
from .problems import ConfigError, Problem
from .schema import NamedUpstream, Provider, Settings


@dataclass(frozen=True, slots=True)
class Report:
    """What a command prints, and its exit code."""

    text: str
    exit_code: int


def check(path: Path | None, environ: Mapping[str, str]) -> Report:
    """Whether `serve` would start here with this file and environment, the named secrets included."""
    name = "no configuration file" if path is None else str(path)
    try:
        loaded = load(path, environ)
    except ConfigError as error:
        return Report(format_problems(name, error.problems), 1)
    upstream, secrets = loaded.settings.upstream, loaded.secrets
    key = _presence(secrets.upstream_api_key)
    lines = [
        f"{name}: good",
        f"  mode {loaded.settings.mode}, upstream {upstream.provider} at {upstream.url} (API key: {key})",
        *(_named(it, secrets) for it in loaded.settings.upstreams),
        *(f"  asks for {url}" for url in asked_urls(loaded.settings)),
        f"  {loaded.hash}",
        *(f"  warning: {warning}" for warning in loaded.warnings),
    ]
    return Report("\n".join(lines), 0)


#: What is asked for of an upstream that speaks a protocol.
_PATHS: Mapping[Provider, str] = {Provider.ANTHROPIC: "/v1/messages", Provider.OPENAI: "/v1/chat/completions"}


def asked_urls(settings: Settings) -> list[str]:
    """What upstreams are asked for: each one's first route, by which a wrong path is seen before the first request."""
    every = [(settings.upstream.provider, settings.upstream.url)]
    every += [(one.provider, one.url or "") for one in settings.upstreams]
    return [asked_url(url, _PATHS[provider]) for provider, url in every if provider in _PATHS]


def _named(upstream: NamedUpstream, secrets: Secrets) -> str:
    key = _presence(secrets.upstream_api_keys.get(upstream.name))
    models = ", ".join(upstream.models)
    return f"  upstream {upstream.name}: {upstream.provider} at {upstream.url} (API key: {key}) for {models}"


def format_problems(name: str, problems: Iterable[Problem]) -> str:
    """All problems of a configuration, one a line."""
    lines = [f"  {problem}" for problem in problems]
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    return "\n".join([f"{name}: {count}", *lines])


def schema_text() -> str:
    """The JSON schema of the configuration file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False)


def masked(settings: Settings, secrets: Secrets) -> dict[str, Any]:
    """The effective settings as in a file, and of each secret only whether there is one."""
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    shown["upstream"]["apiKey"] = _presence(secrets.upstream_api_key)
    for upstream in shown["upstreams"]:
        upstream["apiKey"] = _presence(secrets.upstream_api_keys.get(upstream["name"]))
    shown["auth"]["apiKeys"] = [key.name for key in secrets.api_keys]
    shown["admin"]["token"] = _presence(secrets.admin_token)
    return shown


def _presence(secret: str | None) -> str:
    return "none" if secret is None else "set"
