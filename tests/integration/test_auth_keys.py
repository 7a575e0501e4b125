"""API keys: who may call, whose key goes upstream, and that ours never does; nor into any log."""

import asyncio
import json

import pytest
import pytest_asyncio
from tests.support.raw_client import End
from tests.support.scripted_upstream import json_response, read_request, send
from tests.support.stage import PLAIN_QUESTION, QUESTION, START, STOP, error_of, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
ALICE, BOB, BARE = "sk-lc-alice-0001", "sk-lc-bob-0002==", "sk-lc-nobody-0003"
KEYS = f"# who may call\nalice: {ALICE}\nbob={BOB}  # and a comment\n\n{BARE}\n"
UPSTREAMS = "sk-upstream-4711"
THEIRS = "sk-ant-of-the-client-0815"
SECRETS = (ALICE, BOB, BARE, UPSTREAMS, THEIRS)


def settings(folder, *, upstream_key=False, **upstream):
    """A configuration with keys of ours, and perhaps one for the upstream."""
    keys = folder / "keys"
    keys.write_text(KEYS)
    (folder / "upstream").write_text(f"{UPSTREAMS}\n")
    if upstream_key:
        upstream["apiKeyFile"] = str(folder / "upstream")
    return {"auth": {"apiKeysFile": str(keys)}, "upstream": upstream}


def quiet(wire):
    """Nothing in the log is a key, whoever's."""
    output = wire.sidecar.output()
    assert not [secret for secret in SECRETS if secret in output]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory):
    """A sidecar with keys of its own, whose upstream gets its own."""
    async with on_stage(settings(tmp_path_factory.mktemp("keys"), upstream_key=True)) as found:
        yield found
        quiet(found)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def passing(tmp_path_factory):
    """A sidecar with keys of its own that passes the client's credential on; its upstream is of OpenAI's kind."""
    async with on_stage(settings(tmp_path_factory.mktemp("keys"), provider="OpenAI")) as found:
        yield found
        quiet(found)


GOOD = {
    "x-api-key": [("x-api-key", ALICE)],
    "X-API-KEY": [("X-API-KEY", ALICE)],
    "a bearer": [("Authorization", f"Bearer {BOB}")],
    "a bearer in other letters": [("authorization", f"bEARER  {BOB} ")],
    "one without a name": [("x-api-key", BARE)],
    "one of two": [("x-api-key", THEIRS), ("authorization", f"Bearer {ALICE}")],
}
BAD = {
    "none": [],
    "a wrong one": [("x-api-key", THEIRS)],
    "an empty one": [("x-api-key", "")],
    "half of it": [("x-api-key", ALICE[:-1])],
    "more than it": [("x-api-key", ALICE + "0")],
    "in other letters": [("x-api-key", ALICE.upper())],
    "its name": [("x-api-key", "alice")],
    "its line": [("x-api-key", f"alice: {ALICE}")],
    "basic": [("authorization", f"Basic {ALICE}")],
    "no scheme": [("authorization", ALICE)],
    "a bearer of nothing": [("authorization", "Bearer")],
    "not ASCII": [("x-api-key", "sk-é")],
    "a comment": [("x-api-key", "#")],
    "in the query alone": [],
    "in a cookie": [("cookie", f"x-api-key={ALICE}")],
}


@pytest.mark.parametrize("name", GOOD)
async def test_whoever_has_a_key_is_served_and_the_key_stays_here(guarded, name):
    part = guarded.part(read_request(), send(OK))
    answer = await guarded.ask(part, PLAIN_QUESTION, GOOD[name])
    assert answer.head.status == 200
    head = part.request.raw_head.decode("latin-1")
    assert not [secret for secret in SECRETS if secret != UPSTREAMS and secret in head]
    assert part.request.header("x-api-key") == UPSTREAMS
    assert part.request.header("authorization") is None


@pytest.mark.parametrize("name", BAD)
async def test_whoever_has_none_is_refused(guarded, name):
    part = guarded.part()
    before = await guarded.totals()
    async with await guarded.connect() as client:
        path = f"/v1/messages?key={ALICE}" if name == "in the query alone" else "/v1/messages"
        # Without waiting for the body: nobody who may not call makes us read one.
        await client.request("POST", path, [part.header, *BAD[name], ("content-length", "1000000")])
        answer = await client.answer()
        assert (answer.head.status, answer.end) == (401, End.COMPLETE)
        assert error_of(answer)["type"] == "authentication_error"
        assert await client.wait_end() is End.EOF
    assert not [secret for secret in SECRETS if secret.encode() in answer.body]
    assert part.connections == []
    await guarded.wait_for(in_flight=0, totals_refused=before["refused"] + 1)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/files"), ("POST", "/v1/files"), ("POST", "/messages"), ("DELETE", "/v1/x")]
)
async def test_every_route_that_goes_upstream_wants_a_key(guarded, method, path):
    body = QUESTION if method == "POST" else None
    refused = await guarded.ask(guarded.part(), body, method=method, path=path)
    part = guarded.part(read_request(), send(OK))
    served = await guarded.ask(part, body, [("x-api-key", ALICE)], method=method, path=path)
    assert (refused.head.status, served.head.status) == (401, 200)


@pytest.mark.parametrize("path", ["/", "/health", "/livez", "/openapi.json", "/docs"])
async def test_our_own_routes_want_none(guarded, path):
    async with await guarded.connect() as client:
        await client.request("GET", path)
        assert (await client.answer("GET")).head.status == 200


async def test_a_refused_request_may_be_followed_by_a_good_one(guarded):
    part = guarded.part(read_request(), send(OK))
    async with await guarded.connect() as client:
        for headers, status in (([], 401), ([("x-api-key", ALICE)], 200)):
            await client.request("GET", "/v1/files", [part.header, *headers])
            assert (await client.answer("GET")).head.status == status


# What goes upstream.


@pytest.mark.parametrize(
    ("sent", "upstream"),
    [
        pytest.param([("x-api-key", ALICE)], [], id="ours alone"),
        pytest.param([("authorization", f"Bearer {ALICE}")], [], id="ours as a bearer"),
        pytest.param(
            [("x-api-key", ALICE), ("authorization", f"Bearer {THEIRS}")],
            [("authorization", f"Bearer {THEIRS}")],
            id="ours, and theirs beside it",
        ),
        pytest.param(
            [("authorization", f"Bearer {ALICE}"), ("x-api-key", THEIRS)],
            [("x-api-key", THEIRS)],
            id="theirs, and ours as a bearer",
        ),
        pytest.param([("x-api-key", ALICE), ("authorization", f"Bearer {ALICE}")], [], id="ours twice"),
        pytest.param([("x-api-key", ALICE), ("authorization", f"Bearer {BOB}")], [], id="two of ours"),
    ],
)
async def test_a_key_of_ours_never_goes_upstream_and_theirs_does(passing, sent, upstream):
    part = passing.part(read_request(), send(OK))
    answer = await passing.ask(part, PLAIN_QUESTION, sent, path="/v1/chat/completions")
    assert answer.head.status == 200
    assert [pair for pair in part.request.headers if pair[0].lower() in {"x-api-key", "authorization"}] == upstream


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([("x-api-key", THEIRS), ("x-api-key", ALICE)], id="ours behind theirs"),
        pytest.param([("x-api-key", ALICE), ("x-api-key", THEIRS)], id="theirs behind ours"),
        pytest.param([("authorization", f"Bearer {THEIRS}"), ("authorization", f"Bearer {ALICE}")], id="two bearers"),
    ],
)
async def test_two_credentials_under_one_name_are_none(passing, sent):
    answer = await passing.ask(passing.part(), PLAIN_QUESTION, sent, path="/v1/chat/completions")
    assert answer.head.status == 401


async def test_to_a_caller_of_openai_it_is_told_in_their_words(passing):
    answer = await passing.ask(passing.part(), PLAIN_QUESTION, path="/v1/chat/completions")
    assert answer.head.status == 401
    told = json.loads(answer.body)
    assert set(told) == {"error"}
    assert (told["error"]["type"], told["error"]["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([], id="none"),
        pytest.param([("x-api-key", THEIRS)], id="a key"),
        pytest.param([("authorization", f"Bearer {THEIRS}")], id="a bearer"),
        pytest.param([("x-api-key", THEIRS), ("Authorization", f"Basic {THEIRS}")], id="both"),
    ],
)
async def test_the_upstreams_key_replaces_whatever_the_caller_sent(openai, sent):
    part = openai.part(read_request(), send(OK))
    assert (await openai.ask(part, PLAIN_QUESTION, sent, path="/v1/chat/completions")).head.status == 200
    found = [pair for pair in part.request.headers if pair[0].lower() in {"x-api-key", "authorization"}]
    assert found == [("authorization", f"Bearer {UPSTREAMS}")]
    quiet(openai)


@pytest.mark.parametrize(
    "sent", [[], [("x-api-key", THEIRS)], [("Authorization", f"Bearer {THEIRS}"), ("x-api-key", "k")]]
)
async def test_without_keys_of_ours_everybody_may_call_with_their_own(wire, sent):
    part = wire.part(read_request(), send(OK))
    assert (await wire.ask(part, PLAIN_QUESTION, sent)).head.status == 200
    found = [pair for pair in part.request.headers if pair[0].lower() in {"x-api-key", "authorization"}]
    assert found == sent


# Logs.


async def test_nothing_that_is_the_clients_own_is_logged(guarded):
    """A request that fails is told of in a line that quotes what the client wrote, and masks what it asked for."""
    part = guarded.part(read_request(), send(b"garbage"))
    secret = "xyzzy-0815"
    body = (
        b'{"model":"m\\" injected=true\\n","stream":true,"thinking":{"type":"enabled"},'
        b'"messages":[{"content":"xyzzy-0815"}]}'
    )
    headers = [("x-api-key", ALICE), ("anthropic-beta", 'a="b" c'), ("cookie", secret), ("x-request-id", "client-1")]
    answer = await guarded.ask(part, body, headers, path=f"/v1/messages?token={secret}&beta=true")
    assert answer.head.status == 502
    ours = answer.head.get("x-lastcall-request-id")
    async with asyncio.timeout(5):
        while f"forward failed request_id={ours}" not in guarded.sidecar.output():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    output = guarded.sidecar.output()
    assert secret not in output
    lines = [json.loads(line) for line in output.splitlines() if ours in line]
    (line,) = [line["event"] for line in lines if line["event"].startswith("forward failed ")]
    fields = line.removeprefix("forward failed ")
    for wanted in (
        f"request_id={ours} ",
        ' model="m\\" injected=true\\n" ',
        " stream=true ",
        f" body_bytes={len(body)} ",
        " has_thinking=true ",
        ' anthropic_beta="a=\\"b\\" c" ',
        " query=token=***&beta=*** ",
        " elapsed=0.",
        " ctx_err=- ",
        ' error="upstream: ',
    ):
        assert wanted in fields, fields
    (report,) = [line for line in lines if line["event"] == "request failed"]
    assert (report["status"], report["outcome"], report["client_request_id"]) == (502, "failed", "client-1")


async def test_a_stream_reports_its_account(guarded):
    data = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
    stop = f"event: message_delta\ndata: {json.dumps(data)}\n\n".encode()
    answer = await guarded.ask(guarded.streams(START, stop, STOP), headers=[("x-api-key", ALICE)])
    ours = answer.head.get("x-lastcall-request-id")
    await guarded.wait_for(in_flight=0)
    (report,) = [json.loads(line) for line in guarded.sidecar.output().splitlines() if ours in line]
    assert (report["outcome"], report["output_tokens"], report["stop_reason"]) == ("completed", 7, "end_turn")
