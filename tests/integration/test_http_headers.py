"""Headers of one name are judged as the list that they are, and nobody else speaks in our name."""

import pytest
import pytest_asyncio
from tests.support.scripted_upstream import json_response, read_request, send
from tests.support.stage import QUESTION, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
KEY = "sk-alice"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keyed(tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"alice: {KEY}\n")
    given = {"auth": {"apiKeysFile": str(keys)}, "listen": {"corsOrigins": ["https://good.example"]}}
    async with on_stage(given) as found:
        yield found


GOOD_KEY = ("x-api-key", KEY)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([("Content-Encoding", "gzip"), ("Content-Encoding", "identity")], 415, id="encodings"),
        pytest.param([("Content-Encoding", "identity"), ("content-encoding", "gzip")], 415, id="encodings reversed"),
        pytest.param([("Content-Encoding", "identity, gzip")], 415, id="encodings in one line"),
        pytest.param([("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "none")], 403, id="fetch sites"),
        pytest.param([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], 403, id="reversed"),
        pytest.param(
            [("Origin", "https://evil.example"), ("Origin", "https://good.example")], 403, id="a good origin behind"
        ),
        pytest.param([("Origin", "https://good.example")] * 2, 403, id="an origin twice"),
        pytest.param([("x-api-key", "sk-wrong")], 401, id="another key before"),
        pytest.param([("Authorization", "Bearer sk-wrong")], 200, id="one of two credentials is good"),
    ],
)
async def test_what_would_be_refused_alone_is_refused_beside_another_line(keyed, headers, status):
    part = keyed.part(read_request(), send(OK))
    answer = await keyed.ask(part, QUESTION, [*headers, GOOD_KEY])
    assert answer.head.status == status
    assert len(part.connections) == (status == 200)


async def test_a_bearer_twice_is_none(keyed):
    part = keyed.part(read_request(), send(OK))
    bearer = ("Authorization", f"Bearer {KEY}")
    assert (await keyed.ask(part, QUESTION, [("Authorization", "Bearer sk-wrong"), bearer])).head.status == 401
    assert (await keyed.ask(part, QUESTION, [bearer])).head.status == 200


@pytest.mark.parametrize("coding", ["identity", "Identity, identity", ""])
async def test_no_encoding_may_be_said_in_any_way(wire, coding):
    part = wire.part(read_request(), send(OK))
    assert (await wire.ask(part, QUESTION, [("Content-Encoding", coding)])).head.status == 200


async def test_what_an_upstream_says_in_our_name_stays_behind(wire):
    """A chain of two is one: who looks for the id in the log finds it in that of the one that it asked."""
    theirs = json_response(
        b"{}", "200 OK", "x-lastcall-request-id: req_theirs", "X-Lastcall-Token-Count: exact", "x-b: 1"
    )
    part = wire.part(read_request(), send(theirs))
    answer = await wire.ask(part, QUESTION, [("X-Lastcall-Request-Id", "req_clients"), ("x-c", "1")])
    (ours,) = answer.head.all("x-lastcall-request-id")
    assert ours.startswith("req_")
    assert ours not in {"req_theirs", "req_clients"}
    assert (answer.head.get("x-lastcall-token-count"), answer.head.get("x-b")) == (None, "1")
    assert (part.request.header("x-lastcall-request-id"), part.request.header("x-c")) == (None, "1")
