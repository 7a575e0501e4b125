"""An upstream's error that comes with status 200: the client gets it with a status that says so, in its own shape."""

import json

import pytest
from tests.support.scripted_upstream import json_response, read_request, send
from tests.support.stage import question

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDITS = {"error": {"code": 402, "message": "Insufficient credits"}}
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def asked(stage, path, told, *, stream, content_type="application/json"):
    response = json_response(json.dumps(told).encode()).replace(b"application/json", content_type.encode())
    part = stage.part(read_request(), send(response))
    answer = await stage.ask(part, question(stream=stream, max_tokens=9), path=path)
    return answer.head.status, json.loads(answer.body)


OPENAI_TYPE = {
    # https://openrouter.ai/docs/api-reference/errors
    "OpenRouter": (CREDITS, 402, "permission_error", "Insufficient credits"),
    "a code in words": ({"error": {"code": "429", "message": "Slow down"}}, 429, "rate_limit_error", "Slow down"),
    "a type": ({"error": {"code": None, "type": "rate_limit_exceeded", "message": "x"}}, 429, "rate_limit_error", "x"),
    "no status": ({"error": {"code": 7, "message": "boom"}}, 502, "api_error", "boom"),
    "vLLM": ({"object": "error", "message": "Too long", "code": 400}, 400, "invalid_request_error", "Too long"),
}


@STREAMS
@pytest.mark.parametrize(("told", "status", "kind", "message"), OPENAI_TYPE.values(), ids=OPENAI_TYPE)
async def test_anthropics_clients_get_an_openai_type_upstreams_error(openai, told, status, kind, message, stream):
    found, body = await asked(openai, PATHS["anthropic"], told, stream=stream)
    assert (found, body["error"]) == (status, {"type": kind, "message": message})
    assert body["request_id"]


ANTHROPIC_TYPE = {
    "overloaded": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        529,
        "overloaded",
        "Overloaded",
    ),
    "a code": (CREDITS, 402, "permission_denied", "Insufficient credits"),
}


@STREAMS
@pytest.mark.parametrize(("told", "status", "code", "message"), ANTHROPIC_TYPE.values(), ids=ANTHROPIC_TYPE)
async def test_openais_clients_get_an_anthropic_type_upstreams_error(wire, told, status, code, message, stream):
    found, body = await asked(wire, PATHS["openai"], told, stream=stream)
    assert (found, body["error"]["code"], body["error"]["message"]) == (status, code, message)


@STREAMS
async def test_what_passes_verbatim_stays_so(wire, openai, stream):
    for stage, path in (wire, PATHS["anthropic"]), (openai, PATHS["openai"]):
        assert await asked(stage, path, CREDITS, stream=stream) == (200, CREDITS)


@pytest.mark.parametrize(
    ("told", "content_type"), [({"id": "x"}, "application/json"), (CREDITS, "text/plain")], ids=["no error", "no JSON"]
)
async def test_something_else_in_place_of_a_stream_is_a_502(openai, told, content_type):
    found, body = await asked(openai, PATHS["anthropic"], told, stream=True, content_type=content_type)
    assert (found, body["error"]["type"]) == (502, "api_error")
