"""Bodies: what is no request is refused in the caller's words, what is one goes on as it came, memory is bounded."""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import resource

import msgspec
import pytest
import pytest_asyncio
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    hang,
    json_response,
    read_head,
    read_request,
    send,
    sse_head,
    stop_reading,
    wait,
)
from tests.support.stage import PLAIN_QUESTION, START, STOP, error_of, on_stage, question
from tests.support.waiting import soon

from lastcall_sidecar.wire.body import BodyError, RequestBody, scan
from lastcall_sidecar.wire.translation import Options
from lastcall_sidecar.workers import File, OutOfMemoryError, Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024 * 1024
OK = json_response(b"{}")
#: In each bad body. It is the client's, so no message repeats it.
SECRET = "xyzzy4711"
GOOD = b'{"messages":[1],"secret":"xyzzy4711"'

NO_JSON = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "text": b"xyzzy4711",
    "half an object": GOOD,
    "half a string": GOOD + b',"a":"b',
    "a comma too many": GOOD + b",}",
    "no comma": GOOD + b'"a":1}',
    "no colon": GOOD + b',"a" 1}',
    "a key without quotes": GOOD + b",xyzzy4711:1}",
    "single quotes": b"{'messages':['xyzzy4711']}",
    "a comment": GOOD + b"/* xyzzy4711 */}",
    "something behind it": GOOD + b"} xyzzy4711",
    "two of them": GOOD + b"}" + GOOD + b"}",
    "NaN": GOOD + b',"a":NaN}',
    "Infinity": GOOD + b',"a":-Infinity}',
    "a bad number": GOOD + b',"a":01}',
    "a bad escape": GOOD + b',"a":"\\x41"}',
    "half a surrogate pair, escaped": GOOD + b',"a":"\\ud800"}',
    "a line end in a string": GOOD + b',"a":"b\nc"}',
    "NUL": GOOD + b"}\0",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD + b"}",
    "UTF-16": (GOOD + b"}").decode().encode("utf-16"),
    "UTF-32": (GOOD + b"}").decode().encode("utf-32-le"),
    "bad UTF-8 in a string": GOOD + b',"a":"\xff"}',
    "bad UTF-8 in a key": GOOD + b',"\xc3":1}',
    "half a character at the end": GOOD + b',"a":"\xe7\x81"}',
    "surrogates in UTF-8": GOOD + b',"a":"\xed\xa0\x80"}',
    "an overlong slash": GOOD + b',"a":"\xc0\xaf"}',
    "random bytes": random.Random(1).randbytes(1000),
    "100,000 lists deep": GOOD + b',"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 lists deep and none closed": GOOD + b',"a":' + b"[" * 100_000,
    "100,000 objects deep": GOOD + b',"a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "messages 100,000 deep": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "10,000 fields": GOOD + b"".join(b',"f%d":1' % number for number in range(10_000)) + b"}",
}
NO_REQUEST = {
    "a list": b'["xyzzy4711"]',
    "a string": b'"xyzzy4711"',
    "a number": b"4711",
    "null": b"null",
    "no messages": b'{"xyzzy4711":1}',
    "messages null": b'{"messages":null}',
    "messages an object": b'{"messages":{"xyzzy4711":1}}',
    "messages a string": b'{"messages":"xyzzy4711"}',
    "messages empty": b'{"messages":[ \n]}',
    "messages twice": b'{"messages":["xyzzy4711"],"messages":[1]}',
    "messages twice, once escaped": b'{"messages":["xyzzy4711"],"m\\u0065ssages":[1]}',
    "stream twice": GOOD + b',"stream":true,"stream":false}',
    "stream twice, once escaped": GOOD + b',"stream":true,"\\u0073tream":true}',
    "model twice": GOOD + b',"model":"a","model":"xyzzy4711"}',
    "stream a string": GOOD + b',"stream":"true"}',
    "stream a number": GOOD + b',"stream":1}',
    "model a number": GOOD + b',"model":4711}',
    "model null": GOOD + b',"model":null}',
    "model of 10 KB": GOOD + b',"model":"' + b"xyzzy4711" * 1200 + b'"}',
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", NO_JSON | NO_REQUEST)
async def test_a_bad_body_is_a_400_that_repeats_nothing_of_it(wire, name, path):
    body = {**NO_JSON, **NO_REQUEST}[name]
    part = wire.part()
    before = await wire.totals()
    async with await wire.connect() as client:
        await client.request("POST", path, [part.header], body)
        answer = await client.answer()
        assert (answer.head.status, answer.end) == (400, End.COMPLETE)
        told = json.loads(answer.body)
        assert told["error"]["type"] == "invalid_request_error"
        assert told["request_id"] == answer.head.get("request-id")
        assert SECRET not in answer.body.decode()
        # Its framing was good: the connection goes on.
        await client.request("GET", "/health")
        assert (await client.answer("GET")).head.status == 200
    assert part.connections == []
    await wire.wait_for(in_flight=0, totals_refused=before["refused"] + 1)


@pytest.mark.parametrize("name", NO_JSON | NO_REQUEST)
async def test_to_a_caller_of_openai_it_is_told_in_their_words(openai, name):
    answer = await openai.ask(openai.part(), {**NO_JSON, **NO_REQUEST}[name], path="/v1/chat/completions")
    assert (answer.head.status, answer.end) == (400, End.COMPLETE)
    told = json.loads(answer.body)
    assert set(told) == {"error"}
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert told["error"]["type"] == "invalid_request_error"
    assert SECRET not in answer.body.decode()


GOOD_BODIES = {
    "blanks everywhere": b' \r\n{\t"messages" : [ 1 ] , "stream" : false }\n ',
    "digits that no float holds": GOOD + b',"temperature":0.10000000000000000000000000001,"n":1e999,"m":-0.0}',
    "other fields twice": GOOD + b',"a":1,"a":2}',
    "fields of that name below the top": GOOD + b',"a":{"stream":1,"stream":2,"messages":[],"model":5}}',
    "escapes": GOOD + b',"a":"\\u00e9\\ud83c\\udfee\\/\\"","mod\\u0065l":"m"}',
    "UTF-8": GOOD + ',"a":"灯 🏮 é"}'.encode(),
    "stream null": GOOD + b',"stream":null}',
    "500 lists deep": GOOD + b',"a":' + b"[" * 500 + b"]" * 500 + b"}",
    "unknown roles": b'{"messages":[{"role":"wizard","content":4711}]}',
    "100 fields": GOOD + b"".join(b',"f%d":1' % number for number in range(100)) + b"}",
}


@pytest.mark.parametrize("name", GOOD_BODIES)
async def test_a_good_body_goes_upstream_as_the_bytes_that_came_in(wire, name):
    part = wire.part(read_request(), send(OK))
    answer = await wire.ask(part, GOOD_BODIES[name])
    assert (answer.head.status, part.request.body) == (200, GOOD_BODIES[name])
    assert part.request.header("content-length") == str(len(GOOD_BODIES[name]))


@pytest.mark.parametrize("size", [65_536, 65_537, 1_000_000, 5_000_000], ids=str)
@pytest.mark.parametrize("framing", ["length", "chunks", "small writes"])
async def test_a_body_of_any_size_arrives_whole(wire, size, framing):
    body = question(stream=False, padding=size - len(PLAIN_QUESTION))
    assert len(body) == size
    part = wire.part(read_request(), send(OK))
    async with await wire.connect() as client:
        if framing == "chunks":
            await client.request("POST", "/v1/messages", [part.header, ("transfer-encoding", "chunked")])
            await client.send(b"".join(chunk(body[at : at + 70_001]) for at in range(0, size, 70_001)) + LAST_CHUNK)
        else:
            data = client.request_bytes("POST", "/v1/messages", [part.header], body)
            step = len(data) if framing == "length" else 9_973
            for at in range(0, len(data), step):
                await client.send(data[at : at + step])
                await asyncio.sleep(0)
        assert (await client.answer()).head.status == 200
    assert part.request.body == body
    assert part.request.header("content-length") == str(size)
    assert part.request.header("transfer-encoding") is None


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "GZIP", "x"])
async def test_an_encoded_body_is_a_415_where_it_must_be_understood(wire, encoding):
    answer = await wire.ask(wire.part(), PLAIN_QUESTION, [("content-encoding", encoding)])
    assert (answer.head.status, error_of(answer)["type"]) == (415, "invalid_request_error")


async def test_an_encoded_body_passes_where_nothing_is_understood(wire):
    part = wire.part(read_request(), send(OK))
    assert (await wire.ask(part, b"\x1f\x8b", [("content-encoding", "gzip")], path="/v1/files")).head.status == 200
    assert (part.request.header("content-encoding"), part.request.body) == ("gzip", b"\x1f\x8b")


async def test_the_coding_identity_is_none(wire):
    part = wire.part(read_request(), send(OK))
    assert (await wire.ask(part, PLAIN_QUESTION, [("content-encoding", "Identity")])).head.status == 200


# Limits.


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tight():
    """A sidecar that holds 8 MiB of bodies in all, and takes such as fill that."""
    limits = {"maxBodyBytes": 8 * MIB, "maxBufferedBytes": 8 * MIB}
    # The kernel takes 4 MiB for us at most: a body that the upstream does not take is not gone before it is taken.
    async with on_stage({"limits": limits}, receive_buffer_bytes=65536) as found:
        yield found


def of_size(size):
    return question(stream=False, padding=size - len(PLAIN_QUESTION))


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)], ids=["the largest", "a byte more"])
async def test_the_limit_of_a_body_is_exact(tight, over, status, chunked):
    body = of_size(8 * MIB + over)
    part = tight.part(read_request(), send(OK))
    async with await tight.connect() as client:
        if chunked:
            await client.request("POST", "/v1/messages", [part.header, ("transfer-encoding", "chunked")])
            with contextlib.suppress(ConnectionError):
                await client.send(chunk(body) + LAST_CHUNK)
        else:
            with contextlib.suppress(ConnectionError):
                await client.request("POST", "/v1/messages", [part.header], body)
        answer = await client.answer()
    assert answer.head.status == status
    if status == 413:
        assert error_of(answer)["type"] == "request_too_large"
        assert part.connections == []


async def test_a_passthrough_has_no_limit_and_is_not_held(tight):
    """Four times what may be held in all, while the upstream takes it piece by piece."""
    rng = random.Random(2)
    pieces = [rng.randbytes(MIB) for _ in range(32)]
    part = tight.part(read_request(), send(OK))
    before = tight.sidecar.rss_bytes()
    async with await tight.connect() as client:
        await client.request("PUT", "/v1/files/f", [part.header, ("transfer-encoding", "chunked")])
        for piece in pieces:
            await client.send(chunk(piece))
        assert tight.sidecar.rss_bytes() - before < 8 * MIB
        await client.send(LAST_CHUNK)
        assert (await client.answer()).head.status == 200
    assert hashlib.sha256(part.request.body).digest() == hashlib.sha256(b"".join(pieces)).digest()


async def test_a_passthrough_pauses_with_its_upstream(tight):
    """What an upstream does not take, we do not read."""
    part = tight.part(read_head(), stop_reading(), hang())
    before = tight.sidecar.rss_bytes()
    async with await tight.connect(timeout_seconds=1) as client:
        await client.request("PUT", "/v1/files/f", [part.header, ("content-length", str(64 * MIB))])
        with pytest.raises(TimeoutError):
            await client.send(b"x" * 64 * MIB)
        assert tight.sidecar.rss_bytes() - before < 8 * MIB
        client.reset()
    await tight.wait_for(in_flight=0)


async def uploaded(client, part, body):
    await client.request("POST", "/v1/messages", [part.header], body)


@contextlib.asynccontextmanager
async def full(tight):
    """All that may be held is, and one body past it, until `go_on` is set: their upstream does not take them."""
    go_on = asyncio.Event()
    parts = [tight.part(read_head(), stop_reading(), wait(go_on), _go_on, read_request(), send(OK)) for _ in range(2)]
    async with await tight.connect() as one, await tight.connect() as two:
        for client, part in ((one, parts[0]), (two, parts[1])):
            await uploaded(client, part, of_size(8 * MIB))
            await (await part.connection()).read_head()
        yield go_on
        go_on.set()
        for client, part in ((one, parts[0]), (two, parts[1])):
            assert (await client.answer()).head.status == 200
            assert part.request.body == of_size(8 * MIB)


async def _go_on(connection):
    connection.go_on_reading()


async def test_past_the_limit_of_all_bodies_reading_pauses_and_goes_on_when_there_is_room(tight):
    parts = [tight.part(read_request(), send(OK)) for _ in range(3)]
    small = tight.part(read_request(), send(OK))
    async with full(tight) as go_on:
        before = tight.sidecar.rss_bytes()
        asked = [asyncio.create_task(tight.ask(part, of_size(8 * MIB))) for part in parts]
        asked.append(asyncio.create_task(tight.ask(small, PLAIN_QUESTION)))
        await tight.wait_for(in_flight=6)
        await asyncio.sleep(0.5)
        assert [part.connections for part in [*parts, small]] == [[], [], [], []], "reading goes on"
        assert tight.sidecar.rss_bytes() - before < 4 * MIB
        # What need not be held is not concerned.
        passed = tight.part(read_request(), send(OK))
        assert (await tight.ask(passed, b"x" * MIB, path="/v1/files")).head.status == 200
        go_on.set()
        for part, answer in zip(parts, await asyncio.gather(*asked[:3]), strict=True):
            assert answer.head.status == 200
            assert part.request.body == of_size(8 * MIB)
        assert (await asked[3]).head.status == 200
    await tight.wait_for(in_flight=0)


async def test_who_leaves_while_reading_is_paused_is_noticed_and_the_others_go_on(tight):
    leaving, staying = tight.part(read_request()), tight.part(read_request(), send(OK))
    async with full(tight) as go_on, await tight.connect() as client:
        upload = asyncio.create_task(uploaded(client, leaving, of_size(8 * MIB)))
        asked = asyncio.create_task(tight.ask(staying, PLAIN_QUESTION))
        await tight.wait_for(in_flight=4)
        await asyncio.sleep(0.2)
        client.reset()
        with contextlib.suppress(ConnectionError):
            await upload
        await tight.wait_for(5, in_flight=3)
        go_on.set()
        assert (await asked).head.status == 200
    assert leaving.connections == []
    await tight.wait_for(in_flight=0)


async def test_a_body_that_is_with_the_upstream_is_held_no_longer(tight):
    """A stream lasts for minutes; if it held its prompt, a few hundred of them would stop all others' reading."""
    ended = asyncio.Event()
    script = read_request(), send(sse_head(), chunk(START)), wait(ended), send(chunk(STOP), LAST_CHUNK)
    streams = [tight.part(*script) for _ in range(12)]
    bodies = [question(padding=size) for size in [2 * MIB] * 6 + [50_000] * 6]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await tight.connect()) for _ in streams]
        before = tight.sidecar.rss_bytes()
        for client, part, body in zip(clients, streams, bodies, strict=True):
            async with asyncio.timeout(5):
                await uploaded(client, part, body)
                answer = await client.begin()
                assert await anext(client.chunks(answer)) == START
        assert (await tight.ask(tight.part(read_request(), send(OK)), of_size(8 * MIB))).head.status == 200
        assert tight.sidecar.rss_bytes() - before < 24 * MIB
        ended.set()
        for client in clients:
            await soon(lambda client=client: client.unread_bytes, "the end")
    await tight.wait_for(in_flight=0)


async def apart(job, *pieces, memory=64 * MIB):
    """What a child says of a body, and what it makes of it."""
    workers, given = Workers(), File()
    try:
        await given.take(list(pieces))
        says, made = await workers.run({**job, "memory": memory}, given, 30)
        data = b"".join(made.pieces())
        made.close()
    finally:
        given.close()
        workers.close()
    return says, data


async def test_what_the_child_tells_of_a_large_body_is_what_a_scan_tells():
    body = b'{"model":"m", "messages":[1], "stream" : true}'
    says, _ = await apart({"do": "scan"}, body[:20], body[20:])
    assert msgspec.convert(says, RequestBody) == scan(body)
    without = b' {"messages":[1]}'
    says, _ = await apart({"do": "scan"}, without)
    assert msgspec.convert(says, RequestBody) == scan(without)


async def test_where_no_file_is_in_memory_alone_a_body_is_read_apart_all_the_same(monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    says, _ = await apart({"do": "scan"}, PLAIN_QUESTION[:9], PLAIN_QUESTION[9:])
    assert msgspec.convert(says, RequestBody) == scan(PLAIN_QUESTION)


async def test_what_is_wrong_with_a_body_is_told_by_the_child_as_by_the_scan():
    with pytest.raises(BodyError, match="messages: required"):
        await apart({"do": "scan"}, b"{}")


TO_ANTHROPIC = {"do": "translate", "pair": ("openai", "anthropic"), "options": dataclasses.asdict(Options("m"))}


def chat_of(turns):
    found = [{"role": ("user", "assistant")[number % 2], "content": "a"} for number in range(turns)]
    return json.dumps({"messages": found}).encode()


async def test_half_of_what_a_child_was_to_make_is_no_body():
    body = chat_of(1001)  # which grows when it is translated
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(body), hard))
    try:
        with pytest.raises(ChildProcessError):
            await apart(TO_ANTHROPIC, body)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_child_that_needs_more_memory_than_was_charged_ends_without_a_body():
    """The kernel sees to it, whatever an estimate said."""
    body = chat_of(100_001)
    _, made = await apart(TO_ANTHROPIC, body, memory=256 * MIB)
    assert made
    with pytest.raises(OutOfMemoryError):
        await apart(TO_ANTHROPIC, body, memory=16 * MIB)


async def test_a_child_that_takes_too_long_is_killed_and_the_next_one_works():
    workers, given = Workers(), File()
    try:
        await given.take([chat_of(100_001)])
        with pytest.raises(TimeoutError):
            await workers.run({**TO_ANTHROPIC, "memory": 512 * MIB}, given, 0.5)
        says, made = await workers.run({"do": "scan", "memory": 0}, given, 30)
        made.close()
        assert says["message_count"] is None
    finally:
        given.close()
        workers.close()


async def test_the_process_that_makes_children_may_end_at_any_moment():
    """For lack of jobs it does so itself."""
    workers, given = Workers(), File()
    try:
        await given.take([PLAIN_QUESTION])
        for _ in range(3):
            says, made = await workers.run({"do": "scan", "memory": 0}, given, 30)
            made.close()
            assert says["model"] == "m"
            workers._process.kill()
            workers._process.wait()
    finally:
        given.close()
        workers.close()
