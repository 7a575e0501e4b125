"""Request targets: what a client asked for, byte for byte, unless it could be read in two ways.

Called by the pipeline for every request, before anything is routed by path. We forward what we did not rewrite, so what
an upstream may resolve differently from us (dot segments, in any encoding) is refused rather than repaired.
"""

import re
from dataclasses import dataclass

#: RFC 3986: a target is visible ASCII, and a fragment never travels.
_VISIBLE = re.compile(rb'[!"$-~]+')
_ABSOLUTE = re.compile(rb"(https?://)([^/?]*)(.*)", re.IGNORECASE)
_ESCAPED_SEPARATOR = re.compile(rb"%2f|%5c|\\", re.IGNORECASE)
_ESCAPED_DOT = re.compile(rb"%2e", re.IGNORECASE)
#: Some servers take the parameters off a segment before they resolve it.
_DOT_SEGMENT = re.compile(rb"(?:^|/)\.\.?(?:;[^/]*)?(?:/|$)")

_NAME = re.compile(rb"[A-Za-z0-9_.\[\]-]{1,64}")
_MASK = "***"
_MAX_SHOWN = 16


class TargetError(ValueError):
    """A request target that we do not take; the message is for the client and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A request target that means one thing only."""

    #: Raw: percent-encoded as it came. Begins with a slash.
    path: str
    #: What stands behind the first `?`; empty for a `?` at the end, None without one.
    query: bytes | None
    #: `http://host:port` of an absolute-form target.
    origin: bytes | None = None

    @property
    def raw(self) -> bytes:
        """Path and query, byte for byte, as they go upstream."""
        path = self.path.encode("ascii")
        return path if self.query is None else path + b"?" + self.query


def parse(target: bytes) -> Target:
    """Read a request target in origin form or absolute form (RFC 9112, 3.2); TargetError on any other, or a bad one."""
    if not _VISIBLE.fullmatch(target):
        raise TargetError("the request target must be visible ASCII without a fragment")
    origin = None
    if not target.startswith(b"/"):
        origin, target = _split_origin(target)
    path, mark, query = target.partition(b"?")
    if (b"." in path or b"%" in path) and _has_dot_segment(path):
        raise TargetError("the path must not contain dot segments, encoded or not")
    return Target(path.decode("ascii"), query if mark else None, origin)


def _split_origin(target: bytes) -> tuple[bytes, bytes]:
    absolute = _ABSOLUTE.fullmatch(target)
    if not absolute:
        raise TargetError("the request target must be a path or an http URL")
    scheme, authority, rest = absolute.groups()
    if not authority or b"@" in authority:
        raise TargetError("the request target's URL must name a host, and no user")
    return scheme + authority, rest if rest.startswith(b"/") else b"/" + rest


def _has_dot_segment(path: bytes) -> bool:
    dots = _ESCAPED_DOT.sub(b".", _ESCAPED_SEPARATOR.sub(b"/", path))
    return _DOT_SEGMENT.search(dots) is not None


def mask_query(query: bytes) -> str:
    """Return the names in a query with their values masked: what may be logged of it."""
    parts = query.split(b"&", _MAX_SHOWN)
    shown = "&".join(_masked(part) for part in parts[:_MAX_SHOWN])
    return f"{shown}&…" if len(parts) > _MAX_SHOWN else shown


def _masked(part: bytes) -> str:
    name, mark, _ = part.partition(b"=")
    if mark and _NAME.fullmatch(name):
        return f"{name.decode('ascii')}={_MASK}"
    return _MASK if part else ""
