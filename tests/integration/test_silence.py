"""No request delays others: the worst bodies of every route and pair of protocols, four at a time.

What is measured is the longest time that the event loop worked without answering `/livez` (`tests/support/silence.py`:
in processor time of the sidecar's own process, because the machine has other things to do as well).
"""

import asyncio
import json

import pytest
import pytest_asyncio
from tests.support.scripted_upstream import head, json_response
from tests.support.silence import Silence
from tests.support.stage import on_stage

pytestmark = [pytest.mark.soak, pytest.mark.asyncio(loop_scope="session")]

#: More than at rest.
ALLOWED_SECONDS = 0.02
#: Whoever asks may have had no processor while the loop did many small things one after the other. A loop that stands
#: still for a body does so each time.
ROUNDS = 5
AT_A_TIME = 4
#: Large enough that each of these bodies took the loop half a second when it was the size that decided.
SIZE = 400_000

MESSAGES, CHAT, COUNT = "/v1/messages", "/v1/chat/completions", "/v1/messages/count_tokens"
#: Models, by whose upstream has them.
ANTHROPICS, OPENAIS = "claude-sonnet-4-5", "gpt-4.1"

USER = b'{"role":"user","content":"a"}'
ASSISTANT = b'{"role":"assistant","content":"a"}'
ONE = b'"messages":[' + USER + b"]"


def many(*items, size=SIZE):
    """So many of them that they are `size` bytes, in turn, in a list."""
    return b"[" + b",".join([*items] * (size // sum(len(item) + 1 for item in items))) + b"]"


def numbered(item, size=SIZE):
    """The same, each with a number where `item` has `%d`."""
    return b"[" + b",".join(item % number for number in range(size // (len(item) + 4))) + b"]"


def said(content, role=b"user"):
    return b'"messages":[{"role":"%b","content":%b}]' % (role, content)


CALL = b'{"id":"c%d","type":"function","function":{"name":"f","arguments":"{}"}}'
RESULT = b'{"role":"tool","tool_call_id":"c%d","content":""}'
CALLED = b'"messages":[' + USER + b',{"role":"assistant","tool_calls":%b},%b]'
CUT_CALL = b'[{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\":' + b"[" + b"[]," * (SIZE // 3)

#: By what is many in them: what follows the model in the body.
SHAPES = {
    "messages": b'"messages":' + many(USER),
    "turns": b'"messages":' + many(USER, ASSISTANT),
    "parts": said(many(b'{"type":"text","text":"a"}')),
    "calls": b'"messages":[%b,{"role":"assistant","content":%b}]'
    % (USER, many(b'{"type":"tool_use","id":"a","name":"f"}')),
    "results": said(many(b'{"type":"tool_result","tool_use_id":"a"}')),
    "tools": ONE + b',"tools":' + many(b'{"name":"a","input_schema":{"type":"object"}}'),
    "functions": ONE + b',"tools":' + many(b'{"type":"function","function":{"name":"a"}}'),
    "calls and results": CALLED % (numbered(CALL), numbered(RESULT)[1:-1]),
    "brackets in arguments that are cut": CALLED % (CUT_CALL + b'"}}]', RESULT % 0),
    "details": b'"messages":[%b,{"role":"assistant","content":"a","reasoning_details":%b}]'
    % (USER, many(b'{"type":"reasoning.text","signature":"a"}')),
    "stop sequences": ONE + b',"stop_sequences":%b,"stop":%b' % (many(b'"a"'), many(b'"a"')),
    "lists in a schema": ONE
    + b',"output_format":{"type":"json_schema","schema":{"a":%b}}' % many(b"[]")
    + b',"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"a":%b}}}' % many(b"[]"),
    "lists behind a pattern": ONE
    + b',"tools":[{"name":"a","input_schema":{"pattern":"\\\\p{L}","a":%b}}]' % many(b"[]"),
    "a refused value": ONE + b',"n":%b,"mcp_servers":%b' % (many(b"1"), many(b"[]")),
    "numbers": b'"messages":' + many(b"1"),
    "fields": ONE + b"".join(b',"%d":[]' % number for number in range(240)),
    "escapes": said(b'"%b"' % (b"\\u0061" * (SIZE // 6))),
    "line ends": said(b'"%b"' % (b"\\n" * (SIZE // 2))),
    "wide text": said('"{}"'.format("灯é" * (SIZE // 5)).encode()),
    "text with one emoji": said('"{}😀"'.format("abc, def " * (SIZE // 9)).encode()),
    "blanks": b" " * SIZE + ONE,
    "digits": ONE + b',"temperature":' + b"1" * SIZE,
    "an image": said(
        b'[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%b"}}]' % (b"A" * SIZE)
    ),
    "an image in a URL": said(b'[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]' % (b"A" * SIZE)),
    # About as much as may be done where it is.
    "150 turns": b'"messages":' + many(USER, ASSISTANT, size=75 * 60),
    "300 turns": b'"messages":' + many(USER, ASSISTANT, size=150 * 60),
    "600 tools": ONE + b',"tools":' + many(b'{"name":"a","input_schema":{"type":"object"}}', size=600 * 46),
}
#: Sixteen times as large, for routes on which nothing is translated.
LARGE_SHAPES = {
    "messages": b'"messages":' + many(USER, size=16 * SIZE),
    "numbers": b'"messages":' + many(b"1", size=16 * SIZE),
    "escapes": said(b'"%b"' % (b"\\u0061" * (16 * SIZE // 6))),
    "blanks": b" " * 16 * SIZE + ONE,
    "wide text": said('"{}"'.format("灯é" * (16 * SIZE // 5)).encode()),
    "objects": ONE + b',"a":' + many(b'{"":1}', size=16 * SIZE),
}
CASES = [
    *((MESSAGES, OPENAIS, name, shape) for name, shape in SHAPES.items()),
    *((CHAT, ANTHROPICS, name, shape) for name, shape in SHAPES.items()),
    *((COUNT, OPENAIS, name, SHAPES[name]) for name in ("messages", "parts", "tools", "wide text", "150 turns")),
    *((MESSAGES, ANTHROPICS, f"16 times {name}", shape) for name, shape in LARGE_SHAPES.items()),
    *((CHAT, OPENAIS, f"16 times {name}", shape) for name, shape in LARGE_SHAPES.items()),
    *((COUNT, ANTHROPICS, f"16 times {name}", shape) for name, shape in list(LARGE_SHAPES.items())[:1]),
    *(("/v1/responses", OPENAIS, f"16 times {name}", shape) for name, shape in list(LARGE_SHAPES.items())[:1]),
    ("/v1/messages", OPENAIS, "16 times messages", LARGE_SHAPES["messages"]),
    ("/v1/chat/completions", ANTHROPICS, "16 times escapes", LARGE_SHAPES["escapes"]),
]
WHERE = {
    (MESSAGES, OPENAIS): "Messages to chat",
    (CHAT, ANTHROPICS): "chat to Messages",
    (COUNT, OPENAIS): "a count for chat",
    (MESSAGES, ANTHROPICS): "Messages",
    (CHAT, OPENAIS): "chat",
    (COUNT, ANTHROPICS): "a count",
    ("/v1/responses", OPENAIS): "responses",
}


def completion(**message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a", **message}}
    return json.dumps({"id": "a", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()


def message(content):
    head = b'{"id":"a","type":"message","role":"assistant","model":"m","stop_reason":"end_turn",'
    return head + b'"usage":{"input_tokens":1,"output_tokens":1},"content":%b}' % content


CALLS_IN_AN_ANSWER = numbered(CALL)
#: Whole answers of upstreams, by the caller's route.
ANSWERS = {
    (MESSAGES, "calls"): completion().replace(b'"content": "a"', b'"content":"a","tool_calls":' + CALLS_IN_AN_ANSWER),
    (MESSAGES, "escapes and half a pair"): completion().replace(b'"a"}', b'"\\ud800%b"}' % (b"\\n" * (SIZE // 2))),
    (MESSAGES, "32 MB of text"): completion(content="abc, def " * (32_000_000 // 9)),
    (MESSAGES, "lists"): completion().replace(b'"a"}', many(b"[]") + b"}"),
    (CHAT, "blocks"): message(many(b'{"type":"text","text":"a"}')),
    (CHAT, "calls"): message(many(b'{"type":"tool_use","id":"a","name":"f","input":{}}')),
    (CHAT, "32 MB of text"): message(b'[{"type":"text","text":"%b"}]' % (b"abc, def " * (32_000_000 // 9))),
}
ERRORS = {path: b'{"error":{"a":' + many(b"[]", size=8 * SIZE) + b"}}" for path in (MESSAGES, CHAT)}


async def taken(connection):
    """Take a request of any size without looking at it, and answer in the upstream's protocol."""
    head = (await connection.read_head()).decode("latin-1").lower()
    start = connection.received.index(b"\r\n\r\n") + 4
    if "chunked" in head:
        await connection.until(lambda: connection.received.endswith(b"0\r\n\r\n"))
    else:
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        await connection.until(lambda: len(connection.received) >= start + length)
    body = completion() if "chat/completions" in head.split("\r\n")[0] else message(b'[{"type":"text","text":"a"}]')
    status = "404 Not Found" if "tokenize" in head.split("\r\n")[0] else "200 OK"
    await connection.send(json_response(body, status, "connection: close"))
    connection.close()
    await connection.wait_gone()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both():
    """A sidecar with an upstream of each kind, and its loop's silence."""

    def upstreams(url):
        return {"upstreams": [{"name": "vendor", "provider": "OpenAI", "url": url, "models": ["gpt-*"]}]}

    async with on_stage(upstreams) as wire, Silence(wire.sidecar) as silence:
        small = json.dumps({"model": OPENAIS, "messages": [{"role": "user", "content": "a"}]}).encode()
        for _ in range(20):  # what is done once only is done
            for path in (MESSAGES, CHAT, COUNT):
                await wire.ask(wire.part(taken), small, path=path)
        await silence.longest()
        await asyncio.sleep(0.5)
        yield wire, silence, await silence.longest()


async def stays_responsive(both, path, body, script=taken):
    """Send the body four times at once; the statuses of the answers."""
    wire, silence, rest = both
    seen = []
    for _ in range(ROUNDS):
        await silence.longest()
        asked = (wire.ask(wire.part(script), body, path=path, timeout_seconds=120) for _ in range(AT_A_TIME))
        answers = await asyncio.gather(*asked)
        seen.append(await silence.longest())
        if seen[-1] <= rest + ALLOWED_SECONDS:
            return {answer.head.status for answer in answers}
    told = ", ".join(f"{seconds * 1000:.1f}" for seconds in seen)
    pytest.fail(f"the loop was silent for {told} ms; at rest: {rest * 1000:.1f}")


@pytest.mark.parametrize(
    ("path", "model", "shape"),
    [pytest.param(path, model, shape, id=f"{WHERE[path, model]}: {name}") for path, model, name, shape in CASES],
)
async def test_the_worst_bodies_delay_nobody(both, path, model, shape):
    body = b'{"model":"%b",%b}' % (model.encode(), shape.lstrip())
    assert await stays_responsive(both, path, body) <= {200, 400, 413}


@pytest.mark.parametrize(("path", "name"), ANSWERS, ids=lambda value: str(value).rpartition("/")[2])
async def test_large_answers_in_one_piece_delay_nobody(both, path, name):
    answer = ANSWERS[path, name]

    async def script(connection):
        await connection.read_request()
        await connection.send(json_response(answer))

    model = OPENAIS if path == MESSAGES else ANTHROPICS
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "a"}]}).encode()
    assert await stays_responsive(both, path, body, script) <= {200, 413, 502}


@pytest.mark.parametrize("path", ERRORS, ids=["Messages", "chat"])
async def test_large_errors_delay_nobody(both, path):
    async def script(connection):
        await connection.read_request()
        await connection.send(json_response(ERRORS[path], "400 Bad Request"))

    model = OPENAIS if path == MESSAGES else ANTHROPICS
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "a"}]}).encode()
    assert await stays_responsive(both, path, body, script) == {400}


SHORT_EVENTS = {"no data": b"data: \n\n", "no JSON": b"data:1\n\n", "no fields": b"a\n\n"}


@pytest.mark.parametrize("event", SHORT_EVENTS.values(), ids=SHORT_EVENTS)
async def test_floods_of_short_events_delay_nobody(both, event):
    """An event costs the same however short it is."""

    async def script(connection):
        await connection.read_request()
        await connection.send(head("200 OK", "content-type: text/event-stream"))
        await connection.send(event * (SIZE // len(event)))
        connection.close()

    body = json.dumps({"model": ANTHROPICS, "stream": True, "messages": [{"role": "user", "content": "a"}]}).encode()
    assert await stays_responsive(both, MESSAGES, body, script) <= {200, 502}
