"""Drain tokens as the operator makes them, and as an attacker might."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

POD_UID = "0b7c4c46-1f0e-4a53-9c67-6a2d3f1b2c11"


class Signer:
    """An operator's key pair."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        #: For `drain.publicKey`.
        self.public_key = public.decode()

    def token(self, *, age_seconds: float = 0, without: str | None = None, **claims: Any) -> str:
        """A good token, unless the claims given or left out say otherwise."""
        held = {"aud": POD_UID, "iat": int(time.time() - age_seconds), **claims}
        held.pop(without, None)
        return jwt.encode(held, self._private, algorithm="EdDSA")

    def confused_token(self) -> str:
        """Signed with our public key as if it were a shared secret: good for who lets the token name the algorithm."""
        signed = _part({"alg": "HS256", "typ": "JWT"}) + b"." + _part({"aud": POD_UID, "iat": int(time.time())})
        return (signed + b"." + _encoded(hmac.digest(self.public_key.encode(), signed, hashlib.sha256))).decode()

    def unsigned_token(self, algorithm: str = "none") -> str:
        head = {"alg": algorithm, "typ": "JWT"}
        return (_part(head) + b"." + _part({"aud": POD_UID, "iat": int(time.time())}) + b".").decode()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _part(value: dict[str, Any]) -> bytes:
    return _encoded(json.dumps(value).encode())


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
