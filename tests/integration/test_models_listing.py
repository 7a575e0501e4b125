"""`GET /v1/models` in front of upstreams whose lists come in pages, are odd, or are none."""

import json

import httpx
import pytest
from tests.support.running import running
from tests.support.scripted_upstream import ScriptedUpstream, hang, json_response, read_request, send, steps
from tests.support.sidecar_process import SidecarProcess


def answering(*bodies):
    """One connection's answers, one after the other."""
    return steps(*(part for body in bodies for part in (read_request(), send(json_response(body)))), hang())


def listed(*ids, **fields):
    return json.dumps({"data": [{"id": one} for one in ids], **fields}).encode()


async def told(settings, path="/v1/models"):
    """A sidecar's answer to a client without a key."""
    async with (
        running(SidecarProcess({"drain": {"settleSeconds": 0}, **settings})) as sidecar,
        httpx.AsyncClient(base_url=sidecar.url, trust_env=False, timeout=20) as client,
    ):
        return await client.get(path)


async def asked(upstream, settings, path="/v1/models"):
    """The same, and the targets that the upstream was asked for."""
    answer = await told({"upstream": {"url": upstream.url, **settings}}, path)
    return answer, [request.target for one in upstream.connections for request in one.requests]


@pytest.mark.parametrize(
    ("provider", "first", "second"),
    [
        pytest.param("Anthropic", "/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a%2F1", id="Anthropic"),
        pytest.param("OpenAI", "/v1/models", "/v1/models?after=a%2F1", id="OpenAI"),
    ],
)
async def test_the_next_page_is_asked_for_as_the_vendor_has_it(provider, first, second):
    pages = listed("a/1", has_more=True, last_id="a/1"), listed("b", has_more=False, last_id="b")
    async with ScriptedUpstream(answering(*pages)) as upstream:
        answer, targets = await asked(upstream, {"provider": provider})
    assert [one["id"] for one in answer.json()["data"]] == ["a/1", "b"]
    assert targets == [first, second]


async def test_half_a_character_at_the_end_of_a_page_does_no_harm():
    pages = listed("a", has_more=True, last_id="\ud83d"), listed("b")
    async with ScriptedUpstream(answering(*pages)) as upstream:
        answer, targets = await asked(upstream, {})
    assert [one["id"] for one in answer.json()["data"]] == ["a", "b"]
    assert targets[1] == "/v1/models?limit=1000&after_id=%3F"


async def test_each_upstream_tells_of_the_models_that_would_go_to_it():
    """What another one takes is not there for anybody, whoever has it."""
    async with (
        ScriptedUpstream(answering(listed("a-1", "b-1", "c-1"))) as main,
        ScriptedUpstream(answering(listed("a-2", "b-2", "c-2"))) as first,
        ScriptedUpstream(answering(listed("a-3", "b-3", "c-3"))) as second,
    ):
        named = [
            {"name": "first", "provider": "OpenAI", "url": first.url, "models": ["a-*"]},
            {"name": "second", "provider": "OpenAI", "url": second.url, "models": ["a-3", "b-*"]},
        ]
        answer = await told({"upstream": {"url": main.url}, "upstreams": named})
    known = [one["id"] for one in answer.json()["data"]]
    assert known[:3] == ["a-2", "b-3", "c-1"]
    assert set(known[3:]) == {"a-3"}  # of the configuration


async def test_an_upstream_that_is_silent_takes_nothing_from_the_others_whatever_the_limit():
    """Each clock of a request is for all of it: none may run out for an upstream that others stand in for."""
    silent = steps(read_request(), hang())
    async with ScriptedUpstream(silent) as away, ScriptedUpstream(answering(listed("a"))) as upstream:
        named = {"name": "away", "provider": "OpenAI", "url": away.url, "models": ["gpt-*"]}
        answer = await told(
            {"upstream": {"url": upstream.url, "responseHeaderTimeoutSeconds": 1}, "upstreams": [named]}
        )
    assert [one["id"] for one in answer.json()["data"]] == ["a"]


async def test_a_page_in_place_of_the_list_stays_the_page_that_it_is():
    page = b"<h1>503 Service Unavailable</h1>"
    head = b"HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
    async with ScriptedUpstream(steps(read_request(), send(head + page), hang())) as upstream:
        answer, _ = await asked(upstream, {"provider": "OpenAI"})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (503, "text/html", page)
