"""The parser: what it refuses and what it understands, however the bytes are split."""

import asyncio
import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server import raw_heads
from tests.server.fake_connection import FakeConnection

from lastcall_sidecar.server.chunks import MAX_STEPS, Chunks
from lastcall_sidecar.server.heads import MAX_HEAD_BYTES, BadRequest, parse_head


def at_every_split(data):
    """In one piece, in two at every byte, and byte by byte."""
    yield [data]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


def read(pieces):
    """What a connection makes of these pieces, with an application that reads and answers nothing."""
    connection = FakeConnection()
    for piece in pieces:
        connection.take(piece)
    return connection


@pytest.mark.parametrize("name", raw_heads.REFUSED)
async def test_what_is_refused_is_refused_at_every_split(name):
    data, status = raw_heads.REFUSED[name]
    for pieces in at_every_split(data):
        connection = read(pieces)
        assert connection.status() == status, pieces
        assert b"\r\nconnection: close\r\n" in bytes(connection.written)
        assert connection.closing
        await connection.settle()


@pytest.mark.parametrize("name", raw_heads.UNDERSTOOD)
async def test_what_is_understood_means_the_same_at_every_split(name):
    data, line, body, goes_on = raw_heads.UNDERSTOOD[name]
    for pieces in at_every_split(data):
        connection = read(pieces)
        await connection.settle()
        assert len(connection.requests) == 1, pieces
        seen = connection.requests[0]
        assert (seen.body, seen.whole, bytes(connection.written)) == (body, True, b"")
        if line is not None:
            assert (seen.scope["method"], seen.target, seen.scope["http_version"]) == line
        await connection.answer()
        assert connection.closing is not goes_on
        assert (b"\r\nconnection: close\r\n" in bytes(connection.written)) is not goes_on


def test_values_lose_their_blanks_and_names_their_case_in_one_of_two_lists():
    head = parse_head(b"GET / HTTP/1.1\r\nHOST:\th \r\nX-A:a: b\t\r\nx-a:\r\nX-C: \xff\r\n\r\n")
    assert head.raw_headers == [(b"HOST", b"h"), (b"X-A", b"a: b"), (b"x-a", b""), (b"X-C", b"\xff")]
    assert head.headers == [(b"host", b"h"), (b"x-a", b"a: b"), (b"x-a", b""), (b"x-c", b"\xff")]


@pytest.mark.parametrize(
    ("version", "value", "waits"),
    [
        pytest.param(b"1.1", b"100-continue", True, id="as it should be"),
        pytest.param(b"1.1", b"x, 100-Continue", True, id="in a list"),
        pytest.param(b"1.1", b"x", False, id="something else"),
        pytest.param(b"1.0", b"100-continue", False, id="HTTP/1.0 knows no such thing"),
    ],
)
def test_who_waits_to_be_told_to_go_on(version, value, waits):
    head = parse_head(b"POST / HTTP/" + version + b"\r\nHost: h\r\nExpect: " + value + b"\r\n\r\n")
    assert head.expects_continue is waits


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n" * 4], ids=["one", "four"])
@pytest.mark.parametrize("behind", ["the answer", "the request"])
async def test_empty_lines_before_the_next_request_are_passed_over_at_every_split(empty, behind):
    """RFC 9112, 2.2: some clients send one behind a body."""
    first, second = raw_heads.post(b"Content-Length: 2", body=b"ab"), raw_heads.get()
    for pieces in at_every_split(empty + second):
        connection = FakeConnection()
        connection.take(first)
        if behind == "the request":
            connection.take(empty)
        await connection.settle()
        await connection.answer()
        for piece in pieces if behind == "the answer" else [second]:
            connection.take(piece)
        await connection.settle()
        await connection.answer()
        assert [seen.scope["method"] for seen in connection.requests] == ["POST", "GET"], pieces
        assert not connection.closing


async def test_empty_lines_alone_are_no_request_and_leave_the_connection_idle():
    connection = FakeConnection()
    connection.take(raw_heads.get())
    await connection.settle()
    await connection.answer()
    for piece, begun in ((b"\r", True), (b"\n", False), (b"\r\n\r\n", False)):
        connection.take(piece)
        assert (connection.http.in_head, connection.http.waits) == (begun, not begun)
    connection.http.refuse_late_head()
    assert connection.statuses() == [200]


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        pytest.param(b"\r\n" * 5, 400, id="five"),
        pytest.param(b"\n", 400, id="a bare LF"),
        pytest.param(b"\r\r\n", 400, id="a bare CR"),
        pytest.param(b"\r\n\n", 400, id="a bare LF behind an empty line"),
        pytest.param(b"\r\n ", 400, id="a blank behind an empty line"),
    ],
)
async def test_what_is_no_empty_line_is_not_passed_over(begin, status):
    for pieces in at_every_split(begin + raw_heads.get()):
        connection = FakeConnection()
        connection.take(raw_heads.get())
        await connection.settle()
        await connection.answer()
        for piece in pieces:
            connection.take(piece)
        await connection.settle()
        assert connection.statuses() == [200, status], pieces
        assert len(connection.requests) == 1


async def test_a_request_behind_an_empty_line_is_early_all_the_same():
    connection = read([raw_heads.get(), b"\r\n", raw_heads.get()])
    await connection.settle()
    await connection.answer()
    assert (len(connection.requests), connection.closing) == (1, True)


# Sizes.


@pytest.mark.parametrize("piece_bytes", [1000, 65536, 10**6])
@pytest.mark.parametrize(("spare", "status"), [(0, None), (1, 431)], ids=["just fits", "a byte too much"])
async def test_a_head_has_a_limit_however_it_comes(piece_bytes, spare, status):
    begin, end = b"GET / HTTP/1.1\r\nHost: h\r\nX-A: ", b"\r\n\r\n"
    data = begin + b"a" * (MAX_HEAD_BYTES - len(begin) - len(end) + spare) + end
    connection = read(data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes))
    await connection.settle()
    assert connection.status() == status
    assert len(connection.requests) == (status is None)


async def test_trailers_have_a_limit():
    connection = read([raw_heads.chunked(b"0\r\nX-A: " + b"a" * 70_000)])
    assert connection.status() == 431
    await connection.settle()


def test_a_large_chunk_comes_in_pieces_that_are_given_at_once():
    chunks = Chunks()
    assert chunks.feed(b"10000\r\n" + b"a" * 10) == b"a" * 10
    assert chunks.feed(b"a" * 65525) == b"a" * 65525
    assert chunks.feed(b"a\r") == b"a"
    assert chunks.feed(b"\n0\r\n\r\nGET") == b""
    assert (chunks.over, chunks.rest) == (True, b"GET")


ENDS = b"0\r\n\r\n"
RUNS = {
    "a byte each": b"1\r\na\r\n" * 5000,
    "sizes in turn": b"1\r\na\r\n2\r\n\r\n\r\nF\r\n0123456789abcde\r\n10\r\n0123456789abcdef\r\n" * 1000,
    "zeros before the size": b"01\r\na\r\n" * 5000,
    "a blank behind the size": b"1 \r\na\r\n" * 5000,
    "a short extension": b"1;a=b\r\na\r\n" * 5000,
}


def decoded(run):
    """What is in it, by a reader that has all the time in the world."""
    body, at = b"", 0
    while at < len(run):
        line = run.index(b"\r\n", at)
        size = int(run[at:line].split(b";")[0], 16)
        body += run[line + 2 : line + 2 + size]
        at = line + 2 + size + 2
    return body


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("piece_bytes", [1000, 10**6])
async def test_of_many_small_chunks_only_some_are_decoded_in_one_turn_of_the_loop(name, piece_bytes):
    """Clients that sent such at 250 kB/s each delayed all others by seconds."""
    run = RUNS[name]
    chunks, body = Chunks(), b""
    for at in range(0, len(run), piece_bytes):
        found = chunks.feed(run[at : at + piece_bytes])
        while chunks.behind:
            assert len(found) <= 16 * MAX_STEPS
            body += found
            found = chunks.feed(b"")
        body += found
    assert body == decoded(run)
    connection = FakeConnection()
    connection.take(raw_heads.chunked(run))
    assert connection.paused
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(connection.requests[0].body) <= 3 * 16 * MAX_STEPS
    for _ in range(200):
        await asyncio.sleep(0)
    assert not connection.paused
    connection.take(ENDS)
    await connection.settle()
    assert (connection.requests[0].body, connection.requests[0].whole) == (decoded(run), True)


async def test_who_is_refused_or_leaves_amid_many_small_chunks_is_decoded_no_further():
    for then in (b"zz\r\n", None):
        connection = FakeConnection()
        connection.take(raw_heads.chunked(RUNS["a byte each"] + (then or b"")))
        if then is None:
            connection.http.leave()
        for _ in range(100):
            await asyncio.sleep(0)
        assert (connection.status(), connection.paused) == (400 if then else None, False)
        assert connection.under_way == 0


@pytest.mark.parametrize(
    ("extension_bytes", "size", "refused"),
    [
        pytest.param(1000, 1, True, id="a kilobyte for a byte"),
        pytest.param(1000, 1000, False, id="a kilobyte for a kilobyte"),
        pytest.param(10, 1, False, id="a few bytes for a byte"),
    ],
)
def test_framing_stays_in_proportion_to_the_body(extension_bytes, size, refused):
    chunks = Chunks()
    with pytest.raises(BadRequest, match="more framing than content") if refused else contextlib.nullcontext():
        for _ in range(20):
            chunks.feed(b"%x;%b\r\n%b\r\n" % (size, b"x" * extension_bytes, b"a" * size))


# Sequences.

WHOLE = [data for data, _, _, goes_on in raw_heads.UNDERSTOOD.values() if goes_on]
ANSWERED = 50


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=5), st.data())
def test_requests_one_after_another_read_the_same_however_they_are_split(sequence, data):
    """Each is answered before the next one comes, as a client of a kept connection does it."""

    async def check():
        connection = FakeConnection()
        for request in sequence:
            cuts = sorted(data.draw(st.sets(st.integers(1, len(request) - 1), max_size=8)))
            for begin, end in itertools.pairwise([0, *cuts, len(request)]):
                connection.take(request[begin:end])
                if data.draw(st.booleans()):
                    await asyncio.sleep(0)
            await connection.settle()
            await connection.answer()
        assert not connection.closing
        return [seen.meaning() for seen in connection.requests]

    async def expected():
        return [(await alone(request)).requests[0].meaning() for request in sequence]

    assert asyncio.run(check()) == asyncio.run(expected())


async def alone(request):
    connection = read([request])
    await connection.settle()
    await connection.answer()
    return connection


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(WHOLE), min_size=2, max_size=4), st.data())
def test_of_pipelined_requests_only_the_first_is_served_however_they_are_split(sequence, data):
    async def check():
        stream = b"".join(sequence)
        connection = FakeConnection()
        cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
        for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
            connection.take(stream[begin:end])
        await connection.settle()
        await connection.answer()
        return connection, (await alone(sequence[0])).requests[0].meaning()

    connection, first = asyncio.run(check())
    assert [seen.meaning() for seen in connection.requests] == [first]
    assert connection.closing


PIECES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([*WHOLE, *(data for data, _ in raw_heads.REFUSED.values())]),
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b":", b"0", b"5;", b"\r\n\r\n", b"Content-Length: 7\r\n"]),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=12))
def test_no_bytes_break_it(pieces):
    """It serves, refuses or waits for more; and once it refused, it looks at nothing any more."""

    async def check():
        connection = FakeConnection()
        for piece in pieces:
            served = len(connection.requests)
            refused = connection.closing
            connection.take(piece)
            await connection.settle()
            assert not (refused and len(connection.requests) > served)
            if connection.requests and connection.requests[-1].whole:
                await connection.answer()
        connection.http.leave()
        await connection.settle()
        assert connection.under_way == 0
        return connection

    connection = asyncio.run(check())
    assert len(connection.http._buffer) <= MAX_HEAD_BYTES
    for answer in connection.statuses():
        assert answer in {200, 400, 431, 501, 505}


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_a_head_is_parsed_or_refused(data):
    with contextlib.suppress(BadRequest):
        head = parse_head(data)
        assert data.startswith(head.method.encode() + b" " + head.target + b" HTTP/")
