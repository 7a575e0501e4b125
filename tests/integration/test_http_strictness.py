"""What is not HTTP/1.1, or could be read in two ways, is refused before anybody else has to read it."""

import asyncio
import random

import pytest
from tests.support.raw_client import End, NoAnswerError, RawClient
from tests.support.scripted_upstream import hang, json_response, read_head, read_request, send, steps
from tests.support.stage import PLAIN_QUESTION, error_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOST = b"Host: localhost\r\n"
OK = json_response(b"{}")
#: In each bad request; it may hold a credential, so no answer repeats it.
SECRET = b"sk-secret-4711"


def post(*lines, body=b"abcde", target=b"/v1/other"):
    return b"\r\n".join([b"POST " + target + b" HTTP/1.1", b"Host: localhost", b"X-Key: " + SECRET, *lines, b"", body])


BAD_FRAMING = {
    "a length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths": post(b"Content-Length: 5", b"content-length: 6"),
    "a list of lengths": post(b"Content-Length: 5, 5"),
    "a length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunks and a length": post(b"transfer-encoding: chunked", b"CONTENT-LENGTH: 5", body=b"0\r\n\r\n"),
    "a signed length": post(b"Content-Length: +5"),
    "a negative length": post(b"Content-Length: -5"),
    "a hexadecimal length": post(b"Content-Length: 0x5"),
    "a length with a blank": post(b"Content-Length: 5 5"),
    "an empty length": post(b"Content-Length: "),
    "a length in other digits": post("Content-Length: ٥".encode()),
    "a blank before the colon": post(b"Content-Length : 5"),
    "a blank before the name": post(b"X-A: 1", b" Content-Length: 5", b"Content-Length: 5", b"Content-Length : 5"),
}
BAD_HEADS = {
    "no version": b"GET /v1/sk-secret-4711\r\n\r\n",
    "two blanks": b"GET  /v1/other HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank in the target": b"GET /v1/sk-secret-4711 b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a control character in the target": b"GET /v1/\x01sk-secret-4711 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target that is not ASCII": b"GET /v1/sk-secret-4711\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET /v1/other HTTP/1.1\r\nX-Key: sk-secret-4711\r\n\r\n",
    "two hosts": b"GET /v1/other HTTP/1.1\r\nX-Key: sk-secret-4711\r\n" + HOST * 2 + b"\r\n",
    "no colon": post(b"sk-secret-4711"),
    "no name": post(b": sk-secret-4711"),
    "a blank in a name": post(b"X Key: sk-secret-4711"),
    "NUL in a value": post(b"X-A: sk-secret-4711\0"),
    "CR in a value": post(b"X-A: a\rX-B: sk-secret-4711"),
    "another control character in a value": post(b"X-A: sk-secret-4711\x08", b"Content-Length: 5"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03sk-secret-4711\r\n\r\n",
    "SSH": b"SSH-2.0-sk-secret-4711\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "an answer": b"HTTP/1.1 200 OK\r\nX-Key: sk-secret-4711\r\n\r\n",
}
UNSERVED = {
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "chunks twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 501),
    "two encodings": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    "chunked twice in a list": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 501),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501),
    "the coding identity": (post(b"Transfer-Encoding: identity"), 501),
}


async def refused(wire, data, status):
    """Send bytes; the answer is this refusal, in a shape that a client understands, and the end."""
    before = await wire.totals()
    connections = len(wire.stage.connections)
    async with await wire.connect() as client:
        await client.send(data)
        answer = await client.answer("GET")
        assert (answer.head.status, answer.head.get("connection"), answer.end) == (status, "close", End.COMPLETE)
        assert len(answer.head.all("date")) == 1
        assert answer.head.get("content-type") == "application/json"
        assert SECRET not in answer.body
        assert await client.wait_end() is End.EOF
    assert (await wire.livez())["in_flight"] == 0
    assert await wire.totals() == before
    assert len(wire.stage.connections) == connections
    return error_of(answer)


@pytest.mark.parametrize("name", BAD_FRAMING)
async def test_framing_that_can_be_read_in_two_ways_is_a_400(wire, name):
    assert (await refused(wire, BAD_FRAMING[name], 400))["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", BAD_HEADS)
async def test_what_is_no_request_is_a_400(wire, name):
    assert (await refused(wire, BAD_HEADS[name], 400))["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", UNSERVED)
async def test_what_we_do_not_serve_says_so(wire, name):
    data, status = UNSERVED[name]
    assert (await refused(wire, data, status))["type"] == "api_error"


UPGRADES = {
    "a websocket": b"GET /v1/realtime HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "Codex' websocket": b"GET /v1/responses HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "another upgrade": b"GET /v1/a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n\r\n",
    "an upgrade on a route of ours": b"GET /health HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\n\r\n",
    "one beside an offer of h2c": b"GET /v1/a HTTP/1.1\r\n" + HOST + b"Upgrade: h2c, websocket\r\n\r\n",
    "one with a body": b"POST /v1/a HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    "where nothing is": b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("listener", ["traffic", "admin"])
@pytest.mark.parametrize("name", UPGRADES)
async def test_an_upgrade_is_a_426_that_says_what_will_do(wire, name, listener):
    """Codex goes on over HTTP at once where it gets a 426; a 501 it tries for seconds."""
    before, connections = await wire.totals(), len(wire.stage.connections)
    url = wire.sidecar.url if listener == "traffic" else wire.sidecar.admin_url
    async with await RawClient.connect(url) as client:
        await client.send(UPGRADES[name])
        answer = await client.answer("GET")
    assert (answer.head.status, answer.end) == (426, End.COMPLETE)
    assert answer.head.get("upgrade") == "HTTP/1.1"  # RFC 9110, 15.5.22
    assert "upgrade" in answer.head.get("connection")
    assert b"no websockets" in answer.body
    assert await wire.totals() == before
    assert len(wire.stage.connections) == connections


async def test_http_1_0_knows_no_upgrade(wire):
    """RFC 9110, 7.8: it is ignored."""
    async with await wire.connect() as client:
        await client.send(b"GET /health HTTP/1.0\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.answer("GET")).head.status == 200


async def test_an_offer_to_upgrade_to_http_2_is_ignored_and_stays_behind(wire):
    part = wire.part(read_request(), send(OK))
    offer = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    answer = await wire.ask(part, None, offer, method="GET", path="/v1/other")
    assert (answer.head.status, answer.head.version) == (200, "HTTP/1.1")
    assert not {name.lower() for name, _ in part.request.headers} & {"connection", "upgrade", "http2-settings"}


DOTS = [
    "/v1/..",
    "/v1/../x",
    "/v1/./x",
    "/..",
    "/.",
    "/v1/%2e%2E/x",
    "/v1/.%2e/x",
    "/v1/%2e/x",
    "/v1/x/..;a=b/y",
    "/v1/x%2f..%2fy",
    "/v1/x%5c..%5Cy",
    "/v1/x\\..\\y",
    "/v1/..?a=b",
    "http://localhost/v1/../x",
    "/health/..",
    "/v1/messages/../../x",
]
TARGETS = [
    "*",
    "localhost:80",
    "v1/other",
    "/v1/x#y",
    "http://",
    "http://user@localhost/v1/x",
    "ftp://localhost/v1/x",
]


@pytest.mark.parametrize("target", DOTS + TARGETS)
async def test_a_target_that_can_be_read_in_two_ways_is_a_400(wire, target):
    connections = len(wire.stage.connections)
    async with await wire.connect() as client:
        await client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await client.answer("GET")
        assert (answer.head.status, error_of(answer)["type"]) == (400, "invalid_request_error")
        # The framing was good: the connection goes on.
        await client.request("GET", "/health")
        assert (await client.answer("GET")).head.status == 200
    assert len(wire.stage.connections) == connections


@pytest.mark.parametrize(
    "target", ["/", "/health", "/livez", "http://localhost:1/health", "/health?x", "http://localhost"]
)
async def test_our_own_routes_understand_both_forms(wire, target):
    async with await wire.connect() as client:
        await client.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await client.answer("GET")).head.status == 200


@pytest.mark.parametrize("target", ["/nothing", "/v2/messages", "/v1", "/v1messages", "/V1/messages", "/models/x"])
async def test_a_path_that_is_nobodys_is_a_404(wire, target):
    async with await wire.connect() as client:
        await client.request("GET", target)
        answer = await client.answer("GET")
    assert (answer.head.status, error_of(answer)["type"]) == (404, "not_found_error")


# Sizes.


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-A: " + b"a" * 300_000], id="one header"),
        pytest.param([b"X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" % number for number in range(6000)], id="many"),
    ],
)
async def test_a_head_without_bounds_is_a_431(wire, lines):
    head = b"GET /v1/other HTTP/1.1\r\n" + HOST + b"\r\n".join(lines)
    async with await wire.connect() as client:
        await client.send(head)
        answer = await client.answer("GET")
        assert (answer.head.status, answer.head.get("connection")) == (431, "close")
        assert error_of(answer)["type"] == "request_too_large"
        assert await client.wait_end() is End.EOF


async def test_an_endless_target_is_a_431(wire):
    async with await wire.connect() as client:
        await client.send(b"GET /v1/" + b"a" * 300_000)
        assert (await client.answer("GET")).head.status == 431


async def test_a_head_of_60_kib_is_served(wire):
    part = wire.part(read_request(), send(OK))
    answer = await wire.ask(part, None, [("x-large", "a" * 60_000)], method="GET", path="/v1/other")
    assert answer.head.status == 200


# Chunks.


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        pytest.param(b"5\r\nabcde\r\n0\r\n\r\n", b"abcde", id="one"),
        pytest.param(b"1\r\na\r\n" * 500 + b"0\r\n\r\n", b"a" * 500, id="many"),
        pytest.param(b"0005;x=y;z\r\nabcde\r\n000\r\n\r\n", b"abcde", id="extensions and zeros"),
        pytest.param(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, id="hexadecimal"),
        pytest.param(b"5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n", b"abcde", id="trailers"),
        pytest.param(b"0\r\n\r\n", b"", id="nothing"),
    ],
)
async def test_chunks_reach_the_upstream_as_one_body(wire, sent, body):
    part = wire.part(read_request(), send(OK))
    async with await wire.connect() as client:
        await client.request("POST", "/v1/other", [part.header, ("transfer-encoding", "chunked")])
        await client.send(sent)
        assert (await client.answer()).head.status == 200
        await client.request("GET", "/health")
        assert (await client.answer("GET")).head.status == 200
    assert part.request.body == body
    assert part.request.header("x-sum") is None


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"zz\r\nab\r\n", id="no number"),
        pytest.param(b"-1\r\n\r\n", id="a negative one"),
        pytest.param(b"0x5\r\nabcde\r\n", id="a prefix"),
        pytest.param(b"5 \x00\r\nabcde\r\n", id="a control character"),
        pytest.param(b"5\r\nabcdefgh", id="longer than it says"),
        pytest.param(b"F" * 40 + b"\r\n", id="a size of 40 digits"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/other", "/v1/messages"])
async def test_bad_chunks_are_a_400_and_the_upstream_is_left(wire, path, sent):
    part = wire.part(read_head(), hang())
    before = await wire.totals()
    async with await wire.connect() as client:
        await client.request("POST", path, [part.header, ("transfer-encoding", "chunked")])
        await client.send(b"5\r\nabcde\r\n")
        if path == "/v1/other":
            await part.connection()
        await client.send(sent)
        answer = await client.answer()
        assert (answer.head.status, answer.head.get("connection")) == (400, "close")
        assert error_of(answer)["type"] == "invalid_request_error"
        assert await client.wait_end() is End.EOF
    for connection in part.connections:
        await connection.wait_gone(5)
    await wire.wait_for(in_flight=0, totals_accepted=before["accepted"] + 1)


# Anything.

SEED = 20261122
WORDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"Content-Length: 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\xff",
    b"0",
]


def mutated(rng):
    """A request that is mostly right."""
    data = bytearray(
        rng.choice(
            [
                b"GET /health HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
                b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
                b"PUT /v1/other HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            ]
        )
    )
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 10)]
            case 2:
                data[at:at] = rng.choice(WORDS)
            case _:
                data[at:at] = data[: rng.randrange(len(data))]
    return bytes(data)


async def test_no_bytes_do_it_harm(wire):
    """Each is answered with a 4xx or 5xx, or served; the process lives, and nothing of them is left."""
    rng = random.Random(SEED)
    requests = [mutated(rng) for _ in range(1200)] + [rng.randbytes(rng.randint(1, 2000)) for _ in range(100)]
    answered = 0

    async def one(number, data):
        nonlocal answered
        async with await wire.connect(timeout_seconds=0.2) as client:
            await client.send(data)
            if number % 3 == 0:
                client.half_close()
            try:
                answer = await client.answer("GET")
            except (NoAnswerError, TimeoutError):
                return  # half a request, or one that nobody waits for
            assert 200 <= answer.head.status < 600
            answered += 1

    wire.stage.otherwise = steps(read_request(), send(OK))
    for at in range(0, len(requests), 200):
        await asyncio.gather(*(one(number, data) for number, data in enumerate(requests[at : at + 200])))
    await wire.wait_for(in_flight=0)
    wire.stage.otherwise = None
    assert answered > 500
    part = wire.part(read_request(), send(OK))
    assert (await wire.ask(part, PLAIN_QUESTION)).head.status == 200
