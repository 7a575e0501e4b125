"""The answer to what is not even a request: made where no route, and so no caller's protocol, is known yet."""

import json


def refusal(status: int, message: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body, in Anthropic's error shape: the one that this product speaks where it must choose."""
    kind = {408: "timeout_error", 431: "request_too_large", 413: "request_too_large"}.get(
        status, "invalid_request_error" if status < 500 else "api_error"
    )
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))], body
