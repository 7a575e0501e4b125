"""Streams as OpenAI and vLLM send them, written after their documentation and vLLM's source."""

import json
from collections.abc import Mapping
from typing import Any

DONE = b"data: [DONE]\n\n"
HEAD = {"id": "chatcmpl-9f2a", "object": "chat.completion.chunk", "created": 1760000000, "model": "qwen3-32b"}


def chunk(**fields: Any) -> bytes:
    return f"data: {json.dumps(HEAD | fields, ensure_ascii=False)}\n\n".encode()


def delta(finish_reason: str | None = None, /, *, extra: Mapping[str, Any] | None = None, **said: Any) -> bytes:
    choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": finish_reason, **(extra or {})}
    return chunk(choices=[choice])


def call(index: int | None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """A part of a tool call; `id`, `name` where they are told."""
    function = {"name": fields.pop("name", None), "arguments": arguments}
    found = {
        "index": index,
        **fields,
        "function": {name: value for name, value in function.items() if value is not None},
    }
    return {name: value for name, value in found.items() if value is not None}


def usage(prompt: int = 19, completion: int = 10, **details: Any) -> bytes:
    told = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **details}
    return chunk(choices=[], usage=told)


OPENAI_TEXT = b"".join(
    [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}}], usage=None),
        delta(content="Hello"),
        delta(content=" wörld, 漢字 🎉\n\ndata: [DONE]"),
        delta("stop"),
        usage(prompt_tokens_details={"cached_tokens": 4}, completion_tokens_details={"reasoning_tokens": 0}),
        DONE,
    ]
)

OPENAI_TOOLS = b"".join(
    [
        delta(
            role="assistant", content=None, tool_calls=[call(0, "", id="call_1", type="function", name="get_weather")]
        ),
        delta(tool_calls=[call(0, '{"pl')]),
        delta(tool_calls=[call(0, 'ace":"Zürich \\"}{')]),
        delta(tool_calls=[call(0, '\\\\","n":1.10}')]),
        delta(tool_calls=[call(1, "", id="call_2", type="function", name="get_time")]),
        delta(tool_calls=[call(1, "{}")]),
        delta("tool_calls"),
        usage(),
        DONE,
    ]
)

#: vLLM: reasoning first; a call's header and arguments in one chunk; the last delta comes with the finish reason.
VLLM_REASONING = b"".join(
    [
        delta(role="assistant", content=""),
        delta(reasoning_content="Let me "),
        delta(reasoning_content="look."),
        delta(content="I look"),
        delta(content=" it up."),
        delta(tool_calls=[call(0, '{"place": "Bern"', id="chatcmpl-tool-1", type="function", name="get_weather")]),
        delta("tool_calls", tool_calls=[call(0, "}")], extra={"stop_reason": None, "token_ids": None}),
        usage(completion=40, completion_tokens_details={"reasoning_tokens": 12}),
        DONE,
    ]
)

#: vLLM with `continuous_usage_stats`, a stop string, and the newer name of the reasoning.
VLLM_USAGE = b"".join(
    [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], usage={"prompt_tokens": 7}),
        delta(reasoning="Hm."),
        delta(content="One"),
        delta("stop", content=" two", extra={"stop_reason": "STOP"}),
        usage(7, 3),
        DONE,
    ]
)

INTERLEAVED = b"".join(
    [
        delta(role="assistant", content="Both."),
        delta(tool_calls=[call(0, "", id="a", name="f"), call(1, "", id="b", name="g")]),
        delta(tool_calls=[call(1, '{"b":')]),
        delta(tool_calls=[call(0, '{"a":')]),
        delta(tool_calls=[call(1, "2}"), call(0, "1}")]),
        delta("tool_calls"),
        usage(),
        DONE,
    ]
)

#: No index, the id in each part.
NO_INDEX = b"".join(
    [
        delta(role="assistant", tool_calls=[call(None, '{"a":', id="a", name="f")]),
        delta(tool_calls=[call(None, "1}", id="a", name="f")]),
        delta(tool_calls=[call(None, '{"b":', id="b", name="g")]),
        delta(tool_calls=[call(None, "2}")]),
        delta("tool_calls"),
        usage(),
        DONE,
    ]
)

#: Every call has index 0, each whole.
SAME_INDEX = b"".join(
    [
        delta(
            role="assistant", tool_calls=[call(0, '{"a":1}', id="a", name="f"), call(0, '{"b":2}', id="b", name="g")]
        ),
        delta("stop"),
        usage(),
        DONE,
    ]
)

#: Whole calls without id or index, and their arguments as objects.
BARE = b"".join(
    [
        delta(role="assistant", tool_calls=[call(None, {"a": 1}, name="f")]),
        delta(tool_calls=[call(None, {"b": 2}, name="g")]),
        delta("tool_calls"),
        usage(),
        DONE,
    ]
)

CUT = b"".join(
    [
        delta(role="assistant", content="", tool_calls=[call(0, '{"a": [1, 2], "b": "te', id="a", name="f")]),
        delta("length", tool_calls=[call(0, "xt")]),
        usage(),
        DONE,
    ]
)

STREAMS = {
    "OpenAI, text": OPENAI_TEXT,
    "OpenAI, tools": OPENAI_TOOLS,
    "vLLM, reasoning": VLLM_REASONING,
    "vLLM, usage": VLLM_USAGE,
    "interleaved calls": INTERLEAVED,
    "calls without index": NO_INDEX,
    "calls under the same index": SAME_INDEX,
    "bare calls": BARE,
    "cut arguments": CUT,
}
