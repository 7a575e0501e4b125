"""No client gets what an upstream sent on behalf of another one's request."""

import asyncio

import pytest
from tests.support.raw_client import End
from tests.support.scripted_upstream import head, json_response, read_request, send

pytestmark = pytest.mark.asyncio(loop_scope="session")

POISON = json_response(b'{"whose": "another"}')
MINE = json_response(b'{"whose": "mine"}')


@pytest.mark.parametrize("path", ["/v1/files/a", "/v1/messages/batches/b"])
@pytest.mark.parametrize(
    ("method", "status", "framing"),
    [
        pytest.param("DELETE", "204 No Content", f"content-length: {len(POISON)}", id="204 with a length"),
        pytest.param("DELETE", "204 No Content", "transfer-encoding: chunked", id="204 in chunks"),
        pytest.param("GET", "304 Not Modified", f"content-length: {len(POISON)}", id="304 with a length"),
        pytest.param("HEAD", "200 OK", f"content-length: {len(POISON)}", id="HEAD with a length"),
    ],
)
async def test_a_body_where_none_belongs_never_becomes_the_next_clients_answer(wire, path, method, status, framing):
    async def poisons(connection):
        await connection.read_request()
        await connection.send(head(status, framing))
        await connection.read_head()  # of another request, if one comes
        await connection.send(POISON)

    first, second = wire.part(poisons), wire.part(read_request(), send(MINE))
    for _ in range(3):
        answer = await wire.ask(first, None, method=method, path=path)
        assert (answer.head.status, bytes(answer.body), answer.end) == (int(status[:3]), b"", End.COMPLETE)
        others = await asyncio.gather(*(wire.ask(second, None, method="GET", path=path) for _ in range(3)))
        assert [bytes(other.body) for other in others] == [b'{"whose": "mine"}'] * 3


@pytest.mark.parametrize("framing", ["content-length: 5", "content-length: 0", "transfer-encoding: chunked"])
async def test_a_204_goes_out_without_framing_and_the_clients_connection_goes_on(wire, framing):
    """RFC 9110, 8.6: a server must not send Content-Length in a 204; who believes it waits for a body."""
    part, after = (
        wire.part(read_request(), send(head("204 No Content", framing))),
        wire.part(read_request(), send(MINE)),
    )
    async with await wire.connect() as client:
        await client.request("DELETE", "/v1/files/a", [part.header])
        answer = await client.answer("DELETE")
        assert (answer.head.status, answer.head.get("content-length")) == (204, None)
        assert answer.head.get("transfer-encoding") is None
        await client.request("GET", "/v1/files/a", [after.header])
        assert bytes((await client.answer("GET")).body) == b'{"whose": "mine"}'


async def test_the_length_that_a_304_or_the_answer_to_head_speaks_of_goes_on(wire):
    for method, status in (("GET", "304 Not Modified"), ("HEAD", "200 OK")):
        part = wire.part(read_request(), send(head(status, "content-length: 99")))
        answer = await wire.ask(part, None, method=method, path="/v1/files/a")
        assert (answer.head.get("content-length"), bytes(answer.body), answer.end) == ("99", b"", End.COMPLETE)
