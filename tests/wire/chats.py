"""What the tests of Chat Completions on Messages share: translated streams, and OpenAI's SDK over given bytes."""

import contextlib
import json
from typing import Any

import httpx2
import msgspec
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from lastcall_sidecar.testing.validate import load, message_request
from lastcall_sidecar.wire.body import BodyError, scan
from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.sse import Decoder
from lastcall_sidecar.wire.translation import Asked, Options

MODEL = "claude-sonnet-4-6"
ASKED = Asked(MODEL, stream=True, include_usage=True, created=1_700_000_000)
USER = {"role": "user", "content": "Hello"}


def body(**fields: Any) -> bytes:
    """A request's body: one user message, unless there are `messages`."""
    return msgspec.json.encode({"model": "gpt", "messages": [USER], **fields})


def translated(**fields: Any) -> dict[str, Any]:
    """The request as the upstream gets it, which the strict fake takes."""
    options = fields.pop("options", Options(MODEL))
    sent = body(**fields)
    scan(sent)
    asked = load(CHAT_ON_MESSAGES.request(sent, options).body)
    message_request(asked)
    return asked


def refused(**fields: Any) -> str:
    """What the client is told of a request that is not served."""
    sent = body(**fields)
    scan(sent)
    try:
        CHAT_ON_MESSAGES.request(sent, Options(MODEL))
    except BodyError as error:
        return str(error)
    raise AssertionError("the request was taken")


def spoken(chunks: list[bytes] | tuple[bytes, ...], asked: Asked = ASKED) -> tuple[bytes, bool]:
    """What the client gets for an upstream's stream in these chunks, and whether that was its end."""
    decoder, stream = Decoder(), CHAT_ON_MESSAGES.stream(asked)
    said = b"".join(stream.feed(event) for chunk in chunks for event in decoder.feed(chunk))
    return said + stream.finish(), stream.over


def chunks_of(said: bytes) -> list[dict[str, Any]]:
    """The JSON of each chunk; `[DONE]` is checked to be the last event, where there is one."""
    data = [event.data for event in Decoder().feed(said)]
    assert "[DONE]" not in data[:-1]
    return [json.loads(item) for item in data if item != "[DONE]"]


@contextlib.contextmanager
def client(content: bytes, *, status: int = 200, content_type: str = "text/event-stream"):
    """OpenAI's client, whose every request is answered with this."""
    headers = {"content-type": content_type}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=content, headers=headers))
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=http, max_retries=0) as made,
    ):
        yield made


def accumulated(said: bytes) -> dict[str, Any]:
    """The completion that OpenAI's SDK makes of a stream, whose chunks it has validated strictly."""
    state = ChatCompletionStreamState()
    for chunk in chunks_of(said):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk, strict=True))
    return plain(state.current_completion_snapshot.to_dict())


def plain(completion: dict[str, Any]) -> dict[str, Any]:
    """A completion without what only a stream, or only the SDK's parsing, adds to it."""
    choice = completion["choices"][0]
    message = {key: value for key, value in choice["message"].items() if value is not None}
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return {
        **{key: completion[key] for key in ("id", "created", "model", "object", "usage")},
        "finish_reason": choice["finish_reason"],
        "message": message,
    }
