"""OpenAI's own SDK in front of an Anthropic upstream: every answer, and what its upstream was really asked."""

import json

import openai
import pydantic
import pytest
from tests.support.openai_sdk import FORCED_WEATHER, WEATHER_TOOL, async_client, http_client, sync_client, told
from tests.support.sdk import MODEL, ways


def asked(text="Hello", **fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture(scope="module")
def both():
    with ways("Anthropic", {"limits": {"maxConcurrent": 50}}) as found:
        yield found


@pytest.fixture(scope="module")
def client(both):
    with sync_client(both.sidecar_url) as found:
        yield found


def last_request(both):
    return both.fake.bodies()[-1]


KINDS = {
    "text": {},
    "a tool": {"tools": [WEATHER_TOOL], "tool_choice": FORCED_WEATHER},
    "two tools at once": {"tools": [WEATHER_TOOL], "directive": "kind=calls calls=2"},
    "text and a tool": {"tools": [WEATHER_TOOL], "directive": "kind=tools"},
    "no tool": {"tools": [WEATHER_TOOL], "tool_choice": "none"},
    "thinking": {"reasoning_effort": "medium", "max_tokens": 20000, "directive": "kind=thinking"},
    "everything": {"tools": [WEATHER_TOOL], "directive": "kind=everything"},
    "cut at the limit": {"directive": "stop=max_tokens"},
    "a refusal": {"directive": "stop=refusal"},
    "a pause": {"directive": "stop=pause_turn"},
    "cached": {"directive": "cache_read=7 cache_write=5"},
    "noise between events": {"directive": "noise=1 eol=crlf chunk=7"},
    "nothing": {"directive": "kind=none"},
}
FINISH = {
    "a tool": "tool_calls",
    "two tools at once": "tool_calls",
    "text and a tool": "tool_calls",
    "everything": "tool_calls",
    "cut at the limit": "length",
    "a refusal": "content_filter",
}


def question(name):
    fields = dict(KINDS[name])
    directive = fields.pop("directive", None)
    return asked(f"Hello [fake {directive}]" if directive else "Hello", **fields)


def plain(completion):
    """What a completion says, whichever way it came: a call's arguments may be spaced in two ways."""
    found = told(completion)
    (choice,) = found["choices"]
    message = choice["message"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    words = {key: message.get(key) or None for key in ("role", "content", "refusal", "reasoning_content")}
    return found["id"], found["model"], words, calls, choice["finish_reason"], found["usage"]


@pytest.mark.parametrize("name", KINDS)
def test_a_stream_and_a_whole_answer_say_the_same(client, name):
    whole = client.chat.completions.create(**question(name))
    with client.chat.completions.stream(**question(name), stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.current_completion_snapshot
    assert whole.choices[0].finish_reason == FINISH.get(name, "stop")
    one, other = (plain(completion) for completion in (whole, streamed))
    assert one == other


async def test_the_asynchronous_client_sees_the_same(both, client):
    for name in ("text", "everything"):
        whole = client.chat.completions.create(**question(name))
        async with async_client(both.sidecar_url) as other:
            assert told(await other.chat.completions.create(**question(name))) | {"created": 0} == told(whole) | {
                "created": 0
            }


def test_usage_counts_what_came_from_the_cache(client):
    usage = client.chat.completions.create(**question("cached")).usage
    plain = client.chat.completions.create(**asked("Hello [fake ]")).usage
    assert usage.prompt_tokens_details.cached_tokens == 7
    assert usage.prompt_tokens > plain.prompt_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_stream_ends_with_done_and_says_usage_only_when_asked(both):
    with http_client(both.sidecar_url) as client:
        for include, chunks_with_usage in ((True, 1), (False, 0)):
            options = {"stream_options": {"include_usage": True}} if include else {}
            answer = client.post("/v1/chat/completions", json=asked(stream=True, **options))
            lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
            assert lines[-1] == "[DONE]"
            told_usage = [line for line in lines[:-1] if json.loads(line).get("usage")]
            assert len(told_usage) == chunks_with_usage


def test_tool_results_go_back(both, client):
    first = client.chat.completions.create(**asked("[fake kind=calls calls=2]", tools=[WEATHER_TOOL]))
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"sunny {number}"}
        for number, call in enumerate(message.tool_calls)
    ]
    asked_first = asked("[fake kind=calls calls=2]")["messages"]
    messages = [{"role": "system", "content": "Be brief."}, *asked_first, message.to_dict(), *results]
    messages.append({"role": "user", "content": "And now? [fake kind=text]"})
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER_TOOL])
    assert answer.choices[0].finish_reason == "stop"
    sent = last_request(both)
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]


def test_an_answer_by_a_schema_with_bounds_is_parsed(both, client):
    """The fake refuses bounds, and objects that are not closed, as the API does."""

    class Review(pydantic.BaseModel):
        score: int = pydantic.Field(ge=1, le=100)
        words: list[str] = pydantic.Field(max_length=9, description="Which.")

    parsed = client.chat.completions.parse(**asked("How?"), response_format=Review).choices[0].message.parsed
    assert isinstance(parsed, Review)
    schema = last_request(both)["output_config"]["format"]["schema"]
    assert schema["properties"]["score"]["description"] == "{maximum: 100, minimum: 1}"
    assert schema["properties"]["words"]["description"] == "Which.\n\n{maxItems: 9}"


def test_a_tool_of_a_name_that_the_api_refuses_is_called_by_it(both, client):
    weather = WEATHER_TOOL["function"] | {"name": "weather.get/now", "strict": True}
    question = asked("[fake kind=calls]", tools=[WEATHER_TOOL | {"function": weather}])
    whole = client.chat.completions.create(**question)
    with client.chat.completions.stream(**question) as stream:
        streamed = stream.get_final_completion()
    for found in (whole, streamed):
        assert found.choices[0].message.tool_calls[0].function.name == "weather.get/now"
    assert "." not in last_request(both)["tools"][0]["name"]


def test_thinking_keeps_its_signature_across_turns(both, client):
    """The fake knows its own signatures, and refuses any other."""
    thinking = {"reasoning_effort": "high", "max_tokens": 30000, "tools": [WEATHER_TOOL]}
    first = client.chat.completions.create(**asked("[fake kind=mixed]", **thinking)).choices[0].message
    assert first.to_dict()["reasoning_details"][0]["signature"]
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "sunny"}
    history = [*asked("[fake kind=mixed]")["messages"], first.to_dict(), result]
    answer = client.chat.completions.create(model=MODEL, messages=history, **thinking)
    assert answer.choices[0].message.content is not None
    assert last_request(both)["messages"][1]["content"][0]["type"] == "thinking"
    forged = first.to_dict()
    forged["reasoning_details"][0]["signature"] = "Zm9yZ2Vk"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model=MODEL, messages=[*asked("[fake kind=mixed]")["messages"], forged, result], **thinking
        )
    without = {key: value for key, value in first.to_dict().items() if not key.startswith("reasoning")}
    history = [*asked("[fake kind=mixed]")["messages"], without, result]
    client.chat.completions.create(model=MODEL, messages=history, **thinking)
    assert last_request(both).get("thinking", {"type": "disabled"})["type"] == "disabled"


class Place(pydantic.BaseModel):
    name: str
    days: list[int]


def test_structured_output_is_parsed(client):
    parsed = client.chat.completions.parse(**asked("Where?"), response_format=Place).choices[0].message.parsed
    assert isinstance(parsed, Place)


ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    529: openai.InternalServerError,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", ERRORS)
def test_an_error_is_the_sdks_own(client, status, stream):
    with pytest.raises(ERRORS[status]) as raised:
        client.chat.completions.create(**asked(f"[fake error={status} retry_after=3]"), stream=stream)
    assert raised.value.status_code == status
    assert raised.value.body["message"]
    if status != 502:
        assert raised.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize("how", ["truncate", "reset", "no_message_stop", "error_event"])
def test_a_stream_that_breaks_raises_and_is_never_done(both, client, how):
    with pytest.raises(openai.APIError):
        for _ in client.chat.completions.create(**asked(f"[fake misbehave={how}]"), stream=True):
            pass
    with http_client(both.sidecar_url) as plain:
        body = plain.post("/v1/chat/completions", json=asked(f"[fake misbehave={how}]", stream=True)).text
    assert "[DONE]" not in body
    assert body.count('"error"') == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"n": 2}, "n", id="two answers"),
        pytest.param({"logprobs": True}, "logprobs", id="logprobs"),
        pytest.param({"logit_bias": {"50256": -100}}, "logit_bias", id="logit_bias"),
        pytest.param({"frequency_penalty": 0.5}, "frequency_penalty", id="a penalty"),
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="json_object"),
        pytest.param({"temperature": 3}, "temperature", id="too hot"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA=="}}]}]},
            "messages.0.content.0",
            id="audio",
        ),
    ],
)
def test_what_cannot_be_said_is_a_400_that_names_the_field(client, fields, says):
    with pytest.raises(openai.BadRequestError, match=rf"{says}\b"):
        client.chat.completions.create(**{**asked(), **fields})


def test_a_body_of_megabytes_is_translated_too(both, client):
    text = "a word of any kind, žluťoučký too " * 150_000
    assert len(text.encode()) > 4 * 1024 * 1024
    answer = client.chat.completions.create(**asked(text), user="somebody")
    assert answer.choices[0].finish_reason == "stop"
    refused = asked(text, n=3)
    with pytest.raises(openai.BadRequestError, match=r"\bn\b"):
        client.chat.completions.create(**refused)


def test_nobody_is_left_in_flight(both):
    both.sidecar.wait_for(in_flight=0, totals_dropped=0)
    assert "Traceback" not in both.sidecar.output()
