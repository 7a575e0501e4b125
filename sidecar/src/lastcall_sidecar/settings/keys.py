"""Secrets: the upstream's key, the keys of clients, the admin token. Never in a message, a log or a `repr`.

From files that the settings name, or from the environment. Pure, given the text.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: What a header can carry: visible ASCII.
_VISIBLE = re.compile(r"[\x21-\x7e]{1,4096}")
#: `name: key` needs the blank and `name=key` a key that does not begin with `=`: keys may hold either character, and
#: base64 ends in `=`.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})(?::\s+|\s*=\s*(?!=))(\S+)")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that clients may present: whose it is, and the SHA-256 of it."""

    name: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """All secrets in force."""

    upstream_api_key: str | None = field(default=None, repr=False)
    #: By the name of an upstream of `upstreams`.
    upstream_api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_keys: tuple[ApiKey, ...] = ()
    admin_token: str | None = field(default=None, repr=False)


def one_secret(text: str) -> str:
    """The one secret that a file or variable holds, without the blanks around it.

    Errors: ValueError, which never repeats the text.
    """
    secret = text.strip()
    if not secret:
        raise ValueError("is empty")
    if not _VISIBLE.fullmatch(secret):
        raise ValueError("must be one line of visible ASCII characters")
    return secret


def api_keys(entries: Iterable[str]) -> tuple[tuple[ApiKey, ...], list[str]]:
    """The keys in these entries (a file's lines), and what is wrong with others, by number from 1.

    An entry is a key, `name: key` or `name=key`; blank ones and what follows `#` are passed over.
    """
    keys: dict[bytes, tuple[int, ApiKey]] = {}
    faults: list[str] = []
    for number, entry in enumerate(entries, 1):
        text = re.sub(r"(^|\s)#.*", "", entry.strip()).strip()
        if not text:
            continue
        named = _NAMED.fullmatch(text)
        name, key = named.groups() if named else (f"key-{number}", text)
        if not _VISIBLE.fullmatch(key) or key.endswith(":"):  # a name whose key was left out
            faults.append(f"entry {number} is no key: visible ASCII characters without blanks, or NAME: KEY")
            continue
        digest = hashlib.sha256(key.encode("ascii")).digest()
        if digest in keys:
            faults.append(f"entry {number} has the same key as entry {keys[digest][0]}")
            continue
        keys[digest] = (number, ApiKey(name, digest))
    if not keys and not faults:
        faults.append("holds no key")
    return tuple(key for _, key in keys.values()), faults
