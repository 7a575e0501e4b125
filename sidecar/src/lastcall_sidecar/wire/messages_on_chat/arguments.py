"""The arguments of a tool call: JSON in a string there, which may be cut short or be none at all; an object here.

A stream passes on what begins an object, up to that object's end, as it comes. What of a cut one counts is the client's
own reading of it: its SDK keeps what was complete (`jiter` in partial mode). A whole answer has that done here.
"""

import contextlib
import re
from collections.abc import Mapping

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import mended

#: Deeper ones are cut: the SDK's parser takes no more.
MAX_DEPTH = 200

_SPACE = " \t\r\n"
_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')

_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:"
    r"(?P<mark>[{}\[\]:,])"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
    r"|(?P<plain>true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+(?=[ \t\r\n,}\]]|\Z))"
    r")"
)


class ArgumentStream:
    """The arguments of one call as they come in parts."""

    __slots__ = ("_depth", "_escaped", "_in_string", "complete")

    def __init__(self) -> None:
        #: The object has ended, or what came is none: nothing that follows counts.
        self.complete = False
        self._depth = 0
        self._in_string = False
        #: The last part ended within an escape.
        self._escaped = False

    def take(self, part: str) -> str:
        """Return what of the next part belongs to the object."""
        if not self._depth:
            part = part.lstrip(_SPACE)
            self.complete = self.complete or (part != "" and not part.startswith("{"))
        return "" if self.complete else part[: self._end(part)]

    def _end(self, part: str) -> int:
        """Where the object ends in this part, or the part does."""
        position = 0
        if self._escaped and part:
            self._escaped, position = False, 1
        while special := (_IN_STRING if self._in_string else _OUTSIDE).search(part, position):
            position = special.end()
            if special[0] == '"':
                self._in_string = not self._in_string
            elif special[0] == "\\":
                self._escaped = position == len(part)
                position += 1
            else:
                self._depth += 1 if special[0] in "{[" else -1
                if not self._depth:
                    self.complete = True
                    return position
        return len(part)


#: What may come next, by what is expected, and what is expected then. `open` and `close` look at the brackets.
_AFTER: Mapping[str, Mapping[str, str]] = {
    "first key": {"string": "colon", "}": "close"},
    "key": {"string": "colon"},
    "colon": {":": "value"},
    "value": {"{": "open", "[": "open", "string": "next", "plain": "next"},
    "first item": {"{": "open", "[": "open", "string": "next", "plain": "next", "]": "close"},
    "next member": {",": "key", "}": "close"},
    "next item": {",": "value", "]": "close"},
}
#: With these expected, closing all brackets makes a whole object.
_CLOSABLE = frozenset({"first key", "first item", "next member", "next item"})
_OPENED = {"{": ("}", "first key"), "[": ("]", "first item")}


def whole(text: str) -> bytes:
    """Return the arguments' JSON object, with each digit as it came; of one that is cut, what is complete of it."""
    data = text.strip(_SPACE).encode()
    for tried in (data, mended(data)):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            msgspec.json.decode(tried, type=dict[str, msgspec.Raw])
            return tried
    return _complete(mended(data).decode()).encode()


def _complete(text: str) -> str:
    """What a text that should be an object tells completely, as an object."""
    if not text.startswith("{"):
        return "{}"
    expected, closers, position = "value", "", 0
    best, closing = 0, "{}"
    while token := _TOKEN.match(text, position):
        kind = token["mark"] or str(token.lastgroup)
        found = _AFTER[expected].get(kind)
        if found is None or len(closers) == MAX_DEPTH:
            break
        position = token.end()
        if found == "open":
            closer, expected = _OPENED[kind]
            closers = closer + closers
        else:
            closers = closers[1:] if found == "close" else closers
            expected = found if found in _AFTER else "next member" if closers.startswith("}") else "next item"
        if expected in _CLOSABLE:
            best, closing = position, closers
        if not closers:
            break
    return text[:best] + closing
