"""Who calls: API keys on the traffic listener, signed tokens on the operator's drain routes.

A key that matched is ours and goes no further. Comparisons take the same time whether they match or not.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Refusal
from .settings import ApiKey
from .wire.protocol import ErrorKind

#: The oldest token that is accepted, in seconds, and how far its clock may be ahead of ours.
MAX_TOKEN_AGE_SECONDS = 60
CLOCK_SKEW_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever made a request: a fair share of the queue each."""

    name: str
    #: The headers that carried a key of ours; they are never forwarded.
    key_headers: frozenset[bytes] = frozenset()


ANONYMOUS = Caller("")


def authenticate(header: Mapping[bytes, bytes], keys: tuple[ApiKey, ...]) -> Caller:
    """The caller of a request with these headers (names in lower case). Without keys everybody may call.

    Errors: Refusal (401).
    """
    if not keys:
        return ANONYMOUS
    names: list[str] = []
    headers: set[bytes] = set()
    for header_name, presented in _credentials(header):
        digest = hashlib.sha256(presented).digest()
        for key in keys:
            if hmac.compare_digest(digest, key.digest):
                names.append(key.name)
                headers.add(header_name)
    if names:
        return Caller(names[0], frozenset(headers))
    raise Refusal(401, ErrorKind.AUTHENTICATION, "invalid or missing API key (x-api-key or Authorization: Bearer)")


def _credentials(header: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    found = []
    if b"x-api-key" in header:
        found.append((b"x-api-key", header[b"x-api-key"]))
    scheme, _, token = header.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        found.append((b"authorization", token.strip()))
    return found


class TokenError(Exception):
    """A drain token that is not good, and why."""


def check_drain_token(authorization: str, *, public_key: str, pod_uid: str, now: float | None = None) -> dict[str, Any]:
    """The claims of the operator's token: a JWT (EdDSA) for this pod, at most 60 s old.

    Errors: TokenError.
    """
    import jwt  # noqa: PLC0415 - with its cryptography it takes 10 MB, which only a pod with an operator needs

    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenError("a bearer token is required")
    now = time.time() if now is None else now
    try:
        claims: dict[str, Any] = jwt.decode(
            token.strip(),
            public_key,
            algorithms=["EdDSA"],
            audience=pod_uid,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["aud", "iat"]},
        )
    except jwt.InvalidTokenError as error:
        raise TokenError(str(error)) from error
    age = now - float(claims["iat"])
    if not -CLOCK_SKEW_SECONDS <= age <= MAX_TOKEN_AGE_SECONDS + CLOCK_SKEW_SECONDS:
        raise TokenError(f"the token is {age:.0f} s old; at most {MAX_TOKEN_AGE_SECONDS} s are accepted")
    return claims
