"""A message's events become chunks of a chat completion, each in the call that brings it.

https://platform.claude.com/docs/en/build-with-claude/streaming. Each chunk is one `data` line; the reason to finish
leaves with `message_delta`, and `message_stop` brings the usage, if it was asked for, and `[DONE]`.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.chat_on_messages import errors
from lastcall_sidecar.wire.chat_on_messages.answer import redacted_detail, thinking_detail, tool_call
from lastcall_sidecar.wire.chat_on_messages.message import Block, Usage, finish_reason, refusal, text, told
from lastcall_sidecar.wire.chat_on_messages.shapes import NULL
from lastcall_sidecar.wire.protocol import event_name
from lastcall_sidecar.wire.sse import Event
from lastcall_sidecar.wire.stops import Stops
from lastcall_sidecar.wire.translation import Asked, StreamTranslator, TranslationError

_DONE = b"data: [DONE]\n\n"


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: Raw = NULL


class _MessageStart(msgspec.Struct):
    message: _Message


class _BlockStart(msgspec.Struct):
    index: int
    content_block: Block


class _BlockDelta(msgspec.Struct):
    index: int
    delta: Block


class _BlockStop(msgspec.Struct):
    index: int


class _Stop(msgspec.Struct):
    stop_reason: Any = None
    stop_details: Any = None


class _MessageDelta(msgspec.Struct):
    delta: _Stop = msgspec.field(default_factory=_Stop)
    usage: Raw = NULL


@dataclass(slots=True)
class _Open:
    """A block of a known type that has begun, and not ended."""

    type: str
    #: Its place among the tool calls, or among the `reasoning_details`.
    place: int = 0
    #: A tool's: what its input is if nothing more comes.
    arguments: str = ""


class MessagesStream(StreamTranslator):
    """One stream of a message."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        #: What each chunk begins with; empty until `message_start`.
        self._begin = b""
        self._usage = Usage()
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._details = 0
        self._has_content = False
        self._finished = False
        self._stops = Stops(asked.stop_sequences)

    def feed(self, event: Event) -> bytes:
        """Take one of the upstream's events; those that a chat completion has no place for say nothing."""
        if self.over:
            return b""
        match event_name(event):
            case "message_start":
                return self._start(told(event.data, _MessageStart).message)
            case "content_block_start":
                start = told(event.data, _BlockStart)
                return self._start_block(start.index, start.content_block)
            case "content_block_delta":
                change = told(event.data, _BlockDelta)
                return self._change_block(change.index, change.delta)
            case "content_block_stop":
                return self._stop_block(told(event.data, _BlockStop).index)
            case "message_delta":
                return self._change_message(told(event.data, _MessageDelta))
            case "message_stop":
                return self._stop()
            case "error":
                return self._fail(event.data)
            case "" if errors.is_one(event.data):
                return self._fail(event.data)
            case _:
                return b""

    def finish(self) -> bytes:
        """Say nothing: a stream without `message_stop` was cut, even if it had told why it would stop."""
        return b""

    def _fail(self, data: str) -> bytes:
        self.over = True
        return errors.event(data)

    def _start(self, message: _Message) -> bytes:
        if self._begin:
            return b""
        self._usage.merge(message.usage)
        head = {
            "id": message.id,
            "object": "chat.completion.chunk",
            "created": self._asked.created,
            "model": message.model or self._asked.model,
        }
        self._begin = b"data: " + msgspec.json.encode(head)[:-1]
        return self._chunk({"role": "assistant", "refusal": None})

    def _start_block(self, index: int, block: Block) -> bytes:
        match block.type:
            case "text":
                self._open[index] = _Open("text")
                return self._say(text(block.text))
            case "tool_use":
                self._open[index] = opened = _Open("tool_use", self._calls, bytes(block.input).decode())
                self._calls += 1
                return self._chunk(
                    {"tool_calls": [{"index": opened.place, **tool_call(block, "", self._asked.tool_names)}]}
                )
            case "thinking":
                detail = thinking_detail(block, self._details)
            case "redacted_thinking":
                detail = redacted_detail(block, self._details)
            case _:
                return b""
        self._open[index] = _Open(block.type, self._details)
        self._details += 1
        return self._think(detail)

    def _change_block(self, index: int, delta: Block) -> bytes:
        opened = self._open.get(index)
        if opened is None:
            return b""
        match opened.type, delta.type:
            case "text", "text_delta":
                return self._say(text(delta.text))
            case "tool_use", "input_json_delta":
                opened.arguments = "" if delta.partial_json else opened.arguments
                return self._call(opened.place, text(delta.partial_json))
            case "thinking", "thinking_delta":
                return self._think({"type": "reasoning.text", "index": opened.place, "text": text(delta.thinking)})
            case "thinking", "signature_delta":
                signature = text(delta.signature)
                return self._think({"type": "reasoning.text", "index": opened.place, "signature": signature})
            case _:
                return b""

    def _stop_block(self, index: int) -> bytes:
        """End a block. A tool of which no input came has that with which it began."""
        opened = self._open.pop(index, None)
        if opened and opened.type == "text":
            return self._tell(self._stops.rest())
        return self._call(opened.place, opened.arguments) if opened else b""

    def _change_message(self, change: _MessageDelta) -> bytes:
        self._usage.merge(change.usage)
        if change.delta.stop_reason is None or self._finished:
            return b""
        return self._finish(change.delta)

    def _finish(self, stop: _Stop) -> bytes:
        self._finished = True
        held = self._tell(self._stops.rest())
        delta: dict[str, Any] = {} if self._has_content or self._calls else {"content": ""}
        explanation = refusal(stop.stop_details)
        if explanation:
            delta["refusal"] = explanation
        return held + self._chunk(delta, finish_reason(stop.stop_reason))

    def _stop(self) -> bytes:
        last = b"" if self._finished else self._finish(_Stop())
        self.over = True
        if self._asked.include_usage:
            usage = msgspec.json.encode(self._usage.to_chat())
            last += self._begin + b',"choices":[],"usage":' + usage + b"}\n\n"
        return last + _DONE

    def _say(self, said: str) -> bytes:
        found = self._tell(self._stops.take(said))
        if self._stops.hit is None:
            return found
        self.enough = True
        return found + self._finish(_Stop("tool_use" if self._calls else "stop_sequence")) + self._stop()

    def _tell(self, said: str) -> bytes:
        if not said:
            return b""
        self._has_content = True
        return self._chunk({"content": said})

    def _think(self, detail: dict[str, Any]) -> bytes:
        thought = detail.get("text")
        return self._chunk({**({"reasoning_content": thought} if thought else {}), "reasoning_details": [detail]})

    def _call(self, place: int, arguments: str) -> bytes:
        if not arguments:
            return b""
        return self._chunk({"tool_calls": [{"index": place, "function": {"arguments": arguments}}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if not self._begin:
            raise TranslationError("the upstream's stream does not begin with message_start")
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = b',"usage":null' if self._asked.include_usage else b""
        return self._begin + b',"choices":[' + msgspec.json.encode(choice) + b"]" + usage + b"}\n\n"
