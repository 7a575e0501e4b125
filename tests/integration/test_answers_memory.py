"""What is held of upstreams' answers that must be understood is inside `limits.maxBufferedBytes`."""

import asyncio
import json

import pytest
from tests.support.scripted_upstream import chunk, head, read_request, send, sse_head, tell, wait
from tests.support.stage import on_stage, question

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024 * 1024
PATH = "/v1/messages"
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}
SETTINGS = {
    "upstream": {"provider": "OpenAI"},
    "limits": {"maxBodyBytes": MIB, "maxBufferedBytes": 4 * MIB, "queueTimeoutSeconds": 1},
}


def whole(size):
    """An answer of so many bytes."""
    body = json.dumps(ANSWER).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


@pytest.mark.parametrize("stream", [False, True], ids=["a whole answer", "one event of a stream"])
async def test_what_one_upstream_has_us_hold_is_no_memory_for_another(stream):
    begun, go_on = asyncio.Event(), asyncio.Event()
    body = whole(6 * MIB)
    begin, rest = body[: 5 * MIB], body[5 * MIB :]
    if stream:
        begin, rest = sse_head() + chunk(b"data: " + begin), chunk(rest + b"\n\n") + chunk(b"")
    else:
        begin = head("200 OK", f"content-length: {len(body)}") + begin
    async with on_stage(SETTINGS) as stage:
        first = stage.part(read_request(), send(begin), tell(begun), wait(go_on), send(rest))
        asked = question(max_tokens=9, stream=stream)
        greedy = asyncio.create_task(stage.ask(first, asked, path=PATH))
        await begun.wait()
        await asyncio.sleep(0.5)  # the sidecar has read what was sent
        small = json.dumps(ANSWER).encode()
        second = stage.part(read_request(), send(head("200 OK", f"content-length: {len(small)}") + small))
        refused = await stage.ask(second, question(max_tokens=9, stream=False), path=PATH)
        assert refused.head.status == 529
        assert "maxBufferedBytes" in json.loads(refused.body)["error"]["message"]
        go_on.set()
        await greedy
        third = stage.part(read_request(), send(head("200 OK", f"content-length: {len(small)}") + small))
        assert (await stage.ask(third, question(max_tokens=9, stream=False), path=PATH)).head.status == 200
