"""The fakes of vendors that want state back: they tell it, take it, and refuse a turn without it in their own words."""

import itertools
import json

import pytest

from lastcall_sidecar.testing.directives import parse
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai import chat
from lastcall_sidecar.testing.openai.planning import chat_plan
from lastcall_sidecar.testing.openai.vendors import VENDORS, deltas, of_call, of_message, vendor_request

USER = {"role": "user", "content": "Hello"}
SAYS = {
    "DeepSeek": "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "Kimi": "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
    "Gemini": "Function call is missing a thought_signature in functionCall parts.",
    "OpenRouter": "cannot be modified",
}


def asked(*turn):
    return {"model": "m", "messages": [USER, *turn]}


def turns(api, number=0):
    """A turn with two calls as the vendor has told it, and their results."""
    ids = [VENDORS[api].call_id("get", number + place) for place in range(2)]
    calls = [{"id": it, "type": "function", "function": {"name": "get", "arguments": "{}"}} for it in ids]
    calls[0] |= of_call(api, ids[0])
    said = {"role": "assistant", "content": None, "tool_calls": calls, **of_message(api, ids[0])}
    return said, *({"role": "tool", "tool_call_id": it, "content": "1"} for it in ids)


@pytest.mark.parametrize("api", VENDORS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_it_told_it_takes(api, number):
    vendor_request(api, asked(*turns(api, number)))


@pytest.mark.parametrize("api", VENDORS)
def test_without_its_state_a_turn_is_refused_in_its_own_words(api):
    said, *results = turns(api)
    plain = {name: said[name] for name in ("role", "content", "tool_calls")}
    plain["tool_calls"] = [{name: call[name] for name in ("id", "type", "function")} for call in said["tool_calls"]]
    with pytest.raises(FakeError) as refused:
        vendor_request(api, asked(plain, *results))
    assert refused.value.status == 400
    assert SAYS[api] in refused.value.message


@pytest.mark.parametrize("api", VENDORS)
def test_changed_state_is_refused(api):
    said, *results = json.loads(
        json.dumps(turns(api), ensure_ascii=False).replace("考", "思").replace('signature": "', 'signature": "x')
    )
    if api == "DeepSeek":
        said["reasoning_content"] = "changed"
    with pytest.raises(FakeError):
        vendor_request(api, asked(said, *results))


def test_calls_of_another_model_need_no_more_than_a_word():
    call = {"id": "toolu_1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    said = {"role": "assistant", "content": None}
    skip = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
    vendor_request("Gemini", asked(said | {"tool_calls": [call | skip]}))
    for api in ("DeepSeek", "Kimi"):
        vendor_request(api, asked(said | {"tool_calls": [call], "reasoning_content": " "}))
    vendor_request("OpenRouter", asked(said | {"tool_calls": [call]}))


def test_gemini_knows_no_other_fields():
    with pytest.raises(FakeError, match="Unknown name"):
        vendor_request("Gemini", asked({"role": "assistant", "content": "a", "reasoning_content": "b"}))


@pytest.mark.parametrize("api", VENDORS)
def test_a_stream_tells_what_the_whole_answer_does(api):
    tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
    plan = chat_plan(asked() | {"tools": [tool]}, parse("kind=calls calls=2"), api)
    script = chat.write(plan)
    message = json.loads(script.document)["choices"][0]["message"]
    first = message["tool_calls"][0]["id"]
    assert VENDORS[api].made(first)
    assert {**message, **of_message(api, first)} == message
    told = list(deltas(api, first))
    for name in ("reasoning", "reasoning_content"):
        assert "".join(each.get(name) or "" for each in told) == (message.get(name) or "")
    pieces = list(itertools.chain.from_iterable(each.get("reasoning_details", ()) for each in told))
    text = "".join(piece.get("text", "") for piece in pieces)
    assert text == "".join(detail.get("text", "") for detail in message.get("reasoning_details", ()))
