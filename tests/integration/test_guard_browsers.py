"""A page of somebody else's cannot use a proxy that trusts its network position; whoever is configured can."""

import json

import pytest
import pytest_asyncio
from tests.support.raw_client import RawClient
from tests.support.scripted_upstream import json_response, read_request, send
from tests.support.stage import PLAIN_QUESTION, START, STOP, OpenSidecar, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
PAGE = "https://chat.example"
LOCAL_PAGE = "http://localhost:3000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cors(tmp_path_factory):
    """A sidecar with two origins and a key, bound to every address."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("sk-1\n")
    given = {"listen": {"corsOrigins": [PAGE, LOCAL_PAGE]}, "auth": {"apiKeysFile": str(keys)}}
    async with on_stage(given, sidecar=OpenSidecar) as found:
        yield found


async def asked(url, lines, method="GET", path="/health", body=b""):
    """The answer to a request with these header lines, and no others."""
    async with await RawClient.connect(url) as client:
        await client.send("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body)
        return await client.answer(method)


BOTH = pytest.mark.parametrize("listener", ["traffic", "admin"])


def url_of(wire, listener):
    return wire.sidecar.url if listener == "traffic" else wire.sidecar.admin_url


FOREIGN = [
    pytest.param(["Host: localhost", "Origin: https://evil.example"], id="another site"),
    pytest.param(["Host: localhost", "Origin: null"], id="a sandboxed frame or a file"),
    pytest.param(["Host: localhost", "Origin: http://localhost:1"], id="another port of this machine"),
    pytest.param(["Host: localhost", "Origin: http://localhost.evil.example"], id="a name that begins alike"),
    pytest.param(["Host: localhost", "Origin: http://evil.example/localhost"], id="a path that ends alike"),
    pytest.param(["Host: localhost", "Origin: http://["], id="no URL"),
    pytest.param(["Host: localhost", "Origin: http://[::1"], id="half an address"),
    pytest.param(["Host: localhost", "Origin: chrome-extension://abcdef"], id="an extension"),
    pytest.param(["Host: localhost", "Origin: x"], id="a word"),
    pytest.param(["Host: localhost", "Sec-Fetch-Site: cross-site"], id="cross-site without an origin"),
    pytest.param(["Host: localhost", "Sec-Fetch-Site: cross-site", "Origin: http://localhost"], id="cross-site"),
    pytest.param(["Host: localhost", "origin: https://evil.example", "sec-fetch-site: same-origin"], id="it lies"),
]
REBOUND = [
    "Host: evil.example",
    "Host: evil.example:8080",
    "Host: 10.0.0.1",
    "Host: 127.0.0.1.evil.example",
    "Host: localhost.evil.example",
    "Host: evil.example@localhost:80.example",
    "Host: [",
    "Host: [::2]",
    "Host: ",
    "Host: 0.0.0.0",
]
AT_HOME = [
    pytest.param(["Host: localhost"], id="a name"),
    pytest.param(["Host: LOCALHOST:8080"], id="a name and a port"),
    pytest.param(["Host: 127.0.0.1"], id="an address"),
    pytest.param(["Host: 127.1.2.3:1"], id="another of this machine"),
    pytest.param(["Host: [::1]:8080"], id="IPv6"),
    pytest.param(["Host: localhost:80", "Origin: http://localhost:80"], id="a page of its own"),
    pytest.param(["Host: localhost", "Origin: http://LocalHost"], id="in other letters"),
    pytest.param(["Host: localhost", "Sec-Fetch-Site: same-origin"], id="same origin"),
    pytest.param(["Host: localhost", "Sec-Fetch-Site: none"], id="the address bar"),
]


def is_refused(answer):
    told = json.loads(answer.body)
    assert (answer.head.status, told["error"]["type"]) == (403, "permission_error")
    assert answer.head.get("access-control-allow-origin") is None
    assert b"evil" not in answer.body


@BOTH
@pytest.mark.parametrize("lines", FOREIGN)
async def test_a_foreign_page_is_refused(wire, lines, listener):
    is_refused(await asked(url_of(wire, listener), lines))


@BOTH
@pytest.mark.parametrize("line", REBOUND)
async def test_on_loopback_the_host_must_be_a_name_of_loopback(wire, line, listener):
    """Against a foreign name that its owner lets point here (DNS rebinding)."""
    is_refused(await asked(url_of(wire, listener), [line]))


@BOTH
@pytest.mark.parametrize("lines", AT_HOME)
async def test_whoever_is_at_home_is_served(wire, lines, listener):
    assert (await asked(url_of(wire, listener), lines)).head.status == 200


async def test_the_host_of_an_absolute_target_must_be_one_too(wire):
    is_refused(await asked(wire.sidecar.url, ["Host: localhost"], path="http://evil.example/health"))


async def test_http_1_0_without_a_host_is_refused_on_loopback(wire):
    async with await wire.connect() as client:
        await client.send(b"GET /health HTTP/1.0\r\n\r\n")
        is_refused(await client.answer("GET"))


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/other", "/messages", "/nothing"])
async def test_nothing_of_a_foreign_page_reaches_the_upstream(wire, path):
    connections = len(wire.stage.connections)
    lines = ["Host: localhost", "Origin: https://evil.example", f"Content-Length: {len(PLAIN_QUESTION)}"]
    is_refused(await asked(wire.sidecar.url, lines, "POST", path, PLAIN_QUESTION))
    assert len(wire.stage.connections) == connections


async def test_without_configured_origins_a_preflight_is_refused(wire):
    lines = ["Host: localhost", f"Origin: {PAGE}", "Access-Control-Request-Method: POST"]
    is_refused(await asked(wire.sidecar.url, lines, "OPTIONS", "/v1/messages"))


# Configured.


KEY = "x-api-key: sk-1"


@pytest.mark.parametrize("origin", [PAGE, LOCAL_PAGE])
async def test_a_configured_page_is_served_and_may_read_the_answer(cors, origin):
    part = cors.streams(START, STOP)
    lines = [f"Origin: {origin}", "Sec-Fetch-Site: cross-site", KEY, f"x-part: {part.name}", "Host: any.example"]
    body = PLAIN_QUESTION
    answer = await asked(cors.sidecar.url, [*lines, f"Content-Length: {len(body)}"], "POST", "/v1/messages", body)
    assert (answer.head.status, bytes(answer.body)) == (200, START + STOP)
    assert answer.head.all("access-control-allow-origin") == [origin]
    assert answer.head.get("vary") == "Origin"
    exposed = answer.head.get("access-control-expose-headers").split(", ")
    assert {"request-id", "x-request-id", "x-lastcall-request-id", "retry-after"} <= set(exposed)


async def test_what_the_upstream_says_of_pages_is_not_said_beside_our_own_word(cors):
    """A browser takes no answer with two values of `Access-Control-Allow-Origin` (Fetch standard, 4.10)."""
    theirs = ["Access-Control-Allow-Origin: *", "access-control-expose-headers: x-theirs", "vary: accept"]
    part = cors.part(read_request(), send(json_response(b"{}", "200 OK", *theirs)))
    lines = ["Host: any.example", f"Origin: {PAGE}", KEY, f"x-part: {part.name}"]
    answer = await asked(cors.sidecar.url, lines, path="/v1/files")
    assert answer.head.all("access-control-allow-origin") == [PAGE]
    assert len(answer.head.all("access-control-expose-headers")) == 1
    assert answer.head.all("vary") == ["accept", "Origin"]


@pytest.mark.parametrize("path", ["/v1/messages", "/health", "/nothing"])
async def test_its_preflight_is_answered_without_a_key(cors, path):
    connections = len(cors.stage.connections)
    lines = [
        "Host: any.example",
        f"Origin: {PAGE}",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization, x-api-key, anthropic-version",
    ]
    answer = await asked(cors.sidecar.url, lines, "OPTIONS", path)
    assert (answer.head.status, answer.body) == (204, b"")
    assert answer.head.get("access-control-allow-origin") == PAGE
    assert "POST" in answer.head.get("access-control-allow-methods")
    # The wildcard does not cover Authorization (Fetch standard, 4.9).
    assert answer.head.get("access-control-allow-headers") == "*, authorization"
    assert answer.head.get("access-control-max-age") == "600"
    assert len(cors.stage.connections) == connections


@pytest.mark.parametrize(
    ("lines", "path", "status"),
    [
        pytest.param([], "/v1/files", 401, id="no key"),
        pytest.param([KEY, "Content-Length: 3"], "/v1/messages", 400, id="a bad body"),
        pytest.param([KEY], "/health", 200, id="a route of ours"),
    ],
)
async def test_it_may_read_whatever_we_say_ourselves(cors, lines, path, status):
    body = b"abc" if len(lines) > 1 else b""
    method = "POST" if body else "GET"
    answer = await asked(cors.sidecar.url, ["Host: any.example", f"Origin: {PAGE}", *lines], method, path, body)
    assert (answer.head.status, answer.head.get("access-control-allow-origin")) == (status, PAGE)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://chat.example", "https://chat.example:444", "https://chat.example/", "null"],
)
async def test_other_pages_are_refused_as_before(cors, origin):
    is_refused(await asked(cors.sidecar.url, ["Host: any.example", f"Origin: {origin}", KEY], path="/v1/files"))


@pytest.mark.parametrize("host", ["any.example", "10.1.2.3:8080", "[fd00::1]:8080", "localhost"])
async def test_off_loopback_any_host_will_do_for_who_is_no_browser(cors, host):
    """In a pod clients use the Service's name."""
    assert (await asked(cors.sidecar.url, [f"Host: {host}"])).head.status == 200


ITS_OWN_PAGE = [
    pytest.param("evil.example", ["Origin: http://evil.example"], id="a request that writes"),
    pytest.param("evil.example:8080", ["Origin: http://evil.example:8080"], id="with its port"),
    pytest.param("evil.example", ["Sec-Fetch-Site: same-origin"], id="one that reads"),
    pytest.param("evil.example", ["Sec-Fetch-Site: same-site"], id="a neighbour"),
    pytest.param("localhost.evil.example", ["Origin: http://localhost.evil.example"], id="a name that begins alike"),
    pytest.param("evil.example.", ["Origin: http://evil.example."], id="a dot at the end"),
]


@BOTH
@pytest.mark.parametrize(("host", "lines"), ITS_OWN_PAGE)
async def test_off_loopback_a_page_whose_own_name_points_here_is_refused(cors, host, lines, listener):
    """DNS rebinding: to the browser it is the page's own server, so that `Origin` and `Host` are alike."""
    is_refused(await asked(url_of(cors, listener), [f"Host: {host}", KEY, *lines]))


@BOTH
@pytest.mark.parametrize(
    ("host", "lines"),
    [
        pytest.param("10.1.2.3:8080", ["Origin: http://10.1.2.3:8080"], id="a page of its own, by address"),
        pytest.param("[fd00::1]", ["Origin: http://[fd00::1]"], id="by an address of IPv6"),
        pytest.param("localhost:1", ["Origin: http://localhost:1"], id="through a forwarded port"),
        pytest.param("10.1.2.3", ["Sec-Fetch-Site: same-origin"], id="same origin"),
        pytest.param("any.example", ["Sec-Fetch-Site: none"], id="the address bar"),
    ],
)
async def test_off_loopback_whoever_is_at_home_is_served(cors, host, lines, listener):
    assert (await asked(url_of(cors, listener), [f"Host: {host}", *lines])).head.status == 200


# With names.


ALLOWED = ["gateway.team.svc", "*.cluster.example", "LLM.Example.", "192.168.65.254"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def named():
    """Bound to every address, with names."""
    async with on_stage({"listen": {"allowedHosts": ALLOWED}}, sidecar=OpenSidecar) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def named_at_home():
    """Bound to loopback, with names."""
    async with on_stage({"listen": {"allowedHosts": [*ALLOWED, "host.docker.internal"]}}) as found:
        yield found


NAMED = [
    "gateway.team.svc",
    "gateway.team.svc:8080",
    "GATEWAY.team.SVC.",
    "a.cluster.example:80",
    "a.b.cluster.example",
    "llm.example",
    "192.168.65.254:8080",
    "localhost:8080",
    "127.0.0.1",
    "[::1]:1",
]
UNNAMED = [
    "evil.example",
    "evil.example:8080",
    "cluster.example",
    "evilcluster.example",
    ".cluster.example",
    "gateway.team.svc.evil.example",
    "xgateway.team.svc",
    "gateway",
    "[",
    "",
]


@pytest.mark.parametrize("host", NAMED)
async def test_a_name_that_is_allowed_is_served(named, host):
    page = [f"Host: {host}", f"Origin: http://{host}"]
    assert (await asked(named.sidecar.url, page)).head.status == 200
    assert (await asked(named.sidecar.admin_url, page)).head.status == 200


@pytest.mark.parametrize("host", NAMED)
async def test_on_loopback_a_name_that_is_allowed_is_served_as_well(named_at_home, host):
    assert (await asked(named_at_home.sidecar.url, [f"Host: {host}"])).head.status == 200
    assert (await asked(named_at_home.sidecar.admin_url, [f"Host: {host}"])).head.status == 200


async def test_a_development_container_has_a_way_in_to_loopback(named_at_home):
    assert (await asked(named_at_home.sidecar.url, ["Host: host.docker.internal:8080"])).head.status == 200


@pytest.mark.parametrize("host", UNNAMED)
async def test_any_other_name_is_refused_browser_or_not(named, named_at_home, host):
    """What a page reads over plain HTTP looks like any other client's request: only its `Host` tells."""
    is_refused(await asked(named.sidecar.url, [f"Host: {host}"]))
    is_refused(await asked(named_at_home.sidecar.url, [f"Host: {host}"]))
    is_refused(await asked(named_at_home.sidecar.admin_url, [f"Host: {host}"]))


@pytest.mark.parametrize("host", ["10.1.2.3:8080", "[fd00::1]"])
async def test_an_address_is_nobodys_trick_off_loopback_and_none_of_ours_on_it(named, named_at_home, host):
    """Probes ask by the pod's address."""
    assert (await asked(named.sidecar.url, [f"Host: {host}"])).head.status == 200
    is_refused(await asked(named_at_home.sidecar.url, [f"Host: {host}"]))


async def test_the_admin_listener_is_reached_by_way_of_the_api_server(named):
    """`pods/proxy` keeps the name by which the API server was called (its UpgradeAwareHandler)."""
    lines = ["Host: api.some.cloud.example:6443", "X-Forwarded-For: 10.0.0.1"]
    assert (await asked(named.sidecar.admin_url, lines, path="/livez")).head.status == 200
    is_refused(await asked(named.sidecar.admin_url, [*lines, "Origin: http://api.some.cloud.example:6443"]))


async def test_the_refusal_says_how_more_are_allowed(wire, named):
    for found in (wire, named):
        told = json.loads((await asked(found.sidecar.url, ["Host: evil.example"])).body)
        assert "listen.allowedHosts" in told["error"]["message"]
        assert "LASTCALL_LISTEN__ALLOWED_HOSTS" in told["error"]["message"]


async def test_any_name_may_be_allowed(tmp_path):
    async with on_stage({"listen": {"allowedHosts": ["*"]}}) as found:
        assert (await asked(found.sidecar.url, ["Host: any.example", "Origin: http://any.example"])).head.status == 200


async def test_who_is_no_browser_gets_no_cors(cors):
    part = cors.part(read_request(), send(OK))
    answer = await asked(cors.sidecar.url, ["Host: h", KEY, f"x-part: {part.name}"], path="/v1/files")
    assert answer.head.status == 200
    assert not [name for name, _ in answer.head.headers if name.lower().startswith("access-control")]
