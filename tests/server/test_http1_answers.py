"""How an answer leaves: its framing, its end, and what becomes of one that is none."""

import re

import pytest
from tests.server.fake_connection import FakeConnection

from lastcall_sidecar.server.answers import BadAnswer, frame

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
DATE = re.compile(rb"\r\ndate: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT(?=\r\n)")
#: Answers `Content-Length: 2`, chunks and none.
LENGTH = (200, [(b"Content-Length", b"2")])
CHUNKS = (200, [(b"x-a", b"1")])


def answering(start, *parts, whole=True):
    """An application that sends these parts of a body, the last one as the end if it is `whole`."""

    async def app(_scope, _receive, send):
        status, headers = start
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(parts):
            more = not (whole and number == len(parts) - 1)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


async def asked(request, app):
    """The connection after one request, and what it sent without the date."""
    connection = FakeConnection(app)
    connection.take(request)
    await connection.settle()
    written = bytes(connection.written)
    assert len(DATE.findall(written)) == (1 if b"date" in written else 0)
    return connection, DATE.sub(b"", written)


@pytest.mark.parametrize(
    ("request_bytes", "start", "parts", "expected", "closes"),
    [
        pytest.param(
            GET, LENGTH, [b"o", b"k"], b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", False, id="a length"
        ),
        pytest.param(
            GET,
            CHUNKS,
            [b"ok", b"", b"ok"],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n2\r\nok\r\n2\r\nok\r\n0\r\n\r\n",
            False,
            id="chunks",
        ),
        pytest.param(
            GET,
            CHUNKS,
            [b"a" * 20, b""],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n14\r\n" + b"a" * 20 + b"\r\n0\r\n\r\n",
            False,
            id="chunks with an empty end",
        ),
        pytest.param(
            OLD, CHUNKS, [b"ok"], b"HTTP/1.1 200 OK\r\nconnection: close\r\nx-a: 1\r\n\r\nok", True, id="HTTP/1.0"
        ),
        pytest.param(
            OLD,
            LENGTH,
            [b"ok"],
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
            True,
            id="HTTP/1.0, a length",
        ),
        pytest.param(
            HEAD, LENGTH, [b"ok"], b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", False, id="HEAD, a length"
        ),
        pytest.param(
            HEAD,
            CHUNKS,
            [b"ok"],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n",
            False,
            id="HEAD, chunks",
        ),
        pytest.param(GET, (204, []), [b""], b"HTTP/1.1 204 No Content\r\n\r\n", False, id="204"),
        pytest.param(GET, (204, []), [b"ok"], b"HTTP/1.1 204 No Content\r\n\r\n", False, id="204 with a body"),
        pytest.param(
            GET,
            (204, [(b"Content-Length", b"2")]),
            [b"ok"],
            b"HTTP/1.1 204 No Content\r\n\r\n",
            False,
            id="204 with a length",
        ),
        pytest.param(
            GET,
            (304, [(b"content-length", b"9")]),
            [b""],
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            False,
            id="304 with a length",
        ),
        pytest.param(
            GET,
            (599, [(b"content-length", b"0")]),
            [b""],
            b"HTTP/1.1 599 \r\ncontent-length: 0\r\n\r\n",
            False,
            id="a status without a name",
        ),
        pytest.param(
            GET,
            (200, [(b"Connection", b"x\r\n, Close"), (b"content-length", b"0"), (b"Transfer-Encoding", b"x")]),
            [b""],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            True,
            id="the connection's end",
        ),
    ],
)
async def test_an_answer_leaves_as_it_must(request_bytes, start, parts, expected, closes):
    connection, written = await asked(request_bytes, answering(start, *parts))
    assert (written, connection.closing, connection.was_reset) == (expected, closes, False)


async def test_the_last_part_leaves_with_what_ends_it():
    connection, _ = await asked(GET, answering(CHUNKS, b"ok"))
    assert connection.writes[1:] == [b"2\r\nok\r\n0\r\n\r\n"]


async def test_a_date_of_the_application_is_kept():
    connection, _ = await asked(GET, answering((204, [(b"Date", b"then")]), b""))
    assert bytes(connection.written) == b"HTTP/1.1 204 No Content\r\nDate: then\r\n\r\n"


# Answers that do not become whole.


@pytest.mark.parametrize(
    ("request_bytes", "start", "parts", "end", "was_reset"),
    [
        pytest.param(GET, CHUNKS, [b"ok"], b"\r\n\r\n2\r\nok\r\n", False, id="no last chunk"),
        pytest.param(GET, LENGTH, [b"o"], b"\r\n\r\no", False, id="a byte too few"),
        pytest.param(OLD, CHUNKS, [b"ok"], b"\r\n\r\nok", True, id="only a reset can tell"),
    ],
)
async def test_an_answer_that_is_not_whole_does_not_look_so(request_bytes, start, parts, end, was_reset):
    connection, written = await asked(request_bytes, answering(start, *parts, whole=False))
    assert written.endswith(end)
    assert (connection.closing, connection.was_reset) == (True, was_reset)


@pytest.mark.parametrize("parts", [[b"okk"], [b"o"], [b"ok", b"k"], []], ids=["more", "less", "more later", "no body"])
async def test_a_body_of_another_length_ends_the_connection(parts):
    connection, written = await asked(GET, answering(LENGTH, *parts))
    assert connection.closing
    assert len(written.split(b"\r\n\r\n", 1)[1]) <= 2


async def test_an_application_that_says_nothing_is_a_500():
    async def app(_scope, _receive, _send):
        pass

    connection, written = await asked(GET, app)
    assert written == b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    assert connection.closing


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"type": "http.response.body", "body": b"x"}], id="a body first"),
        pytest.param([{"type": "http.response.start", "status": 200}] * 2, id="two heads"),
        pytest.param([{"type": "http.response.push"}], id="something else"),
    ],
)
async def test_what_is_out_of_order_is_an_error_of_the_application(messages):
    raised = []

    async def app(_scope, _receive, send):
        try:
            for message in messages:
                await send(message)
        except BadAnswer as error:
            raised.append(error)

    await asked(GET, app)
    assert len(raised) == 1


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"x-a", b"1\r\nx-b: 2"), id="a line end in a value"),
        pytest.param((b"x-a\r\nx-b", b"2"), id="a line end in a name"),
        pytest.param((b"x-a", b"1\n"), id="a bare LF"),
        pytest.param((b"x-a", b"1\0"), id="a NUL"),
        pytest.param((b"content-length", b"+1"), id="a length that is none"),
    ],
)
def test_a_header_that_would_end_its_line_never_leaves(header):
    with pytest.raises(BadAnswer):
        frame(200, [header], is_head=False, chunks=True, close=False)


# The client leaves, or sends on.


async def test_who_is_gone_is_sent_nothing_and_the_application_hears_of_it_again_and_again():
    heard = []

    async def app(_scope, receive, send):
        await receive()
        heard.extend([(await receive())["type"], (await receive())["type"]])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    connection = FakeConnection(app)
    connection.take(GET)
    await connection.settle()
    connection.http.leave()
    await connection.settle()
    assert (heard, bytes(connection.written)) == (["http.disconnect"] * 2, b"")


async def test_after_the_answer_the_application_hears_that_it_is_over():
    heard = []

    async def app(_scope, receive, send):
        await receive()
        await answering(LENGTH, b"ok")(None, None, send)
        heard.append((await receive())["type"])

    connection, _ = await asked(GET, app)
    assert (heard, connection.closing) == (["http.disconnect"], False)


async def test_a_body_that_nobody_reads_pauses_the_client_until_somebody_does():
    go_on = []

    async def app(_scope, receive, _send):
        while not go_on:
            await connection.settle()
        while (await receive())["more_body"]:
            pass

    connection = FakeConnection(app)
    connection.take(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    assert connection.paused
    go_on.append(True)
    for _ in range(5):
        await connection.settle()
    assert not connection.paused
    connection.take(b"defghi")
    await connection.settle()
    assert connection.status() == 500  # it has read all of it, and said nothing


async def test_the_next_request_may_come_when_only_the_applications_own_end_is_missing():
    """All of the length has left: what comes now is no pipelining."""
    last = []

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        while not last:
            await connection.settle()
        await send({"type": "http.response.body", "body": b""})

    connection = FakeConnection(app)
    connection.take(GET)
    await connection.settle()
    connection.take(GET)
    last.append(True)
    for _ in range(9):
        await connection.settle()
    assert connection.statuses() == [200, 200]
    assert not connection.closing
