"""What a proxy tells an app of its client: `X-Forwarded-*` and `Forwarded` (RFC 7239).

Called by `intake.py`. What a proxy in front of us says is continued if it is trusted; what anybody else says is thrown
away, because a client can write there what it likes.
"""

import functools
import ipaddress
from collections.abc import Mapping

Headers = list[tuple[bytes, bytes]]

_FOR, _HOST, _PORT, _PROTO = b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"
_FORWARDED = b"forwarded"
#: What says where a request came from. An app gets ours in their place.
OF_THE_WAY = frozenset({_FORWARDED, _FOR, _HOST, _PORT, _PROTO, b"x-real-ip"})
#: The same in the words of balancers and networks in front: none of a remote upstream's business.
PRIVATE = OF_THE_WAY | {
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"fastly-client-ip",
    b"true-client-ip",
    b"via",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-envoy-external-address",
    b"x-forwarded-prefix",
    b"x-forwarded-scheme",
    b"x-forwarded-server",
    b"x-original-forwarded-for",
}


def told(header: Mapping[bytes, bytes], peer: str, trusted: tuple[str, ...]) -> Headers:
    """The headers that tell an app of a request with these headers (by lower-case name) that `peer` sent.

    A trusted proxy that speaks one of both languages is answered in that one: an app that reads the other first would
    take the proxy for the client.
    """
    peer = _plain(peer)
    host = header.get(b"host", b"")
    before = {name: header[name] for name in OF_THE_WAY if name in header} if _is_trusted(peer, trusted) else {}
    made: Headers = []
    if _FORWARDED not in before or before.keys() & {_FOR, _HOST, _PROTO}:
        made.append((_FOR, _behind(before.get(_FOR), (peer or "unknown").encode("ascii"))))
        made.append((_HOST, before.get(_HOST, host)))
        made.append((_PROTO, before.get(_PROTO, b"http")))
    if _FORWARDED in before or not before.keys() & {_FOR, _HOST, _PROTO}:
        made.append((_FORWARDED, _behind(before.get(_FORWARDED), _element(peer, host, first=_FORWARDED not in before))))
    made += [(name, before[name]) for name in (_PORT, b"x-real-ip") if name in before]
    return made


def _behind(before: bytes | None, ours: bytes) -> bytes:
    return before + b", " + ours if before else ours


def _element(peer: str, host: bytes, *, first: bool) -> bytes:
    node = f'"[{peer}]"' if ":" in peer else peer or "unknown"
    made = b"for=" + node.encode("ascii")
    if not first:
        return made
    quoted = host.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return made + (b';host="%b"' % quoted if host else b"") + b";proto=http"


@functools.lru_cache(maxsize=1024)
def _plain(peer: str) -> str:
    """The address without what a listener for both versions of IP adds to one of version 4; empty for none."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@functools.lru_cache(maxsize=1024)
def _is_trusted(peer: str, trusted: tuple[str, ...]) -> bool:
    return bool(peer) and any(ipaddress.ip_address(peer) in ipaddress.ip_network(network) for network in trusted)
