"""Heads in both directions: what goes on does so byte for byte and in order, and what must not go on does not."""

import asyncio
import re

import pytest
from tests.support.scripted_upstream import LAST_CHUNK, head, json_response, read_request, send, sse_head
from tests.support.stage import PLAIN_QUESTION, QUESTION, STOP, question

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
OWN = {"host", "content-length", "accept-encoding", "x-part"}


async def sent(wire, raw_headers, *, method="POST", target="/v1/messages", body=PLAIN_QUESTION, host="127.0.0.1"):
    """Send a head made of these bytes; returns the request as the upstream got it."""
    part = wire.part(read_request(), send(head("200 OK") if method == "HEAD" else OK))
    lines = [f"{method} {target} HTTP/1.1".encode(), f"Host: {host}".encode(), *raw_headers]
    lines += [f"{part.header[0]}: {part.header[1]}".encode(), b"Content-Length: %d" % len(body)]
    async with await wire.connect() as client:
        await client.send(b"\r\n".join([*lines, b"", body]))
        answer = await client.answer(method)
    assert answer.head.status == 200, answer.body
    return part.request


def lines_of(request):
    """The header lines that the client wrote, as they came to the upstream."""
    lines = request.raw_head.split(b"\r\n")[1:-2]
    return [line for line in lines if line.split(b":")[0].decode().lower() not in OWN]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(
            [b"X-One: 1", b"x-two: 2", b"X-One: 3", b"a: ", b"Z-Z_z.z: !#$%&'*+-.^`|~"], id="order, case, twins"
        ),
        pytest.param([b"x-api-key: sk-1", b"Authorization: Bearer t", b"anthropic-beta: a,b"], id="credentials"),
        pytest.param([b"X-Text: \xc3\xa9t\xc3\xa9 \xe7\x81\xaf", b'X-Quoted: "a; b", c'], id="UTF-8"),
        pytest.param([b"X-Long: " + b"v" * 30_000], id="30 KB"),
        pytest.param([b"User-Agent: me", b"Accept: */*", b"Content-Type: application/json"], id="no header of our own"),
        pytest.param([b"traceparent: 00-1-2-01", b"tracestate: a=b", b"Priority: u=1"], id="of other hops"),
        pytest.param([], id="none"),
    ],
)
async def test_the_clients_headers_go_upstream_as_they_came(wire, headers):
    assert lines_of(await sent(wire, headers)) == headers


async def test_headers_that_differ_in_case_alone_all_go_upstream(wire):
    found = lines_of(await sent(wire, [b"anthropic-beta: a", b"X: 1", b"Anthropic-Beta: b", b"ANTHROPIC-BETA: c"]))
    assert [line.lower() for line in found] == [
        b"anthropic-beta: a",
        b"x: 1",
        b"anthropic-beta: b",
        b"anthropic-beta: c",
    ]


@pytest.mark.parametrize(
    "dropped",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic x",
        b"TE: trailers",
        b"Trailer: x-sum",
        b"Upgrade: h2c",
        b"Expect: nothing",
        b"Cookie: a=b",
        b"baggage: a=b",
    ],
    ids=lambda line: line.split(b":")[0].decode(),
)
async def test_what_concerns_one_hop_or_is_the_callers_alone_stays_behind(wire, dropped):
    assert lines_of(await sent(wire, [b"X-Before: 1", dropped, b"X-After: 2"])) == [b"X-Before: 1", b"X-After: 2"]


async def test_what_connection_names_stays_behind(wire):
    headers = [
        b"Connection: x-hop, X-Other",
        b"X-Hop: 1",
        b"x-other: 2",
        b"connection: x-third",
        b"X-Third: 3",
        b"X-End: 4",
    ]
    assert lines_of(await sent(wire, headers)) == [b"X-End: 4"]


async def test_the_host_is_the_upstreams_and_stands_first(wire):
    request = await sent(wire, [], host="localhost:1234")
    assert request.raw_head.split(b"\r\n")[1].lower() == b"host: " + wire.stage.url.removeprefix("http://").encode()
    assert [name.lower() for name, _ in request.headers].count("host") == 1


@pytest.mark.parametrize(
    ("accepted", "body", "encoding"),
    [
        pytest.param([b"Accept-Encoding: gzip, br"], QUESTION, "identity", id="a stream by its body"),
        pytest.param([b"Accept-Encoding: gzip"], question(stream=False), "gzip", id="no stream"),
        pytest.param([], question(stream=False), None, id="no stream, nothing said"),
        pytest.param(
            [b"Accept: text/event-stream", b"accept-encoding: br"], PLAIN_QUESTION, "identity", id="by Accept"
        ),
    ],
)
async def test_only_a_stream_is_asked_for_without_encoding(wire, accepted, body, encoding):
    request = await sent(wire, accepted, body=body)
    found = [value for name, value in request.headers if name.lower() == "accept-encoding"]
    assert found == ([] if encoding is None else [encoding])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/other?",
        "/v1/other??a=b?c",
        "/v1/other/%2F%2f%C3%A9%zz%",
        "/v1//other///",
        "/v1/files/a.b/...;x=1/..c",
        "/v1/other?a=%2e%2e/../x&&=&b=c+d%20e",
        "/v1/other;p=1?q=a;b",
        "/v1/[]{}|^`<>\"'!$&()*,:@~=",
        "/v1/other?next=http://127.0.0.1/../a",
        "/v1/" + "long/" * 3000,
    ],
)
async def test_a_target_goes_upstream_byte_for_byte(wire, path):
    assert (await sent(wire, [], target=path)).target == path


@pytest.mark.parametrize(
    ("target", "upstream"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/messages", "/v1/messages"),
        ("/messages?", "/v1/messages?"),
        ("/messages?a=%2F", "/v1/messages?a=%2F"),
        ("/messages/count_tokens?x", "/v1/messages/count_tokens?x"),
        ("http://127.0.0.1:9/v1/messages?a", "/v1/messages?a"),
        ("HTTP://LOCALHOST/v1/other", "/v1/other"),
        ("http://127.0.0.1/messages?", "/v1/messages?"),
    ],
)
async def test_a_route_reaches_its_path_upstream(wire, target, upstream):
    assert (await sent(wire, [], target=target)).target == upstream


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"])
async def test_any_method_goes_upstream(wire, method):
    request = await sent(wire, [], method=method, target="/v1/other", body=b"data")
    assert (request.method, request.body) == (method, b"data")


async def test_a_request_without_a_body_goes_upstream_without_one(wire):
    part = wire.part(read_request(), send(OK))
    await wire.ask(part, None, method="GET", path="/v1/files")
    names = {name.lower() for name, _ in part.request.headers}
    assert not names & {"content-length", "transfer-encoding", "content-type"}


async def answered(wire, *pieces, body=PLAIN_QUESTION):
    return await wire.ask(wire.part(read_request(), send(*pieces)), body)


def told(answer):
    """The answer's header lines, as they came, without ids, framing and date."""
    lines = answer.head.raw.decode("latin-1").split("\r\n")[1:-2]
    ours = re.compile(r"(?i)(x-lastcall-request-id|request-id|x-request-id|content-length|transfer-encoding|date):")
    return [line for line in lines if not ours.match(line)]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(["X-One: 1", "x-two: 2", "X-ONE: 3", "A: "], id="order, case, twins"),
        pytest.param(["anthropic-ratelimit-requests-left: 1", "retry-after: 3", "x-should-retry: true"], id="limits"),
        pytest.param(["Content-Type: text/plain; charset=latin-1", "Content-Language: xx", "ETag: W/x"], id="content"),
        pytest.param(["X-Text: \xc3\xa9t\xc3\xa9", "X-Latin: caf\xe9"], id="not ASCII"),
        pytest.param(["Server: cloud", "Via: 1.1 x", "cf-ray: 1", "X-Long: " + "v" * 30_000], id="of other hops"),
    ],
)
async def test_the_upstreams_headers_come_as_they_are(wire, headers):
    answer = await answered(wire, head("200 OK", *headers, "content-length: 2") + b"{}")
    assert told(answer) == headers


async def test_the_upstreams_hop_headers_and_cookies_stay_behind(wire):
    dropped = [
        "Connection: keep-alive, x-hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "Set-Cookie: a=b",
        "set-cookie: c=d",
        "Trailer: x",
        "Upgrade: h2",
    ]
    answer = await answered(wire, head("200 OK", "X-A: 1", *dropped, "X-B: 2", "content-length: 2") + b"{}")
    assert told(answer) == ["X-A: 1", "X-B: 2"]


@pytest.mark.parametrize("date", [[], ["Date: Sun, 06 Nov 1994 08:49:37 GMT"]], ids=["ours", "the upstream's"])
@pytest.mark.parametrize("server", [[], ["Server: cloud"]], ids=["none", "the upstream's"])
async def test_date_and_server_come_once(wire, date, server):
    answer = await answered(wire, head("200 OK", *date, *server, "content-length: 2") + b"{}")
    assert len(answer.head.all("date")) == 1
    assert answer.head.all("server") == [line.partition(": ")[2] for line in server]
    if date:
        assert answer.head.get("date") == "Sun, 06 Nov 1994 08:49:37 GMT"


async def test_a_stream_has_no_length(wire):
    start = head("200 OK", "content-type: text/event-stream", f"content-length: {len(STOP)}", "cache-control: no-cache")
    answer = await answered(wire, start + STOP, body=QUESTION)
    assert answer.head.get("content-length") is None
    assert answer.framing == "chunked"
    assert answer.head.get("cache-control") == "no-cache"
    assert bytes(answer.body) == STOP


OURS = re.compile(r"req_[0-9A-Za-z]{24}")


async def ids(wire, *, asked=(), upstream=()):
    answer = await wire.ask(
        wire.part(read_request(), send(head("200 OK", *upstream, "content-length: 2") + b"{}")), PLAIN_QUESTION, asked
    )
    found = [answer.head.all(name) for name in ("x-lastcall-request-id", "request-id", "x-request-id")]
    assert [len(values) for values in found] == [1, 1, 1]
    ours, request_id, x_request_id = (values[0] for values in found)
    assert OURS.fullmatch(ours)
    return ours, request_id, x_request_id


async def test_every_answer_has_an_id_of_ours_and_no_two_are_the_same(wire):
    found = await asyncio.gather(*(ids(wire) for _ in range(20)))
    assert all(ours == request_id == x_request_id for ours, request_id, x_request_id in found)
    assert len(set(found)) == 20


async def test_the_upstreams_ids_pass(wire):
    ours, *others = await ids(
        wire, upstream=["request-id: req_up", "X-Request-Id: up-2"], asked=[("x-request-id", "mine")]
    )
    assert others == ["req_up", "up-2"]
    assert ours not in others


async def test_the_clients_id_is_echoed(wire):
    ours, request_id, x_request_id = await ids(wire, asked=[("X-Request-Id", "0af7651916cd-43dd/8448:eb211c80319c")])
    assert (request_id, x_request_id) == (ours, "0af7651916cd-43dd/8448:eb211c80319c")


@pytest.mark.parametrize("odd", ["x" * 129, 'a"b', "a b", "<script>", "a,b", "\xe9", "a\tb"])
async def test_an_odd_id_of_the_client_is_not_repeated(wire, odd):
    ours, _, x_request_id = await ids(wire, asked=[("x-request-id", odd)])
    assert x_request_id == ours


async def test_an_answer_of_our_own_has_ids_and_echoes_the_version(wire):
    asked = [("anthropic-version", "2023-06-01"), ("anthropic-beta", "a, b"), ("x-request-id", "mine")]
    answer = await wire.ask(wire.part(), b"no json", asked)
    assert answer.head.status == 400
    assert (answer.head.get("anthropic-version"), answer.head.get("anthropic-beta")) == ("2023-06-01", "a, b")
    assert OURS.fullmatch(answer.head.get("x-lastcall-request-id"))
    assert answer.head.get("x-request-id") == "mine"
    assert answer.head.get("x-lastcall-request-id").encode() in answer.body


async def test_a_stream_has_the_same_ids(wire):
    part = wire.part(read_request(), send(sse_head("request-id: req_up"), LAST_CHUNK))
    answer = await wire.ask(part, b"{}", path="/v1/other")
    assert answer.head.get("request-id") == "req_up"
    assert OURS.fullmatch(answer.head.get("x-lastcall-request-id"))
