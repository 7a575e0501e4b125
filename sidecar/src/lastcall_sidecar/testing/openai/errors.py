"""Errors in OpenAI's shape and in vLLM's, and the vendor's sentences for what is wrong with a request. Pure.

platform.openai.com, "Error codes"; the sentences are those that users of the API quote.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from lastcall_sidecar.testing.errors import FakeError

#: HTTP status → `error.type`, and `error.code` where the error has none of its own.
_TYPES: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("request_forbidden", "unsupported_country_region_territory"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}

#: What the vendor says, where its wording is known.
_MESSAGES: Mapping[int, str] = {
    401: "Incorrect API key provided: sk-fake. You can find your API key at https://platform.openai.com/account/api-keys.",
    403: "Country, region, or territory not supported",
    429: "Rate limit reached for gpt-4o in organization org-fake on requests per min (RPM): Limit 500, Used 500, "
    "Requested 1. Please try again in 120ms.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later",
}

#: vLLM names its own errors so; those of its web framework have the status's phrase.
_VLLM_TYPES: Mapping[int, str] = {
    400: "BadRequestError",
    404: "NotFoundError",
    500: "InternalServerError",
}


def asked_for(status: int, retry_after_seconds: int | None) -> FakeError:
    """Return the error that a directive asks for."""
    return FakeError(status, _MESSAGES.get(status, ""), retry_after_seconds=retry_after_seconds)


def told(error: FakeError) -> dict[str, Any]:
    """The body of an error of OpenAI's."""
    kind, code = _TYPES.get(error.status, ("server_error" if error.status >= 500 else "invalid_request_error", None))
    return {
        "error": {"message": error.message, "type": kind, "param": error.param, "code": error.code or code},
    }


def told_by_vllm(error: FakeError) -> dict[str, Any]:
    """The body of an error of vLLM's (since 0.10.1); its gate in front of the API says less."""
    if error.status == 401:
        return {"error": "Unauthorized"}
    phrase = HTTPStatus(error.status).phrase if error.status in set(HTTPStatus) else "Error"
    kind = _VLLM_TYPES.get(error.status, phrase)
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.status}}


def unknown(path: str) -> FakeError:
    """A field that nobody knows."""
    return FakeError(400, f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def missing(path: str) -> FakeError:
    """A field that must be there."""
    return FakeError(400, f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def mistyped(path: str, expected: str, found: Any) -> FakeError:
    """A value of another type; `expected` with its article."""
    got = {type(None): "null", bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    told = got.get(type(found), "a decimal" if isinstance(found, float) else "an integer")
    message = f"Invalid type for '{path}': expected {expected}, but got {told} instead."
    return FakeError(400, message, param=path, code="invalid_type")


def unsupported_value(path: str, found: Any, supported: tuple[str, ...]) -> FakeError:
    """A value that is none of several."""
    return FakeError(
        400,
        f"Invalid value: {json.dumps(found)}. Supported values are: {', '.join(map(repr, supported))}.",
        param=path,
        code="invalid_value",
    )


def unsupported(name: str, instead: str = "") -> FakeError:
    """A parameter that this model does not have."""
    hint = f" Use '{instead}' instead." if instead else ""
    return FakeError(
        400,
        f"Unsupported parameter: '{name}' is not supported with this model.{hint}",
        param=name,
        code="unsupported_parameter",
    )


def out_of_range(path: str, found: float, lowest: float, highest: float) -> FakeError:
    """A number that is too small or too large."""
    kind = "integer" if isinstance(found, int) else "decimal"
    side, sign, bound = ("below min", ">=", lowest) if found < lowest else ("above max", "<=", highest)
    message = (
        f"Invalid '{path}': {kind} {side}imum value. Expected a value {sign} {bound:g}, but got {found:g} instead."
    )
    return FakeError(400, message, param=path, code=f"{kind}_{side.replace(' ', '_')}_value")


def empty(path: str) -> FakeError:
    """An array that must not be empty."""
    return FakeError(
        400,
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        param=path,
        code="empty_array",
    )


def too_long(path: str, what: str, longest: int, found: int) -> FakeError:
    """A string or an array that is too long."""
    article = "an" if what == "array" else "a"
    return FakeError(
        400,
        f"Invalid '{path}': {what} too long. Expected {article} {what} with maximum length {longest}, "
        f"but got {article} {what} with length {found} instead.",
        param=path,
        code=f"{what}_above_max_length",
    )


def no_such_model(model: str) -> FakeError:
    """A model that is not served."""
    return FakeError(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )
