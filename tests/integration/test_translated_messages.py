"""Anthropic's own SDK in front of OpenAI's API and of vLLM: every answer, and what the upstream was asked."""

import contextlib
import json

import anthropic
import pytest
from tests.support import openai_sdk
from tests.support.scripted_upstream import chunk, hang, json_response, read_request, send, sse_head, steps
from tests.support.sdk import WEATHER_TOOL, async_client, http_client, sync_client, told, ways
from tests.support.stage import PLAIN_QUESTION
from tests.support.stage import question as message_request

MODELS = {"OpenAI": openai_sdk.MODEL, "vLLM": openai_sdk.VLLM_MODEL}


@pytest.fixture(scope="module")
def found():
    with contextlib.ExitStack() as stack:
        yield {api: stack.enter_context(ways(api)) for api in MODELS}


@pytest.fixture(params=MODELS)
def api(request):
    return request.param


@pytest.fixture
def both(found, api):
    return found[api]


@pytest.fixture
def client(both):
    with sync_client(both.sidecar_url) as opened:
        yield opened


def asked(api, text="Hello", **fields):
    messages = [{"role": "user", "content": text}]
    return {"model": MODELS[api], "max_tokens": 4096, "messages": messages, **fields}


KINDS = {
    "text": ({}, "end_turn"),
    "a tool": ({"tools": [WEATHER_TOOL], "tool_choice": {"type": "tool", "name": "get_weather"}}, "tool_use"),
    "any tool": ({"tools": [WEATHER_TOOL], "tool_choice": {"type": "any"}}, "tool_use"),
    "two tools at once": ({"tools": [WEATHER_TOOL], "directive": "kind=calls calls=2"}, "tool_use"),
    "text and a tool": ({"tools": [WEATHER_TOOL], "directive": "kind=tools"}, "tool_use"),
    "no tool": ({"tools": [WEATHER_TOOL], "tool_choice": {"type": "none"}}, "end_turn"),
    "thinking": ({"directive": "kind=thinking"}, "end_turn"),
    "everything": ({"tools": [WEATHER_TOOL], "directive": "kind=mixed"}, "tool_use"),
    "cut at the limit": ({"directive": "stop=length"}, "max_tokens"),
    "a refusal": ({"directive": "stop=refusal"}, "refusal"),
    "filtered": ({"directive": "stop=content_filter"}, "refusal"),
    "cached": ({"directive": "cache_read=7"}, "end_turn"),
    "odd bytes": ({"directive": "eol=cr chunk=3"}, "end_turn"),
    "nothing": ({"directive": "kind=none"}, "end_turn"),
}


def question(api, name):
    fields = dict(KINDS[name][0])
    directive = fields.pop("directive", None)
    return asked(api, f"Hello [fake {directive}]" if directive else "Hello", **fields)


@pytest.mark.parametrize("name", KINDS)
def test_a_stream_and_a_whole_answer_say_the_same(client, api, name):
    whole = client.messages.create(**question(api, name))
    with client.messages.stream(**question(api, name)) as stream:
        streamed = stream.get_final_message()
    assert whole.stop_reason == KINDS[name][1]
    assert plain(whole) == plain(streamed)


def plain(message):
    """What a message says, whichever way it came."""
    found = told(message)
    blocks = [{key: value for key, value in block.items() if value is not None} for block in found["content"]]
    usage = {key: value for key, value in found["usage"].items() if value is not None}
    return found["id"], found["model"], blocks, found["stop_reason"], found["stop_sequence"], usage


async def test_the_asynchronous_client_sees_the_same(both, client, api):
    for name in ("text", "everything"):
        whole = client.messages.create(**question(api, name))
        async with async_client(both.sidecar_url) as other:
            assert plain(await other.messages.create(**question(api, name))) == plain(whole)


def test_usage_tells_the_cache_apart(client, api):
    usage = client.messages.create(**question(api, "cached")).usage
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (7, 0)
    assert usage.input_tokens > 0


def test_a_stream_is_the_apis_own_sequence(both, api):
    with http_client(both.sidecar_url) as plain_client:
        answer = plain_client.post("/v1/messages", json=question(api, "everything") | {"stream": True})
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    kinds = [json.loads(line[6:])["type"] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert names == kinds
    assert (names[0], names[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert names.count("content_block_start") == names.count("content_block_stop") >= 2


def test_tools_and_pictures_go_back(both, client, api):
    first = client.messages.create(**question(api, "two tools at once"))
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}}
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sunny"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": [picture], "is_error": True},
    ]
    messages = [
        *question(api, "two tools at once")["messages"],
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [*results, {"type": "text", "text": "And now? [fake kind=text]"}]},
    ]
    answer = client.messages.create(
        model=MODELS[api], max_tokens=100, system="Be brief.", messages=messages, tools=[WEATHER_TOOL]
    )
    assert answer.stop_reason == "end_turn"
    sent = both.fake.bodies()[-1]
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert any(part["type"] == "image_url" for part in sent["messages"][-1]["content"])
    assert all(isinstance(json.loads(it["function"]["arguments"]), dict) for it in sent["messages"][2]["tool_calls"])


def test_structured_output_is_the_schemas(client, api):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
        "required": ["name", "days"],
        "additionalProperties": False,
    }
    answer = client.messages.create(
        **asked(api, "Where?", output_config={"format": {"type": "json_schema", "schema": schema}})
    )
    assert set(json.loads(answer.content[0].text)) == {"name", "days"}


def test_what_claude_code_always_sends_is_no_hindrance(client, api):
    with client.beta.messages.stream(
        **asked(
            api,
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            metadata={"user_id": "u" * 200},
            thinking={"type": "adaptive"},
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            betas=["context-management-2025-06-27"],
        )
    ) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"


@pytest.mark.parametrize("long", [False, True], ids=["short", "megabytes"])
def test_a_tool_of_a_long_name_is_called_by_it(client, api, long):
    """Beyond a megabyte, which vLLM's models have no room for, the names travel from another process."""
    tool = WEATHER_TOOL | {"name": "mcp__plugin_" + "x" * 80}
    text = "[fake kind=calls] " + "Where? " * (200_000 if long and api == "OpenAI" else 1)
    whole = client.messages.create(**asked(api, text, tools=[tool]))
    with client.messages.stream(**asked(api, text, tools=[tool])) as stream:
        streamed = stream.get_final_message()
    assert [[block.name for block in found.content if block.type == "tool_use"] for found in (whole, streamed)] == [
        [tool["name"]]
    ] * 2


@pytest.mark.parametrize("long", [False, True], ids=["short", "megabytes"])
def test_tokens_are_counted_exactly_or_roughly_and_it_says_so(both, api, long):
    question = asked(api, "How many? " * (600_000 if long else 1), system="Count.", tools=[WEATHER_TOOL])
    del question["max_tokens"]
    with sync_client(both.sidecar_url) as client:
        raw = client.messages.with_raw_response.count_tokens(**question)
    assert raw.headers["x-lastcall-token-count"] == {"vLLM": "exact", "OpenAI": "rough"}[api]
    assert raw.parse().input_tokens > (1_000_000 if long else 10)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("status", "body"),
    [("200 OK", b'{"tokens":[]}'), ("200 OK", b'{"error":"Unexpected endpoint"}'), ("404 Not Found", b"<html>")],
    ids=["llama.cpp", "LM Studio", "none"],
)
async def test_a_tokenizer_that_tells_no_count_is_none(openai, status, body):
    part = openai.part(read_request(), send(json_response(body, status)))
    answer = await openai.ask(part, PLAIN_QUESTION, path="/v1/messages/count_tokens")
    assert (answer.head.status, json.loads(answer.body)) == (200, {"input_tokens": 1})
    assert answer.head.get("x-lastcall-token-count") == "rough"


@pytest.mark.asyncio(loop_scope="session")
async def test_at_a_stop_sequence_that_the_upstream_was_not_told_the_stream_ends_at_once(openai):
    said = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % words for words in (b"one E", b"ND two")]
    part = openai.part(steps(read_request(), send(sse_head(), *map(chunk, said)), hang()))
    body = message_request(model="gpt-5", stop_sequences=["END"])
    answer = await openai.ask(part, body, timeout_seconds=4)  # an upstream may linger for 5 s behind its own end
    assert b'"stop_sequence":"END"' in answer.body
    assert answer.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert "stop" not in json.loads(part.request.body)
    await (await part.connection()).wait_gone()


@pytest.mark.parametrize("model", [{}, {"model": ""}, {"model": None}], ids=["none", "empty", "null"])
def test_tokens_are_counted_for_a_model(both, model):
    question = {"messages": [{"role": "user", "content": "Hello"}], **model}
    with http_client(both.sidecar_url) as plain:
        answer = plain.post("/v1/messages/count_tokens", json=question)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "model" in answer.json()["error"]["message"]


ERRORS = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    429: anthropic.RateLimitError,
    500: anthropic.InternalServerError,
    502: anthropic.InternalServerError,
    503: anthropic.InternalServerError,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", ERRORS)
def test_an_error_is_the_sdks_own(client, api, status, stream):
    with pytest.raises(ERRORS[status]) as raised:
        client.messages.create(**asked(api, f"[fake error={status} retry_after=3]"), stream=stream)
    assert raised.value.status_code == status
    assert raised.value.body["error"]["message"]


@pytest.mark.parametrize("how", ["truncate", "reset", "no_message_stop after=3", "error_event"])
def test_a_stream_that_breaks_raises_and_has_no_good_end(both, client, api, how):
    text = f"[fake misbehave={how}]"
    with pytest.raises(anthropic.APIError), client.messages.stream(**asked(api, text)) as stream:
        stream.get_final_message()
    with http_client(both.sidecar_url) as plain_client:
        body = plain_client.post("/v1/messages", json=asked(api, text, stream=True)).text
    assert "event: message_stop" not in body
    assert body.count("event: error") == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param(
            {"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]}, "mcp_servers", id="MCP"
        ),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0", id="a server's tool"
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
                        ],
                    }
                ]
            },
            "messages.0.content.0",
            id="a document elsewhere",
        ),
    ],
)
def test_what_cannot_be_said_is_a_400_that_names_the_field(both, api, fields, says):
    with http_client(both.sidecar_url) as plain_client:
        answer = plain_client.post("/v1/messages", json={**asked(api), **fields})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(says)


def test_batches_are_not_there_and_it_says_so(client):
    with pytest.raises(anthropic.APIStatusError, match="needs an upstream of provider Anthropic") as raised:
        client.messages.batches.list()
    assert raised.value.status_code == 501
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_nobody_is_left_in_flight(found):
    for both in found.values():
        both.sidecar.wait_for(in_flight=0, totals_dropped=0)
        assert "Traceback" not in both.sidecar.output()
