"""Whether a conversation may have parts of other vendors' models that Anthropic's API refuses: a look at its bytes.

Called by `body.py` for every body. Nothing is parsed, and `find` is many times faster than an expression is: an
ordinary body of 1 MiB takes a millisecond. What it finds is looked at by `mending.py`, which decides.
"""

import mmap
import re
from collections.abc import Iterator

from lastcall_sidecar.wire.carried import ID_PREFIX, NAME

#: Of each kind of bytes that is looked for, so many are looked at: 2 ms. A conversation of more calls than this does
#: not fit into any model, and is left to the API as it is.
MAX_LOOKS = 2000

_OURS = re.compile(f'"(?:{re.escape(NAME)}|{re.escape(ID_PREFIX)})'.encode())
_THINKING = b'"thinking"'
#: As a value, and not as the name of one.
_IS_TYPE = re.compile(_THINKING + rb"[ \t\r\n]*+[^ \t\r\n:]")
_SIGNATURE = b'"signature"'
_UNSIGNED = re.compile(_SIGNATURE + rb'[ \t\r\n]*+:[ \t\r\n]*+(?:""|null)')
#: Each call that counts has a result, so that these are all ids.
_RESULT = b'"tool_use_id"'
_ID = re.compile(_RESULT + rb'[ \t\r\n]*+:[ \t\r\n]*+"([^"]{0,512})"')
_ALLOWED = re.compile(rb"[a-zA-Z0-9_-]+")


def may_need_mending(body: bytes | mmap.mmap) -> bool:
    """Whether a body has bytes as they stand where Anthropic did not think, or where an id is refused."""
    if body.find(b"lastcall") >= 0 and _OURS.search(body):
        return True
    if body.find(_THINKING) < 0 and body.find(_RESULT) < 0:
        return False
    thinking = sum(_IS_TYPE.match(body, place) is not None for place in _places(body, _THINKING))
    if thinking:
        signatures = [_UNSIGNED.match(body, place) for place in _places(body, _SIGNATURE)]
        if any(signatures) or thinking > len(signatures):
            return True
    ids = [found[1] for place in _places(body, _RESULT) if (found := _ID.match(body, place))]
    return len(set(ids)) < len(ids) or not all(map(_ALLOWED.fullmatch, ids))


def _places(body: bytes | mmap.mmap, wanted: bytes) -> Iterator[int]:
    """Where these bytes stand, as far as is looked."""
    place = -1
    for _ in range(MAX_LOOKS):
        place = body.find(wanted, place + 1)
        if place < 0:
            return
        yield place
