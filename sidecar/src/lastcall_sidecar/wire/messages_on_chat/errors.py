"""What an upstream says went wrong, in its various shapes, as Anthropic's errors.

OpenAI: `{"error": {"message", "type", "code"}}`. vLLM: the same, or once `{"object": "error", "message", "type",
"code"}`, where the code is the status. FastAPI: `{"detail": "…" | [{"loc", "msg"}]}`. Others: text, HTML, nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.protocol import STATUSES, ErrorKind
from lastcall_sidecar.wire.translation import TranslationError

#: A body that is no JSON is repeated up to here.
_MAX_TEXT_CHARS = 500

_KINDS: Mapping[int, ErrorKind] = {
    **{status: kind for kind, status in STATUSES.items()},
    402: ErrorKind.PERMISSION,
    408: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
#: Within a stream there is no status: words in the error's `type` or `code`, without underscores, in this order.
_WORDS: Mapping[str, ErrorKind] = {
    "ratelimit": ErrorKind.RATE_LIMIT,
    "quota": ErrorKind.RATE_LIMIT,
    "overload": ErrorKind.OVERLOADED,
    "unavailable": ErrorKind.OVERLOADED,
    "timeout": ErrorKind.TIMEOUT,
    "auth": ErrorKind.AUTHENTICATION,
    "apikey": ErrorKind.AUTHENTICATION,
    "permission": ErrorKind.PERMISSION,
    "notfound": ErrorKind.NOT_FOUND,
    "invalidrequest": ErrorKind.INVALID_REQUEST,
    "badrequest": ErrorKind.INVALID_REQUEST,
    "contextlength": ErrorKind.INVALID_REQUEST,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What an upstream's error tells."""

    #: Empty if there is none.
    message: str
    #: Its `type` and `code`, in lower case and without underscores.
    words: str = ""
    status: int | None = None

    @property
    def kind(self) -> ErrorKind:
        """What went wrong, as far as the error itself tells."""
        if self.status is not None:
            return _kind(self.status)
        return next((kind for word, kind in _WORDS.items() if word in self.words), ErrorKind.API)


def error_body(status: int, body: bytes, request_id: str) -> bytes:
    """Return Anthropic's error body for an answer with `status`, with the upstream's own message if it has one."""
    message = _failure(body).message or f"the upstream answered with status {status}"
    return ANTHROPIC.error_body(status, _kind(status), message, request_id)


def error_event(data: bytes) -> bytes:
    """Return Anthropic's `error` event for an error that came in a stream."""
    failure = _failure(data)
    return ANTHROPIC.error_event(failure.kind, failure.message or "the upstream failed", "")


def _kind(status: int) -> ErrorKind:
    return _KINDS.get(status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.API)


def _failure(body: bytes) -> Failure:
    try:
        told = answered(body, object)
    except TranslationError:
        return Failure(_plain(body))
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        told = told["error"]
    if not isinstance(told, dict):
        return Failure(told if isinstance(told, str) else "")
    message = next(filter(None, (_text(told.get(name)) for name in ("message", "detail", "error"))), "")
    code = told.get("code")
    words = f"{told.get('type')} {code}".lower().replace("_", "")
    return Failure(message, words, code if isinstance(code, int) and 400 <= code < 600 else None)


def _text(told: object) -> str:
    """A message: a text, or FastAPI's list of what is wrong where."""
    if isinstance(told, list):
        return "; ".join(filter(None, map(_complaint, told)))
    return told if isinstance(told, str) else ""


def _complaint(told: object) -> str:
    if not isinstance(told, dict) or not isinstance(told.get("msg"), str):
        return ""
    place = told.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {told['msg']}" if where else str(told["msg"])


def _plain(body: bytes) -> str:
    """A body that is no JSON; pages for people are left out."""
    text = body.decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text[:_MAX_TEXT_CHARS]
