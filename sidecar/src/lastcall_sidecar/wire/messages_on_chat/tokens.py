"""Counting the tokens of a Messages request (`/v1/messages/count_tokens`) with a chat upstream.

vLLM counts at `/tokenize`, with the model's own chat template; elsewhere there is only a rough estimate.
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#tokenizer-api
"""

from typing import Annotated, Any

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.messages_on_chat.request import prompt
from lastcall_sidecar.wire.translation import TranslationError

#: Where vLLM has it: beside `/v1`.
TOKENIZE_PATH = "/tokenize"

#: What the estimate takes for a picture (the most that the API itself counts), and for a file of any length.
IMAGE_TOKENS = 1600
FILE_TOKENS = 3000
_CHARS_PER_TOKEN = 4


class _Count(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=0)]


def count(body: bytes, model: str) -> tuple[int, bytes]:
    """Return what `estimate` and `tokenize_request` do, in one go. Errors: BodyError."""
    asked = prompt(body, model)
    return _about(asked), _question(asked)


def tokenize_request(body: bytes, model: str) -> bytes:
    """Return the body for `/tokenize` that counts what the request in `body` is for the `model`. Errors: BodyError."""
    return _question(prompt(body, model))


def _question(asked: dict[str, Any]) -> bytes:
    return msgspec.json.encode(asked | {"add_generation_prompt": True})


def tokenize_answer(body: bytes) -> int | None:
    """Return the tokens that `/tokenize` counted; None where it is another server's route, or no route at all."""
    try:
        return answered(body, _Count).count
    except TranslationError:
        return None


def estimate(body: bytes, model: str) -> int:
    """Return about how many tokens the request in `body` has: characters / 4, rounded up. Errors: BodyError."""
    return _about(prompt(body, model))


def _about(asked: dict[str, Any]) -> int:
    chars = len(msgspec.json.encode(asked.get("tools", [])).decode()) if "tools" in asked else 0
    flat = 0
    for message in asked["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else [{"text": message["content"] or ""}]
        chars += sum(len(part.get("text", "")) for part in parts)
        chars += sum(len(message.get(name, "")) for name in ("reasoning_content", "reasoning"))
        chars += sum(_call_chars(call["function"]) for call in message.get("tool_calls", ()))
        flat += sum(IMAGE_TOKENS for part in parts if "image_url" in part)
        flat += sum(FILE_TOKENS for part in parts if "file" in part)
    return flat - (-chars // _CHARS_PER_TOKEN)


def counted(tokens: int) -> bytes:
    """Return the answer of `count_tokens`."""
    return msgspec.json.encode({"input_tokens": tokens})


def _call_chars(function: dict[str, Any]) -> int:
    return len(function["name"]) + len(function["arguments"])
