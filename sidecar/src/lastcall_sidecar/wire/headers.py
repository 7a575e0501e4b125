"""Which headers go on, and which client text may be repeated.

Called by the pipeline, with headers as the server and the upstream's client have them: raw pairs, in order.
"""

import re
from collections.abc import Sequence

Headers = list[tuple[bytes, bytes]]

#: RFC 9110, 7.6.1, and those that older agents treat so: they are about one connection, not about the message.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: `Expect` is answered by us; `baggage` is the caller's, and none of a remote upstream's business.
_REQUEST_ONLY = _HOP_BY_HOP | {b"expect", b"baggage"}

#: What we say of a request ourselves. What others say under these names is not ours, and would be taken for it.
OUR_PREFIX = b"x-lastcall-"

_SANE = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")


def request_headers(
    raw: Sequence[tuple[bytes, bytes]], *, keep_cookies: bool, drop: frozenset[bytes] = frozenset()
) -> Headers:
    """Return the headers that go upstream: order, case and duplicates as they came.

    Left out are hop-by-hop headers, those that `Connection` names, `Expect`, `baggage`, `x-lastcall-…`, `Cookie` unless
    `keep_cookies`, and `drop` (lower case).
    """
    return _without(raw, _REQUEST_ONLY, b"" if keep_cookies else b"cookie", drop)


def response_headers(
    raw: Sequence[tuple[bytes, bytes]], *, keep_cookies: bool, drop: frozenset[bytes] = frozenset()
) -> Headers:
    """Return the headers that go to the client: likewise, with `Set-Cookie` for `Cookie`."""
    return _without(raw, _HOP_BY_HOP, b"" if keep_cookies else b"set-cookie", drop)


def _without(
    raw: Sequence[tuple[bytes, bytes]], hop_by_hop: frozenset[bytes], cookie: bytes, drop: frozenset[bytes]
) -> Headers:
    lower = [(name.lower(), (name, value)) for name, value in raw]
    named = {option.strip().lower() for name, pair in lower if name == b"connection" for option in pair[1].split(b",")}
    return [
        pair
        for name, pair in lower
        if name not in hop_by_hop
        and name != cookie
        and name not in drop
        and name not in named
        and not name.startswith(OUR_PREFIX)
    ]


def joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by lower-case name, several of one name as the list that they are (RFC 9110, 5.3).

    Whoever judges a header judges this: of two lines the first reader may take the one, and the next reader the other.
    """
    found: dict[bytes, bytes] = {}
    for name, value in raw:
        key = name.lower()
        found[key] = found[key] + b", " + value if key in found else value
    return found


def options(value: bytes) -> list[bytes]:
    """Return the members of a list in lower case, without the blanks around them; empty ones are none."""
    if not value:
        return []
    return [option for part in value.lower().split(b",") if (option := part.strip(b" \t"))]


def echoable(value: bytes) -> str | None:
    """Return `value` as text if our own headers and logs may repeat it: 1 to 128 characters, none of them odd."""
    return value.decode("ascii") if _SANE.fullmatch(value) else None
