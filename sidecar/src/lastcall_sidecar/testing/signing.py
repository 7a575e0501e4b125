"""Signatures of the fake's thinking: what it signed it knows again, whatever else somebody sends it refuses. Pure."""

import base64
import hashlib

_SEED_BYTES = 8


def sign(seed: int, text: str) -> str:
    """Sign what was thought; in base64, about as long as a short one of the vendor's."""
    head = seed.to_bytes(_SEED_BYTES, "big")
    return base64.b64encode(head + hashlib.sha256(b"signature" + head + text.encode()).digest() * 4).decode()


def is_signed(text: str, signature: str) -> bool:
    """Tell whether `signature` is one of ours for this very text."""
    try:
        head = base64.b64decode(signature, validate=True)[:_SEED_BYTES]
    except ValueError:
        return False
    return len(head) == _SEED_BYTES and sign(int.from_bytes(head, "big"), text) == signature


#: What a redacted block's data signs.
REDACTED = "redacted"
