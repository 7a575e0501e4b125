"""The fake over sockets: what it promises in its headers comes, and it goes wrong exactly as it was asked to."""

import asyncio
import gzip
import hashlib
import itertools
import json
import time

import pytest
from tests.support.fake import fake_in_loop
from tests.support.raw_client import Answer, End, RawClient
from tests.support.sdk import VERSION_HEADERS, asked

from lastcall_sidecar.testing.fake_llm import Options

HEADERS = list(VERSION_HEADERS.items())


@pytest.fixture
async def fake():
    async with fake_in_loop() as url:
        yield url


async def get(url, target, headers=HEADERS, method="GET", body=None) -> Answer:
    async with await RawClient.connect(url) as client:
        await client.request(method, target, headers, body)
        return await client.answer(method)


async def post(url, body, target="/v1/messages", headers=HEADERS) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await get(url, target, headers, "POST", raw)


def parsed(answer):
    return json.loads(answer.body)


async def stats_when_active(url, count):
    """Wait until so many requests are under way."""
    for _ in range(500):
        stats = parsed(await get(url, "/__stats"))
        if stats["active"] == count:
            return stats
        await asyncio.sleep(0.01)
    pytest.fail(f"never {count} active: {stats}")


def directed(words):
    """Headers with a directive, where the body must stay the same (its length counts in the answer's usage)."""
    return [*HEADERS, ("x-fake", words)]


def sums_match(answer):
    return answer.head.get("x-fake-body-sha256") == hashlib.sha256(answer.body).hexdigest()


@pytest.mark.parametrize(
    "directive",
    [
        "",
        "kind=mixed events=40",
        "noise=1 eol=crlf",
        "noise=1 eol=cr chunk=7",
        "event_bytes=100000 events=3",
        "chunk=1",
    ],
)
async def test_a_stream_is_the_promised_bytes(fake, directive):
    answer = await post(fake, asked(f"[fake {directive}]", stream=True))
    assert answer.head.get("content-type") == "text/event-stream; charset=utf-8"
    assert answer.framing == "chunked"
    assert answer.end is End.COMPLETE
    assert sums_match(answer)


async def test_streamed_and_plain_answers_tell_the_same(fake):
    streamed, plain = await post(fake, asked("Hi", stream=True)), await post(fake, asked("Hi"))
    text = "".join(block["text"] for block in parsed(plain)["content"])
    assert sums_match(plain)
    assert plain.framing == "length"
    assert plain.head.get("x-fake-text-sha256") == streamed.head.get("x-fake-text-sha256")
    assert plain.head.get("x-fake-text-sha256") == hashlib.sha256(text.encode()).hexdigest()
    assert plain.head.get("request-id") != streamed.head.get("request-id")
    assert plain.head.get("anthropic-ratelimit-requests-remaining") == "3999"


async def test_the_same_question_gets_the_same_bytes(fake):
    first, second = [await post(fake, asked("Hi", stream=True)) for _ in range(2)]
    assert first.body == second.body


async def test_seconds_are_spread_over_the_events(fake):
    started = time.monotonic()
    answer = await post(fake, asked("[fake seconds=0.6 events=20]", stream=True))
    times = [arrival - started for arrival, _ in answer.events()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 0.5 < times[-1] < 1.5
    assert times[0] < 0.3
    assert sum(gap > 0.005 for gap in gaps) >= 20


async def test_a_directive_in_the_header_wins(fake):
    answer = await post(fake, asked("[fake error=400]"), headers=[*HEADERS, ("x-fake", "seed=9")])
    assert parsed(answer)["id"] == "msg_fake00000000000000000009"


async def test_a_discarded_body_may_be_anything(fake):
    headers = [*HEADERS, ("x-fake", "discard=1 stream=1 events=3")]
    body = b"\xff" * 40_000_000
    answer = await post(fake, body, headers=headers)
    assert answer.head.get("content-type") == "text/event-stream; charset=utf-8"
    assert sums_match(answer)
    seen = parsed(await get(fake, "/__requests"))[-1]
    assert (seen["body_bytes"], seen["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        pytest.param(asked("[fake error=429 retry_after=7]"), HEADERS, 429, "rate_limit_error", id="429"),
        pytest.param(asked("[fake error=529]"), HEADERS, 529, "overloaded_error", id="529"),
        pytest.param(asked("[fake error=500]"), HEADERS, 500, "api_error", id="500"),
        pytest.param(asked("[fake error=400]", stream=True), HEADERS, 400, "invalid_request_error", id="400"),
        pytest.param(asked("[fake eror=400]"), HEADERS, 400, "invalid_request_error", id="mistaken directive"),
        pytest.param(asked("[fake misbehave=linger]"), HEADERS, 400, "invalid_request_error", id="not a stream"),
        pytest.param(asked(model="gpt-4o"), HEADERS, 404, "not_found_error", id="unknown model"),
        pytest.param(asked(max_tokens=None), HEADERS, 400, "invalid_request_error", id="invalid"),
        pytest.param(b"{", HEADERS, 400, "invalid_request_error", id="not JSON"),
        pytest.param(b"x" * 33_554_433, HEADERS, 413, "request_too_large", id="too large"),
        pytest.param(asked(), HEADERS[1:], 401, "authentication_error", id="no key"),
        pytest.param(asked(), [("x-api-key", "sk-invalid"), *HEADERS[1:]], 401, "authentication_error", id="bad key"),
        pytest.param(asked(), HEADERS[:1], 400, "invalid_request_error", id="no version"),
    ],
)
async def test_errors_have_the_vendors_shape(fake, body, headers, status, kind):
    answer = await post(fake, body, headers=headers)
    found = parsed(answer)
    assert answer.head.status == status
    assert (found["type"], found["error"]["type"]) == ("error", kind)
    assert found["error"]["message"]
    assert found["request_id"] == answer.head.get("request-id")
    assert answer.head.get("retry-after") == ("7" if status == 429 else None)


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(fake):
    async with await RawClient.connect(fake) as client:
        await client.request("POST", "/v1/messages", [*HEADERS, ("content-length", "33554433")])
        assert (await client.answer()).head.status == 413


async def test_a_bearer_token_is_a_key_and_no_key_may_be_allowed(fake):
    assert (await post(fake, asked(), headers=[("authorization", "Bearer t"), *HEADERS[1:]])).head.status == 200
    async with fake_in_loop(Options(require_key=False)) as open_fake:
        assert (await post(open_fake, asked(), headers=HEADERS[1:])).head.status == 200


async def test_502_is_a_page_of_html(fake):
    answer = await post(fake, asked("[fake error=502]"))
    assert (answer.head.status, answer.head.get("content-type")) == (502, "text/html")
    assert bytes(answer.body).startswith(b"<html>")


@pytest.mark.parametrize("target", ["/v1/unknown", "/v2/messages", "/"])
async def test_other_paths_are_404_in_the_vendors_shape(fake, target):
    answer = await get(fake, target)
    assert answer.head.status == 404
    assert parsed(answer)["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("directive", "stream", "end"),
    [
        pytest.param("misbehave=truncate", True, End.EOF, id="truncate"),
        pytest.param("misbehave=truncate after=0", True, End.EOF, id="truncate the first event"),
        pytest.param("misbehave=truncate after=3 chunk=5", True, End.EOF, id="truncate, in small pieces"),
        pytest.param("misbehave=stall after=3 hold=0.1", True, End.EOF, id="stall"),
        pytest.param("misbehave=stall after=0 hold=0.1", True, End.EOF, id="stall after the head"),
        pytest.param("misbehave=no_message_stop", True, End.COMPLETE, id="no message_stop"),
        pytest.param("misbehave=no_message_stop after=4", True, End.COMPLETE, id="ends early, cleanly"),
        pytest.param("misbehave=error_event after=4", True, End.COMPLETE, id="error event"),
        pytest.param("misbehave=truncate", False, End.EOF, id="truncate JSON"),
        pytest.param("misbehave=stall hold=0.1", False, End.EOF, id="stall JSON"),
    ],
)
async def test_a_spoiled_answer_lacks_what_it_should(fake, directive, stream, end):
    whole = await post(fake, asked(stream=stream), headers=directed("events=10"))
    answer = await post(fake, asked(stream=stream), headers=directed(f"events=10 {directive}"))
    assert answer.head.status == 200
    assert answer.end is end
    assert not sums_match(answer)
    assert b"message_stop\n" not in answer.body
    if "error_event" in directive:
        *kept, last = [event for _, event in answer.events()]
        assert last.startswith(b"event: error\n")
        assert kept == [event for _, event in whole.events()][:4]
    elif directive == "misbehave=no_message_stop":
        assert [event for _, event in answer.events()] == [event for _, event in whole.events()][:-1]
    else:
        assert whole.body.startswith(answer.body)
        after = directive.partition("after=")[2].split(" ")[0]
        assert not after or len(answer.events()) == int(after)
        assert answer.body.endswith(b"\n\n") is (stream and "truncate" not in directive and after != "0")
    stats = parsed(await get(fake, "/__stats"))
    assert (stats["completed"], stats["misbehaved"], stats["active"]) == (1, 1, 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reset_is_a_reset(fake, stream):
    async with await RawClient.connect(fake) as client:
        body = json.dumps(asked("[fake misbehave=reset]", stream=stream)).encode()
        await client.request("POST", "/v1/messages", HEADERS, body)
        assert await client.wait_end() is End.RESET


async def test_a_lingering_stream_ends_late(fake):
    answer = await post(fake, asked("[fake misbehave=linger hold=0.3]", stream=True))
    assert answer.end is End.COMPLETE
    assert answer.ended_at - answer.events()[-1][0] > 0.2
    assert sums_match(answer)


async def test_slow_headers_come_late(fake):
    started = time.monotonic()
    async with await RawClient.connect(fake) as client:
        body = json.dumps(asked("[fake misbehave=slow_headers hold=0.3]", stream=True)).encode()
        await client.request("POST", "/v1/messages", HEADERS, body)
        await client.head()
    assert time.monotonic() - started > 0.25


@pytest.mark.parametrize("stream", [True, False])
async def test_an_encoded_answer_is_gzip_of_the_plain_one(fake, stream):
    plain = await post(fake, asked(stream=stream))
    answer = await post(fake, asked(stream=stream), headers=directed("misbehave=encoded"))
    assert answer.head.get("content-encoding") == "gzip"
    assert sums_match(answer)
    assert gzip.decompress(answer.body) == plain.body


@pytest.mark.parametrize(
    ("directive", "stream"),
    [
        pytest.param("seconds=60", True, id="in a stream"),
        pytest.param("seconds=60", False, id="before a plain answer"),
        pytest.param("misbehave=stall hold=60 after=1", True, id="in a stall"),
        pytest.param("misbehave=slow_headers hold=60", True, id="before the head"),
        pytest.param("misbehave=linger hold=60", True, id="after message_stop"),
    ],
)
@pytest.mark.parametrize("leave", [RawClient.reset, RawClient.half_close], ids=["reset", "half close"])
async def test_a_client_that_leaves_is_counted_at_once(fake, directive, stream, leave):
    async with await RawClient.connect(fake) as client:
        body = json.dumps(asked(f"[fake {directive}]", stream=stream)).encode()
        await client.request("POST", "/v1/messages", HEADERS, body)
        await stats_when_active(fake, 1)
        leave(client)
        stats = await stats_when_active(fake, 0)
    assert (stats["requests"], stats["disconnected"], stats["completed"]) == (1, 1, 0)


async def test_requests_are_remembered_as_they_came(fake):
    body = json.dumps(asked()).encode()
    await post(fake, body, target="/v1/messages?beta=true", headers=[*HEADERS, ("X-Case", "One"), ("X-Case", "Two")])
    seen = parsed(await get(fake, "/__requests"))[-1]
    assert (seen["method"], seen["target"]) == ("POST", "/v1/messages?beta=true")
    assert [pair for pair in seen["headers"] if pair[0] == "X-Case"] == [["X-Case", "One"], ["X-Case", "Two"]]
    assert seen["body_sha256"] == hashlib.sha256(body).hexdigest()


async def test_the_echo_answers_while_the_request_still_comes(fake):
    async with await RawClient.connect(fake) as client:
        headers = [*HEADERS, ("transfer-encoding", "chunked")]
        await client.request("POST", "/v1/fake/echo", headers)
        answer = await client.begin()
        chunks = client.chunks(answer)
        for number in range(3):
            await client.send(b"4\r\nabc%d\r\n" % number)
            assert await anext(chunks) == b"abc%d" % number
        await client.send(b"0\r\n\r\n")
        assert [rest async for rest in chunks] == []
        assert answer.end is End.COMPLETE


async def test_many_streams_run_side_by_side(fake):
    async def one(number):
        return await post(fake, asked(f"[fake seconds=1 events=10 seed={number}]", stream=True))

    started = time.monotonic()
    answers = await asyncio.gather(*(one(number) for number in range(300)))
    assert time.monotonic() - started < 10
    assert all(sums_match(answer) and answer.end is End.COMPLETE for answer in answers)
    assert parsed(await get(fake, "/__stats"))["peak_active"] == 300
