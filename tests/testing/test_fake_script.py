"""A script is known before it is played: same plan, same bytes; stream, document and sums agree."""

import hashlib
import json
import re
import subprocess
import sys

import pytest

from lastcall_sidecar.testing.directives import LineEnding
from lastcall_sidecar.testing.script import Plan, ToolCall, write
from lastcall_sidecar.testing.signing import is_signed

TOOL = ToolCall("get_weather", '{"place": "Brno – 灯", "days": 3, "nested": {"a": [1, 2.50]}}')
PLANS = [
    pytest.param(Plan(seed=7, model="fake-a", events=24), id="text"),
    pytest.param(Plan(seed=7, model="fake-a", events=1), id="one event"),
    pytest.param(Plan(seed=7, model="fake-a", events=30, thinking=True), id="thinking"),
    pytest.param(Plan(seed=7, model="fake-a", events=30, tools=(TOOL,), stop_reason="tool_use"), id="tool"),
    pytest.param(Plan(seed=7, model="fake-a", events=6, thinking=True, tools=(TOOL,)), id="mixed, two deltas each"),
    pytest.param(Plan(seed=7, model="fake-a", events=400, thinking=True, tools=(TOOL,)), id="mixed, long"),
    pytest.param(Plan(seed=7, model="fake-a", events=20, tools=(TOOL, TOOL, TOOL)), id="three tools"),
    pytest.param(Plan(seed=7, model="fake-a", events=9, text=False, tools=(TOOL,)), id="a tool without text"),
    pytest.param(Plan(seed=7, model="fake-a", events=9, fixed_text='{"a": 1}'), id="a text that was asked for"),
    pytest.param(Plan(seed=7, model="fake-a", events=9, stop_reason="refusal"), id="refusal"),
    pytest.param(Plan(seed=7, model="fake-a", events=9, cache_read_tokens=5, cache_write_tokens=3), id="cache"),
    pytest.param(Plan(seed=7, model="fake-a", events=5, event_bytes=5000), id="large events"),
    pytest.param(Plan(seed=7, model="fake-a", events=20, noise=True), id="noise"),
    pytest.param(Plan(seed=7, model="fake-a", events=20, noise=True, eol=LineEnding.CRLF), id="noise, CRLF"),
    pytest.param(Plan(seed=7, model="fake-a", events=20, noise=True, eol=LineEnding.CR), id="noise, CR"),
]


def parsed(stream: bytes) -> list[dict]:
    """Parse a stream by the standard's rules, in the plainest way."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    found = []
    for block in text.split("\n\n"):
        data = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
        if data:
            found.append(json.loads("\n".join(data)))
    return [event for event in found if event["type"] != "weather"]


def accumulated(events: list[dict]) -> dict:
    """Build the message that a client ends up with, in the plainest way."""
    message = events[0]["message"]
    raw: dict[int, str] = {}
    for event in events[1:]:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                block = message["content"][index]
                for key in ("text", "thinking", "signature"):
                    if key in delta:
                        block[key] += delta[key]
                if "citation" in delta:
                    block["citations"].append(delta["citation"])
                if "partial_json" in delta:
                    raw[index] = raw.get(index, "") + delta["partial_json"]
            case {"type": "message_delta", "delta": delta, "usage": usage}:
                message |= delta
                message["usage"] |= usage
    for index, text in raw.items():
        message["content"][index]["input"] = json.loads(text)
    return message


RARE = [
    pytest.param(
        Plan(seed=7, model="fake-a", events=30, thinking=True, tools=(TOOL, TOOL), rare_blocks=True), id="everything"
    ),
    pytest.param(Plan(seed=7, model="fake-a", events=9, thinking=True, thinking_shown=False), id="thinking not shown"),
    pytest.param(Plan(seed=7, model="fake-a", events=9, text=False), id="nothing"),
]


@pytest.mark.parametrize("plan", [*PLANS, *RARE])
def test_what_a_stream_adds_up_to_is_the_document(plan):
    script = write(plan)
    assert accumulated(parsed(b"".join(script.events))) == json.loads(script.document)


@pytest.mark.parametrize("plan", PLANS)
def test_sums_are_those_of_the_bytes_and_of_the_text(plan):
    script = write(plan)
    text = "".join(block["text"] for block in json.loads(script.document)["content"] if block["type"] == "text")
    assert script.text == text
    assert script.stream_sha256 == hashlib.sha256(b"".join(script.events)).hexdigest()
    assert script.document_sha256 == hashlib.sha256(script.document).hexdigest()
    assert script.text_sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("plan", PLANS)
def test_a_stream_begins_and_ends_as_the_protocol_says(plan):
    kinds = [event["type"] for event in parsed(b"".join(write(plan).events))]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") == plan.events


@pytest.mark.parametrize("plan", PLANS)
def test_each_event_ends_with_a_blank_line_of_its_own_line_ending(plan):
    end = plan.eol.characters * 2
    other = {b"\n": rb"\r", b"\r": rb"\n", b"\r\n": rb"\r(?!\n)|(?<!\r)\n"}[plan.eol.characters]
    for event in write(plan).events:
        assert event.endswith(end)
        assert re.search(other, event) is None


def test_a_thought_that_is_not_shown_is_signed_all_the_same():
    script = write(Plan(seed=7, model="fake-a", events=9, thinking=True, thinking_shown=False))
    thought = json.loads(script.document)["content"][0]
    assert thought["thinking"] == ""
    assert is_signed("", thought["signature"])


def test_calls_side_by_side_have_ids_of_their_own():
    content = json.loads(write(Plan(seed=7, model="fake-a", events=9, tools=(TOOL,) * 3)).document)["content"]
    assert len({block["id"] for block in content if block["type"] == "tool_use"}) == 3


def test_another_seed_gives_another_text():
    assert write(Plan(seed=1, model="fake-a", events=24)).text != write(Plan(seed=2, model="fake-a", events=24)).text


def test_another_process_gives_the_same_bytes():
    code = (
        "from lastcall_sidecar.testing.script import Plan, write\n"
        "print(write(Plan(seed=7, model='fake-a', events=24)).stream_sha256)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == write(Plan(seed=7, model="fake-a", events=24)).stream_sha256


def test_texts_have_characters_of_each_utf8_length():
    text = write(Plan(seed=7, model="fake-a", events=400)).text
    assert {len(character.encode()) for character in text} == {1, 2, 3, 4}
