"""Signs of life for the client while the upstream is silent: between events, and nowhere else."""

import asyncio
import itertools
import re

import pytest
import pytest_asyncio
from tests.support.raw_client import End
from tests.support.scripted_upstream import LAST_CHUNK, chunk, hang, head, read_request, send, sleep, sse_head
from tests.support.stage import DELTA, PING, PLAIN_QUESTION, QUESTION, START, STOP
from tests.support.together import Together
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

cases = Together()

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


HALF = b"event: content_block_delta\ndata: {", b"}\n\n"
BIG = b"event: content_block_delta\ndata: {" + b"x" * 100_000, b"y" * 10 + b"}\n\n"


@cases.add
async def between_events(hasty):
    assert await heard(hasty, START, BEAT, DELTA + STOP) == START + PING + DELTA + STOP


@cases.add
async def between_events_with_other_line_ends(hasty):
    crlf = START.replace(b"\n", b"\r\n"), DELTA.replace(b"\n", b"\r\n")
    cr = START.replace(b"\n", b"\r"), DELTA.replace(b"\n", b"\r")
    found = await asyncio.gather(*(heard(hasty, one, BEAT, two, BEAT, STOP) for one, two in (crlf, cr)))
    assert found == [one + PING + two + PING + STOP for one, two in (crlf, cr)]


@cases.add
async def before_an_event_of_which_nothing_has_left(hasty):
    assert await heard(hasty, START + HALF[0], BEAT, HALF[1] + STOP) == START + PING + HALF[0] + HALF[1] + STOP


@cases.add
async def not_within_an_event_of_which_a_part_has_left(hasty):
    """What is larger than 64 KiB leaves as it comes."""
    assert await heard(hasty, START + BIG[0], SILENCE, BIG[1] + STOP) == START + BIG[0] + BIG[1] + STOP


@cases.add
async def again_behind_such_an_event(hasty):
    assert await heard(hasty, START + BIG[0], SILENCE, BIG[1], BEAT, STOP) == START + BIG[0] + BIG[1] + PING + STOP


@cases.add
async def behind_a_comment(hasty):
    assert await heard(hasty, START + b": a comment\n", BEAT, STOP) == START + b": a comment\n" + PING + STOP


@cases.add
async def not_within_a_byte_order_mark(hasty):
    assert await heard(hasty, b"\xef\xbb", SILENCE, b"\xbf" + START + STOP) == b"\xef\xbb\xbf" + START + STOP


@cases.add
async def not_in_an_encoded_stream(hasty):
    assert await heard(hasty, START, SILENCE, STOP, start=sse_head("content-encoding: gzip")) == START + STOP


@cases.add
async def not_in_a_plain_answer(hasty):
    start = head("200 OK", "transfer-encoding: chunked")
    assert await heard(hasty, b"{", SILENCE, b"}", body=PLAIN_QUESTION, start=start) == b"{}"


@cases.add
async def a_comment_before_the_first_event(hasty):
    assert re.fullmatch(b"(: keep-alive\n+)+" + re.escape(START + STOP), await heard(hasty, BEAT, START + STOP))


@cases.add
async def a_comment_where_the_protocol_is_not_known(hasty):
    found = await heard(hasty, b"data: 1\n\n", BEAT, b"data: 2\n\n", path="/v1/other")
    assert re.fullmatch(b"data: 1\n\n(: keep-alive\n+)+data: 2\n\n", found)


CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
RESPONSE = b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'
RESPONDED = b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed"}}\n\n'


def only_comments(found, *events):
    """Between the events there is nothing but comment lines: no empty line that a client may take for an event."""
    assert re.fullmatch(b"(: keep-alive\n)+".join(re.escape(event) for event in events), found)


@cases.add
async def a_comment_line_in_a_chat(hasty_openai):
    found = await heard(hasty_openai, BEAT, CHUNK, BEAT, CHUNK, BEAT, DONE, path="/v1/chat/completions")
    only_comments(found, b"", CHUNK, CHUNK, DONE)


@cases.add
async def a_comment_line_in_a_response(hasty_openai):
    only_comments(await heard(hasty_openai, RESPONSE, BEAT, RESPONDED, path="/v1/responses"), RESPONSE, RESPONDED)


@cases.add
async def a_comment_line_in_a_completion(hasty_openai):
    only_comments(await heard(hasty_openai, CHUNK, BEAT, DONE, path="/v1/completions"), CHUNK, DONE)


@cases.add
async def a_comment_line_on_openais_other_routes(hasty_openai):
    only_comments(await heard(hasty_openai, CHUNK, BEAT, CHUNK, path="/v1/images/generations"), CHUNK, CHUNK)


@cases.add
async def a_comment_line_in_a_chat_that_is_translated(hasty):
    found = await heard(hasty, BEAT, START, BEAT, STOP, path="/v1/chat/completions")
    assert found.startswith(COMMENT)
    assert found.endswith(DONE)
    assert COMMENT + b"\n" not in found
    assert COMMENT + b"data:" in found.partition(b"data:")[2]


@cases.add
async def as_long_as_the_silence_lasts(hasty):
    assert await heard(hasty, START, BEAT, BEAT, STOP) == START + PING + STOP


@cases.add
async def not_after_the_end(hasty):
    """The sidecar waits for the connection's end, and longer than it would for a heartbeat."""
    answer = await hasty.ask(hasty.part(read_request(), send(sse_head(), chunk(START + STOP)), hang()))
    assert bytes(answer.body) == START + STOP
    assert answer.ended_at - answer.arrivals[-1][0] > 2


@cases.add
async def not_while_there_are_events(hasty):
    pieces = [send(chunk(DELTA)), sleep(0.2)] * 15
    answer = await hasty.ask(hasty.part(read_request(), send(sse_head()), *pieces, send(chunk(STOP), LAST_CHUNK)))
    assert bytes(answer.body).replace(PING, b"") == DELTA * 15 + STOP
    for (before, _), (then, event) in itertools.pairwise(answer.events()):
        assert event != PING or then - before > 0.9


@cases.add
async def by_default_after_15_s(hurried):
    """The silence lasts 40 s of the sidecar's time: two heartbeats, three on a machine that is busy."""
    script = [send(chunk(START)), sleep(2), send(chunk(STOP), LAST_CHUNK)]
    answer = await hurried.ask(hurried.part(read_request(), send(sse_head()), *script))
    assert bytes(answer.body) in {START + PING * 2 + STOP, START + PING * 3 + STOP}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(hasty, hasty_openai, hurried):
    async with cases.started(hasty=hasty, hasty_openai=hasty_openai, hurried=hurried) as found:
        yield found
        await asyncio.wait(found.values())


@pytest.mark.parametrize("name", cases.names)
async def test_a_heartbeat_comes(running, name):
    await running[name]
