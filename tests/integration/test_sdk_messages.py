"""The real `anthropic` SDK asks for messages, directly and through the sidecar: same results, and the right ones."""

import hashlib

import pytest
from tests.support.sdk import WEATHER_TOOL, asked, async_client, both_ways, http_client, sync_client, told

THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 8192}
FORCED_TOOL = {"tools": [WEATHER_TOOL], "tool_choice": {"type": "tool", "name": "get_weather"}}
QUESTIONS = [
    pytest.param(asked("Hello"), id="plain"),
    pytest.param(asked("[fake events=400 seconds=0.2 seed=3]"), id="long"),
    pytest.param(asked("[fake chunk=1 events=5]"), id="byte by byte"),
    pytest.param(asked("[fake event_bytes=5000000 events=2]"), id="events of 5 MB"),
    pytest.param(asked("[fake eol=crlf noise=1]"), id="CRLF, comments, ids, unknown events"),
    pytest.param(asked("[fake eol=cr noise=1 chunk=3]"), id="CR, in small pieces"),
    pytest.param(asked("[fake stop=max_tokens]"), id="max_tokens"),
    pytest.param(asked("[fake stop=stop_sequence]", stop_sequences=["END"]), id="stop sequence"),
    pytest.param(asked("Hello", system="Be brief.", service_tier="auto", metadata={"user_id": "u-1"}), id="options"),
    pytest.param(asked("Weather?", **FORCED_TOOL), id="a tool"),
    pytest.param(asked("[fake kind=tools events=80]", tools=[WEATHER_TOOL]), id="a tool's input in many pieces"),
    pytest.param(asked("Think!", **THINKING), id="thinking"),
    pytest.param(asked("[fake kind=mixed]", **THINKING, tools=[WEATHER_TOOL]), id="thinking, text and a tool"),
]


@pytest.fixture(scope="module")
def ways():
    with both_ways() as found:
        yield found


@pytest.fixture(params=["direct", "sidecar"])
def url(request, ways):
    return ways.url(request.param)


def streamed(client, question):
    """All events of a raw stream, and the message of the helper."""
    with client.messages.create(**question, stream=True) as stream:
        events = told(list(stream))
    with client.messages.stream(**question) as stream:
        helped = [event.type for event in stream]
        return {"events": events, "helped": helped, "final": told(stream.get_final_message())}


async def streamed_async(client, question):
    async with await client.messages.create(**question, stream=True) as stream:
        events = told([event async for event in stream])
    async with client.messages.stream(**question) as stream:
        helped = [event.type async for event in stream]
        return {"events": events, "helped": helped, "final": told(await stream.get_final_message())}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_the_same_through_the_sidecar(ways, question):
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        assert told(through.messages.create(**question)) == told(direct.messages.create(**question))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stream_is_the_same_through_the_sidecar(ways, question):
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        assert streamed(through, question) == streamed(direct, question)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_asynchronous_client_sees_the_same_through_the_sidecar(ways, question):
    async with async_client(ways.direct_url) as direct, async_client(ways.sidecar_url) as through:
        assert told(await through.messages.create(**question)) == told(await direct.messages.create(**question))
        assert await streamed_async(through, question) == await streamed_async(direct, question)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stream_adds_up_to_the_plain_answer(url, question):
    with sync_client(url) as client:
        plain = told(client.messages.create(**question))
        found = streamed(client, question)
    assert found["final"]["content"] == plain["content"]
    assert found["final"]["usage"]["output_tokens"] == plain["usage"]["output_tokens"]
    assert found["final"]["stop_reason"] == plain["stop_reason"]
    assert found["events"][0]["type"] == "message_start"
    assert found["events"][-1]["type"] == "message_stop"


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_bytes_of_a_stream_are_those_that_the_fake_promised(url, question):
    with http_client(url) as client:
        answer = client.post("/v1/messages", json={**question, "stream": True})
    assert hashlib.sha256(answer.content).hexdigest() == answer.headers["x-fake-body-sha256"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_bytes_of_a_plain_answer_are_those_that_the_fake_promised(url, question):
    with http_client(url) as client:
        answer = client.post("/v1/messages", json=question)
    assert hashlib.sha256(answer.content).hexdigest() == answer.headers["x-fake-body-sha256"]


def test_text_arrives_as_the_fake_promised(url):
    with sync_client(url) as client, client.messages.stream(**asked("[fake events=200]")) as stream:
        text = "".join(stream.text_stream)
        promised = stream.response.headers["x-fake-text-sha256"]
    assert hashlib.sha256(text.encode()).hexdigest() == promised


def test_a_tool_is_called_answered_and_the_conversation_goes_on(url):
    with sync_client(url) as client:
        question = asked("Weather in Brno?", **FORCED_TOOL)
        call = client.messages.create(**question)
        (block,) = [part for part in call.content if part.type == "tool_use"]
        assert call.stop_reason == "tool_use"
        assert set(block.input) == {"place", "days", "unit"}
        assert block.input["unit"] == "celsius"
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "Rain"}
        history = [*question["messages"], call.to_param(), {"role": "user", "content": [result]}]
        answer = client.messages.create(**asked(messages=history, tools=[WEATHER_TOOL]))
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].text


def test_thinking_comes_with_its_signature_and_may_be_sent_back(url):
    with sync_client(url) as client:
        question = asked("Think!", **THINKING)
        with client.messages.stream(**question) as stream:
            thought, said = stream.get_final_message().content
        assert (thought.type, said.type) == ("thinking", "text")
        assert thought.thinking
        assert len(thought.signature) > 100
        history = [
            *question["messages"],
            {"role": "assistant", "content": [thought.to_dict(), said.to_dict()]},
            {"role": "user", "content": "Go on"},
        ]
        assert client.messages.create(**asked(messages=history, **THINKING)).stop_reason == "end_turn"
