"""The arguments of a tool call: JSON in a string there, which may be cut short or be none at all; an object here.

A stream passes on what begins an object, up to that object's end, as it comes. What of a cut one counts is the client's
own reading of it: its SDK keeps what was complete (`jiter` in partial mode). A whole answer has that done here.
Arguments count as cut only where the answer says that it was: else what does not end, or is no object, is the
upstream's failure.
"""

import contextlib
import hashlib
import re
from collections.abc import Mapping

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import mended
from lastcall_sidecar.wire.translation import TranslationError

#: Deeper ones are cut: the SDK's parser takes no more.
MAX_DEPTH = 200

_NO_JSON = "the upstream sent arguments of a call that are no JSON"

_SPACE = " \t\r\n"
#: Behind all that an object tells, these lose nothing.
_CLOSING = _SPACE + ",]}"
_EMPTY_OBJECTS = re.compile(r"\A(?:\{[ \t\r\n]*+\}[ \t\r\n]*+)++")
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


class Arguments:
    """The arguments of one call: an object, though it may come encoded twice, behind an empty one, or more than once.

    `{}` is held back: some send it as the begin of every call, and then the arguments. What goes on as it comes is
    looked at as a whole once it has ended: clients keep of bad JSON what they can read, and call a tool with that.
    """

    __slots__ = ("_behind", "_held", "_is_checked", "_object", "_odd", "_parts", "digest", "given", "is_empty")

    def __init__(self, *, is_checked: bool = True) -> None:
        self._is_checked = is_checked
        self._begin()
        #: Something came.
        self.given = False
        #: What is no object so far, in parts.
        self._odd: list[str] = []
        #: What came behind the object.
        self._behind: list[str] = []

    def _begin(self) -> None:
        self._object = ArgumentStream()
        #: What has been told of the object while it goes on, and what all of it is known by from then on.
        self._parts: list[str] = []
        self.digest = b""
        #: The object's bracket waits for its first member.
        self._held = False
        #: An object without members has ended.
        self.is_empty = False

    def _begin_behind(self, part: str) -> str:
        """Begin anew behind all that is empty; returns the rest. It is cut off at once: the rest may be long."""
        part = _EMPTY_OBJECTS.sub("", part, count=1)
        if part.startswith("{"):
            self._begin()
        return part

    @property
    def ended(self) -> bool:
        """The object has ended."""
        return self._object.complete

    def are(self, text: str) -> bool:
        """Whether that is the object, told once more."""
        return self.ended and _digest(text.strip(_SPACE)) == self.digest

    def repeat(self, other: "Arguments") -> bool:
        """Whether both have ended, and are one object told twice."""
        return self.ended and other.ended and self.digest == other.digest

    def take(self, part: str) -> str:
        """Return what of the next part belongs to the object, as soon as that has a member.

        Errors: TranslationError for an object that is no JSON.
        """
        if self._odd:
            self._odd.append(part)
            return ""
        if not self.given or (self.is_empty and not self._behind):
            part = part.lstrip(_SPACE)
        if not part:
            return ""
        if not self.given and not part.startswith("{"):
            self._odd.append(part)
        self.given = True
        if self._odd:
            return ""
        found = ""
        while part:
            if self.is_empty and part.startswith("{"):
                part = self._begin_behind(part)
            if self.ended:
                if part and not self.are(part):
                    self._behind.append(part)
                break
            taken = self._object.take(part)
            found += self._write(taken)
            part = part[len(taken) :].lstrip(_SPACE)
        return found

    def _write(self, taken: str) -> str:
        if not self._parts:
            taken = "{" + taken if self._held else taken
            self._held = taken[1:].lstrip(_SPACE) in {"", "}"}
            self.is_empty = self._held and self.ended
            if self._held:
                return ""
        self._parts.append(taken)
        if self.ended:
            text = "".join(self._parts)
            self.digest = _digest(text)
            self._parts = [""]
            if (
                self._is_checked
                and _valid(text) is None
                and _complete(mended(text.encode()).decode())[1].strip(_CLOSING)
            ):
                raise TranslationError(_NO_JSON)
        return taken

    def end(self, *, is_cut: bool) -> str:
        """Return what is still to be told of the object, now that nothing more comes.

        Errors: TranslationError, unless it `is_cut`: by a limit, say, and the client is told so.
        """
        if self._odd:
            return _decoded("".join(self._odd), is_cut=is_cut)
        if self.given and not self.ended and not is_cut:
            raise TranslationError("the upstream ended its answer within a call's arguments")
        behind = "".join(self._behind).strip(_SPACE)
        if behind.startswith("{") and not (is_cut or self.are(behind)):
            raise TranslationError("the upstream sent arguments of which it is not clear whose they are")
        return ""


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _decoded(text: str, *, is_cut: bool) -> str:
    """The object that is JSON in a text, and that in a text again; nothing for what means none."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        while (text := text.strip(_SPACE)).startswith('"'):
            text = msgspec.json.decode(mended(text.encode()), type=str)
        if text in {"", "null", "[]"}:
            return ""
        if _valid(text) is not None:
            return text
    if is_cut:
        return ""
    raise TranslationError("the upstream sent arguments of a call that are no object")


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


def whole(text: str, *, is_cut: bool) -> bytes:
    """Return the arguments' JSON object, with each digit as it came; of one that `is_cut`, what is complete of it.

    Errors: TranslationError where something would be lost.
    """
    arguments = Arguments(is_checked=False)
    text = arguments.take(text) + arguments.end(is_cut=is_cut) or "{}"
    found = _valid(text)
    if found is None:
        made, rest = _complete(mended(text.encode()).decode())
        if rest.strip(_CLOSING) and not is_cut:
            raise TranslationError(_NO_JSON)
        found = made.encode()
    return found


def _valid(text: str) -> bytes | None:
    """The object that is JSON; None where there is none."""
    data = text.encode()
    for tried in (data, mended(data)):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            msgspec.json.decode(tried, type=dict[str, msgspec.Raw])
            return tried
    return None


def _complete(text: str) -> tuple[str, str]:
    """What a text that begins as an object tells completely, as an object, and the rest."""
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
    return text[:best] + closing, text[best:]
