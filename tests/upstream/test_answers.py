"""Every answer, good or bad, is understood alike wherever the network cuts it."""

import asyncio
import itertools

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.scripted_upstream import chunk, head, read_request, send, steps

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def whole(data, status, body, *, kept=True, closes=False, method="GET", headers=None, name):
    return pytest.param(data, closes, method, (status, headers, body), kept, id=name)


def broken(data, words, *, closes=False, method="GET", name, error=httpx.RemoteProtocolError):
    return pytest.param(data, closes, method, (error, words), False, id=name)


ANSWERS = [
    whole(OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok", name="length", headers=[(b"Content-Length", b"2")]),
    whole(OK + b"content-length: 0\r\n\r\n", 200, b"", name="length 0"),
    whole(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", 200, b"ok", kept=False, name="says close"),
    whole(CHUNKED + chunk(b"a") + chunk(b"bc" * 9) + b"0\r\n\r\n", 200, b"a" + b"bc" * 9, name="chunks"),
    whole(CHUNKED + b"1;x=y\r\na\r\n00\r\nTrailer: 1\r\n\r\n", 200, b"a", name="extension and trailer"),
    whole(CHUNKED + b"1 \r\na\r\n0\r\n\r\n", 200, b"a", name="blank behind a size"),
    whole(CHUNKED + b"1\r\na\r\n0\r\n\r\n\r\n", 200, b"a", kept=False, name="a line end behind chunks"),
    whole(CHUNKED + b"1\r\na\r\n0\r\n\r\n\r", 200, b"a", kept=False, name="half a line end behind chunks"),
    whole(OK + b"\r\nto the end", 200, b"to the end", kept=False, closes=True, name="to the end"),
    whole(b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", 200, b"a", kept=False, name="HTTP/1.0"),
    whole(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 1\r\n\r\na",
        200,
        b"a",
        kept=False,
        name="HTTP/1.0, would go on",
    ),
    whole(b"HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\na", 200, b"a", name="no reason"),
    whole(b"HTTP/1.1 299\r\ncontent-length: 1\r\n\r\na", 299, b"a", name="not even a blank for it"),
    whole(b"HTTP/1.1 200 OK\ncontent-length: 1\n\na", 200, b"a", name="bare LF"),
    whole(b"HTTP/1.1 999 Odd\r\ncontent-length: 1\r\n\r\na", 999, b"a", name="status 999"),
    whole(b"HTTP/1.1 204 No\r\n\r\n", 204, b"", name="204"),
    whole(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", 204, b"", kept=False, name="204, says close"),
    whole(b"HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n", 304, b"", kept=False, name="304 with a length"),
    whole(b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b"", kept=False, name="304 in chunks"),
    whole(OK + b"Content-Length: 99\r\n\r\n", 200, b"", method="HEAD", kept=False, name="HEAD with a length"),
    whole(OK + b"Transfer-Encoding: chunked\r\n\r\n", 200, b"", method="HEAD", kept=False, name="HEAD in chunks"),
    whole(OK + b"\r\n", 200, b"", method="HEAD", name="HEAD without"),
    whole(OK + b"Connection: Close\r\n\r\n", 200, b"", method="HEAD", kept=False, name="HEAD, says close"),
    whole(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"X: 1\r\nContent-Length: 1\r\n\r\na",
        200,
        b"a",
        headers=[(b"X", b"1"), (b"Content-Length", b"1")],
        name="interim answers",
    ),
    whole(
        OK + b"x-A: 1\r\nX-a:2 \t\r\nX-Empty:\r\nX-Text: caf\xe9 \xc3\xa9 \t b\r\ncontent-length: 0\r\n\r\n",
        200,
        b"",
        headers=[
            (b"x-A", b"1"),
            (b"X-a", b"2"),
            (b"X-Empty", b""),
            (b"X-Text", b"caf\xe9 \xc3\xa9 \t b"),
            (b"content-length", b"0"),
        ],
        name="headers as they are",
    ),
    broken(b"\x15\x03\x01\x00\x02\x02\x46", "https://", name="the alert of a server that expects TLS"),
    broken(b"HTTP/1.1 101 Switching\r\n\r\n", "101, unasked", name="101"),
    broken(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx", "101, unasked", name="101 to something"),
    broken(b"HTTP/1.1 100 C\r\nContent-Length: 1\r\n\r\na", "not HTTP", name="interim with a body"),
    broken(b"", "closed the connection before its answer", closes=True, name="nothing"),
    broken(OK + b"Content-Le", "closed the connection before its answer", closes=True, name="half a head"),
    broken(OK + b"Content-Length: 5\r\n\r\nab", "cut short", closes=True, name="less than its length"),
    broken(CHUNKED + b"5\r\nab", "cut short", closes=True, name="less than its chunk"),
    broken(CHUNKED + chunk(b"ab"), "cut short", closes=True, name="no last chunk"),
    broken(CHUNKED + b"0\r\n", "cut short", closes=True, name="half a last chunk"),
    broken(CHUNKED + b"-5\r\n", "cut short", name="a size below 0"),
    broken(CHUNKED + b"zz\r\n", "cut short", name="no size"),
    broken(CHUNKED + b"2\r\nabc", "cut short", name="more than its chunk"),
    broken(CHUNKED + b"fffffffffffffffffff\r\n", "cut short", name="an endless size"),
    broken(b"no HTTP at all\r\n\r\n", "not HTTP", name="garbage"),
    broken(b"HTTP/2.0 200 OK\r\n\r\n", "not HTTP", name="HTTP/2.0"),
    broken(b"HTTP/1.1 099 OK\r\n\r\n", "not HTTP", name="status 99"),
    broken(b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP", name="status 2000"),
    broken(OK + b"A : b\r\n\r\n", "not HTTP", name="blank before the colon"),
    broken(OK + b"A: b\r\n c\r\n\r\n", "not HTTP", name="folded"),
    broken(OK + b"A: b\0\r\n\r\n", "not HTTP", name="NUL"),
    broken(OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "not HTTP", name="two lengths"),
    broken(OK + b"Content-Length: 1, 1\r\n\r\na", "not HTTP", name="two lengths in one"),
    broken(OK + b"Content-Length: +1\r\n\r\na", "not HTTP", name="a sign"),
    broken(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP", name="length and chunks"),
    broken(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "not HTTP", name="a coding besides"),
    broken(OK + b"Transfer-Encoding: identity\r\n\r\n", "not HTTP", name="another coding"),
]


@pytest.mark.parametrize(("data", "closes", "method", "wanted", "kept"), ANSWERS)
async def test_an_answer_is_the_same_at_every_split(client, data, closes, method, wanted, kept):
    at = 0

    async def script(connection):
        while True:
            await connection.read_request()
            cuts = range(1, len(data)) if at == len(data) + 1 else [at]  # at last byte by byte
            for start, end in itertools.pairwise([0, *cuts, len(data)]):
                if connection.transport.is_closing():
                    return  # it has seen enough
                connection.transport.write(data[start:end])
                for _ in range(4):  # two reads of the other side: both ends live in one loop
                    await asyncio.sleep(0)
            if closes:
                connection.half_close()
                return

    async with client(script, idle_seconds=60) as asking:
        for at in range(len(data) + 2):  # noqa: B007 - the script reads it
            status, *rest = wanted
            if isinstance(status, int):
                answer, body = await asking.ask(method)
                assert (answer.status_code, body) == (status, rest[1])
                if rest[0] is not None:
                    assert answer.raw_headers == rest[0]
                    assert answer.headers.raw == rest[0]
            else:
                with pytest.raises(status, match=rest[0]):
                    await asking.ask(method)
            await asking.left(kept, kept)
        assert len(asking.upstream.connections) == (1 if kept else len(data) + 2)


async def test_what_came_before_a_break_is_given_first(client):
    async with client(steps(read_request(), send(CHUNKED + chunk(b"good") + b"zz\r\n"))) as asking:
        answer = await asking.begin()
        assert await answer.stream.read_some() == b"good"
        with pytest.raises(httpx.RemoteProtocolError, match="cut short"):
            await answer.stream.read_some()
        await answer.aclose()
        await asking.left()


LONG = b"x" * 70_000
FIELDS = b"a: 1\r\n" * 200
MANY = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(199))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(OK + b"a: " + LONG + b"\r\n\r\n", "too long", id="a long line"),
        pytest.param(OK + MANY + b"\r\n", "too long", id="many lines"),
        pytest.param(b"HTTP/1.1 200 " + LONG * 2 + b"\r\n\r\n", "too long", id="a long reason"),
        pytest.param(OK + FIELDS + b"b: 1\r\n\r\n", "more than 200 header fields", id="201 fields"),
        pytest.param(CHUNKED + b"0\r\n" + FIELDS + b"b: 1\r\n\r\n", "cut short", id="201 trailers"),
        pytest.param(b"HTTP/1.1 103 Hints\r\n" + FIELDS + b"b: 1\r\n\r\n" + OK + b"\r\n", "more than", id="of hints"),
        pytest.param(OK + b"a: " + LONG * 4, "too long", id="an endless line"),
        pytest.param(b"HTTP/1.1 100 C\r\n\r\n" * 20_000, "too long", id="endless interim answers"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\nt: " + LONG * 8, "cut short", id="an endless trailer"),
        pytest.param(CHUNKED + b"1;" + LONG * 8, "cut short", id="an endless extension"),
    ],
)
async def test_what_has_no_end_is_ended(client, data, words):
    async with client(steps(read_request(), send(data))) as asking:
        with pytest.raises(httpx.RemoteProtocolError, match=words):
            await asking.ask()
        await asking.left()


async def test_a_head_of_an_ordinary_size_passes(client):
    data = head("200 OK", "a: " + "x" * 60_000, "b: " + "y" * 60_000, "content-length: 0")
    async with client(steps(read_request(), send(data))) as asking:
        answer, _ = await asking.ask()
        assert len(answer.raw_headers[1][1]) == 60_000


async def test_a_reader_that_is_behind_stops_the_upstream(client):
    data = b"z" * 20_000_000
    async with client(steps(read_request(), send(head("200 OK", f"content-length: {len(data)}"), data))) as asking:
        answer = await asking.begin()
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert answer.stream.size < 1_000_000
        got = b"".join([piece async for piece in answer.stream])
        assert got == data
        await asking.left(1, 1)


PIECES = [
    OK,
    CHUNKED,
    b"content-length: 3\r\n",
    b"\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"abc",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=8),
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["half_close", "reset", "close"]),
)
async def test_whatever_comes_ends_in_an_answer_or_an_error_and_leaks_nothing(client, pieces, method, ending):
    async def script(connection):
        await connection.read_request()
        await connection.send(b"".join(pieces))
        await asyncio.sleep(0)
        getattr(connection, ending)()

    async with client(script) as asking:
        try:
            answer, _ = await asking.ask(method)
            assert 200 <= answer.status_code <= 999
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass
        await asking.left()


async def test_200_fields_and_200_trailers_are_taken(client):
    data = OK + b"a: 1\r\n" * 199 + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + FIELDS + b"\r\n"
    async with client(steps(read_request(), send(data))) as asking:
        answer, body = await asking.ask()
        assert (len(answer.raw_headers), body) == (200, b"a")
        await asking.left(1, 1)
