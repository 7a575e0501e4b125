"""What a body costs is known from counts: much for many small parts, little for much text."""

import json

import pytest

from lastcall_sidecar.wire.body import scan
from lastcall_sidecar.wire.work import Weight, answer_seconds, request_seconds, scanning, weigh

#: What may be done where it is.
MOST = 0.005
USER = {"role": "user", "content": "a"}
ASSISTANT = {"role": "assistant", "content": "a"}


def seconds(**fields):
    body = json.dumps({"model": "m", "messages": [USER], **fields}, separators=(",", ":")).encode()
    return request_seconds(body, scan(body).message_count, MOST)


def agent(turns, tools=20):
    """As a coding agent's: tools with schemas, and turns of calls and results that are code."""
    properties = {f"p{number}": {"type": "string", "description": "what it is, " * 5} for number in range(6)}
    schema = {"type": "object", "properties": properties, "required": ["p0"], "additionalProperties": False}
    code = "def main() -> None:\n    \"\"\"Print {'a': [1, 2]}.\"\"\"\n    print({'a': [1, 2]}, f'{x}')\n" * 20
    messages = []
    for number in range(turns):
        call = {"type": "tool_use", "id": f"t{number}", "name": "Read", "input": {"path": "/a/b.py", "limit": 20}}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "Let me look, then."}, call]})
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": code}
        messages.append({"role": "user", "content": [result]})
    described = [{"name": f"tool_{n}", "description": "Does it. " * 40, "input_schema": schema} for n in range(tools)]
    return {"messages": [USER, *messages], "tools": described, "system": [{"type": "text", "text": code}]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"messages": [{"role": "user", "content": "some text, and more. " * 15_000}]},
        {"messages": [USER, ASSISTANT] * 40},
        agent(30),
        {"stop_sequences": ["a"] * 100},
        {"metadata": {"user_id": "x" * 1000}},
    ],
    ids=["nothing", "300 KB of text", "80 messages", "an agent's 100 KB", "a hundred stop sequences", "a long name"],
)
def test_what_clients_send_is_done_where_it_is(fields):
    assert seconds(**fields) <= MOST


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":[' + "[]," * 2000}}
FLAT = {"type": "array", "items": [[]] * 20_000}


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [USER] * 500},
        {"messages": [USER] * 100_000},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 600}]},
        {"messages": [{"role": "user", "content": "\\" * 200_000}]},
        {"messages": [{"role": "user", "content": "灯" * 120_000}]},
        {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
        {"messages": [USER, {"role": "assistant", "tool_calls": 1, "a": [[]] * 2000}]},
        {"tools": [{"name": "a", "input_schema": {}}] * 1000},
        {"tools": [1] * 50_000},
        {"tools": {"a": [[]] * 20_000}},
        {"tools": [{"name": "a", "strict": True, "input_schema": {"a": [{"a": 1}] * 1000}}]},
        {"tools": [{"name": "a", "input_schema": {"pattern": "\\p{L}", "a": FLAT}}]},
        {"output_format": {"type": "json_schema", "schema": FLAT}},
        {"stop": ["a"] * 20_000},
        {"system": [{"type": "text", "text": "a"}] * 1000},
    ],
    ids=[
        "500 messages",
        "more messages than are counted",
        "blocks",
        "escapes",
        "wide text",
        "arguments that are cut",
        "calls that are none",
        "tools",
        "more tools than are counted",
        "tools that are no list",
        "strict tools",
        "a schema with a pattern",
        "the schema of an answer",
        "stop sequences",
        "parts of the system prompt",
    ],
)
def test_what_takes_long_is_known_before(fields):
    assert seconds(**fields) > MOST


def test_keys_written_in_escapes_hide_nothing():
    call = json.dumps([CALL]).encode()
    hidden = b'{"messages":[{"role":"assistant","tool\\u005fc\\u0061lls":' + call + b"}]}"
    assert request_seconds(hidden, 1, MOST) > MOST


def test_arguments_that_are_whole_cost_nothing():
    whole = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": [[]] * 2000})}}
    odd = {"id": "d", "type": "function"}
    assert seconds(messages=[USER, {"role": "assistant", "tool_calls": [whole, odd]}]) <= MOST


@pytest.mark.parametrize(
    ("answer", "is_much"),
    [
        (b"{}", False),
        (json.dumps({"content": "some text. " * 20_000}).encode(), False),
        (json.dumps({"calls": [{"a": 1}] * 2000}).encode(), True),
        (json.dumps({"calls": [{"a": 1}] * 3000}).encode(), True),
        (b'{"a":"\\ud800' + b"\\n" * 5000 + b'"}', True),
        (b'{"a":"\xff' + b"\\n" * 5000 + b'"}', True),
        (b'{"a":"' + b"\\n" * 5000 + b'"}', False),
        (json.dumps({"a": "灯" * 2000}, ensure_ascii=False).encode(), False),
    ],
    ids=[
        "nothing",
        "text",
        "calls",
        "more calls than are counted",
        "half a pair",
        "bad UTF-8",
        "line ends",
        "wide text",
    ],
)
def test_answers_are_judged_as_well(answer, is_much):
    assert (answer_seconds(answer) > MOST) is is_much


def test_a_child_needs_memory_for_objects_and_for_copies_of_the_text():
    objects, text = weigh(b'{"role":"user","content":"a"},' * 1000), weigh(b"a b " * 250)
    assert objects.memory_bytes > 1_000_000
    assert (text.seconds, text.memory_bytes) == (pytest.approx(8e-6), 5000)
    assert (objects + text).memory_bytes == objects.memory_bytes + 5000
    assert scanning(1000).memory_bytes == 0


def test_one_wide_character_makes_all_of_a_text_wide_and_no_picture():
    text, picture, emoji = weigh(b"a b " * 250), weigh(b"AAAA" * 250), weigh("😀".encode() * 250)
    assert emoji.memory_bytes == 14_000
    assert (text + picture).memory_bytes == 10_000
    assert (text + emoji).memory_bytes == (emoji + text + Weight()).memory_bytes == 28_000
    assert (picture + emoji).memory_bytes == 19_000
