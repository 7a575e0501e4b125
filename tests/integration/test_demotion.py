"""`streaming.demoteNonStreaming`: who asked for no stream is served by one, and gets one whole answer."""

import asyncio
import json

import anthropic
import httpx
import pytest
from tests.support import openai_sdk
from tests.support.running import running
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    chunk,
    hang,
    read_request,
    reset,
    send,
    sleep,
    sse_head,
    steps,
)
from tests.support.sdk import MODEL, WEATHER_TOOL, asked, both_ways, http_client, sync_client, told
from tests.support.sidecar_process import SidecarProcess
from tests.wire import sequences

DEMOTED = {"streaming": {"demoteNonStreaming": True}}


@pytest.fixture(scope="module")
def ways():
    with both_ways(DEMOTED) as found:
        yield found


@pytest.fixture(scope="module")
def client(ways):
    with sync_client(ways.sidecar_url) as found:
        yield found


KINDS = ["text", "tools", "calls calls=3", "thinking", "mixed", "everything", "none", "mixed noise=1 eol=cr chunk=5"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_what_the_sdk_makes_of_the_stream(ways, client, kind):
    question = asked(f"Hello [fake kind={kind} cache_read=3 cache_write=4]", tools=[WEATHER_TOOL])
    answer = client.messages.create(**question)
    with sync_client(ways.direct_url) as direct, direct.messages.stream(**question) as stream:
        assert told(answer) == told(stream.get_final_message())
    encodings = [value for name, value in ways.fake.requests()[-2]["headers"] if name.lower() == "accept-encoding"]
    assert encodings == ["identity"]


def test_the_upstream_is_asked_for_a_stream_and_nothing_else_changes(ways):
    body = '{ "model": "%s",\t"max_tokens":1e2, "temperature": 0.10,"stream" :false ,\n "messages": %s}'
    messages = '[{"role":"user", "content":"Hi \\u00e9"}]'
    with http_client(ways.sidecar_url) as plain:
        assert (
            plain.post("/v1/messages", content=body % (MODEL, messages)).status_code == 400
        )  # 1e2: the fake is strict
        assert ways.fake.requests()[-1]["body_bytes"] == len((body % (MODEL, messages)).encode()) - 1
        assert plain.post("/v1/messages", json=asked()).headers["content-type"] == "application/json"
    assert ways.fake.bodies()[-1] == {"stream": True, **asked()}


def test_headers_of_the_answer_stay_where_they_make_sense(ways):
    with http_client(ways.sidecar_url) as plain:
        answer = plain.post("/v1/messages", json=asked())
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "4000"
    assert answer.headers["request-id"].startswith("req_fake")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_refusal_before_the_stream_is_the_upstreams_own(client, stream):
    with pytest.raises(anthropic.RateLimitError) as raised:
        client.messages.create(**asked("[fake error=429 retry_after=3]"), stream=stream)
    assert raised.value.response.headers["retry-after"] == "3"


def test_an_error_within_the_stream_is_an_answer_with_its_status(client):
    with pytest.raises(anthropic.OverloadedError) as raised:
        client.messages.create(**asked("[fake misbehave=error_event]"))
    assert raised.value.status_code == 529
    assert raised.value.body["error"] == {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.parametrize("how", ["truncate", "reset", "no_message_stop"])
def test_a_stream_that_breaks_is_a_502_and_no_half_answer(client, how):
    with pytest.raises(anthropic.InternalServerError) as raised:
        client.messages.create(**asked(f"[fake misbehave={how}]"))
    assert raised.value.status_code == 502
    assert raised.value.body["error"]["type"] == "api_error"


def test_an_encoded_stream_is_a_502(client):
    with pytest.raises(anthropic.InternalServerError, match="encoded"):
        client.messages.create(**asked("[fake misbehave=encoded]"))


def test_who_asks_for_a_stream_gets_it_verbatim(ways):
    with http_client(ways.sidecar_url) as through, http_client(ways.direct_url) as direct:
        question = asked("Hello [fake kind=mixed]", stream=True)
        assert through.post("/v1/messages", json=question).content == direct.post("/v1/messages", json=question).content


def test_openais_clients_are_served_by_a_stream_too(ways):
    with openai_sdk.sync_client(ways.sidecar_url) as client:
        question = {"model": MODEL, "messages": [{"role": "user", "content": "Hello [fake kind=mixed]"}]}
        answer = client.chat.completions.create(**question)
        assert answer.choices[0].finish_reason == "tool_calls"
        assert answer.usage.completion_tokens > 0
        assert ways.fake.bodies()[-1]["stream"] is True
        question["messages"][0]["content"] = "[fake misbehave=error_event]"
        with pytest.raises(openai_sdk.openai.InternalServerError) as raised:
            client.chat.completions.create(**question)
        assert raised.value.status_code == 529


async def test_the_upstreams_connection_is_used_again():
    """The end of a body comes a little later than the end of its stream."""
    whole = [read_request(), send(sse_head(), chunk(sequences.TEXT)), sleep(0.02), send(b"0\r\n\r\n")]
    cut = [read_request(), send(sse_head(), chunk(sequences.TEXT)), sleep(0.02), reset()]
    late = [read_request(), send(sse_head(), chunk(sequences.TEXT)), hang()]
    async with (
        ScriptedUpstream(steps(*whole * 3, *cut), steps(*late), steps(*whole)) as upstream,
        running(
            SidecarProcess({"upstream": {"url": upstream.url}, "drain": {"settleSeconds": 0}, **DEMOTED})
        ) as sidecar,
        httpx.AsyncClient(base_url=sidecar.url, trust_env=False) as plain,
    ):
        for _ in range(6):
            assert (await plain.post("/v1/messages", json=asked())).json()["stop_reason"] == "end_turn"
            await asyncio.to_thread(sidecar.wait_for, in_flight=0)
        assert [len(connection.requests) for connection in upstream.connections] == [4, 1, 1]


def test_a_client_that_leaves_is_noticed_at_once(ways):
    with (
        sync_client(ways.sidecar_url) as client,
        pytest.raises(anthropic.APITimeoutError),
    ):
        client.with_options(timeout=1.0).messages.create(**asked("[fake seconds=60]"))
    ways.sidecar.wait_for(in_flight=0)
    assert ways.fake.stats()["active"] == 0


def test_the_log_tells_what_the_stream_came_to(ways, client):
    client.messages.create(**asked("The last one [fake kind=text]"))
    ways.sidecar.wait_for(in_flight=0)
    lines = [json.loads(line) for line in ways.sidecar.output().splitlines() if '"event":"request"' in line]
    assert lines[-1]["stop_reason"] == "end_turn"
    assert lines[-1]["output_tokens"] > 0
    assert lines[-1]["stream"] is False
