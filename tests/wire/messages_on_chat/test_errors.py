"""Errors of the upstream's: the SDK raises the right exception, with the upstream's own words."""

import json

import anthropic
import pytest
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT

CLASSES = [
    (400, "invalid_request_error", anthropic.BadRequestError),
    (401, "authentication_error", anthropic.AuthenticationError),
    (402, "permission_error", anthropic.APIStatusError),
    (403, "permission_error", anthropic.PermissionDeniedError),
    (404, "not_found_error", anthropic.NotFoundError),
    (408, "timeout_error", anthropic.APIStatusError),
    (409, "invalid_request_error", anthropic.ConflictError),
    (413, "request_too_large", anthropic.ContentTooLargeError),
    (415, "invalid_request_error", anthropic.APIStatusError),
    (422, "invalid_request_error", anthropic.UnprocessableEntityError),
    (429, "rate_limit_error", anthropic.RateLimitError),
    (500, "api_error", anthropic.InternalServerError),
    (501, "api_error", anthropic.HTTPNotImplementedError),
    (502, "api_error", anthropic.InternalServerError),
    (503, "overloaded_error", anthropic.ServiceUnavailableError),
    (504, "timeout_error", anthropic.GatewayTimeoutError),
    (507, "api_error", anthropic.InternalServerError),
    (529, "overloaded_error", anthropic.OverloadedError),
]


@pytest.mark.parametrize(("status", "error_type", "exception"), CLASSES, ids=str)
def test_the_sdk_raises_by_status(status, error_type, exception):
    body = MESSAGES_ON_CHAT.error(status, b'{"error": {"message": "boom", "type": "x", "code": null}}', "req_1")
    with pytest.raises(anthropic.APIStatusError) as raised:
        client(body, status).messages.create(**REQUEST)
    assert isinstance(raised.value, exception)
    assert (raised.value.type, raised.value.api_message) == (error_type, "boom")
    assert raised.value.body["request_id"] == "req_1"


NONE = "the upstream answered with status 502"
MESSAGES = {
    "OpenAI": (b'{"error": {"message": "Bad \\"x\\"", "type": "t", "param": null, "code": "c"}}', 'Bad "x"'),
    "vLLM": (b'{"object": "error", "message": "Too long", "type": "BadRequestError", "code": 400}', "Too long"),
    "vLLM, nested": (b'{"error": {"object": "error", "message": "Too long", "code": 400}}', "Too long"),
    "a word": (b'{"error": "boom"}', "boom"),
    "FastAPI": (b'{"detail": "Not Found"}', "Not Found"),
    "FastAPI, a list": (
        b'{"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "b"}, {}, 7]}',
        "body.messages.0: Field required; b",
    ),
    "nothing in it": (b'{"error": {}}', NONE),
    "an empty message": (b'{"error": {"message": ""}}', NONE),
    "odd types": (b'{"error": {"message": 7}, "detail": {}}', NONE),
    "an empty list": (b'{"detail": []}', NONE),
    "no object": (b"[1]", NONE),
    "a string": (b'"boom"', "boom"),
    "text": (b" upstream connect error\n", "upstream connect error"),
    "long text": (b"a" * 600, "a" * 500),
    "HTML": (b"<html><body>502 Bad Gateway</body></html>", NONE),
    "empty": (b"", NONE),
    "no UTF-8": (b"\xff\xfe", "\ufffd\ufffd"),
    "half a character": (b'{"error": {"message": "a\\ud83d"}}', "a\ufffd"),
}


@pytest.mark.parametrize(("body", "message"), MESSAGES.values(), ids=MESSAGES)
def test_the_upstreams_own_message_goes_on(body, message):
    found = json.loads(MESSAGES_ON_CHAT.error(502, body, "req_1"))
    assert found == {"type": "error", "error": {"type": "api_error", "message": message}, "request_id": "req_1"}
