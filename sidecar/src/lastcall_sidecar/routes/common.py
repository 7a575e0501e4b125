"""What the two Quart applications share: JSON as it is, errors in Anthropic's shape, no limits on streams."""

import json
from typing import Any

from quart import Quart, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from lastcall_sidecar.ids import new_request_id
from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.protocol import ErrorKind

_KINDS = {404: ErrorKind.NOT_FOUND, 401: ErrorKind.AUTHENTICATION, 403: ErrorKind.PERMISSION}


def make_app(name: str) -> Quart:
    """An application of ours, with its errors."""
    app = Quart(name, static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # Quart's default of 60 s would cut what waits on purpose
    app.config["MAX_CONTENT_LENGTH"] = 65536  # our routes take small JSON at most

    @app.errorhandler(HTTPException)
    async def failed(error: HTTPException) -> Response:
        status = error.code or 500
        answer = problem(status, error.description or error.name)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # RFC 9110, 15.5.6
        return answer

    return app


def reply(status: int, body: dict[str, Any]) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body), status, content_type="application/json", headers={"Cache-Control": "no-store"})


def problem(status: int, message: str) -> Response:
    """An error in Anthropic's shape."""
    kind = _KINDS.get(status, ErrorKind.INVALID_REQUEST if status < 500 else ErrorKind.API)
    request_id = new_request_id()
    body = ANTHROPIC.error_body(status, kind, message, request_id)
    headers = {"x-lastcall-request-id": request_id}
    return Response(body, status, content_type="application/json", headers=headers)
