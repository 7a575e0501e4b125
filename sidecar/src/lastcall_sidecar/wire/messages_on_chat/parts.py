"""Content blocks of a user's turn and of a tool's result, as parts of a chat message.

https://platform.openai.com/docs/api-reference/chat/create; a part is `{"type": "text" | "image_url" | "file", …}`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat.reading import read

Part = dict[str, Any]

_FILENAME = "document.pdf"


class Typed(msgspec.Struct):
    """What every block has."""

    type: str


class _Text(msgspec.Struct):
    text: str


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[msgspec.Raw] | None = None


class _Image(msgspec.Struct):
    source: _Source


class _Document(msgspec.Struct):
    source: _Source
    title: str | None = None
    context: str | None = None


class _SearchResult(msgspec.Struct):
    source: str
    title: str
    content: list[msgspec.Raw]


class _ToolReference(msgspec.Struct):
    tool_name: str


def text_part(text: str) -> Part:
    """A part of text."""
    return {"type": "text", "text": text}


def is_text(part: Part) -> bool:
    """Whether a part is text, and not a picture or a file."""
    return bool(part["type"] == "text")


def parts_of(content: str | Iterable[msgspec.Raw], path: str) -> list[Part]:
    """Return the parts of content that stands at `path`. Errors: BodyError."""
    if isinstance(content, str):
        return [text_part(content)]
    return [part for index, raw in enumerate(content) for part in block_parts(raw, f"{path}.{index}")]


def block_parts(raw: msgspec.Raw, path: str) -> list[Part]:
    """Return the parts of one block; none for a type that has no meaning here. Errors: BodyError."""
    make = _MAKERS.get(read(raw, Typed, path).type)
    return make(raw, path) if make else []


def joined(parts: Iterable[Part]) -> str:
    """The text of parts, those that say nothing left out: an empty line between two."""
    return "\n\n".join(part["text"] for part in parts if is_text(part) and part["text"].strip())


def _text(raw: msgspec.Raw, path: str) -> list[Part]:
    return [text_part(read(raw, _Text, path).text)]


def _image(raw: msgspec.Raw, path: str) -> list[Part]:
    source = read(raw, _Image, path).source
    match source:
        case _Source(type="base64", media_type=str(media_type), data=str(data)):
            url = f"data:{media_type};base64,{data}"
        case _Source(type="url", url=str(url)):
            pass
        case _:
            raise _unserved(source, path, ("base64", "url"))
    return [{"type": "image_url", "image_url": {"url": url}}]


def _document(raw: msgspec.Raw, path: str) -> list[Part]:
    document = read(raw, _Document, path)
    source = document.source
    about = [text_part(word) for word in (document.title, document.context) if word]
    match source:
        case _Source(type="base64", data=str(data)):
            url = f"data:{source.media_type or 'application/pdf'};base64,{data}"
            file = {"filename": document.title or _FILENAME, "file_data": url}
            return [*about[bool(document.title) :], {"type": "file", "file": file}]
        case _Source(type="text", data=str(data)):
            return [text_part(joined([*about, text_part(data)]))]
        case _Source(type="content", content=str() | list() as content):
            return [*about, *parts_of(content, f"{path}.source.content")]
        case _:
            raise _unserved(source, path, ("base64", "text", "content"))


def _unserved(source: _Source, path: str, served: tuple[str, ...]) -> BodyError:
    """A source that the upstream cannot reach, or one of a served type without what that type needs."""
    if source.type in served:
        return BodyError(f"{path}.source: incomplete")
    return BodyError(f"{path}.source.type: the upstream takes {', '.join(served)} only")


def _search_result(raw: msgspec.Raw, path: str) -> list[Part]:
    found = read(raw, _SearchResult, path)
    about = [text_part(f"{found.title}\n{found.source}")]
    return [text_part(joined([*about, *parts_of(found.content, f"{path}.content")]))]


def _tool_reference(raw: msgspec.Raw, path: str) -> list[Part]:
    return [text_part(read(raw, _ToolReference, path).tool_name)]


def _container_upload(_: msgspec.Raw, path: str) -> list[Part]:
    raise BodyError(f"{path}.type: the upstream has no containers to read files from")


_MAKERS: Mapping[str, Callable[[msgspec.Raw, str], list[Part]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
    "container_upload": _container_upload,
}
