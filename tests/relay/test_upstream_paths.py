"""An upstream whose URL has a path: what it is asked for, and what the log says of its first 404."""

import json

import pytest
from tests.support.scripted_upstream import json_response, read_request, repeat, send, steps
from tests.support.stage import on_stage, question

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPLETION = json_response(b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}')
LIST = json_response(b'{"object":"list","data":[]}')
COUNT = json_response(b'{"count":7}')
NOT_FOUND = json_response(b'{"error":{"message":"Not Found"}}', "404 Not Found")
PLAIN = question(stream=False)


def behind(path, provider="OpenAI"):
    return on_stage(lambda url: {"upstream": {"provider": provider, "url": url + path}})


async def asked_for(wire, answer, method, path, body):
    part = wire.part(steps(read_request(), send(answer)))
    found = await wire.ask(part, body, method=method, path=path)
    return found.head.status, part.request.target


async def test_a_version_in_the_path_replaces_ours_on_every_way():
    async with behind("/api/paas/v4") as wire:
        for answer, method, path, body, target in (
            (COMPLETION, "POST", "/v1/messages", PLAIN, "/api/paas/v4/chat/completions"),
            (COMPLETION, "POST", "/v1/chat/completions", PLAIN, "/api/paas/v4/chat/completions"),
            (LIST, "GET", "/v1/models", None, "/api/paas/v4/models"),
            (COUNT, "POST", "/v1/messages/count_tokens", PLAIN, "/api/paas/tokenize"),
            (LIST, "POST", "/v1/embeddings?a=b", b"{}", "/api/paas/v4/embeddings?a=b"),
        ):
            assert await asked_for(wire, answer, method, path, body) == (200, target)


async def test_the_first_404_tells_what_was_asked_for():
    async with behind("/wrong") as wire:
        part = wire.part(repeat(steps(read_request(), send(NOT_FOUND))))
        for _ in range(2):
            assert (await wire.ask(part, PLAIN)).head.status == 404
        lines = [json.loads(line) for line in wire.sidecar.output().splitlines() if line.startswith("{")]
        said = [line for line in lines if "404" in line["event"]]
        assert [line["asked_for"] for line in said] == [f"{wire.stage.url}/wrong/v1/chat/completions"]
        (start,) = [line for line in lines if line["event"] == "starting"]
        assert start["asks_for"] == [f"{wire.stage.url}/wrong/v1/chat/completions"]
