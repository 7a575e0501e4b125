"""The vendors' SDKs as judges of what was translated, and short ways to translate in tests."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter
from tests.wire.test_protocols import REQUEST, client

from lastcall_sidecar.wire.carried import State, signature
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.translation import Asked, Options

MODEL = "qwen3-32b"
ASKED = Asked(model="claude-sonnet-4-6", stream=False)
STREAM = Asked(model="claude-sonnet-4-6", stream=True)

_EVENTS = TypeAdapter(RawMessageStreamEvent)
_PARAMS = TypeAdapter(CompletionCreateParams)


def request(model: str = MODEL, **fields: Any) -> dict[str, Any]:
    """A Messages request with these fields, translated; OpenAI's SDK must know its shape."""
    given = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "hi"}], **fields}
    body = MESSAGES_ON_CHAT.request(json.dumps(given).encode(), Options(model=model)).body
    found = json.loads(body)
    _consume(_PARAMS.validate_python(found))
    return found


def turns(*messages: dict[str, Any], model: str = MODEL, **fields: Any) -> list[dict[str, Any]]:
    """The chat messages of a conversation."""
    return request(model, messages=list(messages), **fields)["messages"]


def user(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return user(*blocks, role="assistant")


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thought(words: str, **state: Any) -> dict[str, Any]:
    """A block of thinking whose signature carries a state: by default, that it came as `reasoning_content`."""
    made = State(**(state or {"field": "reasoning_content"}))
    return {"type": "thinking", "thinking": words, "signature": signature(made)}


def _consume(found: Any) -> None:
    """Pydantic looks into an iterable only when somebody iterates."""
    if isinstance(found, dict):
        found = found.values()
    if not isinstance(found, str | bytes) and hasattr(found, "__iter__"):
        for item in found:
            _consume(item)


def answer(completion: Any) -> Message:
    """A whole answer as the SDK has it, which knows each field of it."""
    body = completion if isinstance(completion, bytes) else json.dumps(completion).encode()
    found = MESSAGES_ON_CHAT.answer(body, ASKED)
    checked = Message.model_validate_json(found, strict=True)
    assert_known(checked)
    received = client(found).messages.create(**REQUEST)
    assert received == checked
    return received


def translated(stream: bytes, *, split: int | None = None) -> tuple[bytes, bool]:
    """A stream, and whether its end was told. With `split` it arrives in parts of so many bytes."""
    translator, decoder = MESSAGES_ON_CHAT.stream(STREAM), Decoder()
    size = split or len(stream) or 1
    found = b""
    for start in range(0, len(stream), size):
        for event in decoder.feed(stream[start : start + size]):
            found += translator.feed(event)
    found += translator.finish()
    return found, translator.over


def accumulated(stream: bytes) -> Message:
    """What the SDK makes of a translated stream; the events are in the order that the documentation promises."""
    found, over = translated(stream)
    assert over
    check_order(found)
    with client(found, content_type="text/event-stream").messages.stream(**REQUEST) as events:
        message = events.get_final_message()
    return Message.model_validate(message.model_dump(exclude={"parsed_output"}, warnings=False), strict=True)


def events_of(found: bytes) -> Iterator[Any]:
    """Events as the SDK's types, each known to it field by field and named as its `type`."""
    for event in Decoder().feed(found):
        told = _EVENTS.validate_json(event.data, strict=True)
        assert event.event == told.type
        assert_known(told)
        yield told


def check_order(found: bytes) -> None:
    """One block after the other, numbered without a gap, between the message's start and end."""
    kinds = []
    index, is_open = -1, False
    for event in events_of(found):
        kinds.append(event.type)
        match event.type:
            case "content_block_start":
                assert not is_open
                assert event.index == index + 1
                index, is_open = event.index, True
            case "content_block_delta":
                assert is_open
                assert event.index == index
            case "content_block_stop":
                assert is_open
                assert event.index == index
                is_open = False
    assert not is_open
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert not {"message_start", "message_delta", "message_stop"} & set(kinds[1:-2])


def assert_known(found: Any) -> None:
    """The SDK's types name every field."""
    if isinstance(found, list):
        for item in found:
            assert_known(item)
    if isinstance(found, anthropic.BaseModel):
        assert not found.model_extra, found.model_extra
        for name in type(found).model_fields:
            assert_known(getattr(found, name))
