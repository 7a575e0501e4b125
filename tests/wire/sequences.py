"""Streams as the vendors send them, for the tests of everything that reads or cuts one."""

import json
from collections.abc import Iterator, Mapping


def anthropic_event(data: Mapping[str, object]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def chunk(data: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def message_start(input_tokens: int = 25, output_tokens: int = 1) -> bytes:
    return anthropic_event(
        {
            "type": "message_start",
            "message": {
                "id": "msg_01",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-6",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": input_tokens, "cache_read_input_tokens": 7, "output_tokens": output_tokens},
            },
        }
    )


def block_start(index: int, block: Mapping[str, object]) -> bytes:
    return anthropic_event({"type": "content_block_start", "index": index, "content_block": block})


def block_delta(index: int, delta: Mapping[str, object]) -> bytes:
    return anthropic_event({"type": "content_block_delta", "index": index, "delta": delta})


def text_delta(text: str, index: int = 0) -> bytes:
    return block_delta(index, {"type": "text_delta", "text": text})


def block_stop(index: int) -> bytes:
    return anthropic_event({"type": "content_block_stop", "index": index})


def message_delta(stop_reason: str = "end_turn", output_tokens: int = 15) -> bytes:
    return anthropic_event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": output_tokens},
        }
    )


PING = b'event: ping\ndata: {"type": "ping"}\n\n'
MESSAGE_STOP = anthropic_event({"type": "message_stop"})
OVERLOADED = anthropic_event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})

TEXT = b"".join(
    [
        message_start(),
        block_start(0, {"type": "text", "text": ""}),
        PING,
        text_delta("Hello"),
        text_delta(" wörld, 漢字 🎉\n\ndata: not one"),
        block_stop(0),
        message_delta(),
        MESSAGE_STOP,
    ]
)

#: Content that names all that an account looks for.
FOOLING = b"".join(
    [
        message_start(),
        block_start(0, {"type": "text", "text": ""}),
        text_delta('event: message_stop\ndata: {"type":"message_stop"}\n\n'),
        text_delta('event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'),
        text_delta('message_delta {"type":"message_delta","delta":{"stop_reason":"refusal"}}'),
        text_delta("[DONE]"),
        block_stop(0),
        message_delta("max_tokens", 3),
    ]
)

TOOLS = b"".join(
    [
        message_start(),
        block_start(0, {"type": "thinking", "thinking": "", "signature": ""}),
        block_delta(0, {"type": "thinking_delta", "thinking": "Let me look."}),
        block_delta(0, {"type": "signature_delta", "signature": "EqQBCgIYAhIM"}),
        block_stop(0),
        block_start(1, {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {}}),
        block_delta(1, {"type": "input_json_delta", "partial_json": ""}),
        block_delta(1, {"type": "input_json_delta", "partial_json": '{"location": "San'}),
        block_delta(1, {"type": "input_json_delta", "partial_json": ' Francisco"}'}),
        block_stop(1),
        message_delta("tool_use", 89),
        MESSAGE_STOP,
    ]
)

FAILING = b"".join([message_start(), block_start(0, {"type": "text", "text": ""}), text_delta("Hel"), OVERLOADED])

UNKNOWN_EVENTS = b"".join(
    [
        b": welcome\n",
        b"retry: 3000\n\n",
        message_start(),
        anthropic_event({"type": "of_the_future", "message_stop": True}),
        b"id: 7\nevent: message_delta_2\ndata: {}\n\n",
        b"event: message_stop\n\n",  # without data it is no event
        message_delta("of_the_future", 2),
    ]
)


def chat_delta(delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return chunk({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": None})


DONE = b"data: [DONE]\n\n"

CHAT_TEXT = b"".join(
    [
        chat_delta({"role": "assistant", "content": ""}),
        chat_delta({"content": "Hello"}),
        chat_delta({"content": ' wörld "error" [DONE'}),
        chat_delta({}, "stop"),
        chunk({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 19, "completion_tokens": 10}}),
        DONE,
    ]
)

CHAT_TOOLS = b"".join(
    [
        chat_delta(
            {
                "role": "assistant",
                "tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}],
            }
        ),
        chat_delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
        chat_delta({}, "tool_calls"),
        DONE,
    ]
)

CHAT_FAILING = chat_delta({"content": "Hel"}) + chunk({"error": {"message": "boom", "type": "server_error"}})


def response_event(name: str, **fields: object) -> bytes:
    return anthropic_event({"type": name, **fields})


RESPONSES_TEXT = b"".join(
    [
        response_event("response.created", response={"id": "resp_1", "status": "in_progress"}),
        response_event("response.output_text.delta", delta="Hello"),
        response_event("response.output_text.delta", delta="response.completed"),
        response_event(
            "response.completed",
            response={"status": "completed", "error": None, "usage": {"input_tokens": 37, "output_tokens": 11}},
        ),
    ]
)


def with_line_ends(stream: bytes, line_end: bytes) -> bytes:
    return stream.replace(b"\n", line_end)


def splits(stream: bytes) -> Iterator[tuple[bytes, ...]]:
    """The stream cut in two at every byte, and into single bytes."""
    for cut in range(1, len(stream)):
        yield stream[:cut], stream[cut:]
    yield tuple(stream[i : i + 1] for i in range(len(stream)))
