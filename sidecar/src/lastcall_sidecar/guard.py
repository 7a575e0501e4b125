"""Against browsers: a page of somebody else's must not use a proxy that trusts its network position.

Both listeners ask here before anything else, except the traffic listener of an Ingress, where every path is the app's
and so is this question.

A page can let its own name point here (DNS rebinding); its browser then takes us for the page's own server and sends
that name as `Host`, as `Origin`, or both. An address is no name, and only this machine resolves a loopback name, so
that a `Host` of that kind is nobody's trick.
"""

import functools
import re
from enum import Enum, auto
from urllib.parse import urlsplit

from .errors import Refusal
from .exchange import Headers
from .settings import ANY_HOST, is_address, is_loopback
from .wire.headers import options
from .wire.protocol import ErrorKind

#: A host and a port, as RFC 9110, 7.2 has them: no user, no path.
_HOST = re.compile(rb"[A-Za-z0-9_.:\[\]-]+")


class Names(Enum):
    """Which names a listener answers to, beside loopback names and those of `listen.allowedHosts`."""

    #: None, and no other address: it is bound to loopback.
    LOOPBACK = auto()
    #: Addresses. If no name is configured any will do, unless the request shows that it is a browser's.
    LISTED = auto()
    #: As if no name were configured: what the API server passes on has the API server's name as `Host`.
    ANY = auto()


_ADD_IT = "add it there (LASTCALL_LISTEN__ALLOWED_HOSTS)"
_NOT_ALLOWED = {
    Names.LOOPBACK: "this listener is bound to loopback; the Host must be a loopback name, or one of "
    f"listen.allowedHosts: {_ADD_IT}",
    Names.LISTED: f"the Host is none of listen.allowedHosts: {_ADD_IT}",
    Names.ANY: f"the Host is none of listen.allowedHosts: {_ADD_IT}",
}


def check_browser(
    header: dict[bytes, bytes], *, origins: tuple[str, ...], hosts: tuple[str, ...], names: Names
) -> Headers:
    """Refuse what a foreign page sent; returns the CORS headers for the answer.

    `origins` and `hosts` are those allowed by configuration.

    Errors: Refusal (403).
    """
    known = _is_known(header.get(b"host", b""), hosts, loopback=names is Names.LOOPBACK)
    if not known and (names is Names.LOOPBACK or (names is Names.LISTED and hosts)):
        raise Refusal(403, ErrorKind.PERMISSION, _NOT_ALLOWED[names])
    origin = header.get(b"origin", b"").decode("latin-1")
    if origin and origin in origins:
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"request-id, x-request-id, x-lastcall-request-id, retry-after"),
            (b"vary", b"Origin"),
        ]
    if origin and _authority(origin) != header.get(b"host", b"").decode("latin-1").lower():
        raise Refusal(403, ErrorKind.PERMISSION, "requests from this origin are refused (listen.corsOrigins)")
    sites = options(header.get(b"sec-fetch-site", b""))
    if b"cross-site" in sites:
        raise Refusal(403, ErrorKind.PERMISSION, "cross-site requests are refused (listen.corsOrigins)")
    if not known and (origin or set(sites) - {b"none"}):
        raise Refusal(403, ErrorKind.PERMISSION, f"a browser sent this: {_NOT_ALLOWED[names]}")
    return []


def is_preflight(method: str, header: dict[bytes, bytes]) -> bool:
    """Whether a request is a browser's question before the real one (Fetch standard, CORS-preflight)."""
    return method == "OPTIONS" and b"access-control-request-method" in header


PREFLIGHT_HEADERS: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
]


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return "?"  # no host is called so


@functools.lru_cache(maxsize=64)
def _is_known(host: bytes, hosts: tuple[str, ...], *, loopback: bool) -> bool:
    """Whether a `Host` names us for certain."""
    if not _HOST.fullmatch(host):
        return False
    try:
        name = (urlsplit(f"//{host.decode('latin-1')}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if is_loopback(name) or (not loopback and is_address(name)):
        return True
    return any(_fits(name, pattern) for pattern in hosts)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is an allowed one; `*.example.com` stands for all names below it, as in certificates."""
    pattern = pattern.lower()
    if pattern == ANY_HOST:
        return True
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern.strip("[]").rstrip(".")
