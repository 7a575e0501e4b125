"""A look at the top level of a request's body: what the pipeline must know of it, and whether it can be trusted.

Called by the pipeline for routes whose body is understood; in a child process for large ones. The body itself goes
upstream as the bytes that came in. Values below the top level are checked to be JSON, but never built: 64 MiB take
about 0.15 s and next to no memory.

What two JSON parsers read differently is refused (RFC 8259, 4 and 8.1): other encodings, NaN, and `stream`, `model` or
`messages` twice.
"""

import codecs
import json
import mmap
import re
from dataclasses import dataclass

import msgspec

from lastcall_sidecar.wire.foreign import may_need_mending
from lastcall_sidecar.wire.splice import Edit, Span, first_field, spans

#: No API has a tenth of these; a body that does costs memory for each.
MAX_FIELDS = 250
#: A model's name is logged and becomes a metric's label.
MAX_MODEL_BYTES = 512
#: In a list of more bytes, or with more commas, there may be so many messages that counting them would cost too much.
MAX_COUNTED_BYTES = 1024 * 1024
MAX_COUNTED_COMMAS = 20_000

_WATCHED = frozenset({"stream", "model", "messages"})
_UTF8_WINDOW_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_EMPTY_LIST = re.compile(rb"\[[ \t\r\n]*\]")


class BodyError(ValueError):
    """A body that is no request; the message is for the client and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class RequestBody:
    """What the top level of a body says."""

    #: None if the body names none.
    model: str | None
    #: False, too, where the body has `null` or nothing.
    stream: bool
    #: Extended thinking was asked for.
    has_thinking: bool
    #: None where counting would cost too much.
    message_count: int | None
    #: Where in the body the value of `model` stands; None if there is none.
    model_span: Span | None
    stream_span: Span | None
    #: Where a field may be inserted, with a comma behind it: `messages` is always there to follow.
    insert_at: int
    #: It may say what Anthropic's API refuses, because other vendors' models had a part in the conversation.
    may_need_mending: bool = False

    def edits(self, *, model: str | None = None, stream: bool | None = None) -> list[Edit]:
        """Return what must change in the body so that it says this; None is whatever it says now."""
        changed: list[Edit] = []
        if model not in {None, self.model}:
            changed.append(self._edit("model", self.model_span, model))
        if stream not in {None, self.stream}:
            changed.append(self._edit("stream", self.stream_span, stream))
        return changed

    def _edit(self, key: str, span: Span | None, value: object) -> Edit:
        new = json.dumps(value)
        if span:
            return Edit(span, new.encode())
        return Edit((self.insert_at, self.insert_at), f'"{key}":{new},'.encode())


class _TooManyFieldsError(Exception):
    """Left the parser early."""


class _Key:
    """A key equal to no other, so that a `dict` keeps them all, in order."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Thinking(msgspec.Struct):
    type: str = ""


def scan(body: bytes | mmap.mmap) -> RequestBody:
    """Read the top level of `body`; BodyError if it is not strict JSON in UTF-8, or not a request."""
    _check_encoding(body)
    parsed = _parse(body)
    fields = _watched_fields(parsed)
    places = dict(
        zip((key.name for key in parsed), spans(body, (len(memoryview(raw)) for raw in parsed.values())), strict=True)
    )
    return RequestBody(
        model=_model(fields.get("model")),
        stream=_stream(fields.get("stream")),
        has_thinking=_has_thinking(fields.get("thinking")),
        message_count=_message_count(fields.get("messages")),
        model_span=places.get("model"),
        stream_span=places.get("stream"),
        insert_at=first_field(body),
        may_need_mending=may_need_mending(body),
    )


def _check_encoding(body: bytes | mmap.mmap) -> None:
    """Check in windows: decoding it in one go would take up to four times its memory."""
    if body[: len(_BOM)] == _BOM:
        raise BodyError("the body must not begin with a byte order mark")
    if isinstance(body, bytes) and body.isascii():
        return
    view = memoryview(body)
    position = 0
    try:
        while position < len(view):
            end = position + _UTF8_WINDOW_BYTES
            _, used = codecs.utf_8_decode(view[position:end], "strict", end >= len(view))
            position += used
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not valid UTF-8 (byte {position + error.start})") from None


def _watched_fields(parsed: dict[_Key, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The raw values of the top level, by key: of the watched ones the only, of others the last."""
    fields: dict[str, msgspec.Raw] = {}
    for key, value in parsed.items():
        if key.name in _WATCHED and key.name in fields:
            raise BodyError(f"{key.name}: given more than once")
        fields[key.name] = value
    return fields


def _parse(body: bytes | mmap.mmap) -> dict[_Key, msgspec.Raw]:
    count = 0

    def make_key(_: type, name: str) -> _Key:
        nonlocal count
        count += 1
        if count > MAX_FIELDS:
            raise _TooManyFieldsError
        return _Key(name)

    try:
        return msgspec.json.decode(body, type=dict[_Key, msgspec.Raw], dec_hook=make_key)
    except _TooManyFieldsError:
        raise BodyError(f"the body has more than {MAX_FIELDS} fields") from None
    except RecursionError:
        raise BodyError("the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise BodyError("the body must be a JSON object") from None
    except msgspec.DecodeError as error:
        raise BodyError(f"the body is not valid JSON: {error}") from None


def _model(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    if len(memoryview(raw)) > MAX_MODEL_BYTES:
        raise BodyError("model: too long")
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.ValidationError:
        raise BodyError("model: must be a string") from None


def _stream(raw: msgspec.Raw | None) -> bool:
    """`null` is what some clients send for "not given"; whether that is right is the upstream's to say."""
    match None if raw is None else _begin(raw):
        case b"true":
            return True
        case b"false" | b"null" | None:
            return False
        case _:
            raise BodyError("stream: must be true or false")


def _has_thinking(raw: msgspec.Raw | None) -> bool:
    if raw is None or _begin(raw) == b"null":
        return False
    try:
        return msgspec.json.decode(raw, type=_Thinking).type != "disabled"
    except msgspec.ValidationError:
        return True


def _begin(raw: msgspec.Raw) -> bytes:
    """Return as much of a value as tells it apart from a literal."""
    return bytes(memoryview(raw)[: len(b"false") + 1])


def _message_count(raw: msgspec.Raw | None) -> int | None:
    if raw is None:
        raise BodyError("messages: required")
    if not _begin(raw).startswith(b"["):
        raise BodyError("messages: must be a list")
    if _EMPTY_LIST.fullmatch(raw):
        raise BodyError("messages: must not be empty")
    if len(memoryview(raw)) > MAX_COUNTED_BYTES or bytes(raw).count(b",") > MAX_COUNTED_COMMAS:
        return None
    return len(msgspec.json.decode(raw, type=list[msgspec.Raw]))
