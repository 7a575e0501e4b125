"""What an upstream says went wrong, in its various shapes, as Anthropic's errors.

OpenAI: `{"error": {"message", "type", "code"}}`. vLLM: the same, or once `{"object": "error", "message", "type",
"code"}`, where the code is the status. FastAPI: `{"detail": "…" | [{"loc", "msg"}]}`. OpenRouter: OpenAI's, also with
status 200 and within a choice. Google: a list of such. Others: `{"code", "msg"}`, text, HTML, nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.protocol import STATUSES, ErrorKind, told_status
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
    "exhausted": ErrorKind.RATE_LIMIT,
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


def status_of(body: bytes) -> int | None:
    """Return the status of an error that came in the place of a completion; None where it is none."""
    try:
        told = _first(answered(body, object))
    except TranslationError:
        return None
    if not isinstance(told, dict) or not _is_failed(told):
        return None
    failure = _failure(body)
    kind = failure.kind
    return failure.status or ANTHROPIC.status(ErrorKind.UNAVAILABLE if kind is ErrorKind.API else kind)


def _is_failed(told: Mapping[str, object]) -> bool:
    """Whether it is an error: by an `error`, by saying so, or by a message or a code in place of choices."""
    if told.get("error") or "error" in (told.get("object"), told.get("type")) or _of_choice(told) is not None:
        return True
    return "choices" not in told and any(told.get(name) for name in ("message", "msg", "detail", "code"))


def _of_choice(told: Mapping[str, object]) -> object:
    """The error of the first choice that has one."""
    choices = told.get("choices")
    errors = (
        [choice.get("error") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    )
    return next(filter(None, errors), None)


def _first(told: object) -> object:
    return told[0] if isinstance(told, list) and told else told


def _failure(body: bytes) -> Failure:
    try:
        told = _first(answered(body, object))
    except TranslationError:
        return Failure(_plain(body))
    if isinstance(told, dict):
        told = next((inner for inner in (told.get("error"), _of_choice(told)) if isinstance(inner, dict)), told)
    if not isinstance(told, dict):
        return Failure(told if isinstance(told, str) else "")
    message = next(filter(None, (_text(told.get(name)) for name in ("message", "detail", "error", "msg"))), "")
    code = told.get("code")
    words = f"{told.get('type')} {code} {told.get('status')}".lower().replace("_", "")
    return Failure(message, words, told_status(code) or told_status(told.get("status")))


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
