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


GOOD = {"choices": [{"message": {"content": "Hi"}}]}
FAILED = {
    "OpenRouter": ({"error": {"code": 402, "message": "x"}}, 402),
    "a code in digits": ({"error": {"code": "429", "message": "x"}}, 429),
    "within a choice": ({"choices": [7, {"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]}, 502),
    "beside an empty answer": (GOOD | {"error": {"code": 503, "message": "x"}}, 503),
    "Google": ([{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}], 429),
    "Google, no code": ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, 429),
    "a status": ({"error": {"message": "x", "status": 401}}, 401),
    "words": ({"error": {"message": "x", "type": "insufficient_quota"}}, 429),
    "overloaded": ({"error": {"message": "x", "type": "overloaded_error"}}, 529),
    "a code that is no error's": ({"error": {"code": 200, "message": "x"}}, 502),
    "a code of another kind": ({"error": {"code": "1302", "message": "x"}}, 502),
    "a server's": ({"error": {"type": "server_error", "message": "x"}}, 502),
    "a text": ({"error": "x"}, 502),
    "vLLM": ({"object": "error", "message": "x", "code": 400}, 400),
    "Anthropic's": ({"type": "error", "message": "x"}, 502),
    "Zhipu's": ({"code": 500, "msg": "x", "success": False}, 500),
    "FastAPI": ({"detail": "x"}, 502),
}


@pytest.mark.parametrize(("told", "status"), FAILED.values(), ids=FAILED)
def test_an_error_in_the_place_of_an_answer_has_a_status_and_its_message(told, status):
    body = json.dumps(told).encode()
    assert MESSAGES_ON_CHAT.failed(body) == status
    assert json.loads(MESSAGES_ON_CHAT.error(status, body, "req_1"))["error"]["message"] == "x"


@pytest.mark.parametrize(
    "body",
    [GOOD, GOOD | {"error": None}, GOOD | {"error": {}}, {"choices": 7}, {}, [], [7], 7, "x"],
    ids=str,
)
def test_what_is_no_error_has_no_status(body):
    assert MESSAGES_ON_CHAT.failed(json.dumps(body).encode()) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"{"], ids=["empty", "HTML", "no JSON"])
def test_what_is_no_json_is_no_error(body):
    assert MESSAGES_ON_CHAT.failed(body) is None
