"""What a request's head must be to be served, and what of it goes upstream. Sync: it decides, `pipeline.py` acts."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from .auth import Caller, authenticate
from .bodies import too_large
from .errors import Refusal
from .exchange import Exchange, Headers
from .settings import Mode, Provider, Secrets, Settings
from .wire.headers import request_headers
from .wire.protocol import ErrorKind

#: Always replaced by what we know better.
_OURS = frozenset({b"host", b"content-length"})
_CREDENTIALS = frozenset({b"x-api-key", b"authorization"})


def admit(exchange: Exchange, secrets: Secrets) -> Caller:
    """Check what can be checked before a byte of the body is read; returns who calls.

    Errors: Refusal.
    """
    if exchange.settings.mode is Mode.INGRESS:
        return authenticate(exchange.header, secrets.api_keys)
    caller = authenticate(exchange.header, secrets.api_keys)
    if exchange.route.understood:
        if exchange.header.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise Refusal(415, ErrorKind.UNSUPPORTED_MEDIA, "Content-Encoding is not accepted on a request's body here")
        limit = exchange.settings.limits.max_body_bytes
        if int(exchange.header.get(b"content-length", b"0")) > limit:
            raise too_large(limit)
    return caller


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The head that goes upstream: the target byte for byte, headers in the client's order."""

    target: bytes
    headers: Headers


def outgoing(exchange: Exchange, target: bytes, caller: Caller, secrets: Secrets, *, length: int | None) -> Outgoing:
    """Make the head for the upstream; `length` is the body's where we hold it."""
    settings = exchange.settings
    ingress = settings.mode is Mode.INGRESS
    drop = _OURS | caller.key_headers
    if secrets.upstream_api_key is not None:
        drop |= _CREDENTIALS
    if exchange.wants_stream:
        drop |= {b"accept-encoding"}
    headers = request_headers(exchange.headers, keep_cookies=ingress, drop=drop)
    host = exchange.header.get(b"host", b"") if ingress else _authority(settings)
    headers.insert(0, (b"host", host))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    elif b"content-length" in exchange.header:
        headers.append((b"content-length", exchange.header[b"content-length"]))
    if exchange.wants_stream:
        headers.append((b"accept-encoding", b"identity"))
    if secrets.upstream_api_key is not None:
        headers.append(_credential(settings, secrets.upstream_api_key))
    prefix = urlsplit(settings.upstream.url).path.rstrip("/").encode("ascii")
    return Outgoing(prefix + target, headers)


def _authority(settings: Settings) -> bytes:
    return urlsplit(settings.upstream.url).netloc.encode("ascii")


def _credential(settings: Settings, key: str) -> tuple[bytes, bytes]:
    if settings.upstream.provider is Provider.ANTHROPIC:
        return b"x-api-key", key.encode()
    return b"authorization", b"Bearer " + key.encode()
