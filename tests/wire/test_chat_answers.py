"""A whole message becomes a chat completion that OpenAI's SDK takes as its own; and errors become its exceptions."""

import json

import openai
import pytest
from openai.types.chat import ChatCompletion
from tests.wire.chats import ASKED, MODEL, USER, client

from lastcall_sidecar.testing.errors import HTML_502, FakeError
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.translation import Asked, TranslationError

USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 11}
TEXT = {"type": "text", "text": "Hello"}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
REDACTED = {"type": "redacted_thinking", "data": "enc"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}


def message(*content, **fields):
    """A message as the upstream sends it."""
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-real",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }
    return json.dumps({**whole, **fields}).encode()


def completion(answer, asked=ASKED):
    """The translated answer, once OpenAI's SDK has found nothing wrong with it."""
    whole = CHAT_ON_MESSAGES.answer(answer, asked)
    ChatCompletion.model_validate_json(whole, strict=True)
    return json.loads(whole)


def said(*content, **fields):
    choice = completion(message(*content, **fields))["choices"][0]
    return {key: value for key, value in choice["message"].items() if value is not None}


def test_a_message_becomes_a_completion():
    assert completion(message(TEXT)) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "claude-real",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 11,
            "total_tokens": 21,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        },
    }


def test_the_clients_own_client_reads_it():
    whole = CHAT_ON_MESSAGES.answer(message(THINKING, TEXT, USE, stop_reason="tool_use"), ASKED)
    with client(whole, content_type="application/json") as made:
        found = made.chat.completions.create(model="m", messages=[USER])
    assert found.choices[0].message.content == "Hello"
    assert found.choices[0].message.tool_calls[0].function.arguments == '{"a": 1}'
    assert found.choices[0].finish_reason == "tool_calls"
    assert found.choices[0].message.reasoning_content == "Hm."


def detail(kind, index, **fields):
    return {"type": f"reasoning.{kind}", "index": index, **fields}


CONTENTS = {
    "text": ([TEXT, {"type": "text", "text": " you", "citations": [{"cited_text": "x"}]}], {"content": "Hello you"}),
    "nothing": ([], {"content": ""}),
    "only a call": ([USE], {"tool_calls": [CALL]}),
    "text and calls": (
        [TEXT, USE, {**USE, "id": "b"}],
        {"content": "Hello", "tool_calls": [CALL, {**CALL, "id": "b"}]},
    ),
    "thinking": (
        [THINKING, REDACTED, TEXT],
        {
            "content": "Hello",
            "reasoning_content": "Hm.",
            "reasoning_details": [detail("text", 0, text="Hm.", signature="sig"), detail("encrypted", 1, data="enc")],
        },
    ),
    "thinking that is not shown": (
        [{**THINKING, "thinking": ""}, TEXT],
        {"content": "Hello", "reasoning_details": [detail("text", 0, text="", signature="sig")]},
    ),
    "thinking twice": (
        [THINKING, THINKING],
        {
            "content": "",
            "reasoning_content": "Hm.Hm.",
            "reasoning_details": [
                detail("text", 0, text="Hm.", signature="sig"),
                detail("text", 1, text="Hm.", signature="sig"),
            ],
        },
    ),
    "blocks without a place": (
        [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "of_the_future", "text": 7, "data": {"a": 1}, "id": None},
            {},
            TEXT,
        ],
        {"content": "Hello"},
    ),
}


@pytest.mark.parametrize(("content", "expected"), CONTENTS.values(), ids=CONTENTS.keys())
def test_content_becomes_the_assistants_message(content, expected):
    assert said(*content) == {"role": "assistant", **expected}


FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "of_the_future": "stop",
    None: "stop",
    7: "stop",
}


@pytest.mark.parametrize(("stop_reason", "finish_reason"), FINISHES.items(), ids=str)
def test_a_stop_reason_has_its_word(stop_reason, finish_reason):
    assert completion(message(TEXT, stop_reason=stop_reason))["choices"][0]["finish_reason"] == finish_reason


@pytest.mark.parametrize(
    ("details", "refusal"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "Too dangerous."}, "Too dangerous."),
        ({"type": "refusal", "explanation": None}, None),
        (None, None),
        ("odd", None),
    ],
    ids=["explained", "not explained", "no details", "odd details"],
)
def test_a_refusal_says_why(details, refusal):
    told = said(TEXT, stop_reason="refusal", stop_details=details)
    assert told.get("refusal") == refusal


def counts(prompt, completion_tokens, cached=0, written=0, **more):
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        **more,
    }


USAGES = {
    "with caches": (USAGE, counts(10, 11, 3, 2)),
    "without": ({"input_tokens": 5, "output_tokens": 11, "cache_read_input_tokens": None}, counts(5, 11)),
    "with thinking": (
        {"input_tokens": 5, "output_tokens": 11, "output_tokens_details": {"thinking_tokens": 7}},
        counts(5, 11, completion_tokens_details={"reasoning_tokens": 7}),
    ),
    "with details that do not tell": (
        {"input_tokens": 5, "output_tokens": 11, "output_tokens_details": {"of_the_future": 7}},
        counts(5, 11),
    ),
    "none": (None, counts(0, 0)),
    "odd": ({"input_tokens": -1, "output_tokens": "many"}, counts(0, 0)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage_is_counted_as_openai_does(usage, expected):
    assert completion(message(TEXT, usage=usage))["usage"] == expected


def test_what_the_upstream_does_not_say_is_as_it_was_asked():
    found = completion(b'{"content":[]}', Asked(MODEL, stream=False))
    assert (found["id"], found["model"], found["created"]) == ("", MODEL, 0)


def test_numbers_keep_their_digits():
    given = '{"a": 1.0, "b": [1e400, 12345678901234567890123, 0.10], "c": {"x":-0.0}}'
    answer = '{"content":[{"type":"tool_use","id":"t","name":"f","input":' + given + "}]}"
    call = completion(answer.encode())["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == given


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (r"a\ud83db", "a\ufffdb"),
        (r"\udf89", "\ufffd"),
        (r"\ud83c\udf89 \ud83d", "🎉 \ufffd"),
        (r"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (r"\uD83D\uD83C\uDF89", "\ufffd🎉"),
    ],
    ids=["the first half", "the second half", "a pair and a half", "an escaped backslash", "a half and a pair"],
)
def test_half_a_surrogate_pair_breaks_nothing(escaped, expected):
    answer = r'{"content":[{"type":"text","text":"' + escaped + '"}]}'
    assert completion(answer.encode())["choices"][0]["message"]["content"] == expected


def test_bad_utf8_breaks_nothing():
    assert (
        completion(b'{"content":[{"type":"text","text":"a\xffb"}]}')["choices"][0]["message"]["content"] == "a\ufffdb"
    )


BAD = {
    "nothing": b"",
    "HTML": HTML_502,
    "cut": message(TEXT)[:-1],
    "two": message(TEXT) * 2,
    "a list": b"[]",
    "an error": FakeError(400).body("req_1"),
    "no content": b'{"type":"message"}',
    "content that is none": b'{"content":"Hello"}',
    "a block that is none": message("Hello"),
    "text that is none": message({"type": "text", "text": 7}),
    "thinking that is none": message({**THINKING, "thinking": None}),
    "a signature that is none": message({**THINKING, "signature": 7}),
    "data that is none": message({**REDACTED, "data": {}}),
    "a call whose id is none": message({**USE, "id": 7}),
    "a call whose name is none": message({**USE, "name": None}),
    "a type that is none": message({"type": 7}),
    "bottomless": b'{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
def test_what_is_no_message_is_an_error_of_the_upstreams(answer):
    with pytest.raises(TranslationError) as failed:
        CHAT_ON_MESSAGES.answer(answer, ASKED)
    assert "Hello" not in str(failed.value)


FAILED = {
    "overloaded": ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, 529),
    "without a type": ({"error": {"type": "rate_limit_error", "message": "x"}}, 429),
    "a code": ({"error": {"code": "402", "message": "x"}}, 402),
    "a code that is no status": ({"error": {"code": 7, "type": "api_error", "message": "x"}}, 500),
    "of the future": ({"type": "error", "error": {"type": "future_error", "message": "x"}}, 502),
    "a word": ({"error": "x"}, 502),
    "only a type": ({"type": "error", "message": "x"}, 502),
}


@pytest.mark.parametrize(("told", "status"), FAILED.values(), ids=FAILED)
def test_an_error_in_the_place_of_a_message_has_a_status_and_its_message(told, status):
    body = json.dumps(told).encode()
    assert CHAT_ON_MESSAGES.failed(body) == status
    assert json.loads(CHAT_ON_MESSAGES.error(status, body, "req_1"))["error"]["message"] == "x"


@pytest.mark.parametrize("body", [message(TEXT), b"", b"{}", b"[]", b'{"error":null}'], ids=str)
def test_what_is_no_error_has_no_status(body):
    assert CHAT_ON_MESSAGES.failed(body) is None


ERRORS = {
    400: (openai.BadRequestError, "invalid_request_error", None),
    401: (openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
    402: (openai.APIStatusError, "invalid_request_error", "permission_denied"),
    403: (openai.PermissionDeniedError, "invalid_request_error", "permission_denied"),
    404: (openai.NotFoundError, "invalid_request_error", "not_found"),
    409: (openai.ConflictError, "invalid_request_error", None),
    413: (openai.APIStatusError, "invalid_request_error", "request_too_large"),
    429: (openai.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
    500: (openai.InternalServerError, "server_error", None),
    504: (openai.InternalServerError, "server_error", "timeout"),
    529: (openai.InternalServerError, "server_error", "overloaded"),
}


def raised(status, answered):
    """What OpenAI's SDK raises for the translated answer."""
    body = CHAT_ON_MESSAGES.error(status, answered, "req_ours")
    with (
        client(body, status=status, content_type="application/json") as made,
        pytest.raises(openai.APIStatusError) as failed,
    ):
        made.chat.completions.create(model="m", messages=[USER])
    return failed.value


@pytest.mark.parametrize(("status", "expected"), ERRORS.items(), ids=str)
def test_an_error_is_the_right_exception_in_the_sdk(status, expected):
    error = raised(status, FakeError(status, "Because of this.").body("req_1"))
    assert (type(error), error.type, error.code) == expected
    assert error.status_code == status
    assert error.body["message"] == "Because of this."


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ("invalid_request_error", None)),
        (402, ("invalid_request_error", "permission_denied")),
        (408, ("server_error", "timeout")),
        (415, ("invalid_request_error", "unsupported_media_type")),
        (418, ("invalid_request_error", None)),
        (429, ("rate_limit_error", "rate_limit_exceeded")),
        (500, ("server_error", None)),
        (502, ("server_error", "upstream_unavailable")),
        (503, ("server_error", "overloaded")),
        (520, ("server_error", None)),
        (529, ("server_error", "overloaded")),
    ],
    ids=str,
)
def test_an_error_without_a_type_is_known_by_its_status(status, expected):
    error = raised(status, HTML_502)
    assert (error.type, error.code) == expected
    assert error.body["message"] == f"the upstream answered with status {status}"


def test_an_error_is_known_by_its_type_before_its_status():
    error = raised(500, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    assert error.code == "overloaded"


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (b'{"error":{"message":"no type"}}', "no type"),
        (b'{"error":"a string"}', "a string"),
        (b'{"message":"at the top"}', "at the top"),
        (b'{"error":null,"message":"at the top"}', "at the top"),
        (b'{"error":{"type":7,"message":"an odd type"}}', "an odd type"),
        (b'{"error":{"type":"of_the_future","message":"unknown"}}', "unknown"),
        (b'{"error":{"message":"half a \\ud83d pair"}}', "half a \ud83d pair"),
        (b'{"error":{"message":""}}', "the upstream answered with status 500"),
        (b'{"error":{"message":7}}', "the upstream answered with status 500"),
        (b'{"error":7}', "the upstream answered with status 500"),
        (b"[]", "the upstream answered with status 500"),
        (b"", "the upstream answered with status 500"),
        (b"\xff\x00", "the upstream answered with status 500"),
    ],
    ids=str,
)
def test_the_upstreams_own_message_goes_on_where_there_is_one(answered, expected):
    assert json.loads(CHAT_ON_MESSAGES.error(500, answered, "req_ours")) == {
        "error": {"message": expected, "type": "server_error", "param": None, "code": None}
    }
