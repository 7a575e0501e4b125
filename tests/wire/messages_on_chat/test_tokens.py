"""Counting tokens: what vLLM is asked, what it answers, and the estimate elsewhere."""

import json

import pytest
from anthropic.types import MessageTokensCount
from tests.wire.test_protocols import client

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat import tokens

SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "f", "input_schema": SCHEMA}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}


def body(*blocks, **fields):
    asked = {"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **fields}
    return json.dumps(asked, separators=(",", ":")).encode()


def text(words):
    return {"type": "text", "text": words}


def test_the_estimate_and_the_question_are_made_in_one_go():
    asked = body(text("hi"), system="s", tools=[TOOL])
    assert tokens.count(asked, "qwen") == (tokens.estimate(asked, "qwen"), tokens.tokenize_request(asked, "qwen"))


def test_what_vllm_is_asked():
    asked = tokens.tokenize_request(body(text("hi"), system="s", tools=[TOOL], thinking={"type": "adaptive"}), "qwen")
    assert json.loads(asked) == {
        "model": "qwen",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "tools": [FUNCTION],
        "add_generation_prompt": True,
    }
    assert "tools" not in json.loads(tokens.tokenize_request(body(text("hi")), "qwen"))


def test_what_vllm_answers_is_the_clients_answer():
    count = tokens.tokenize_answer(b'{"count": 7, "max_model_len": 4096, "tokens": [1, 2], "token_strs": null}')
    assert count == 7
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert client(tokens.counted(count)).messages.count_tokens(**asked) == MessageTokensCount(input_tokens=7)


@pytest.mark.parametrize(
    "answer",
    [b"", b'{"tokens": []}', b'{"count": "7"}', b'{"count": -1}', b"<html>"],
    ids=["empty", "llama.cpp", "odd", "negative", "HTML"],
)
def test_what_is_no_count_is_told_apart(answer):
    assert tokens.tokenize_answer(answer) is None


PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 9000}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 9000}}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "get", "input": {"a": 1}}]}
SCHEMA_CHARS = len(json.dumps([FUNCTION], separators=(",", ":")))
ESTIMATES = {
    "four characters": (body(text("abcd")), 1),
    "five": (body(text("abcde")), 2),
    "not bytes": (body(text("漢字漢字")), 1),
    "nothing": (body(text("")), 0),
    "a system prompt": (body(text("abcd"), system="abcdefgh"), 3),
    "an image": (body(text("abcd"), PNG), tokens.IMAGE_TOKENS + 1),
    "a PDF": (body(PDF, text("abcd")), tokens.FILE_TOKENS + 1),
    "tools": (body(text(""), tools=[TOOL]), -(-SCHEMA_CHARS // 4)),
    "a call": (json.dumps({"messages": [CALL]}).encode(), -(-len('get{"a": 1}') // 4)),
}


@pytest.mark.parametrize(("request_body", "expected"), ESTIMATES.values(), ids=ESTIMATES)
def test_the_estimate(request_body, expected):
    assert tokens.estimate(request_body, "qwen") == expected


def test_what_cannot_be_served_cannot_be_counted():
    bad = body({"type": "image", "source": {"type": "file", "file_id": "f"}})
    for count in (tokens.estimate, tokens.tokenize_request):
        with pytest.raises(BodyError, match=r"^messages\.0\.content\.0\.source"):
            count(bad, "qwen")
