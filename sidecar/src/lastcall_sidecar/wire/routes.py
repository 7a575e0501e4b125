"""Which path speaks which protocol: one table, for the modes in which the routes are ours (Gateway, Egress).

Called by the pipeline once a request's target is known to be sane (`target.py`). A route has one spelling. Upstreams
differ in which others they take for it (a slash too many, an escape, a parameter, capitals): by one of these a request
could go around slots and limits, or take its key to another vendor.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, OTHERS, RESPONSES
from lastcall_sidecar.wire.protocol import Protocol, Route

__all__ = ["Route", "meant", "passthrough", "route"]

_VERSION = "/v1"
#: How often escapes are taken off: some chains of servers do it once each.
_DECODINGS = 3
#: Stands for `=` meanwhile: a byte of no text.
_EQUALS = b"\xff"
_SEPARATORS = re.compile(r"[/\\]+")
#: What some servers cut a path or a segment at once they have decoded it, or overlook in it.
_END = re.compile(r"[?#]")
_OVERLOOKED = re.compile(r"[;\x00][^/\\]*|[\x01-\x20\x7f]+")


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


def _route(kind: _Kind, path: str) -> Route:
    return Route(kind.name, kind.protocol, kind.elsewhere or path, kind.generation, kind.understood)


#: What nearly every request asks for, in its own spelling.
_KNOWN: Mapping[tuple[str, str], Route] = {
    (method, prefix + rest): _route(kind, _VERSION + rest)
    for (method, rest), kind in _EXACT.items()
    for prefix in ((_VERSION, "") if kind.aliased else (_VERSION,))
}


def route(method: str, path: str) -> Route | None:
    """Return what `path` (raw, as in `Target.path`) is to us; None for what is none of ours: a 404."""
    known = _KNOWN.get((method, path))
    if known is not None:
        return known
    kind = _kind(method, path)
    if kind is None:
        return None
    return _route(kind, path if path.startswith(_VERSION + "/") else _VERSION + path)


def meant(method: str, path: str) -> str | None:
    """Return the path of the known route that `path` is another spelling of; None if it is of none, or its own."""
    if (method, path) in _KNOWN:
        return None
    plain = _plain(path)
    if plain == path:
        return None
    kind, literal = _kind(method, plain), _kind(method, path)
    if kind is None or kind is _PASSTHROUGH:
        return None
    if kind is literal and (method, plain.removeprefix(_VERSION)) not in _EXACT:
        return None  # below a known path, names are the upstream's own business
    return plain


def _kind(method: str, path: str) -> _Kind | None:
    versioned = path.startswith(_VERSION + "/")
    rest = path.removeprefix(_VERSION) if versioned else path
    kind = _EXACT.get((method, rest))
    if versioned:
        return kind or _by_prefix(method, rest)
    return kind if kind is not None and kind.aliased else None


def _plain(path: str) -> str:
    """The shortest spelling of what some server may take `path` for."""
    if "%" in path:
        decoded = path.encode("ascii")
        for _ in range(_DECODINGS):
            decoded = _decoded(decoded)
        path = decoded.replace(_EQUALS, b"=").decode("utf-8", "replace")
    path = _OVERLOOKED.sub("", _END.split(path, maxsplit=1)[0]).casefold()
    kept: list[str] = []
    for name in _SEPARATORS.split(path):
        if name == "..":
            del kept[-1:]
        elif name not in {"", "."}:
            kept.append(name)
    return "/" + "/".join(kept)


def _decoded(path: bytes) -> bytes:
    """The path with its escapes taken off once. A `%` that begins none stays: with what follows, it may begin one then.

    Quoted-printable is the same with another mark, and is decoded at C's speed: a path may be 64 KiB of it. What means
    something else there is put out of the way: a mark before a line's end, or before a mark, and the mark as it is.
    """
    path = path.replace(b"\r", b" ").replace(b"\n", b" ")
    path = path.replace(b"%%", b"%25%").replace(b"%%", b"%25%")
    path = path.replace(b"=", _EQUALS).replace(b"%3D", _EQUALS).replace(b"%3d", _EQUALS)
    return binascii.a2b_qp(path.replace(b"%", b"=")).replace(b"=", b"%")


def passthrough(path: str) -> Route:
    """Return the route of a path of which nothing is known and nothing changed: all of them, in front of any app."""
    return _route(_PASSTHROUGH, path)


def _by_prefix(method: str, rest: str) -> _Kind:
    if rest == "/messages/batches" or rest.startswith("/messages/batches/"):
        return _BATCHES
    if method == "GET" and rest.startswith("/models/"):
        return _MODELS
    return _OPENAI if _OPENAI_ONLY.fullmatch(rest) else _PASSTHROUGH
