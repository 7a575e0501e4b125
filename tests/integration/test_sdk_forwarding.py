"""Both directions down to the bytes: what the upstream gets of the SDK's request, and the client of the answer."""

import hashlib
import json

import pytest
from tests.support.raw_client import End, RawClient
from tests.support.sdk import MODEL, VERSION_HEADERS, asked, both_ways, http_client, sync_client

#: Headers that each hop writes for itself, or that name one request or connection.
HOP = {"connection", "date", "server", "transfer-encoding", "content-length", "keep-alive"}
PER_REQUEST = {"request-id", "x-request-id", "x-lastcall-request-id"}
SHAPES = [
    pytest.param("", id="plain"),
    pytest.param("chunk=1 events=5", id="byte by byte"),
    pytest.param("noise=1 eol=crlf chunk=7", id="CRLF in pieces"),
    pytest.param("noise=1 eol=cr", id="CR"),
    pytest.param("event_bytes=5000000 events=2 chunk=65537", id="events of 5 MB in pieces"),
    pytest.param("misbehave=encoded", id="encoded all the same"),
    pytest.param("misbehave=error_event after=4", id="error event"),
]


@pytest.fixture(scope="module")
def ways():
    with both_ways() as found:
        yield found


def latest(ways):
    return ways.fake.requests()[-1]


def received(ways, url, **headers):
    """One request of the SDK as the upstream got it."""
    with sync_client(url) as client, client.messages.stream(**asked("Hello – 灯", extra_headers=headers)) as stream:
        stream.until_done()
    return latest(ways)


async def raw_answer(url, body, headers=()):
    async with await RawClient.connect(url) as client:
        await client.request("POST", "/v1/messages", [*VERSION_HEADERS.items(), *headers], body)
        return await client.answer()


def kept(pairs):
    return sorted((name.lower(), value) for name, value in pairs if name.lower() not in HOP | PER_REQUEST)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_is_the_same_down_to_bytes_and_headers(ways, shape, stream):
    if not stream and "error_event" in shape:
        shape = "error=529"
    body = json.dumps(asked("Hello", stream=stream)).encode()
    fake = [("x-fake", shape)]
    direct = await raw_answer(ways.direct_url, body, fake)
    through = await raw_answer(ways.sidecar_url, body, fake)
    if direct.head.status == 200:
        assert through.body == direct.body
    assert (through.head.status, through.end) == (direct.head.status, End.COMPLETE)
    expected = [(name, value) for name, value in kept(direct.head.headers) if name != "set-cookie"]
    if direct.head.status != 200:
        expected = [pair for pair in expected if pair[0] != "x-fake-body-sha256"]  # its body names the request
    assert [pair for pair in kept(through.head.headers) if pair[0] in dict(expected)] == expected
    added = {name for name, _ in kept(through.head.headers)} - {name for name, _ in kept(direct.head.headers)}
    assert not added
    assert through.head.get("set-cookie") is None
    assert len(through.head.all("date")) == len(through.head.all("server")) == 1
    assert through.head.get("x-lastcall-request-id").startswith("req_")


async def test_the_upstreams_request_id_reaches_the_client(ways):
    answer = await raw_answer(ways.sidecar_url, json.dumps(asked("Hello")).encode())
    assert answer.head.get("request-id") == latest(ways)["request_id"]


def test_the_request_goes_upstream_as_it_came(ways):
    direct = received(ways, ways.direct_url)
    through = received(ways, ways.sidecar_url)
    assert through["body_sha256"] == direct["body_sha256"]
    assert (through["method"], through["target"]) == (direct["method"], direct["target"])
    own = HOP | {"accept-encoding", "host"}
    wanted = [pair for pair in direct["headers"] if pair[0].lower() not in own]
    assert [pair for pair in through["headers"] if pair[0].lower() not in own] == wanted


def test_a_stream_asks_the_upstream_for_no_encoding(ways):
    headers = {name.lower(): value for name, value in received(ways, ways.sidecar_url)["headers"]}
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == ways.direct_url.removeprefix("http://")


def test_what_is_not_the_upstreams_business_stays_behind(ways):
    names = {
        name.lower()
        for name, _ in received(
            ways, ways.sidecar_url, cookie="a=b", baggage="a=b", connection="x-hop", **{"x-hop": "1", "x-end": "2"}
        )["headers"]
    }
    assert not names & {"cookie", "baggage", "x-hop", "expect", "te", "proxy-authorization"}
    assert "x-end" in names


def test_the_query_goes_upstream_byte_for_byte(ways):
    query = "beta=true&a=%2f%2F&b=%20+&c"
    with http_client(ways.sidecar_url) as client:
        assert client.post(f"/v1/messages?{query}", json=asked()).status_code == 200
    assert latest(ways)["target"] == f"/v1/messages?{query}"


def test_the_alias_without_v1_is_the_same_route(ways):
    with http_client(ways.sidecar_url) as client:
        assert client.post("/messages", json=asked()).json()["type"] == "message"
        question = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
        assert client.post("/messages/count_tokens", json=question).json()["input_tokens"] > 0


@pytest.mark.parametrize("size", [0, 1, 100_000, 10_000_000])
def test_other_routes_stream_their_bodies_through(ways, size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with http_client(ways.sidecar_url) as client:
        answer = client.post("/v1/fake/echo", content=body)
    assert answer.content == body
    assert latest(ways)["body_sha256"] == hashlib.sha256(body).hexdigest()


async def test_a_passthrough_goes_both_ways_at_once(ways):
    async with await RawClient.connect(ways.sidecar_url) as client:
        headers = [*VERSION_HEADERS.items(), ("transfer-encoding", "chunked")]
        await client.request("POST", "/v1/fake/echo", headers)
        answer = await client.begin()
        chunks = client.chunks(answer)
        for number in range(3):
            await client.send(b"4\r\nabc%d\r\n" % number)
            assert await anext(chunks) == b"abc%d" % number
        await client.send(b"0\r\n\r\n")
        assert [rest async for rest in chunks] == []
        assert answer.end is End.COMPLETE


def test_each_request_was_counted_once_and_none_is_left(ways):
    seen = ways.fake.stats()["requests"]
    gauge = ways.sidecar.wait_for(in_flight=0)["totals"]
    for _ in range(5):
        received(ways, ways.sidecar_url)
    after = ways.sidecar.wait_for(in_flight=0)["totals"]
    assert ways.fake.stats()["requests"] == seen + 5
    assert {name: after[name] - gauge[name] for name in after} == {
        name: 5 if name in {"accepted", "completed"} else 0 for name in after
    }
