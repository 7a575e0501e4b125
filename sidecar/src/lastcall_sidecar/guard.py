"""Against browsers: a page of somebody else's must not use a proxy that trusts its network position.

Both listeners ask here before anything else, except the traffic listener of an Ingress, where every path is the app's
and so is this question.
"""

import functools
import re
from urllib.parse import urlsplit

from .errors import Refusal
from .exchange import Headers
from .settings import is_loopback
from .wire.headers import options
from .wire.protocol import ErrorKind

#: A host and a port, as RFC 9110, 7.2 has them: no user, no path.
_HOST = re.compile(rb"[A-Za-z0-9_.:\[\]-]+")


def check_browser(header: dict[bytes, bytes], *, origins: frozenset[str], loopback: bool) -> Headers:
    """Refuse what a foreign page sent; returns the CORS headers for the answer.

    `origins` are those allowed by configuration; with `loopback` (the listener is bound to it) the `Host` must be a
    loopback name, against DNS that points a foreign name here.

    Errors: Refusal (403).
    """
    if loopback and not _names_loopback(header.get(b"host", b"")):
        raise Refusal(403, ErrorKind.PERMISSION, "this listener is bound to loopback; the Host must be a loopback name")
    origin = header.get(b"origin", b"").decode("latin-1")
    if origin and origin in origins:
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"request-id, x-request-id, x-lastcall-request-id, retry-after"),
            (b"vary", b"Origin"),
        ]
    if origin and _authority(origin) != header.get(b"host", b"").decode("latin-1").lower():
        raise Refusal(403, ErrorKind.PERMISSION, "requests from this origin are refused (listen.corsOrigins)")
    if b"cross-site" in options(header.get(b"sec-fetch-site", b"")):
        raise Refusal(403, ErrorKind.PERMISSION, "cross-site requests are refused (listen.corsOrigins)")
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
def _names_loopback(host: bytes) -> bool:
    if not _HOST.fullmatch(host):
        return False
    try:
        return is_loopback(urlsplit(f"//{host.decode('latin-1')}").hostname or "")
    except ValueError:
        return False
