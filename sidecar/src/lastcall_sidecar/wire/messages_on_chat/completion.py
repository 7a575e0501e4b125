"""What a chat completion and its chunks have in common, and what of it means what in a message.

Shapes: https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming, and what vLLM has beside
(`reasoning_content`, later `reasoning`; `stop_reason`). Fields that matter less are read as anything: no answer fails
for one of an odd type.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import NOTHING
from lastcall_sidecar.wire.openai import text_of
from lastcall_sidecar.wire.translation import TranslationError

#: By `finish_reason`, OpenAI's and Mistral's (`model_length`: the context is full); anything else is `end_turn`.
STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "model_length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

#: With these vLLM and others end what they broke off, and then say `[DONE]` (vllm-project/vllm#57082).
_BROKEN_OFF = frozenset({"abort", "error"})

_ID_PREFIX = "chatcmpl-"


class Function(msgspec.Struct):
    """A call's function. Some servers send the arguments as the object itself."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class Call(msgspec.Struct):
    """A tool call, or what is new of it in a chunk."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    #: Gemini's: its `google.thought_signature` is wanted back with the call.
    extra_content: msgspec.Raw = NOTHING

    def restore(self, names: Mapping[str, str]) -> None:
        """Give it back the client's name of its function, by the one that the upstream knows."""
        if self.function and self.function.name:
            self.function.name = names.get(self.function.name, self.function.name)


class Said(msgspec.Struct):
    """A message, or what is new of it in a chunk."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    #: OpenRouter's.
    reasoning_details: msgspec.Raw = NOTHING
    tool_calls: list[Call] | None = None

    @property
    def thinking(self) -> str:
        """The reasoning, under whichever name."""
        return text_of(self.reasoning_content) or text_of(self.reasoning)

    @property
    def text(self) -> str:
        """The content, and a refusal in words."""
        return text_of(self.content) + text_of(self.refusal)


class Choice(msgspec.Struct):
    """One answer, or what is new of it in a chunk."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    #: vLLM's: which stop string, or stop token, ended it.
    stop_reason: Any = None


class Completion(msgspec.Struct):
    """A chat completion, a chunk of one, or an error in the place of one."""

    id: Any = None
    object: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None

    @property
    def failed(self) -> bool:
        """Whether it is an error: OpenAI's shape, or one of vLLM's."""
        return bool(self.error) or self.object == "error"


class Ending:
    """What is known of why an answer ended."""

    __slots__ = ("called", "finish_reason", "refused", "stop_sequence")

    def __init__(self) -> None:
        #: None until it is told.
        self.finish_reason: str | None = None
        self.stop_sequence: str | None = None
        self.called = False
        self.refused = False

    def take(self, choice: Choice, said: Said) -> None:
        """Note down what a choice, or a chunk of one, tells. Errors: TranslationError for an answer broken off."""
        if choice.finish_reason in _BROKEN_OFF:
            raise TranslationError("the upstream broke its answer off")
        self.finish_reason = choice.finish_reason or self.finish_reason
        self.called = self.called or bool(said.tool_calls)
        self.refused = self.refused or bool(text_of(said.refusal))
        if choice.finish_reason == "stop" and isinstance(choice.stop_reason, str):
            self.stop_sequence = choice.stop_reason

    def stop(self, sequence: str, *, called: bool) -> None:
        """Note down that the text has ended at a sequence, behind calls or not: what is told of the end is void."""
        self.finish_reason, self.stop_sequence, self.called = "stop", sequence, called

    def stopped(self) -> dict[str, str | None]:
        """Return `stop_reason` and `stop_sequence`.

        Calls make it `tool_use` unless it was cut short or refused: with a named `tool_choice` OpenAI says `stop`.
        """
        reason = "refusal" if self.refused else STOP_REASONS.get(self.finish_reason or "", "end_turn")
        if reason in ("end_turn", "tool_use"):
            reason = "tool_use" if self.called else "end_turn"
        if reason == "end_turn" and self.stop_sequence is not None:
            return {"stop_reason": "stop_sequence", "stop_sequence": self.stop_sequence}
        return {"stop_reason": reason, "stop_sequence": None}


def message(completion: Completion, data: bytes, asked_model: str) -> dict[str, Any]:
    """Return an empty message of the completion's, or the first chunk's, that came as `data`."""
    identity = completion.id if isinstance(completion.id, str) else ""
    # an upstream that tells no id: clients take two answers with the same one for one
    identity = identity.removeprefix(_ID_PREFIX) or hashlib.sha256(data).hexdigest()[:24]
    return {
        "id": f"msg_{identity}",
        "type": "message",
        "role": "assistant",
        "model": completion.model if isinstance(completion.model, str) and completion.model else asked_model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(completion.usage),
    }


def tool_use_id(message_id: str, number: int) -> str:
    """The id of a call to which the upstream gave none."""
    return f"toolu_{message_id.removeprefix('msg_')}_{number}"


def usage(told: Any) -> dict[str, Any]:
    """Return Anthropic's usage: there, tokens from the cache are not among `input_tokens`."""
    prompt = _count(told, "prompt_tokens")
    cached = min(_count(_part(told, "prompt_tokens_details"), "cached_tokens"), prompt)
    found: dict[str, Any] = {
        "input_tokens": prompt - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(told, "completion_tokens"),
    }
    reasoning = _count(_part(told, "completion_tokens_details"), "reasoning_tokens")
    return found | ({"output_tokens_details": {"thinking_tokens": reasoning}} if reasoning else {})


def _part(told: Any, name: str) -> Any:
    return told.get(name) if isinstance(told, dict) else None


def _count(told: Any, name: str) -> int:
    value = _part(told, name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
