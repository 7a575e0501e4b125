"""The key that signs leased drains: an Ed25519 pair in a Secret of our own, made by whoever first needs it.

Sidecars hold the public half alone and accept a token only for their own pod's UID, for a minute.
"""

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass, field

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from lastcall_operator.api import names
from lastcall_operator.errors import ConflictError, LastcallError

from .api import Api, Object
from .resources import SECRETS

#: Seconds that a token is good for: the sidecar refuses older ones whatever they say.
TOKEN_SECONDS = 60
#: Seconds for which a key that was read is used without looking again: an administrator may replace the Secret.
FRESH_SECONDS = 60.0


class KeyUnusableError(LastcallError):
    """The Secret is there, but holds no Ed25519 key of ours."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key. The private half is in no `repr`."""

    private_pem: str = field(repr=False)
    public_pem: str

    def token(self, pod_uid: str, now: float) -> str:
        """A token for one pod's sidecar; `now` in seconds since the epoch."""
        issued = int(now)
        claims = {"aud": pod_uid, "iat": issued, "exp": issued + TOKEN_SECONDS, "iss": "lastcall"}
        return jwt.encode(claims, self.private_pem, algorithm="EdDSA")


def make_pair() -> KeyPair:
    """A new key."""
    key = Ed25519PrivateKey.generate()
    return _pair(key)


def read_pair(secret: Object) -> KeyPair:
    """The key of a Secret; the public half follows from the private one.

    Errors: KeyUnusableError.
    """
    name = secret["metadata"]["name"]
    try:
        pem = base64.b64decode((secret.get("data") or {})[names.DRAIN_KEY_PRIVATE], validate=True)
        key = load_pem_private_key(pem, password=None)
    except (KeyError, ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        raise KeyUnusableError(f"Secret {name}: {names.DRAIN_KEY_PRIVATE} is no private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusableError(f"Secret {name}: {names.DRAIN_KEY_PRIVATE} is no Ed25519 key")
    return _pair(key)


class DrainKey:
    """The key as the cluster has it: read when needed, made when it is not there."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api, self._namespace, self._name = api, namespace, name
        self._held: tuple[KeyPair, float] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def pair(self) -> KeyPair:
        """The key.

        Errors: ApiError, KeyUnusableError.
        """
        async with self._one_at_a_time:
            now = time.monotonic()
            if self._held is None or now - self._held[1] > FRESH_SECONDS:
                self._held = (await self._load(), now)
            return self._held[0]

    async def headers(self, pod_uid: str) -> dict[str, str]:
        """What a sidecar wants to see with a leased drain.

        Errors: as `pair`.
        """
        pair = await self.pair()
        return {"Authorization": f"Bearer {pair.token(pod_uid, time.time())}"}

    def forget(self) -> None:
        """Read it again next time: a sidecar did not know it."""
        self._held = None

    async def _load(self) -> KeyPair:
        found = await self._api.find(SECRETS, self._namespace, self._name)
        if found is None:
            try:
                found = await self._api.create(SECRETS, self._namespace, _secret(self._name, make_pair()))
            except ConflictError:  # another process was first, and its key is the one
                found = await self._api.get(SECRETS, self._namespace, self._name)
        return read_pair(found)


def _pair(key: Ed25519PrivateKey) -> KeyPair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), public.decode())


def _secret(name: str, pair: KeyPair) -> Object:
    values = {names.DRAIN_KEY_PRIVATE: pair.private_pem, names.DRAIN_KEY_PUBLIC: pair.public_pem}
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "lastcall"}},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
