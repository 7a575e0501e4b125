"""The fake OpenAI API over sockets: what it promises in its headers comes, and what was asked of it is remembered."""

import gzip
import hashlib
import json

import pytest
from tests.support.fake import fake_in_loop
from tests.support.openai_sdk import HEADERS, VLLM_MODEL, asked
from tests.support.raw_client import End, RawClient

from lastcall_sidecar.testing.fake_llm import Options

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"


@pytest.fixture
async def fake():
    async with fake_in_loop(Options(api="OpenAI")) as url:
        yield url


@pytest.fixture
async def vllm():
    async with fake_in_loop(Options(api="vLLM")) as url:
        yield url


async def get(url, target, headers=(), method="GET", body=None):
    async with await RawClient.connect(url) as client:
        await client.request(method, target, [*HEADERS.items(), *headers], body)
        return await client.answer(method)


async def post(url, body, target=CHAT, words=""):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await get(url, target, [("x-fake", words)] if words else [], "POST", raw)


def sums_match(answer):
    return answer.head.get("x-fake-body-sha256") == hashlib.sha256(answer.body).hexdigest()


def questions(text="Hi"):
    return [(CHAT, asked(text)), (RESPONSES, {"model": "gpt-4o", "input": text})]


@pytest.mark.parametrize("target", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    "words", ["seed=1", "kind=mixed noise=1 eol=crlf", "chunk=7 noise=1 eol=cr", "event_bytes=9999"]
)
async def test_an_answer_is_the_promised_bytes(fake, target, words):
    question = dict(questions())[target]
    streamed, plain = [await post(fake, question | {"stream": stream}, target, words) for stream in (True, False)]
    assert streamed.head.get("content-type") == "text/event-stream; charset=utf-8"
    assert plain.head.get("content-type") == "application/json"
    assert sums_match(streamed)
    assert sums_match(plain)
    assert streamed.head.get("x-fake-text-sha256") == plain.head.get("x-fake-text-sha256")
    assert streamed.head.get("x-request-id") != plain.head.get("x-request-id")


async def test_the_text_is_the_promised_one(fake):
    answer = await post(fake, asked())
    text = json.loads(answer.body)["choices"][0]["message"]["content"]
    assert answer.head.get("x-fake-text-sha256") == hashlib.sha256(text.encode()).hexdigest()
    assert answer.head.get("openai-version") == "2020-10-01"
    assert answer.head.get("x-ratelimit-remaining-requests") == "499"


@pytest.mark.parametrize("target", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("misbehave=truncate", End.EOF),
        ("misbehave=stall hold=0.1 after=3", End.EOF),
        ("misbehave=no_message_stop", End.COMPLETE),
        ("misbehave=error_event after=4", End.COMPLETE),
    ],
)
async def test_a_spoiled_stream_lacks_what_it_should(fake, target, words, end):
    question = dict(questions())[target] | {"stream": True}
    whole, answer = [await post(fake, question, target, f"events=10 {how}") for how in ("", words)]
    events = [event for _, event in whole.events()]
    assert answer.end is end
    assert not sums_match(answer)
    if "error" in words:
        *kept, last = [event for _, event in answer.events()]
        assert kept == events[:4]
        assert b"The server had an error" in last
    elif "no_message_stop" in words:
        assert [event for _, event in answer.events()] == events[:-1]
    else:
        assert whole.body.startswith(answer.body)
        assert len(answer.body) < len(whole.body)


async def test_vllm_says_that_it_is_done_even_after_an_error(vllm):
    question = asked(model=VLLM_MODEL, stream=True)
    answer = await post(vllm, question, words="misbehave=error_event after=4")
    *_, error, done = [event for _, event in answer.events()]
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == 500
    assert done == b"data: [DONE]\n\n"


async def test_a_reset_is_a_reset(fake):
    async with await RawClient.connect(fake) as client:
        body = json.dumps(asked("[fake misbehave=reset]", stream=True)).encode()
        await client.request("POST", CHAT, list(HEADERS.items()), body)
        assert await client.wait_end() is End.RESET


@pytest.mark.parametrize("stream", [True, False])
async def test_an_encoded_answer_is_gzip_of_the_plain_one(fake, stream):
    plain = await post(fake, asked(stream=stream))
    answer = await post(fake, asked(stream=stream), words="misbehave=encoded")
    assert answer.head.get("content-encoding") == "gzip"
    assert gzip.decompress(answer.body) == plain.body


async def test_a_discarded_body_may_be_anything(fake):
    answer = await post(fake, b"\xff" * 40_000_000, words="discard=1 stream=1 events=3")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert sums_match(answer)


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [("GET", "/v1/files", "Invalid URL (GET /v1/files)"), ("POST", "/v1/models", "Invalid URL (POST /v1/models)")],
)
async def test_other_paths_are_refused_in_the_vendors_shape(fake, method, target, message):
    answer = await get(fake, target, method=method)
    assert answer.head.status in {404, 405}
    assert json.loads(answer.body)["error"]["message"] == message


@pytest.mark.parametrize("target", ["/v1/models", "/v1/models/gpt-4o"])
async def test_any_route_fails_on_request(fake, target):
    answer = await get(fake, target, [("x-fake", "error=429 retry_after=3")])
    assert (answer.head.status, answer.head.get("retry-after")) == (429, "3")


async def test_only_vllm_counts_tokens(fake, vllm):
    question = asked(model=VLLM_MODEL)
    counted = json.loads((await post(vllm, question, "/tokenize")).body)
    answered = json.loads((await post(vllm, question)).body)
    assert counted["count"] == answered["usage"]["prompt_tokens"]
    assert counted["max_model_len"] == 131072
    assert (await post(fake, question, "/tokenize")).head.status == 404


async def test_the_bodies_of_the_latest_requests_are_told(fake):
    large = asked("x" * 70_000)
    for body in (asked("one"), large, b"{"):
        await post(fake, body)
    seen = json.loads((await get(fake, "/__requests?bodies=1")).body)
    assert [request["body"] for request in seen] == [asked("one"), None, None]
    assert seen[1]["body_bytes"] == len(json.dumps(large))
    assert "body" not in json.loads((await get(fake, "/__requests")).body)[0]


async def test_everything_is_counted(vllm):
    await post(vllm, asked(model=VLLM_MODEL, stream=True))
    await post(vllm, asked(model=VLLM_MODEL), "/tokenize")
    await post(vllm, asked("[fake misbehave=no_message_stop]", model=VLLM_MODEL, stream=True))
    stats = json.loads((await get(vllm, "/__stats")).body)
    assert (stats["requests"], stats["completed"], stats["misbehaved"]) == (3, 2, 1)
    assert stats["paths"] == {CHAT: 2, "/tokenize": 1}
