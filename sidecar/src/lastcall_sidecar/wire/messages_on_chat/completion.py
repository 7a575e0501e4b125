"""What a chat completion and its chunks have in common, and what of it means what in a message.

Shapes: https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming, and what vLLM has beside
(`reasoning_content`, later `reasoning`; `stop_reason`). Fields that matter less are read as anything: no answer fails
for one of an odd type.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.messages_on_chat.reading import NOTHING, answered, is_given, mended
from lastcall_sidecar.wire.openai import text_of
from lastcall_sidecar.wire.translation import TranslationError

#: By `finish_reason` in lower case: OpenAI's, Mistral's (`model_length`: the context is full), Zhipu's (`sensitive`),
#: Gemini's (`max_tokens`, `safety`); anything else is `end_turn`.
STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "model_length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "sensitive": "refusal",
    "safety": "refusal",
}
#: With these what the model wrote may end anywhere, a call's arguments included, and the client is told so.
_CUT = frozenset({"max_tokens", "refusal"})

#: With these upstreams end what they broke off, and then say `[DONE]`: vLLM (vllm-project/vllm#57082), OpenRouter;
#: DeepSeek (https://api-docs.deepseek.com/api/create-chat-completion), Zhipu, Gemini.
_BROKEN_OFF = frozenset({"abort", "error", "insufficient_system_resource", "network_error", "malformed_function_call"})

_ID_PREFIX = "chatcmpl-"
#: An index of more digits is none.
_MAX_INDEX_DIGITS = 9
#: Where a report of usage has each count. DeepSeek has its own name for tokens from the cache, Moonshot another.
_COUNTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "prompt": (("prompt_tokens",), ("input_tokens",)),
    "completion": (("completion_tokens",), ("output_tokens",)),
    "cached": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),
    ),
    "reasoning": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("reasoning_tokens",),
    ),
}


class Function(msgspec.Struct):
    """A call's function. Some servers send the arguments as the object itself."""

    name: Any = None
    #: JSON in a text, or the object itself.
    raw: msgspec.Raw = msgspec.field(default=NOTHING, name="arguments")

    def __post_init__(self) -> None:
        """Take a name that is no text for none."""
        self.name = self.name if isinstance(self.name, str) else None

    @property
    def arguments(self) -> str:
        """Their text, with each digit as it came."""
        raw = bytes(self.raw)
        if raw.startswith(b'"'):
            return answered(raw, str)
        return "" if raw == b"null" else mended(raw).decode()


class Call(msgspec.Struct):
    """A tool call, or what is new of it in a chunk. What is odd and plain is mended as it is read."""

    index: Any = None
    id: Any = None
    function: Function | None = None
    #: Gemini's: its `google.thought_signature` is wanted back with the call.
    extra_content: msgspec.Raw = NOTHING
    #: Where some have the function's.
    name: Any = None
    raw: msgspec.Raw = msgspec.field(default=NOTHING, name="arguments")

    def __post_init__(self) -> None:
        """Make the index a number or None, and the id a text or None."""
        self.index = _index(self.index)
        self.id = str(self.id) if isinstance(self.id, int) and not isinstance(self.id, bool) else self.id
        self.id = self.id if isinstance(self.id, str) else None
        if self.function is None and (self.name or is_given(self.raw)):
            self.function = Function(self.name, self.raw)

    @property
    def tells_something(self) -> bool:
        """Whether it is more than a place for a call."""
        function = self.function or Function()
        return (
            bool(self.id or function.name)
            or bytes(function.raw) not in {b"null", b'""'}
            or is_given(self.extra_content)
        )

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
    tool_calls: list[Call | None] | Call | None = None
    #: The one call of OpenAI's older API.
    function_call: Function | None = None
    #: Made of both: all calls that tell something.
    calls: list[Call] = msgspec.field(default_factory=list, name="")

    def __post_init__(self) -> None:
        """Make one list of all calls; one that is told in both ways is one."""
        calls = self.tool_calls if isinstance(self.tool_calls, list) else [self.tool_calls]
        self.calls = [call for call in calls if call is not None and call.tells_something]
        once = Call(function=self.function_call)
        if once.tells_something and all(self.function_call != call.function for call in self.calls):
            self.calls.append(once)

    @property
    def thinking(self) -> str:
        """The reasoning, under whichever name: Mistral's are parts of the content of the type `thinking`."""
        return text_of(self.reasoning_content) or text_of(self.reasoning) or self._of_parts(is_thinking=True)

    @property
    def text(self) -> str:
        """The content, and a refusal in words."""
        return self._of_parts(is_thinking=False) + text_of(self.refusal)

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing in it for the client."""
        return not (self.thinking or self.text or self.calls)

    def _of_parts(self, *, is_thinking: bool) -> str:
        content = [self.content] if _is_part(self.content) else self.content
        if not isinstance(content, list):
            return "" if is_thinking else _plain(content)
        return "".join(_text(part, is_thinking=is_thinking) for part in content)


class Choice(msgspec.Struct):
    """One answer, or what is new of it in a chunk."""

    message: Said | None = None
    delta: Said | None = None
    #: Of servers that answer as the older `/v1/completions` does.
    text: Any = None
    finish_reason: Any = None
    #: vLLM's: which stop string, or stop token, ended it.
    stop_reason: Any = None
    #: Moonshot's place for it.
    usage: Any = None
    #: OpenRouter's, for an answer that failed on the way.
    error: Any = None

    def __post_init__(self) -> None:
        """Write the reason in lower case; what is no text is none."""
        self.finish_reason = self.finish_reason.lower() if isinstance(self.finish_reason, str) else None

    def said(self, *, in_pieces: bool) -> Said | None:
        """The message, or in a stream what is new of it, even where the one stands in the other's place."""
        found = (self.delta or self.message) if in_pieces else (self.message or self.delta)
        if found is None and isinstance(self.text, str):
            return Said(content=self.text)
        return found


class _Groq(msgspec.Struct):
    usage: Any = None


class Completion(msgspec.Struct):
    """A chat completion, a chunk of one, or an error in the place of one."""

    id: Any = None
    object: Any = None
    type: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    #: Groq's place for the usage of a stream.
    x_groq: _Groq | None = None
    error: Any = None

    @property
    def failed(self) -> bool:
        """Whether it is an error: OpenAI's shape, one of vLLM's, or OpenRouter's within the choice."""
        told = self.error or "error" in {_word(self.object), _word(self.type)}
        return bool(told) or any(choice.error for choice in self.choices or ())

    @property
    def usages(self) -> list[Any]:
        """All reports of usage in it."""
        choices = [choice.usage for choice in self.choices or ()]
        return [told for told in (self.usage, self.x_groq and self.x_groq.usage, *choices) if isinstance(told, dict)]


def _index(told: Any) -> int | None:
    if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) <= _MAX_INDEX_DIGITS:
        return int(told)
    if isinstance(told, float) and told.is_integer():
        return int(told)
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _word(told: Any) -> str:
    return told if isinstance(told, str) else ""


def _is_part(content: Any) -> bool:
    return isinstance(content, dict) and not content.keys().isdisjoint({"type", "text"})


def _plain(content: Any) -> str:
    """A content that is not in parts. Some servers take a text that is JSON for what it says: a number, an object."""
    is_read = isinstance(content, int | float | dict) and not isinstance(content, bool) and content != {}
    return msgspec.json.encode(content).decode() if is_read else text_of(content)


def _text(part: Any, *, is_thinking: bool) -> str:
    """The text of one part of a content, if it is of the kind."""
    if isinstance(part, str):
        return "" if is_thinking else part
    if not isinstance(part, dict) or (part.get("type") == "thinking") is not is_thinking:
        return ""
    return (text_of(part.get("thinking")) if is_thinking else "") or text_of([part])


class Ids:
    """The ids of one answer's calls: each its own, whatever the upstream gave."""

    __slots__ = ("_given", "_message_id")

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._given: set[str] = set()

    def own(self, told: str | None, number: int) -> str:
        """Return the id of the call of this number: the one that was told, if no other has it."""
        found = told if told and told not in self._given else tool_use_id(self._message_id, number)
        while found in self._given:
            found += "_"
        self._given.add(found)
        return found


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
        if not self.is_cut:  # some tell a reason with every chunk
            self.finish_reason = choice.finish_reason or self.finish_reason
        self.called = self.called or bool(said.calls)
        self.refused = self.refused or bool(text_of(said.refusal))
        if choice.finish_reason == "stop" and isinstance(choice.stop_reason, str):
            self.stop_sequence = choice.stop_reason

    def stop(self, sequence: str, *, called: bool) -> None:
        """Note down that the text has ended at a sequence, behind calls or not: what is told of the end is void."""
        self.finish_reason, self.stop_sequence, self.called = "stop", sequence, called

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut where it was, and the client is told so."""
        return STOP_REASONS.get(self.finish_reason or "") in _CUT

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
        "usage": Usage().take(completion).told(),
    }


def tool_use_id(message_id: str, number: int) -> str:
    """The id of a call to which the upstream gave none."""
    return f"toolu_{message_id.removeprefix('msg_')}_{number}"


class Usage:
    """What is known of an answer's tokens. Reports come in any place and more than once: of each count, the largest."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTS, 0)

    def take(self, completion: Completion) -> "Usage":
        """Note down what a completion, or a chunk of one, reports."""
        for told in completion.usages:
            for name, places in _COUNTS.items():
                self._counts[name] = max(self._counts[name], *(_count(told, place) for place in places))
        return self

    def told(self) -> dict[str, Any]:
        """Return Anthropic's usage: there, tokens from the cache are not among `input_tokens`."""
        prompt, reasoning = self._counts["prompt"], self._counts["reasoning"]
        cached = min(self._counts["cached"], prompt)
        found: dict[str, Any] = {
            "input_tokens": prompt - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": self._counts["completion"],
        }
        return found | ({"output_tokens_details": {"thinking_tokens": reasoning}} if reasoning else {})


def _count(told: Any, place: tuple[str, ...]) -> int:
    for name in place:
        told = told.get(name) if isinstance(told, dict) else None
    value = _index(told)
    return value if value is not None and value > 0 else 0
