"""What a body costs: the time to translate it, and the memory, from counts that are cheap.

Called by `bodies.py`, which does where it is what takes little time, and has the rest done by a child. Counts and not
bytes decide: a megabyte of one text is translated in 5 ms, a megabyte of messages of one letter in half a second. The
coefficients were measured with the worst body of each shape on one idle core of a server of 2024, and rounded up.
"""

import re
from dataclasses import dataclass

import msgspec

#: A body with more objects than this, or more commas, takes too long in any case, and the look at it would, too.
MAX_OBJECTS = 2500
MAX_COMMAS = 20_000
#: So much is looked at before it is asked whether it is enough.
_WINDOW_BYTES = 64 * 1024

#: An object, and as a rule not the brace of a program in a string: behind that comes a backslash or a letter.
_OBJECT = re.compile(rb'\{[ \t\r\n]*+["}]')
#: A letter that is written as an escape: no client does so, and no key could be looked for.
_ESCAPED_LETTER = re.compile(rb"\\u00[67]")
_ESCAPED_CLASS = re.compile(rb"\\\\[pP]\{")
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_MARKS = (b"{", b"[", b",")

#: Below this no body takes longer than a millisecond, whatever is in it.
_SMALL_BYTES = 1024
#: Seconds for a byte of a long text, for one where there are characters of more than one, and for an escape.
_BYTE = 8e-9
_WIDE_BYTE = 16e-9
_ESCAPE = 40e-9
#: For one that is only scanned, at worst.
_SCANNED_BYTE = 10e-9
#: For a message, for any other object among the messages (a block, a call, a source), and for a tool.
_MESSAGE = 20e-6
_OBJECT_OF_A_MESSAGE = 10e-6
_TOOL = 8e-6
#: For an object in the schema of a tool: it goes on as it came, unless it must be strict.
_OBJECT_OF_A_TOOL = 0.5e-6
_OBJECT_OF_A_STRICT_TOOL = 6e-6
#: For a value that is built to be looked at, as those of unknown fields are.
_VALUE = 0.6e-6
#: For a token of a call's arguments that are not whole, and for an escape where halves of surrogate pairs are mended.
_MENDED = 4.5e-6

#: Bytes of memory for one of the body: its strings, what is made of them, and the file of that. Where a string has
#: other characters than ASCII's it takes up to four bytes for each.
_COPIES = 5
_WIDE_COPIES = 14
#: For an object, and for a value of a list.
_OBJECT_BYTES = 1000
_VALUE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Weight:
    """What a child needs for a body, at most."""

    seconds: float = 0.0
    #: Where all of the body is ASCII, and where it is not: a text is as wide as its widest character.
    narrow_bytes: int = 0
    wide_bytes: int = 0
    is_wide: bool = False

    @property
    def memory_bytes(self) -> int:
        """The memory that it needs."""
        return self.wide_bytes if self.is_wide else self.narrow_bytes

    def __add__(self, other: "Weight") -> "Weight":
        """Both, one after the other."""
        return Weight(
            self.seconds + other.seconds,
            self.narrow_bytes + other.narrow_bytes,
            self.wide_bytes + other.wide_bytes,
            self.is_wide or other.is_wide,
        )


class _Function(msgspec.Struct):
    arguments: str | None = None


class _Call(msgspec.Struct):
    function: _Function | None = None


class _Message(msgspec.Struct):
    tool_calls: list[_Call] | None = None


def scanning(size: int) -> Weight:
    """Return what the scan of a body takes: next to no memory, because nothing is built."""
    return Weight(size * _SCANNED_BYTE)


def weigh(piece: bytes) -> Weight:
    """Return what the translation of a body takes for this piece of it."""
    objects, values = len(_OBJECT.findall(piece)), piece.count(b",")
    is_wide, built = not piece.isascii(), objects * _OBJECT_BYTES + values * _VALUE_BYTES
    # A picture in base64 is no text, whatever the texts beside it are.
    copies = _WIDE_COPIES if is_wide or b" " in piece else _COPIES
    return Weight(
        objects * _MESSAGE + values * _VALUE + len(piece) * _BYTE,
        _COPIES * len(piece) + built,
        copies * len(piece) + built,
        is_wide,
    )


def request_seconds(body: bytes, message_count: int | None, most: float) -> float:
    """Return how long the translation of a request takes that `body.scan` has accepted; where above `most`, anything.

    `message_count` is the scan's; a large body should not come here.
    """
    if len(body) <= _SMALL_BYTES:
        return 0.0
    if message_count is None or _is_dense(body):
        return float("inf")
    seconds = len(body) * (_BYTE if body.isascii() else _WIDE_BYTE) + message_count * _MESSAGE
    if seconds > most:
        return seconds
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    messages = bytes(fields.pop("messages"))
    seconds += len(_OBJECT.findall(messages)) * _OBJECT_OF_A_MESSAGE + messages.count(b"\\") * _ESCAPE
    seconds += _of_tools(fields.pop("tools", msgspec.Raw(b"null"))) + sum(map(_of_any, map(bytes, fields.values())))
    return seconds if seconds > most else seconds + _of_cut_arguments(messages)


def answer_seconds(body: bytes) -> float:
    """Return how long the translation of an upstream's whole answer takes, whatever is in it."""
    if len(body) <= _SMALL_BYTES:
        return 0.0
    if _is_dense(body):
        return float("inf")
    seconds = sum(map(body.count, _MARKS)) * _MENDED + len(body) * _BYTE
    if _HALF_PAIR.search(body) or not _is_utf8(body):
        seconds += body.count(b"\\") * _MENDED
    return seconds + len(_OBJECT.findall(body)) * _MESSAGE


def _is_dense(body: bytes) -> bool:
    objects = commas = 0
    for begin in range(0, len(body), _WINDOW_BYTES):
        end = begin + _WINDOW_BYTES
        objects += len(_OBJECT.findall(body, begin, end))
        commas += body.count(b",", begin, end)
        if objects > MAX_OBJECTS or commas > MAX_COMMAS:
            return True
    return False


def _of_tools(raw: msgspec.Raw) -> float:
    tools = bytes(raw)
    try:
        count = len(msgspec.json.decode(tools, type=list[msgspec.Raw]))
    except msgspec.ValidationError:  # which the translation will refuse
        return _of_any(tools)
    each = _OBJECT_OF_A_STRICT_TOOL if b'"strict"' in tools else _OBJECT_OF_A_TOOL
    seconds = count * _TOOL + len(_OBJECT.findall(tools)) * each
    return seconds + (_of_any(tools) if _ESCAPED_CLASS.search(tools) or _ESCAPED_LETTER.search(tools) else 0.0)


def _of_any(raw: bytes) -> float:
    return len(_OBJECT.findall(raw)) * _OBJECT_OF_A_MESSAGE + sum(map(raw.count, _MARKS)) * _VALUE


def _of_cut_arguments(messages: bytes) -> float:
    """OpenAI's clients send a call's arguments back as they were, also cut short; those are taken apart by hand."""
    if b'"tool_calls"' not in messages and not _ESCAPED_LETTER.search(messages):
        return 0.0
    try:
        found = msgspec.json.decode(messages, type=list[_Message])
    except msgspec.ValidationError:  # which the translation will refuse, or never looks at
        return sum(map(messages.count, _MARKS)) * _MENDED
    calls = [call for message in found for call in message.tool_calls or ()]
    return sum(_cut_tokens(call.function.arguments or "") for call in calls if call.function) * _MENDED


def _cut_tokens(arguments: str) -> int:
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return sum(map(arguments.count, ("{", "[", ",")))
    return 0


def _is_utf8(body: bytes) -> bool:
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False
