"""An answer whose end is not certain is its connection's last one: what may follow must never be another's answer."""

import asyncio

import pytest
from tests.support.scripted_upstream import chunk, head, json_response, read_request, repeat, send, steps

OK = json_response(b"{}")
POISON = head("200 OK", "content-length: 6") + b"poison"
SERVES = repeat(steps(read_request(), send(OK)))
IN_CHUNKS = head("200 OK", "transfer-encoding: chunked") + chunk(b"a") + b"0\r\n\r\n"

UNCERTAIN = [
    pytest.param("GET", head("204 No Content", f"content-length: {len(POISON)}"), id="204 with a length"),
    pytest.param("DELETE", head("204 No Content", "transfer-encoding: chunked"), id="204 in chunks"),
    pytest.param("GET", head("304 Not Modified", f"content-length: {len(POISON)}"), id="304 with a length"),
    pytest.param("GET", head("304 Not Modified", "transfer-encoding: chunked"), id="304 in chunks"),
    pytest.param("HEAD", head("200 OK", f"content-length: {len(POISON)}"), id="HEAD with a length"),
    pytest.param("HEAD", head("200 OK", "transfer-encoding: chunked"), id="HEAD in chunks"),
    pytest.param("GET", OK.replace(b"/1.1", b"/1.0", 1), id="HTTP/1.0"),
    pytest.param(
        "GET", head("200 OK", "connection: keep-alive", "content-length: 2").replace(b"1.1", b"1.0") + b"ok",
        id="HTTP/1.0 that would go on",
    ),
    pytest.param("GET", OK + b"\r\n", id="a line end behind a length"),
    pytest.param("GET", OK + b"\n", id="half a line end behind a length"),
    pytest.param("GET", IN_CHUNKS + b"\r\n", id="a line end behind chunks"),
    pytest.param("GET", IN_CHUNKS + b"\r\n" * 3, id="line ends behind chunks"),
    pytest.param("GET", head("204 No Content") + b"\r\n", id="a line end behind 204"),
    pytest.param("GET", head("204 No Content") + POISON[:1], id="a byte behind 204"),
    pytest.param("GET", OK + POISON, id="two answers at once"),
    pytest.param("GET", head("103 Early Hints") + OK + head("103 Early Hints"), id="an interim answer behind the last"),
]  # fmt: skip


@pytest.mark.parametrize("through_a_proxy", [False, True], ids=["directly", "through a proxy"])
@pytest.mark.parametrize(("method", "first"), UNCERTAIN)
async def test_what_comes_behind_it_is_nobodys_answer(client, monkeypatch, method, first, through_a_proxy):
    """The other request is on its way when it comes: a connection that was kept would take it for that one's."""

    async def poisons(connection):
        await connection.read_request()
        await connection.send(first)
        await connection.read_request()
        await connection.send(POISON)

    async with client(poisons, SERVES, proxy=monkeypatch if through_a_proxy else None) as asking:
        await asking.ask(method)
        answer, body = await asking.ask()
        assert (answer.status_code, body) == (200, b"{}")
        assert len(asking.upstream.connections) == 2


@pytest.mark.parametrize(
    ("method", "first"),
    [
        pytest.param("GET", OK, id="a length"),
        pytest.param("GET", IN_CHUNKS, id="chunks"),
        pytest.param("GET", head("200 OK", "content-length: 3") + b"a\r\n", id="a body that ends with a line end"),
        pytest.param("GET", head("204 No Content"), id="204"),
        pytest.param("GET", head("204 No Content", "content-length: 0"), id="204 with a length of nothing"),
        pytest.param("GET", head("304 Not Modified"), id="304"),
        pytest.param("HEAD", head("200 OK"), id="HEAD"),
        pytest.param("HEAD", head("200 OK", "content-length: 0"), id="HEAD with a length of nothing"),
    ],
)
async def test_where_the_end_is_certain_the_connection_is_kept(client, method, first):
    async with client(steps(read_request(), send(first), SERVES)) as asking:
        await asking.ask(method)
        assert (await asking.ask())[1] == b"{}"
        assert len(asking.upstream.connections) == 1


@pytest.mark.parametrize("behind", [b"", b"\r\n"], ids=["nothing behind", "a line end behind"])
async def test_who_was_asked_to_change_the_protocol_and_did_not_is_asked_nothing_else(client, behind):
    async with client(steps(read_request(), send(OK + behind), SERVES), SERVES) as asking:
        await asking.ask("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b"x")], upgrade=True)
        assert (await asking.ask())[1] == b"{}"
        assert len(asking.upstream.connections) == 2


async def test_an_answer_that_was_there_before_its_question_is_the_connections_last(client):
    """An upstream that turns connections away by an answer says so before it reads; the next bytes are uncertain."""

    connected = asyncio.Event()

    async def hasty(connection):
        await connected.wait()
        connection.transport.write(OK)
        await connection.read_request()
        await asyncio.sleep(0.01)
        await connection.read_request()
        await connection.send(POISON)

    async with client(hasty, SERVES) as asking:
        connect = asking.transport._dialer.connect

        async def slowly(make):
            made = await connect(make)
            made._transport.pause_reading()  # what a busy loop does
            connected.set()
            await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.02, made._transport.resume_reading)
            return made

        asking.transport._dialer.connect = slowly
        assert (await asking.ask())[1] == b"{}"
        assert (await asking.ask())[1] == b"{}"
        assert len(asking.upstream.connections) == 2


async def test_through_a_proxy_no_two_requests_share_a_connection(client, monkeypatch):
    """aiohttp keeps what comes to an idle connection, and gives it to the next request as its answer."""
    unasked = asyncio.Event()

    async def script(connection):
        await connection.read_request()
        await connection.send(OK)
        await unasked.wait()
        connection.transport.write(POISON)

    async with client(script, SERVES, proxy=monkeypatch) as asking:
        assert (await asking.ask())[1] == b"{}"
        unasked.set()
        await asyncio.sleep(0.01)
        assert (await asking.ask())[1] == b"{}"
