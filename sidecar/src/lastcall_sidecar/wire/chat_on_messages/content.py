"""A message's content: OpenAI's parts become Anthropic's blocks.

Anthropic's own `image` and `document` are taken as they are, and so is `cache_control` on a part. So are `tool_use` and
`tool_result`, which Cursor sends for Claude's models (router-for-me/CLIProxyAPI#1165): whether each call is answered is
for `turns.py` to see.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages.shapes import NULL, Part, given, read

#: An Anthropic content block, or a part of it as it came.
Block = dict[str, Any] | Raw

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_WEB_URL = re.compile(r"https?://.", re.IGNORECASE)

#: The block for data of each media type that the API takes in base64.
_MEDIA: Mapping[str, str] = {
    "image/jpeg": "image",
    "image/png": "image",
    "image/gif": "image",
    "image/webp": "image",
    "application/pdf": "document",
}
_MISNAMED: Mapping[str, str] = {"image/jpg": "image/jpeg"}


def blocks(content: str | list[Raw] | None, where: str, kinds: frozenset[str]) -> list[Block]:
    """Translate content of which only `kinds` of parts are allowed; blank text, which the API refuses, is left out."""
    if isinstance(content, str):
        return text(content)
    made: list[Block] = []
    for index, raw in enumerate(content or ()):
        place = f"{where}.content.{index}"
        part = read(raw, Part, place)
        if part.type not in kinds:
            raise BodyError(f"{place}.type: {_REFUSED.get(part.type, 'not known, or not in a message of this role')}")
        made += _PARTS[part.type](part, raw, place)
    return made


def text(said: str) -> list[Block]:
    """One block, or none for a blank text."""
    return [{"type": "text", "text": said}] if said.strip() else []


def mark(made: list[Block], cache_control: Raw) -> list[Block]:
    """Put a `cache_control` on the last block, where there is one."""
    if given(cache_control) and made and isinstance(made[-1], dict):
        made[-1].setdefault("cache_control", cache_control)
    return made


def _text_part(part: Part, _raw: Raw, _place: str) -> list[Block]:
    return mark(text(part.text), part.cache_control)


def _refusal(part: Part, _raw: Raw, _place: str) -> list[Block]:
    return text(part.refusal)


def _image_url(part: Part, _raw: Raw, place: str) -> list[Block]:
    if part.image_url is None:
        raise BodyError(f"{place}.image_url: required")
    url = part.image_url if isinstance(part.image_url, str) else part.image_url.url
    if _WEB_URL.match(url):
        return mark([{"type": "image", "source": {"type": "url", "url": url}}], part.cache_control)
    return mark([_data(url, f"{place}.image_url.url")], part.cache_control)


def _file(part: Part, _raw: Raw, place: str) -> list[Block]:
    if part.file is None or not part.file.file_data:
        raise BodyError(f"{place}.file.file_data: required: a PDF in base64 (there are no stored files here)")
    url = part.file.file_data
    if not url.startswith("data:"):
        url = f"data:application/pdf;base64,{url}"
    block = _data(url, f"{place}.file.file_data")
    if part.file.filename and block["type"] == "document":
        block["title"] = part.file.filename
    return mark([block], part.cache_control)


def _as_it_is(_part: Part, raw: Raw, _place: str) -> list[Block]:
    return [raw]


def _tool_use(_part: Part, raw: Raw, place: str) -> list[Block]:
    return [_of_a_call("tool_use", "id", raw, place)]


def _tool_result(_part: Part, raw: Raw, place: str) -> list[Block]:
    return [_of_a_call("tool_result", "tool_use_id", raw, place)]


def _of_a_call(kind: str, key: str, raw: Raw, place: str) -> dict[str, Any]:
    fields = read(raw, dict[str, Raw], place)
    return {**fields, "type": kind, key: read(fields.get(key, NULL), str, f"{place}.{key}")}


def _data(url: str, place: str) -> dict[str, Any]:
    begin = _DATA_URL.match(url)
    if not begin:
        raise BodyError(f"{place}: must be an http(s) URL or data:<media type>;base64,…")
    media_type = begin[1].lower()
    media_type = _MISNAMED.get(media_type, media_type)
    if media_type not in _MEDIA:
        raise BodyError(f"{place}: the media type must be one of {', '.join(_MEDIA)}")
    if not _BASE64.fullmatch(url, begin.end()) or (len(url) - begin.end()) % 4:
        raise BodyError(f"{place}: the data is not base64")
    return {
        "type": _MEDIA[media_type],
        "source": {"type": "base64", "media_type": media_type, "data": url[begin.end() :]},
    }


_PARTS: Mapping[str, Callable[[Part, Raw, str], list[Block]]] = {
    "text": _text_part,
    "refusal": _refusal,
    "image_url": _image_url,
    "file": _file,
    "image": _as_it_is,
    "document": _as_it_is,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
_REFUSED: Mapping[str, str] = {"input_audio": "the Messages API knows no audio"}

SYSTEM = frozenset({"text"})
ASSISTANT = frozenset({"text", "refusal", "tool_use"})
RESULT = frozenset({"text", "image_url", "file", "image", "document"})
USER = RESULT | {"tool_result"}
