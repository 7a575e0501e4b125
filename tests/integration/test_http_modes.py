"""Where a sidecar may stand beside an app: in front of it (Ingress), or between it and a remote upstream (Egress)."""

import asyncio
import json

import pytest
import pytest_asyncio
from tests.support.raw_client import End, RawClient
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    close,
    head,
    json_response,
    read_request,
    send,
    sleep,
    sse_head,
    wait,
)
from tests.support.stage import PLAIN_QUESTION, QUESTION, START, STOP, OpenSidecar, error_of, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ingress():
    """A sidecar in front of an app of its own pod, whose routes are the app's."""
    given = {"mode": "Ingress", "upstream": {"provider": "Any"}, "limits": {"maxConcurrent": 1, "maxQueued": 0}}
    async with on_stage(given, sidecar=OpenSidecar) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def egress():
    """A sidecar beside an app that calls a remote upstream, which lives below a path."""

    def below_a_path(url):
        return {"mode": "Egress", "upstream": {"url": f"{url}/base/path/"}}

    async with on_stage(below_a_path) as found:
        yield found


# Ingress.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/livez"),
        ("GET", "/ready"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/metrics"),
        ("POST", "/drain"),
        ("OPTIONS", "/any/path?a=%2F&b"),
        ("DELETE", "/v2//x/"),
        ("GET", "/favicon.ico?"),
    ],
)
async def test_in_front_of_an_app_every_path_is_the_apps(ingress, method, path):
    part = ingress.part(read_request(), send(OK))
    before = await ingress.totals()
    body = b"any" if method == "POST" else None
    answer = await ingress.ask(part, body, method=method, path=path)
    assert (answer.head.status, bytes(answer.body)) == (200, b"{}")
    assert (part.request.method, part.request.target) == (method, path)
    await ingress.wait_for(
        in_flight=0, totals_accepted=before["accepted"] + 1, totals_completed=before["completed"] + 1
    )


async def test_our_own_routes_are_on_the_admin_listener_only(ingress):
    async with await RawClient.connect(ingress.sidecar.admin_url) as client:
        for path in ("/health", "/ready", "/livez", "/metrics"):
            await client.request("GET", path)
            assert (await client.answer("GET")).head.status == 200


async def test_an_app_gets_its_clients_head_as_it_came(ingress):
    part = ingress.part(read_request(), send(OK))
    lines = [
        "GET /page HTTP/1.1",
        "Host: chat.example:443",
        f"x-part: {part.name}",
        "Cookie: session=1",
        "cookie: theme=dark",
        "Origin: https://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Accept-Encoding: gzip",
        "X-Request-Id: theirs",
        "Authorization: Bearer theirs",
        "X-Api-Key: theirs",
    ]
    dropped = ["Connection: x-hop", "X-Hop: 1", "TE: trailers"]
    async with await ingress.connect() as client:
        await client.send("\r\n".join([*lines, *dropped, "", ""]).encode())
        assert (await client.answer("GET")).head.status == 200
    found = part.request.raw_head.decode().split("\r\n")
    assert found[0] == lines[0]
    assert found[1].lower() == lines[1].lower()
    told = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"]
    assert found[2 : len(lines)] == lines[2:]
    assert [line.partition(":")[0] for line in found[len(lines) : -2]] == told


async def test_an_app_hears_of_the_host_that_an_absolute_target_names(ingress):
    """Not of another one that the Host header names: who decides by one of them must not be told the other."""
    part = ingress.part(read_request(), send(OK))
    async with await ingress.connect() as client:
        await client.send(
            f"GET http://inner.example:81/x?y HTTP/1.1\r\nHost: outer\r\nx-part: {part.name}\r\n\r\n".encode()
        )
        assert (await client.answer("GET")).head.status == 200
    assert (part.request.target, part.request.headers[0]) == ("/x?y", ("host", "inner.example:81"))


async def test_a_client_gets_its_apps_head_as_it_came(ingress):
    headers = [
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2",
        "Access-Control-Allow-Origin: *",
        "Server: app",
        "X-Request-Id: r",
    ]
    part = ingress.part(read_request(), send(head("200 OK", *headers, "content-length: 2") + b"ok"))
    answer = await ingress.ask(part, None, method="GET", path="/page")
    found = [f"{name}: {value}" for name, value in answer.head.headers]
    assert [line for line in found if line in headers] == headers
    assert len(answer.head.all("server")) == 1
    assert answer.head.get("x-lastcall-request-id").startswith("req_")
    assert answer.head.get("request-id") is None, "an app's answers get no names that are not its own"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/upload"])
@pytest.mark.parametrize("body", [b"", b"no json \xff", b'{"stream":1,"stream":2}', PLAIN_QUESTION], ids=str)
async def test_the_bodies_of_an_app_are_its_own(ingress, path, body):
    part = ingress.part(read_request(), send(OK))
    answer = await ingress.ask(part, body, [("content-encoding", "x-any")], path=path)
    assert answer.head.status == 200
    assert (part.request.body, part.request.header("content-encoding")) == (body, "x-any")


async def test_an_upload_to_an_app_flows_while_it_is_made(ingress):
    seen = asyncio.Event()
    part = ingress.part(read_request(), send(OK))
    async with await ingress.connect() as client:
        await client.request("POST", "/v1/messages", [part.header, ("transfer-encoding", "chunked")])
        await client.send(chunk(b"early"))
        connection = await part.connection()
        async with asyncio.timeout(5):
            await connection.until(lambda: b"early" in connection.received)
        seen.set()
        await client.send(LAST_CHUNK)
        assert (await client.answer()).head.status == 200


async def test_a_stream_of_an_app_passes_whole_and_a_broken_one_is_told(ingress):
    data = b"data: 1\r\n\r\nid: 2\r\ndata: tail"
    whole = ingress.part(read_request(), send(sse_head(), chunk(data), LAST_CHUNK))
    answer = await ingress.ask(whole, None, method="GET", path="/events")
    assert (bytes(answer.body), answer.end) == (data, End.COMPLETE)
    broken = ingress.part(read_request(), send(sse_head(), chunk(data)), sleep(0.1), close())
    answer = await ingress.ask(broken, None, method="GET", path="/events")
    assert bytes(answer.body).startswith(b"data: 1\r\n\r\nevent: error\ndata: {")
    assert answer.end is End.EOF


async def test_an_app_that_is_away_is_a_502(ingress):
    part = ingress.part(read_request(), close())
    answer = await ingress.ask(part, None, method="GET", path="/health")
    assert (answer.head.status, error_of(answer)["type"]) == (502, "api_error")


async def test_generations_of_an_app_take_slots_and_nothing_else_does(ingress):
    done = asyncio.Event()
    part = ingress.part(read_request(), wait(done), send(OK))
    holding = asyncio.create_task(ingress.ask(part, QUESTION))
    await part.connection()
    other = ingress.part(read_request(), send(OK))
    for path in ("/v1/messages", "/v1//messages", "/v1/messages;a", "/V1/Messages/", "/v1/messages%2f"):
        assert (await ingress.ask(ingress.part(), QUESTION, path=path)).head.status == 529
    assert (await ingress.ask(other, QUESTION, path="/health")).head.status == 200
    done.set()
    assert (await holding).head.status == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET /../etc HTTP/1.1", "Host: h"], 400),
        (["POST / HTTP/1.1", "Host: h", "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    ],
    ids=["dots", "two framings"],
)
async def test_strictness_is_the_same_in_front_of_an_app(ingress, lines, status):
    async with await ingress.connect() as client:
        await client.send("\r\n".join([*lines, "", ""]).encode())
        assert (await client.answer("GET")).head.status == status


async def test_while_draining_an_app_is_served_and_its_clients_sent_elsewhere(ingress):
    asked = await asyncio.to_thread(ingress.sidecar.command_line, "drain", "--lease", "60")
    try:
        assert asked.returncode == 0, asked.stderr
        assert await asyncio.to_thread(ingress.sidecar.health) == 503
        part = ingress.part(read_request(), send(OK))
        answer = await ingress.ask(part, None, method="GET", path="/health")
        assert (answer.head.status, answer.head.get("connection")) == (200, "close")
    finally:
        await asyncio.to_thread(ingress.sidecar.command_line, "undrain")


async def test_an_app_is_told_of_its_client_and_nothing_that_the_client_made_up():
    given = {"mode": "Ingress", "upstream": {"provider": "Any"}, "listen": {"trustedProxies": []}}
    claims = [("X-Forwarded-For", "203.0.113.9"), ("x-real-ip", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")]
    async with on_stage(given) as found:
        part = found.part(read_request(), send(OK))
        await found.ask(part, None, claims, method="GET", path="/any")
    host = part.request.header("host")
    told = {name.lower(): value for name, value in part.request.headers}
    assert (told["x-forwarded-for"], told["x-forwarded-host"], told["x-forwarded-proto"]) == ("127.0.0.1", host, "http")
    assert told["forwarded"] == f'for=127.0.0.1;host="{host}";proto=http'
    assert "203.0.113.9" not in str(part.request.headers)


@pytest.mark.parametrize("listen", [{}, {"trustedProxies": ["127.0.0.0/8"]}], ids=["by default", "named"])
async def test_what_a_trusted_proxy_tells_of_the_client_reaches_the_app(listen):
    given = {"mode": "Ingress", "upstream": {"provider": "Any"}, "listen": listen}
    async with on_stage(given) as found:
        part = found.part(read_request(), send(OK))
        claims = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
        await found.ask(part, None, claims, method="GET", path="/any")
    assert part.request.header("x-forwarded-for") == "203.0.113.9, 127.0.0.1"
    assert part.request.header("x-forwarded-proto") == "https"
    assert part.request.header("forwarded") is None


# Egress.


async def test_a_remote_upstream_is_told_nothing_of_the_client(egress):
    part = egress.part(read_request(), send(OK))
    claims = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "x-forwarded-proto",
        "Forwarded",
        "X-Real-IP",
        "Via",
        "True-Client-IP",
    ]
    await egress.ask(part, PLAIN_QUESTION, [(name, "203.0.113.9") for name in claims])
    assert "203.0.113.9" not in str(part.request.headers)


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("/v1/messages", "/base/path/v1/messages"),
        ("/messages?beta=true", "/base/path/v1/messages?beta=true"),
        ("/v1/files/%2F?", "/base/path/v1/files/%2F?"),
    ],
)
async def test_beside_an_app_requests_go_below_the_upstreams_path(egress, path, upstream):
    part = egress.part(read_request(), send(OK))
    answer = await egress.ask(part, PLAIN_QUESTION, [("cookie", "a=b")], path=path)
    assert answer.head.status == 200
    assert part.request.target == upstream
    assert part.request.header("cookie") is None
    assert part.request.header("host") == egress.stage.url.removeprefix("http://")


@pytest.mark.parametrize(
    "path",
    ["/v1//messages", "/v1/messages%2f", "/v1/messages;a", "/v1/Messages", "/v1/%6dessages", "/v1/messages/"],
)
async def test_another_spelling_of_a_known_route_never_reaches_the_upstream(egress, path):
    """It would go around the slots, the queue and the limit on bodies."""
    connections = len(egress.stage.connections)
    answer = await egress.ask(egress.part(), QUESTION, path=path)
    assert (answer.head.status, error_of(answer)["type"]) == (404, "not_found_error")
    assert "/v1/messages?" in error_of(answer)["message"]
    assert len(egress.stage.connections) == connections


async def test_beside_an_app_our_own_routes_are_on_both_listeners(egress):
    for url in (egress.sidecar.url, egress.sidecar.admin_url):
        async with await RawClient.connect(url) as client:
            for path in ("/health", "/ready", "/livez"):
                await client.request("GET", path)
                assert (await client.answer("GET")).head.status == 200
    async with await egress.connect() as client:
        await client.request("GET", "/")
        assert {"service", "version", "endpoints", "queue", "state"} <= set(
            json.loads((await client.answer("GET")).body)
        )


async def test_beside_an_app_streams_pass_and_broken_ones_are_told(egress):
    whole, broken = egress.streams(START, STOP), egress.streams(START)
    assert bytes((await egress.ask(whole)).body) == START + STOP
    assert bytes((await egress.ask(broken)).body).startswith(START + b"event: error\n")
