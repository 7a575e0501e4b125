"""An event that never ends is relayed for as long as it likes; where it must be understood, 32 MiB are enough."""

import json

import pytest
import pytest_asyncio
from tests.support.scripted_upstream import chunk, json_response, read_request, repeat, send, sse_head
from tests.support.stage import PLAIN_QUESTION, QUESTION, START, error_of, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demoting():
    async with on_stage({"streaming": {"demoteNonStreaming": True}}) as found:
        yield found


def endless(wire):
    """The upstream begins an event, and goes on with it until we leave."""
    return wire.part(
        read_request(),
        send(sse_head(), chunk(START), chunk(b"event: content_block_delta\ndata: ")),
        repeat(send(chunk(b"x" * MIB))),
    )


async def is_left(wire, part):
    """The upstream is left, nothing is held, and the next request is served."""
    await (await part.connection()).wait_gone()
    await wire.wait_for(in_flight=0)
    assert await wire.ask(wire.part(read_request(), send(json_response(b"{}"))), None, method="GET", path="/v1/x")


async def test_a_demoted_answer_is_a_502_that_says_so(demoting):
    part = endless(demoting)
    answer = await demoting.ask(part, PLAIN_QUESTION)
    assert answer.head.status == 502
    assert "too large" in error_of(answer)["message"]
    await is_left(demoting, part)


async def test_a_translated_stream_ends_with_an_error_that_says_so(wire):
    part = endless(wire)
    answer = await wire.ask(part, QUESTION, path="/v1/chat/completions")
    last = answer.events()[-1][1].decode().removeprefix("data: ")
    assert "too large" in json.loads(last)["error"]["message"]
    assert b"[DONE]" not in answer.body
    await is_left(wire, part)
