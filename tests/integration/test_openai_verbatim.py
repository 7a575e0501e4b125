"""OpenAI's SDK on an OpenAI upstream: the same bytes as without the sidecar, on every route of that API."""

import openai
import pydantic
import pytest
from tests.support.openai_sdk import FORCED_WEATHER, MODEL, WEATHER_TOOL, async_client, http_client, sync_client, told
from tests.support.sdk import ways


@pytest.fixture(scope="module")
def both():
    with ways("OpenAI") as found:
        yield found


def asked(text="Hello", **fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


BODIES = {
    "a chat": ("/v1/chat/completions", asked()),
    "a chat, alias": ("/chat/completions", asked()),
    "a chat, streamed": ("/v1/chat/completions", asked(stream=True, stream_options={"include_usage": True})),
    "tools, streamed": (
        "/v1/chat/completions",
        asked("[fake kind=calls calls=2]", stream=True, tools=[WEATHER_TOOL]),
    ),
    "odd bytes": ("/v1/chat/completions", asked("[fake eol=cr noise=1 chunk=3]", stream=True)),
    "an error": ("/v1/chat/completions", asked("[fake error=429 retry_after=3]")),
    "an error within": ("/v1/chat/completions", asked("[fake misbehave=error_event]", stream=True)),
    "a response": ("/v1/responses", {"model": MODEL, "input": "Hello"}),
    "a response, streamed": ("/v1/responses", {"model": MODEL, "input": "Hello", "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    "bad embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small"}),
}
#: Of an answer, what is new each time.
EACH_TIME = {"date", "x-request-id", "request-id", "x-lastcall-request-id", "connection", "server", "set-cookie"}


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_is_the_same_down_to_bytes_and_headers(both, name):
    path, body = BODIES[name]
    direct_path = path if path.startswith("/v1") else f"/v1{path}"
    with http_client(both.direct_url) as direct, http_client(both.sidecar_url) as through:
        one, other = direct.post(direct_path, json=body), through.post(path, json=body)
    assert (other.status_code, other.content) == (one.status_code, one.content)
    kept = [{k: v for k, v in answer.headers.items() if k not in EACH_TIME} for answer in (one, other)]
    assert kept[0] == kept[1]
    assert other.headers["x-request-id"].startswith("req_fake")


class Place(pydantic.BaseModel):
    name: str
    days: list[int]


async def test_the_sdk_does_all_that_it_can(both):
    async with async_client(both.sidecar_url) as client:
        completion = await client.chat.completions.parse(**asked("Where?"), response_format=Place)
        assert isinstance(completion.choices[0].message.parsed, Place)
        forced = await client.chat.completions.create(**asked(tools=[WEATHER_TOOL], tool_choice=FORCED_WEATHER))
        assert [call.function.name for call in forced.choices[0].message.tool_calls] == ["get_weather"]
        async with client.chat.completions.stream(**asked()) as stream:
            assert (await stream.get_final_completion()).choices[0].finish_reason == "stop"
        events = [event.type async for event in await client.responses.create(model=MODEL, input="Hi", stream=True)]
        assert (events[0], events[-1]) == ("response.created", "response.completed")


def test_models_are_the_same_and_more_is_said_of_them(both):
    with sync_client(both.direct_url) as direct, sync_client(both.sidecar_url) as through:
        for one, other in zip(told(list(direct.models.list())), told(list(through.models.list())), strict=True):
            assert {**other, **one} == other


@pytest.mark.parametrize("how", ["truncate", "reset", "no_message_stop"])
def test_a_dead_upstream_is_never_a_clean_end(both, how):
    """maximhq/bifrost#5546: there it became `[DONE]`."""
    with sync_client(both.sidecar_url) as client, pytest.raises(openai.APIError):
        for _ in client.chat.completions.create(**asked(f"[fake misbehave={how}]"), stream=True):
            pass
    with http_client(both.sidecar_url) as client:
        assert (
            "[DONE]" not in client.post("/v1/chat/completions", json=asked(f"[fake misbehave={how}]", stream=True)).text
        )


def test_anthropics_routes_say_what_they_need(both):
    with http_client(both.sidecar_url) as client:
        answer = client.get("/v1/messages/batches")
    assert answer.status_code == 501
    assert "provider Anthropic" in answer.json()["error"]["message"]
