"""What a request's head must be to be served, and what of it goes upstream. Sync: it decides, `pipeline.py` acts."""

from dataclasses import dataclass

from .auth import Caller, authenticate
from .bodies import too_large
from .destinations import Destination, Way
from .errors import Refusal
from .exchange import Exchange, Headers
from .settings import Mode, Provider, Secrets
from .wire.forwarded import OF_THE_WAY, PRIVATE, told
from .wire.headers import options, request_headers
from .wire.protocol import ErrorKind

#: Always replaced by what we know better.
_OURS = frozenset({b"host", b"content-length"})
_CREDENTIALS = frozenset({b"x-api-key", b"authorization"})
#: Headers that mean something to one vendor only.
_VENDORS_OWN = (b"anthropic-", b"openai-")
#: Headers of a request that say something of its body, of parts of its answer, or of a version that is known already.
_OF_THE_BODY = _OURS | {
    b"accept-encoding",
    b"content-encoding",
    b"content-type",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"range",
}
#: What is asked for where the caller speaks the other protocol.
ANTHROPIC_VERSION = b"2023-06-01"


def admit(exchange: Exchange, secrets: Secrets) -> Caller:
    """Check what can be checked before a byte of the body is read; returns who calls.

    Errors: Refusal.
    """
    if exchange.settings.mode is Mode.INGRESS:
        return authenticate(exchange.header, secrets.api_keys)
    caller = authenticate(exchange.header, secrets.api_keys)
    if exchange.route.understood:
        if any(coding != b"identity" for coding in options(exchange.header.get(b"content-encoding", b""))):
            raise Refusal(415, ErrorKind.UNSUPPORTED_MEDIA, "Content-Encoding is not accepted on a request's body here")
        limit = exchange.settings.limits.max_body_bytes
        if int(exchange.header.get(b"content-length", b"0")) > limit:
            raise too_large(limit)
    return caller


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The head that goes upstream."""

    method: str
    #: Byte for byte as it came, behind the upstream's own prefix; a version in that replaces ours.
    target: bytes
    #: In the client's order.
    headers: Headers
    #: Whether the answer may be another protocol's.
    upgrade: bool = False


def outgoing(exchange: Exchange, target: bytes, caller: Caller, way: Way, *, length: int | None) -> Outgoing:
    """Make the head for the upstream; `length` is the body's where we hold it."""
    destination = way.destination
    if way.translation is not None:
        target = way.translation.upstream_path.encode("ascii")
    ingress = exchange.settings.mode is Mode.INGRESS
    drop = _OURS | caller.key_headers | (OF_THE_WAY if ingress else PRIVATE)
    if destination.api_key is not None:
        drop |= _CREDENTIALS
    # What we read, or put something into, must not be encoded.
    identity = exchange.wants_stream or way.translation is not None or way.demoted
    if identity:
        drop |= {b"accept-encoding"}
    headers = request_headers(exchange.headers, keep_cookies=ingress, drop=drop)
    headers.insert(0, (b"host", exchange.header.get(b"host", b"") if ingress else destination.authority))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    elif b"content-length" in exchange.header:
        headers.append((b"content-length", exchange.header[b"content-length"]))
    if identity:
        headers.append((b"accept-encoding", b"identity"))
    if destination.api_key is not None:
        headers.append(_credential(destination.provider, destination.api_key.encode()))
    if way.translation is not None:
        headers = foreign(headers, destination.provider)
    if ingress:
        headers += _for_the_app(exchange)
    return Outgoing(exchange.scope["method"], destination.target(target), headers, upgrade=bool(exchange.upgrade))


def _for_the_app(exchange: Exchange) -> Headers:
    """What the app of an Ingress is told of its client, and the protocols to which that would change."""
    peer = exchange.scope["client"]
    made = told(exchange.header, peer[0] if peer else "", exchange.settings.listen.trusted_proxies)
    if exchange.upgrade:
        made += [(b"connection", b"Upgrade"), (b"upgrade", exchange.upgrade)]
    return made


def own_request(
    exchange: Exchange, target: bytes, caller: Caller, destination: Destination, *, method: str
) -> Outgoing:
    """Make the head of a question of our own on behalf of a request: with its headers, but for what is of its body.

    Nobody chose the upstream by asking for a model: to another vendor's than the caller's, beside the main one, no
    credential of the caller's goes.
    """
    drop = _OF_THE_BODY | PRIVATE | caller.key_headers
    is_foreign = exchange.route.protocol.name != destination.protocol
    if destination.api_key is not None or (destination.name and is_foreign and exchange.model is None):
        drop |= _CREDENTIALS
    headers = request_headers(exchange.headers, keep_cookies=False, drop=drop)
    headers[:0] = [(b"host", destination.authority), (b"accept-encoding", b"identity")]
    if method == "POST":
        headers.append((b"content-type", b"application/json"))
    if destination.api_key is not None:
        headers.append(_credential(destination.provider, destination.api_key.encode()))
    if is_foreign:
        headers = foreign(headers, destination.provider)
    return Outgoing(method, destination.target(target), headers)


def foreign(headers: Headers, provider: Provider) -> Headers:
    """The headers of one vendor's client as the other vendor's API has them."""
    kept, key = [], None
    for name, value in headers:
        lower = name.lower()
        if lower in _CREDENTIALS:
            key = value if lower == b"x-api-key" else _bearer(value) or key
        elif not lower.startswith(_VENDORS_OWN):
            kept.append((name, value))
    if key:
        kept.append(_credential(provider, key))
    if provider is Provider.ANTHROPIC:
        kept.append((b"anthropic-version", ANTHROPIC_VERSION))
    return kept


def _bearer(value: bytes) -> bytes:
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _credential(provider: Provider, key: bytes) -> tuple[bytes, bytes]:
    return (b"x-api-key", key) if provider is Provider.ANTHROPIC else (b"authorization", b"Bearer " + key)
