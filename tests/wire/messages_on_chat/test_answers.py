"""Whole answers: what the SDK reads in place of a chat completion."""

import json

import pytest
from tests.wire.messages_on_chat.judges import ASKED, answer, thought

from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.translation import TranslationError


def completion(finish="stop", **fields):
    """A completion with these fields of its message; `choice`, `usage` and `top` are of their places."""
    choice = {"index": 0, "finish_reason": finish, **fields.pop("choice", {})}
    usage = fields.pop("usage", {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29})
    top = fields.pop("top", {})
    head = {"id": "chatcmpl-9f2a", "object": "chat.completion", "created": 1760000000, "model": "qwen3-32b"}
    return (
        head
        | {"choices": [choice | {"message": {"role": "assistant", "content": None} | fields}], "usage": usage}
        | top
    )


def call(arguments, identity: object = "call_1", name="f"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def content(found):
    return [block.model_dump(exclude_none=True) for block in found.content]


def test_a_message():
    found = answer(completion(content="Hi", refusal=None))
    assert found.to_dict() == {
        "id": "msg_9f2a",
        "type": "message",
        "role": "assistant",
        "model": "qwen3-32b",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 19,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 10,
        },
    }


def tool(arguments, identity="call_1", name="f"):
    return {"type": "tool_use", "id": identity, "name": name, "input": arguments}


def text(words):
    return {"type": "text", "text": words}


CONTENTS = {
    "thinking, text, calls": (
        {"reasoning_content": "Hm.", "content": "Hi", "tool_calls": [call('{"a":1}'), call("{}", "call_2", "g")]},
        [thought("Hm."), text("Hi"), tool({"a": 1}), tool({}, "call_2", "g")],
    ),
    "the newer name of reasoning": (
        {"reasoning": "Hm.", "content": "Hi"},
        [thought("Hm.", field="reasoning"), text("Hi")],
    ),
    "both names": ({"reasoning": "Hm.", "reasoning_content": "Hm.", "content": "Hi"}, [thought("Hm."), text("Hi")]),
    "only thinking": ({"reasoning": "Hm."}, [thought("Hm.", field="reasoning")]),
    "only a call": ({"tool_calls": [call('{"a":1}')]}, [tool({"a": 1})]),
    "nothing": ({}, [text("")]),
    "an empty text": ({"content": "", "tool_calls": []}, [text("")]),
    "content in parts": ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, 7, {"text": "b"}]}, [text("ab")]),
    "odd types": ({"content": True, "reasoning": {}, "refusal": []}, [text("")]),
    "no id": ({"tool_calls": [call("{}", None), call("{}", "")]}, [tool({}, "toolu_9f2a_0"), tool({}, "toolu_9f2a_1")]),
    "arguments as an object": ({"tool_calls": [call({"a": 1})]}, [tool({"a": 1})]),
    "no arguments": ({"tool_calls": [call("", "x"), call(None, "y"), call("null", "z")]}, [tool({}, i) for i in "xyz"]),
    "arguments encoded twice": ({"tool_calls": [call('"{\\"a\\":1}"')]}, [tool({"a": 1})]),
    "arguments behind empty ones": ({"tool_calls": [call('{}{"a":1}')]}, [tool({"a": 1})]),
    "one id of two calls": (
        {"tool_calls": [call("{}", "x"), call('{"a":1}', "x"), call('{"a":1}', "x")]},
        [tool({}, "x"), tool({"a": 1}, "toolu_9f2a_1"), tool({"a": 1}, "toolu_9f2a_2")],
    ),
    "an id that we would make": (
        {"tool_calls": [call("{}", "toolu_9f2a_1"), call("{}", None)]},
        [tool({}, "toolu_9f2a_1"), tool({}, "toolu_9f2a_1_")],
    ),
    "ids that are numbers": ({"tool_calls": [call("{}", 0), call("{}", 7)]}, [tool({}, "0"), tool({}, "7")]),
    "ids that are odd": ({"tool_calls": [call("{}", True)]}, [tool({}, "toolu_9f2a_0")]),
    "one call and no list": ({"tool_calls": call("{}")}, [tool({})]),
    "nulls among the calls": ({"tool_calls": [None, call("{}"), {}, {"index": 0, "type": "function"}]}, [tool({})]),
    "a call without a function": (
        {"tool_calls": [{"id": "x", "name": "f", "arguments": {"a": 1}}]},
        [tool({"a": 1}, "x")],
    ),
    "a function call": (
        {"function_call": {"name": "f", "arguments": '{"a":1}'}},
        [tool({"a": 1}, "toolu_9f2a_0")],
    ),
    "a function call that is the call": (
        {"function_call": {"name": "f", "arguments": "{}"}, "tool_calls": [call("{}")]},
        [tool({})],
    ),
    "a function call beside another call": (
        {"function_call": {"name": "g", "arguments": "{}"}, "tool_calls": [call("{}")]},
        [tool({}), tool({}, "toolu_9f2a_1", "g")],
    ),
    # https://docs.mistral.ai/capabilities/reasoning/
    "thinking in parts": (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m."}]},
                {"type": "thinking", "thinking": "!"},
                {"type": "text", "text": "Hi"},
                " there",
            ]
        },
        [thought("Hm.!", field=None), text("Hi there")],
    ),
    "one part and no list": ({"content": {"type": "text", "text": "Hi"}}, [text("Hi")]),
    # As servers have it that read what a model writes in JSON.
    "a number": ({"content": 7}, [text("7")]),
    "an object": ({"content": {"city": "Rome", "n": [1]}}, [text('{"city":"Rome","n":[1]}')]),
    "nothing in an object": ({"content": {}, "refusal": "No"}, [text("No")]),
    "no text at all": ({"content": False, "refusal": "No"}, [text("No")]),
}


@pytest.mark.parametrize(("said", "expected"), CONTENTS.values(), ids=CONTENTS)
def test_content(said, expected):
    assert content(answer(completion(**said))) == expected


CALLED = {"tool_calls": [call("{}")]}
STOPS = {
    "stop": ("stop", {}, {}, ("end_turn", None)),
    "length": ("length", {}, {}, ("max_tokens", None)),
    "model_length": ("model_length", {}, {}, ("max_tokens", None)),
    "tool_calls": ("tool_calls", CALLED, {}, ("tool_use", None)),
    "function_call": ("function_call", CALLED, {}, ("tool_use", None)),
    "content_filter": ("content_filter", {}, {}, ("refusal", None)),
    "unknown": ("eos", {}, {}, ("end_turn", None)),
    "none": (None, {}, {}, ("end_turn", None)),
    "a call that stopped": ("stop", CALLED, {}, ("tool_use", None)),
    "a call that was cut": ("length", CALLED, {}, ("max_tokens", None)),
    "no call after all": ("tool_calls", {}, {}, ("end_turn", None)),
    "a stop string": ("stop", {}, {"stop_reason": "END"}, ("stop_sequence", "END")),
    "a stop token": ("stop", {}, {"stop_reason": 151645}, ("end_turn", None)),
    "a stop string of another end": ("length", {}, {"stop_reason": "END"}, ("max_tokens", None)),
    "a stop string of an unknown end": ("eos", {}, {"stop_reason": "END"}, ("end_turn", None)),
    "a stop string behind a call": ("stop", CALLED, {"stop_reason": "END"}, ("tool_use", None)),
    "a refusal": ("stop", {"refusal": "No."}, {}, ("refusal", None)),
}


@pytest.mark.parametrize(("finish", "said", "choice", "expected"), STOPS.values(), ids=STOPS)
def test_why_it_stopped(finish, said, choice, expected):
    found = answer(completion(finish, content="Hi", choice=choice, **said))
    assert (found.stop_reason, found.stop_sequence) == expected


def test_a_refusal_is_text():
    assert content(answer(completion(refusal="No."))) == [text("No.")]


USAGES = {
    "cached": (
        {"prompt_tokens": 19, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 16}},
        (3, 16, 2),
    ),
    "no details": ({"prompt_tokens": 19, "completion_tokens": 2, "prompt_tokens_details": None}, (19, 0, 2)),
    "more cached than there are": ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 3}}, (0, 1, 0)),
    "none": (None, (0, 0, 0)),
    "odd": (
        {"prompt_tokens": "7", "completion_tokens": -1, "prompt_tokens_details": {"cached_tokens": True}},
        (7, 0, 0),
    ),
    "by other names": (
        {"input_tokens": 9.0, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}},
        (7, 2, 4),
    ),
    # https://api-docs.deepseek.com/guides/kv_cache
    "DeepSeek's": ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (5, 4, 1)),
    "Moonshot's": ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, (5, 4, 1)),
    "a boolean": ({"prompt_tokens": True, "completion_tokens": True}, (0, 0, 0)),
    "no object": ([1], (0, 0, 0)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage, expected):
    found = answer(completion(usage=usage)).usage
    assert (found.input_tokens, found.cache_read_input_tokens, found.output_tokens) == expected
    assert found.cache_creation_input_tokens == 0
    assert found.output_tokens_details is None


PLACES = {
    # https://platform.moonshot.ai/docs/api/chat
    "in the choice": {"choice": {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}, "usage": None},
    "Groq's": {"top": {"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}}, "usage": None},
    "in two places": {
        "choice": {"usage": {"prompt_tokens": 9, "completion_tokens": 3}},
        "usage": {"prompt_tokens": 0, "completion_tokens": 0},
    },
}


@pytest.mark.parametrize("fields", PLACES.values(), ids=PLACES)
def test_usage_is_read_wherever_it_is(fields):
    found = answer(completion(content="Hi", **fields)).usage
    assert (found.input_tokens, found.output_tokens) == (9, 3)


def test_tokens_of_reasoning_are_told():
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5}}
    assert answer(completion(usage=usage)).usage.output_tokens_details.thinking_tokens == 5


@pytest.mark.parametrize("top", [{"model": None}, {"model": ""}, {"model": 7}], ids=str)
def test_the_model_that_was_asked_answers_if_none_is_told(top):
    assert answer(completion(top=top)).model == ASKED.model


@pytest.mark.parametrize("top", [{"id": None}, {"id": ""}, {"id": 7}, {"id": "chatcmpl-"}], ids=str)
def test_an_answer_without_id_has_one_of_its_own(top):
    first, again, other = (answer(completion(content=word, top=top)).id for word in ("a", "a", "b"))
    assert first == again != other
    assert len(first) == len("msg_") + 24


def test_a_calls_id_that_is_too_long_to_be_carried_stays():
    identity = "functions.f:" * 30
    (found,) = content(answer(completion("tool_calls", tool_calls=[call("{}", identity)])))
    assert found["id"] == identity


def test_another_id_is_kept():
    assert answer(completion(top={"id": "resp-1"})).id == "msg_resp-1"


def test_only_the_first_choice_counts():
    found = completion(content="a")
    found["choices"].append({"message": {"content": "b"}})
    assert content(answer(found)) == [text("a")]


NUMBERS = '{"a": 1.10, "b": -0.0, "c": 12345678901234567890123, "d": 1E400, "e": [1.0000000000000000001], "f": '


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [(NUMBERS + "2}", NUMBERS + "2}"), (NUMBERS + '"cut', NUMBERS[: -len(', "f": ')] + "}")],
    ids=["whole", "cut"],
)
def test_every_digit_of_a_calls_arguments_stays(arguments, kept):
    body = json.dumps(completion("length", tool_calls=[call(arguments)])).encode()
    assert f'"input":{kept}'.encode() in MESSAGES_ON_CHAT.answer(body, ASKED)


def test_every_digit_of_arguments_in_an_object_stays():
    body = b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1.10}}}]}}]}'
    assert b'"input":{"a":1.10}' in MESSAGES_ON_CHAT.answer(body, ASKED)


def test_half_a_character_becomes_a_sign_for_it():
    body = json.dumps(completion(content="a\ud83d", tool_calls=[call('{"a": "\\ud83d"}')])).encode()
    assert content(answer(body)) == [text("a\ufffd"), tool({"a": "\ufffd"})]


def test_bytes_that_are_no_text_become_a_sign_for_it():
    body = json.dumps(completion(content="a?")).encode().replace(b"?", b"\xff")
    assert content(answer(body)) == [text("a\ufffd")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 5000,
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":null}]}',
        b'{"choices":[{"message":{"tool_calls":7}}]}',
        b'{"error":{"message":"secret"}}',
    ],
    ids=["empty", "HTML", "a list", "deep", "nothing", "no choice", "no message", "null", "odd calls", "an error"],
)
def test_what_is_no_answer_is_told_apart(body):
    with pytest.raises(TranslationError, match="the upstream's answer") as raised:
        MESSAGES_ON_CHAT.answer(body, ASKED)
    assert "secret" not in str(raised.value)


CUT = {"tool_calls": [call('{"a": [1, 2], "b": "te')]}


@pytest.mark.parametrize("finish", ["length", "content_filter", "MAX_TOKENS"])
def test_arguments_are_cut_where_the_answer_says_that_it_was(finish):
    found = answer(completion(finish, **CUT))
    assert content(found) == [tool({"a": [1, 2]})]
    assert found.stop_reason in {"max_tokens", "refusal"}


LOST = {
    "cut arguments": CUT,
    "arguments that are no object": {"tool_calls": [call("[1]")]},
    "arguments of another type": {"tool_calls": [call(7)]},
    "arguments that are no JSON": {"tool_calls": [call("x")]},
    "a list of arguments": {"tool_calls": [call([1])]},
    "no name": {"tool_calls": [call("{}", name=None)]},
    "a name that is none": {"tool_calls": [call("{}", name=7)]},
    "no function": {"tool_calls": [{"id": "x"}]},
    "only arguments": {"tool_calls": [{"function": {"arguments": "{}"}}]},
}


@pytest.mark.parametrize("finish", ["tool_calls", "stop", None])
@pytest.mark.parametrize("said", LOST.values(), ids=LOST)
def test_an_answer_of_which_something_would_be_lost_is_none(said, finish):
    with pytest.raises(TranslationError, match="the upstream"):
        MESSAGES_ON_CHAT.answer(json.dumps(completion(finish, content="Hi", **said)).encode(), ASKED)


@pytest.mark.parametrize(
    "choice",
    [{"delta": {"content": "Hi"}}, {"text": "Hi"}],
    ids=["a delta", "a completion's text"],
)
def test_what_stands_in_a_messages_place_is_the_message(choice):
    whole = completion()
    whole["choices"] = [{"finish_reason": "stop", **choice}]
    assert content(answer(whole)) == [text("Hi")]


@pytest.mark.parametrize("finish", [7, {"type": "stop"}, "STOP"], ids=str)
def test_a_reason_of_an_odd_type_is_an_end(finish):
    assert answer(completion(finish, content="Hi")).stop_reason == "end_turn"


@pytest.mark.parametrize(
    "finish", ["abort", "error", "insufficient_system_resource", "network_error", "MALFORMED_FUNCTION_CALL"]
)
def test_an_answer_that_was_broken_off_is_none(finish):
    with pytest.raises(TranslationError, match="broke"):
        MESSAGES_ON_CHAT.answer(json.dumps(completion(finish, content="Hel")).encode(), ASKED)


def test_content_in_parts_is_read_one_level_deep():
    """However deep a server's own kind of content goes."""
    deep = "x"
    for _ in range(400):
        deep = [{"type": "text", "text": deep}]
    assert content(answer(completion(content=[{"type": "text", "text": "Hi"}, *deep]))) == [text("Hi")]
