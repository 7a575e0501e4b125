"""Ids of requests: ours, always, since a client's own may be missing, forged or shared."""

import secrets

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 24


def new_request_id() -> str:
    """`req_` and 24 base62 digits: 142 bits, so that no two are ever the same."""
    return "req_" + "".join(ALPHABET[byte % 62] for byte in secrets.token_bytes(LENGTH))
