"""Signs of life for the client while the upstream is silent. Each lasts seconds, so those of a kind run together."""

import asyncio
import itertools
import re

import pytest
from tests.support.raw_client import End
from tests.support.scripted_upstream import LAST_CHUNK, chunk, hang, head, read_request, send, sleep, sse_head
from tests.support.stage import DELTA, PING, PLAIN_QUESTION, QUESTION, START, STOP
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMMENT = b": keep-alive\n"
#: A silence of the upstream that lasts until a heartbeat has come, and one in which none may come.
BEAT, SILENCE = object(), object()
#: Longer than it takes to a heartbeat (1 s), shorter than the limit for the first event.
SILENCE_SECONDS = 1.7


def beats_in(body):
    return body.count(PING) + body.count(COMMENT)


async def heard(wire, *parts, body=QUESTION, path="/v1/messages", start=None):
    """What the client gets of an upstream that sends these pieces, with silences between them.

    More than one heartbeat in a silence counts as one: a busy machine makes it longer.
    """
    async with await wire.connect() as client:
        answer = None

        async def play(connection):
            await connection.read_request()
            await connection.send(start or sse_head())
            await soon(lambda: answer is not None, "the head")
            for part in parts:
                if part is BEAT:
                    before = beats_in(answer.body)
                    await soon(lambda before=before: beats_in(answer.body) > before, "a heartbeat")
                elif part is SILENCE:
                    await asyncio.sleep(SILENCE_SECONDS)
                else:
                    await connection.send(chunk(part))
            await connection.send(LAST_CHUNK)

        await client.request("POST", path, [wire.part(play).header], body)
        answer = await client.begin()
        await client.finish(answer)
    assert answer.end is End.COMPLETE
    return re.sub(b"(" + re.escape(PING) + b"){2,}", PING, bytes(answer.body))


async def test_heartbeats_come_between_events_and_nowhere_else(hasty):
    half = b"event: content_block_delta\ndata: {", b"}\n\n"
    big = b"event: content_block_delta\ndata: {" + b"x" * 100_000, b"y" * 10 + b"}\n\n"
    crlf = START.replace(b"\n", b"\r\n"), DELTA.replace(b"\n", b"\r\n")
    cr = START.replace(b"\n", b"\r"), DELTA.replace(b"\n", b"\r")
    found = await asyncio.gather(
        heard(hasty, START, BEAT, DELTA + STOP),
        heard(hasty, START + half[0], BEAT, half[1] + STOP),
        heard(hasty, START + big[0], SILENCE, big[1] + STOP),
        heard(hasty, START + big[0], SILENCE, big[1], BEAT, STOP),
        heard(hasty, START + b": a comment\n", BEAT, STOP),
        heard(hasty, crlf[0], BEAT, crlf[1], BEAT, STOP),
        heard(hasty, cr[0], BEAT, cr[1], BEAT, STOP),
        heard(hasty, b"\xef\xbb", SILENCE, b"\xbf" + START + STOP),
        heard(hasty, START, SILENCE, STOP, start=sse_head("content-encoding: gzip")),
        heard(hasty, b"{", SILENCE, b"}", body=PLAIN_QUESTION, start=head("200 OK", "transfer-encoding: chunked")),
    )
    assert found == [
        START + PING + DELTA + STOP,
        START + PING + half[0] + half[1] + STOP,
        START + big[0] + big[1] + STOP,
        START + big[0] + big[1] + PING + STOP,
        START + b": a comment\n" + PING + STOP,
        crlf[0] + PING + crlf[1] + PING + STOP,
        cr[0] + PING + cr[1] + PING + STOP,
        b"\xef\xbb\xbf" + START + STOP,
        START + STOP,
        b"{}",
    ]


async def test_before_the_first_event_and_in_unknown_protocols_a_heartbeat_is_a_comment(hasty):
    first, unknown = await asyncio.gather(
        heard(hasty, BEAT, START + STOP),
        heard(hasty, b"data: 1\n\n", BEAT, b"data: 2\n\n", path="/v1/other"),
    )
    assert re.fullmatch(b"(: keep-alive\n+)+" + re.escape(START + STOP), first)
    assert re.fullmatch(b"data: 1\n\n(: keep-alive\n+)+data: 2\n\n", unknown)


async def test_heartbeats_go_on_as_long_as_the_silence(hasty):
    found = await heard(hasty, START, BEAT, BEAT, STOP)
    assert found == START + PING + STOP


async def test_no_heartbeat_comes_after_the_end_nor_while_there_are_events(hasty):
    async def lingering():
        """The sidecar waits for the connection's end, and longer than it would for a heartbeat."""
        answer = await hasty.ask(hasty.part(read_request(), send(sse_head(), chunk(START + STOP)), hang()))
        assert bytes(answer.body) == START + STOP
        assert answer.ended_at - answer.arrivals[-1][0] > 2

    async def lively():
        pieces = [send(chunk(DELTA)), sleep(0.2)] * 15
        answer = await hasty.ask(hasty.part(read_request(), send(sse_head()), *pieces, send(chunk(STOP), LAST_CHUNK)))
        assert bytes(answer.body).replace(PING, b"") == DELTA * 15 + STOP
        events = answer.events()
        for (before, _), (then, event) in itertools.pairwise(events):
            assert event != PING or then - before > 0.9

    await asyncio.gather(lingering(), lively())


async def test_by_default_a_heartbeat_comes_after_15_s(hurried):
    """The silence lasts 40 s of the sidecar's time: two heartbeats, three on a machine that is busy."""
    script = [send(chunk(START)), sleep(2), send(chunk(STOP), LAST_CHUNK)]
    answer = await hurried.ask(hurried.part(read_request(), send(sse_head()), *script))
    assert bytes(answer.body) in {START + PING * 2 + STOP, START + PING * 3 + STOP}
