"""Errors of the fake LLM, and the shapes that Anthropic gives them (platform.claude.com, "Errors").

Raised by validation and by directives, turned into answers by `serving` at one place.
"""

import json
from collections.abc import Mapping

#: HTTP status → `error.type`, as the vendor documents them; anything else is an `api_error`.
ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

#: What the vendor says, where its wording is known.
MESSAGES: Mapping[int, str] = {
    429: "This request would exceed your organization's rate limit of 4,000 requests per minute.",
    500: "Internal server error",
    529: "Overloaded",
}

HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>fake</center>\r\n</body>\r\n</html>\r\n"
)


class FakeError(ValueError):
    """An answer other than 200: status, and a message that the body carries.

    `param` and `code` are OpenAI's: which part of the request is wrong, and how.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        retry_after_seconds: int | None = None,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        self.status = status
        self.param = param
        self.code = code
        self.message = message or MESSAGES.get(status, "The fake LLM was asked for this error")
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {self.message}")

    @property
    def kind(self) -> str:
        """The value of `error.type`."""
        return ERROR_TYPES.get(self.status, "api_error")

    def body(self, request_id: str) -> bytes:
        """Tell it in the vendor's JSON."""
        return json.dumps(
            {"type": "error", "error": {"type": self.kind, "message": self.message}, "request_id": request_id}
        ).encode()
