"""The judge of the fake OpenAI API is the vendor's own SDK: it understands each answer, and raises what it should."""

import json

import openai
import pydantic
import pytest
from tests.support.fake import FakeProcess
from tests.support.openai_sdk import (
    FORCED_WEATHER,
    VLLM_MODEL,
    WEATHER_TOOL,
    asked,
    async_client,
    http_client,
    sync_client,
    told,
)

FLAT_TOOL = {"type": "function", "strict": False, **WEATHER_TOOL["function"]}
QUESTIONS = [
    pytest.param(asked("Hello"), id="plain"),
    pytest.param(asked("[fake eol=crlf noise=1]"), id="CRLF, comments, ids"),
    pytest.param(asked("[fake eol=cr noise=1 chunk=3]"), id="CR, in small pieces"),
    pytest.param(asked("[fake chunk=1 events=5]"), id="byte by byte"),
    pytest.param(asked("[fake stop=length]"), id="length"),
    pytest.param(asked("[fake stop=content_filter]"), id="content filter"),
    pytest.param(asked("[fake stop=refusal]"), id="refusal"),
    pytest.param(asked("[fake kind=none]"), id="nothing"),
    pytest.param(asked("[fake cache_read=500]", user="u-1", seed=3), id="options"),
    pytest.param(asked("Two?", n=2), id="two answers"),
    pytest.param(asked("Weather?", tools=[WEATHER_TOOL], tool_choice=FORCED_WEATHER), id="a tool"),
    pytest.param(asked("[fake kind=mixed calls=3 events=80]", tools=[WEATHER_TOOL]), id="three calls"),
    pytest.param(asked("[fake kind=calls]", tools=[WEATHER_TOOL]), id="a call without text"),
]


class Person(pydantic.BaseModel):
    name: str
    age: int
    friends: list["Person"]
    mood: str | None


class get_weather(pydantic.BaseModel):  # noqa: N801 - the name of the tool
    place: str
    days: int


@pytest.fixture(scope="module")
def fake():
    with FakeProcess(api="OpenAI") as found:
        yield found


@pytest.fixture(scope="module")
def vllm():
    with FakeProcess(api="vLLM") as found:
        yield found


@pytest.fixture
def client(fake):
    with sync_client(fake.url) as found:
        yield found


def stripped(completion):
    """What a stream and a plain answer have in common; the SDK adds `index` and `parsed`, and leaves out nulls."""
    return [
        {
            "finish_reason": choice["finish_reason"],
            "content": choice["message"].get("content") or "",
            "refusal": choice["message"].get("refusal"),
            "calls": [
                (call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in choice["message"].get("tool_calls") or ()
            ],
        }
        for choice in told(completion)["choices"]
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stream_adds_up_to_the_plain_answer(client, question):
    plain = client.chat.completions.create(**question)
    with client.chat.completions.stream(**question, stream_options={"include_usage": True}) as stream:
        list(stream)
        final = stream.current_completion_snapshot  # the final one is an exception at the limit and at the filter
    assert stripped(final) == stripped(plain)
    assert told(final)["usage"] == told(plain)["usage"]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_asynchronous_client_understands_it_too(fake, question):
    async with async_client(fake.url) as client:
        plain = await client.chat.completions.create(**question)
        async with await client.chat.completions.create(**question, stream=True) as stream:
            chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "".join(choice.message.content or "" for choice in plain.choices)
    assert {chunk.id for chunk in chunks} == {plain.id}


def test_an_answer_is_parsed_into_a_model(client):
    question = asked("Who?", response_format=Person)
    found = client.chat.completions.parse(**question).choices[0].message.parsed
    assert isinstance(found, Person)
    with client.chat.completions.stream(**question) as stream:
        list(stream)
        assert stream.get_final_completion().choices[0].message.parsed == found


def test_a_call_is_parsed_into_a_model(client):
    question = asked("[fake kind=calls]", tools=[openai.pydantic_function_tool(get_weather)])
    (call,) = client.chat.completions.parse(**question).choices[0].message.tool_calls
    assert call.function.parsed_arguments == get_weather(place="some place – 灯", days=42)


def test_the_limit_and_the_filter_are_the_sdks_exceptions(client):
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**asked("[fake stop=length]", response_format=Person))
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client.chat.completions.parse(**asked("[fake stop=content_filter]", response_format=Person))


def test_a_tool_is_called_answered_and_the_conversation_goes_on(client):
    question = asked("[fake kind=calls calls=2]", tools=[WEATHER_TOOL])
    message = client.chat.completions.create(**question).choices[0].message
    assert [set(json.loads(call.function.arguments)) for call in message.tool_calls] == [{"place", "days", "unit"}] * 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Rain"} for call in message.tool_calls]
    history = [*question["messages"], message, *results, {"role": "user", "content": "And now?"}]
    answer = client.chat.completions.create(**question | {"messages": history})
    assert answer.choices[0].finish_reason == "stop"
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        client.chat.completions.create(**question | {"messages": history[:-2]})


def test_vllm_thinks_aloud_and_says_where_it_stopped(vllm):
    with sync_client(vllm.url) as client:
        question = asked(
            "[fake kind=mixed stop=stop_sequence]", model=VLLM_MODEL, stop=["END"], extra_body={"top_k": 5}
        )
        (choice,) = client.chat.completions.create(**question).choices
        chunks = list(client.chat.completions.create(**question, stream=True))
    thought = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks)
    assert thought == choice.message.reasoning_content != ""
    assert choice.stop_reason == chunks[-1].choices[0].stop_reason == "END"


RESPONSES = ["Hello", "[fake kind=mixed calls=2 events=40 noise=1]", "[fake stop=refusal]", "[fake kind=none]"]


@pytest.mark.parametrize("text", RESPONSES)
async def test_a_response_stream_ends_with_the_plain_response(fake, text):
    question = {"model": "gpt-5", "input": text, "tools": [FLAT_TOOL]}
    with sync_client(fake.url) as client:
        plain = told(client.responses.create(**question))
        events = list(client.responses.create(**question, stream=True))
        assert told(events[-1])["response"] == plain
        with client.responses.stream(**question) as stream:
            assert [event.type for event in stream] == [event.type for event in events]
            assert stream.get_final_response().id == plain["id"]
    async with async_client(fake.url) as client:
        assert told(await client.responses.create(**question)) == plain


def test_a_response_that_is_cut_short_is_incomplete(client):
    found = client.responses.create(model="gpt-5", input="[fake stop=length]")
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_response_is_parsed_and_goes_on(client):
    found = client.responses.parse(model="gpt-4o", input="Who?", text_format=Person)
    assert isinstance(found.output_parsed, Person)
    again = client.responses.create(model="gpt-4o", input="More", previous_response_id=found.id)
    assert again.previous_response_id == found.id


def test_a_response_may_be_sent_back_as_it_came(client):
    question = {"model": "gpt-5", "tools": [FLAT_TOOL]}
    found = client.responses.create(**question, input="[fake kind=mixed]")
    (call,) = [item for item in found.output if item.type == "function_call"]
    history = [
        {"role": "user", "content": "Hi"},
        *found.output,
        {"type": "function_call_output", "call_id": call.call_id, "output": "Rain"},
    ]
    assert client.responses.create(**question, input=history).status == "completed"


def test_embeddings_are_vectors_of_length_one(client):
    found = client.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"], dimensions=64)
    first, second, third = (entry.embedding for entry in found.data)
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-5)
    assert first == third != second
    floats = client.embeddings.create(model="text-embedding-3-small", input="a", dimensions=64, encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(first, abs=1e-6)


async def test_models_are_listed_and_found(fake, vllm):
    with sync_client(fake.url) as client:
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve(names[0]).id == names[0] == "gpt-4o"
        with pytest.raises(openai.NotFoundError) as found:
            client.models.retrieve("gpt-none")
        assert (found.value.code, found.value.param) == ("model_not_found", "model")
    async with async_client(vllm.url) as client:
        assert (await client.models.retrieve("Qwen/Qwen3-32B")).max_model_len == 131072


ERRORS = [
    pytest.param(asked("[fake error=400]"), openai.BadRequestError, "invalid_request_error", None, id="400"),
    pytest.param(
        asked("[fake error=401]"), openai.AuthenticationError, "invalid_request_error", "invalid_api_key", id="401"
    ),
    pytest.param(
        asked("[fake error=403]"),
        openai.PermissionDeniedError,
        "request_forbidden",
        "unsupported_country_region_territory",
        id="403",
    ),
    pytest.param(asked("[fake error=404]"), openai.NotFoundError, "invalid_request_error", None, id="404"),
    pytest.param(
        asked("[fake error=429 retry_after=7]"), openai.RateLimitError, "requests", "rate_limit_exceeded", id="429"
    ),
    pytest.param(asked("[fake error=500]"), openai.InternalServerError, "server_error", None, id="500"),
    pytest.param(asked("[fake error=502]"), openai.InternalServerError, None, None, id="502 with a page of HTML"),
    pytest.param(asked("[fake error=503]"), openai.InternalServerError, "server_error", None, id="503"),
    pytest.param(asked(model="gpt-none"), openai.NotFoundError, "invalid_request_error", "model_not_found", id="model"),
    pytest.param(
        asked(extra_body={"top_k": 2}),
        openai.BadRequestError,
        "invalid_request_error",
        "unknown_parameter",
        id="unknown",
    ),
    pytest.param(
        asked("[fake eror=1]"), openai.BadRequestError, "invalid_request_error", None, id="mistaken directive"
    ),
]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize(("question", "kind", "error_type", "code"), ERRORS)
def test_an_error_is_the_right_exception(client, question, kind, error_type, code, stream):
    with pytest.raises(openai.APIStatusError) as found:
        client.chat.completions.create(**question, stream=stream)
    error = found.value
    assert (type(error), error.type, error.code) == (kind, error_type, code)
    assert error.response.headers.get("retry-after") == ("7" if kind is openai.RateLimitError else None)
    if error_type is not None:
        assert error.request_id.startswith("req_fake")
        assert error.body["message"]


def test_a_key_is_needed(fake, vllm):
    with sync_client(fake.url, api_key="sk-invalid-key") as client, pytest.raises(openai.AuthenticationError) as found:
        client.chat.completions.create(**asked())
    assert found.value.code == "invalid_api_key"
    with http_client(fake.url) as plain:
        del plain.headers["authorization"]
        refused = plain.post("/v1/chat/completions", json=asked())
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_request_error")
    with http_client(vllm.url) as plain:
        del plain.headers["authorization"]
        assert plain.get("/v1/models").json() == {"error": "Unauthorized"}


def test_vllm_tells_errors_in_its_own_shape(vllm):
    with sync_client(vllm.url) as client:
        with pytest.raises(openai.NotFoundError) as found:
            client.chat.completions.create(**asked())
        assert found.value.body == {
            "message": "The model `gpt-4o` does not exist.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        }
        with pytest.raises(openai.InternalServerError) as found:
            client.chat.completions.create(**asked("[fake error=503]", model=VLLM_MODEL))
        assert (found.value.type, found.value.body["code"]) == ("Service Unavailable", 503)


@pytest.mark.parametrize("api", ["fake", "vllm"])
def test_an_error_within_a_stream_is_raised(request, api):
    found = request.getfixturevalue(api)
    question = asked("[fake misbehave=error_event after=5]", model=VLLM_MODEL, stream=True)
    seen = []
    with sync_client(found.url) as client, pytest.raises(openai.APIError, match="The server had an error") as error:
        seen.extend(client.chat.completions.create(**question))
    assert len(seen) == 5
    assert not isinstance(error.value, openai.APIStatusError)


def test_an_error_within_a_response_stream_is_raised(client):
    question = {"model": "gpt-5", "input": "[fake misbehave=error_event after=5]", "stream": True}
    with pytest.raises(openai.APIError, match="The server had an error"):
        list(client.responses.create(**question))


@pytest.mark.parametrize("how", ["truncate", "reset"])
def test_a_stream_that_is_cut_is_an_error(client, how):
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        list(client.chat.completions.create(**asked(f"[fake misbehave={how}]"), stream=True))


def test_a_stream_without_its_last_event_goes_unnoticed(client):
    chunks = list(client.chat.completions.create(**asked("[fake misbehave=no_message_stop after=4]"), stream=True))
    assert len(chunks) == 4
