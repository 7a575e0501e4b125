"""An upstream's error, of whatever shape, becomes one that OpenAI's clients understand."""

from collections.abc import Mapping

import msgspec

from lastcall_sidecar.wire.accumulate import STATUSES as ERROR_STATUSES
from lastcall_sidecar.wire.openai import CHAT
from lastcall_sidecar.wire.protocol import STATUSES, ErrorKind, parse, told_status

#: By Anthropic's `error.type` (https://platform.claude.com/docs/en/api/errors).
_BY_TYPE: Mapping[str, ErrorKind] = {
    "invalid_request_error": ErrorKind.INVALID_REQUEST,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "billing_error": ErrorKind.PERMISSION,
    "permission_error": ErrorKind.PERMISSION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "request_too_large": ErrorKind.TOO_LARGE,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "api_error": ErrorKind.API,
    "overloaded_error": ErrorKind.OVERLOADED,
    "timeout_error": ErrorKind.TIMEOUT,
}
_BY_STATUS: Mapping[int, ErrorKind] = {
    **{status: kind for kind, status in STATUSES.items()},
    402: ErrorKind.PERMISSION,
    408: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}


class _Failure(msgspec.Struct):
    type: object = None
    message: object = None
    code: object = None


class _Failed(msgspec.Struct):
    type: object = None
    error: _Failure | str | None = None
    message: object = None


def body(status: int, answered: bytes, request_id: str) -> bytes:
    """Return the client's error body for an answer with `status`, with the upstream's own message if it has one."""
    error_type, message = _read(answered.decode("utf-8", "replace"))
    kind = _BY_TYPE.get(error_type) or _by_status(status)
    return CHAT.error_body(status, kind, message or f"the upstream answered with status {status}", request_id)


def status_of(answered: bytes) -> int | None:
    """Return the status of an error in the place of a message; None where it is none."""
    failed = parse(answered.decode("utf-8", "replace"), _Failed, _Failed())
    if not failed.error and failed.type != "error":
        return None
    error = failed.error if isinstance(failed.error, _Failure) else _Failure()
    return told_status(error.code) or ERROR_STATUSES.get(_word(error.type), STATUSES[ErrorKind.UNAVAILABLE])


def is_one(data: str) -> bool:
    """Whether an event's data is an error, though nothing is named so."""
    return '"error"' in data and bool(parse(data, _Failed, _Failed()).error)


def event(data: str) -> bytes:
    """Return the client's error event for an `error` event's data."""
    error_type, message = _read(data)
    kind = _BY_TYPE.get(error_type, ErrorKind.API)
    return CHAT.error_event(kind, message or "the upstream ended the stream with an error", "")


def _by_status(status: int) -> ErrorKind:
    return _BY_STATUS.get(status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.API)


def _read(json: str) -> tuple[str, str]:
    """Return the error's type and message, empty where there is none."""
    failed = parse(json, _Failed, _Failed())
    error = failed.error
    if isinstance(error, _Failure):
        return _word(error.type), _word(error.message)
    return "", error or _word(failed.message)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
