"""Which path speaks which protocol: one table, for the modes in which the routes are ours (Gateway, Egress).

Called by the pipeline once a request's target is known to be sane (`target.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, OTHERS, RESPONSES
from lastcall_sidecar.wire.protocol import Protocol, Route

__all__ = ["Route", "passthrough", "route"]

_VERSION = "/v1"
#: RFC 3986, 2.3: with these, `%6D` and `m` are the same path, and an upstream may well treat them so.
_ESCAPED_UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    protocol: Protocol
    #: Answers without `/v1`, too.
    aliased: bool = False
    generation: bool = False
    understood: bool = False
    #: Where the upstream has it, if not there.
    elsewhere: str | None = None


_MODELS = _Kind("models", ANTHROPIC, aliased=True)
_BATCHES = _Kind("batches", ANTHROPIC)
_PASSTHROUGH = _Kind("passthrough", UNKNOWN)
_OPENAI = _Kind("openai", OTHERS)
#: What only OpenAI's API has, without `/v1`, and all that is below; it passes through.
OPENAI_ONLY = (
    "responses",
    "embeddings",
    "completions",
    "chat/completions",
    "moderations",
    "images",
    "audio",
    "fine_tuning",
    "vector_stores",
    "conversations",
    "assistants",
    "batches",
    "chatkit",
    "containers",
    "evals",
    "organization",
    "realtime",
    "threads",
    "uploads",
    "videos",
)
_OPENAI_ONLY = re.compile(rf"/({'|'.join(OPENAI_ONLY)})(/.*)?")

#: By method and path without `/v1`.
_EXACT: Mapping[tuple[str, str], _Kind] = {
    ("POST", "/messages"): _Kind("messages", ANTHROPIC, aliased=True, generation=True, understood=True),
    ("POST", "/messages/count_tokens"): _Kind("count_tokens", ANTHROPIC, aliased=True, understood=True),
    ("GET", "/models"): _MODELS,
    ("POST", "/chat/completions"): _Kind("chat_completions", CHAT, aliased=True, generation=True, understood=True),
    ("GET", "/chat/models"): _Kind("models", CHAT, elsewhere="/v1/models"),
    ("POST", "/responses"): _Kind("responses", RESPONSES, generation=True),
    ("POST", "/completions"): _Kind("openai", CHAT),
}


def route(method: str, path: str) -> Route | None:
    """Return what `path` (raw, as in `Target.path`) is to us; None for what is none of ours: a 404."""
    plain = _ESCAPED_UNRESERVED.sub(_unescape, path) if "%" in path else path
    versioned = plain.startswith(_VERSION + "/")
    rest = (plain.removeprefix(_VERSION) if versioned else plain).rstrip("/")
    kind = _EXACT.get((method, rest))
    if versioned:
        return _route(kind or _by_prefix(method, rest), path)
    return _route(kind, _VERSION + path) if kind and kind.aliased else None


def passthrough(path: str) -> Route:
    """Return the route of a path of which nothing is known and nothing changed: all of them, in front of any app."""
    return _route(_PASSTHROUGH, path)


def _by_prefix(method: str, rest: str) -> _Kind:
    if rest == "/messages/batches" or rest.startswith("/messages/batches/"):
        return _BATCHES
    if method == "GET" and rest.startswith("/models/"):
        return _MODELS
    return _OPENAI if _OPENAI_ONLY.fullmatch(rest) else _PASSTHROUGH


def _route(kind: _Kind, path: str) -> Route:
    return Route(kind.name, kind.protocol, kind.elsewhere or path, kind.generation, kind.understood)


def _unescape(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))
