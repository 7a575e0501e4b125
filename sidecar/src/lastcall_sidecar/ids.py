"""Ids of requests: ours, always, since a client's own may be missing, forged or shared."""

import secrets

#: Which digit a random byte becomes; four of the 256 values more for some, which 142 bits can spare.
_DIGITS = bytes(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[byte % 62] for byte in range(256))
LENGTH = 24


def new_request_id() -> str:
    """`req_` and 24 base62 digits: 142 bits, so that no two are ever the same."""
    return "req_" + secrets.token_bytes(LENGTH).translate(_DIGITS).decode("ascii")
