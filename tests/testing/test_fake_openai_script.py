"""Answers of the fake OpenAI API are known before they are played: same plan, same bytes; stream and document agree."""

import hashlib
import json

import pytest
from tests.support.openai_sdk import WEATHER_TOOL

from lastcall_sidecar.testing.directives import parse
from lastcall_sidecar.testing.openai import chat, responses
from lastcall_sidecar.testing.openai.planning import chat_plan, last_user_text, responses_plan

FLAT_TOOL = {"type": "function", "strict": False, **WEATHER_TOOL["function"]}
DIRECTIVES = [
    "",
    "events=1",
    "kind=none",
    "kind=tools calls=3 events=40",
    "kind=calls calls=2",
    "kind=thinking",
    "kind=mixed events=40",
    "stop=length",
    "stop=refusal",
    "stop=content_filter",
    "kind=tools stop=length",
    "cache_read=700 cache_write=30",
    "noise=1",
    "noise=1 eol=crlf",
    "noise=1 eol=cr",
    "event_bytes=5000 events=3",
]


def chatted(directive="", *, vllm=False, **fields):
    asked = {"model": "fake-a", "messages": [{"role": "user", "content": "Hi"}], "tools": [WEATHER_TOOL], **fields}
    return chat.write(chat_plan(asked, parse(directive), "vLLM" if vllm else "OpenAI"))


def responded(directive="", **fields):
    asked = {"model": "fake-a", "input": "Hi", "tools": [FLAT_TOOL], **fields}
    return responses.write(responses_plan(asked, parse(directive)))


def data_of(script):
    """The data of each event, by the standard's rules, in the plainest way."""
    text = b"".join(script.events).decode().replace("\r\n", "\n").replace("\r", "\n")
    found = []
    for block in text.split("\n\n"):
        lines = [line.removeprefix("data: ") for line in block.split("\n") if line.startswith("data: ")]
        if lines:
            found.append("\n".join(lines))
    return found


def accumulated(chunks):
    """Build the message that a client ends up with, in the plainest way."""
    message = {"role": None}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for key, value in choice["delta"].items():
                if key == "tool_calls":
                    for call in value:
                        calls = message.setdefault("tool_calls", [])
                        if call["index"] == len(calls):
                            calls.append({"id": call["id"], "type": call["type"], "function": call["function"]})
                        else:
                            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
                elif isinstance(message.get(key), str) and key != "role":
                    message[key] += value
                else:
                    message[key] = value
    return message


@pytest.mark.parametrize("vllm", [False, True], ids=["OpenAI", "vLLM"])
@pytest.mark.parametrize("directive", DIRECTIVES)
def test_what_a_chat_stream_adds_up_to_is_the_document(directive, vllm):
    script = chatted(directive, vllm=vllm, stream_options={"include_usage": True})
    *raw, done = data_of(script)
    chunks = [json.loads(data) for data in raw]
    document = json.loads(script.document)
    (choice,) = document["choices"]
    nothing = (None, "", [])
    wanted = {key: value for key, value in choice["message"].items() if value not in nothing}
    assert {key: value for key, value in accumulated(chunks).items() if value not in nothing} == wanted
    assert done == "[DONE]"
    assert [chunk["usage"] for chunk in chunks] == [None] * (len(chunks) - 1) + [document["usage"]]
    assert chunks[-1]["choices"] == []
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    assert finishes == [None] * (len(finishes) - 1) + [choice["finish_reason"]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert script.text == (choice["message"]["content"] or "")
    assert script.stream_sha256 == hashlib.sha256(b"".join(script.events)).hexdigest()


def test_a_chat_stream_tells_no_usage_unless_asked():
    chunks = [json.loads(data) for data in data_of(chatted())[:-1]]
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_what_a_response_stream_adds_up_to_is_the_document(directive):
    script = responded(directive)
    events = [json.loads(data) for data in data_of(script)]
    document = json.loads(script.document)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == f"response.{document['status']}"
    assert events[-1]["response"] == document
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert items == document["output"]
    begun = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    assert begun == [item["id"] for item in items]
    texts = {}
    for event in events:
        if event["type"].endswith(".delta"):
            texts[event["item_id"]] = texts.get(event["item_id"], "") + event["delta"]
    assert list(texts.values()) == [text_of(item) for item in items]


def text_of(item):
    if item["type"] == "function_call":
        return item["arguments"]
    (part,) = item.get("content") or item["summary"]
    return part.get("text") or part["refusal"]


@pytest.mark.parametrize("write", [chatted, responded], ids=["chat", "response"])
def test_the_same_question_gets_the_same_bytes(write):
    assert write("kind=mixed").events == write("kind=mixed").events
    assert write("seed=1").text != write("seed=2").text


@pytest.mark.parametrize(
    ("directive", "fields", "finish"),
    [
        pytest.param("", {}, "stop", id="text"),
        pytest.param("kind=tools", {}, "tool_calls", id="tools"),
        pytest.param("", {"tool_choice": "required"}, "tool_calls", id="tools, required"),
        pytest.param("", {"tool_choice": "none"}, "stop", id="tools, none"),
        pytest.param(
            "",
            {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
            "stop",
            id="a named tool stops",
        ),
        pytest.param("stop=refusal", {}, "stop", id="refusal"),
        pytest.param("stop=stop_sequence", {"stop": ["END"]}, "stop", id="stop sequence"),
        pytest.param("stop=length", {}, "length", id="length"),
        pytest.param("stop=content_filter", {}, "content_filter", id="content filter"),
    ],
)
def test_the_finish_reason_follows_from_request_and_directive(directive, fields, finish):
    (choice,) = json.loads(chatted(directive, **fields).document)["choices"]
    assert choice["finish_reason"] == finish
    assert "stop_reason" not in choice
    (choice,) = json.loads(chatted(directive, vllm=True, **fields).document)["choices"]
    assert choice["stop_reason"] == ("END" if "stop" in fields else None)


def calls_of(script):
    (choice,) = json.loads(script.document)["choices"]
    return choice["message"]["tool_calls"]


def test_calls_side_by_side_differ_in_id_and_input():
    calls = calls_of(chatted("kind=calls calls=3"))
    assert len({call["id"] for call in calls}) == len({call["function"]["arguments"] for call in calls}) == 3
    assert calls_of(chatted("kind=calls calls=3", parallel_tool_calls=False)) == calls[:1]


def test_calls_take_the_tools_in_turn():
    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    assert [call["function"]["name"] for call in calls_of(chatted("kind=calls calls=3", tools=tools))] == list("aba")


def test_arguments_are_cut_short_at_the_limit():
    whole, cut = (calls_of(chatted(f"kind=calls {stop}"))[0]["function"]["arguments"] for stop in ("", "stop=length"))
    assert whole.startswith(cut)
    assert len(cut) == len(whole) // 2


def test_vllm_sends_a_call_in_one_piece():
    chunks = [json.loads(data) for data in data_of(chatted("kind=calls events=40", vllm=True))[:-1]]
    (delta,) = [chunk["choices"][0]["delta"] for chunk in chunks if "tool_calls" in chunk["choices"][0]["delta"]]
    (call,) = delta["tool_calls"]
    assert call["id"].startswith("chatcmpl-tool-")
    assert json.loads(call["function"]["arguments"])


def test_the_cache_is_among_the_prompts_tokens():
    plain, cached = (
        json.loads(chatted(directive).document)["usage"] for directive in ("", "cache_read=700 cache_write=30")
    )
    assert cached["prompt_tokens"] == plain["prompt_tokens"] + 730
    assert cached["prompt_tokens_details"] == {"cached_tokens": 700, "cache_write_tokens": 30, "audio_tokens": 0}
    assert cached["total_tokens"] == cached["prompt_tokens"] + cached["completion_tokens"]
    assert json.loads(chatted("cache_read=7", vllm=True).document)["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 7
    }


def test_several_answers_are_different_ones():
    script = chatted(n=3)
    choices = json.loads(script.document)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3
    chunks = [json.loads(data) for data in data_of(script)[:-1]]
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1, 2}


def test_a_schema_gets_its_document():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(chatted(response_format=form).text) == {"n": 42}
    assert set(json.loads(chatted(response_format={"type": "json_object"}).text)) == {"answer"}
    form = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    assert json.loads(responded(text=form).text) == {"n": 42}


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        pytest.param(
            {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}, "a", id="text"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file", "file": {}}]}]},
            "a",
            id="parts",
        ),
        pytest.param({"messages": [{"role": "system", "content": "a"}]}, "", id="no user"),
        pytest.param({"input": "a"}, "a", id="input"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}, {"type": "reasoning"}]},
            "a",
            id="items",
        ),
        pytest.param({"conversation": "c"}, "", id="nothing"),
    ],
)
def test_directives_are_looked_for_in_what_the_user_said_last(request_, text):
    assert last_user_text(request_) == text
