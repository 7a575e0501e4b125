"""Schemas of requests: what we or every upstream of the route enforce, and no more. The rest is the vendor's to say."""

from typing import Any

from lastcall_sidecar.wire.body import MAX_MODEL_BYTES

_MODEL: dict[str, Any] = {"$ref": "#/components/schemas/ModelName"}
_LIST: dict[str, Any] = {"type": "array", "minItems": 1}


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


REQUESTS: dict[str, Any] = {
    "ModelName": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_MODEL_BYTES,
        "description": f"As the client knows it (upstream.models maps it); at most {MAX_MODEL_BYTES} bytes of JSON.",
    },
    "Messages": _object(
        ["model", "messages", "max_tokens"],
        {
            "model": _MODEL,
            "messages": {**_LIST, "items": {"$ref": "#/components/schemas/Message"}},
            "max_tokens": {"type": "integer", "minimum": 1},
            "stream": {"type": "boolean"},
        },
    ),
    "CountTokens": _object(
        ["model", "messages"],
        {
            "model": _MODEL,
            "messages": {**_LIST, "items": {"$ref": "#/components/schemas/Message"}},
        },
    ),
    "Message": _object(
        ["role", "content"],
        {
            "role": {"enum": ["user", "assistant", "system"]},
            "content": {"type": ["string", "array"], "items": {"type": "object", "required": ["type"]}},
        },
    ),
    "NewBatch": _object(
        ["requests"],
        {
            "requests": {
                **_LIST,
                "items": _object(
                    ["custom_id", "params"],
                    {
                        "custom_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
                        "params": {"type": "object", "description": "A request for a message, without `stream`."},
                    },
                ),
            }
        },
    ),
    "Chat": _object(
        ["model", "messages"],
        {
            "model": _MODEL,
            "messages": {**_LIST, "items": {"$ref": "#/components/schemas/ChatMessage"}},
            "stream": {"type": ["boolean", "null"]},
        },
    ),
    "ChatMessage": _object(
        ["role"],
        {"role": {"type": "string"}, "content": {"type": ["string", "array", "null"]}},
    ),
    "Responses": _object(
        ["model", "input"],
        {"model": _MODEL, "input": {"type": ["string", "array"]}, "stream": {"type": ["boolean", "null"]}},
    ),
    "EmbeddingsRequest": _object(
        ["model", "input"],
        {
            "model": _MODEL,
            "input": {
                "anyOf": [{"type": "string"}, {**_LIST, "items": {"type": ["string", "integer", "array"]}}],
            },
        },
    ),
}

_HELLO = [{"role": "user", "content": "Hello"}]
_CLAUDE, _GPT = "claude-sonnet-4-6", "gpt-4o"


def _said(**examples: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}


#: By the schema of the request.
EXAMPLES: dict[str, dict[str, Any]] = {
    "Messages": _said(
        whole={"model": _CLAUDE, "max_tokens": 1024, "messages": _HELLO},
        stream={"model": _CLAUDE, "max_tokens": 1024, "messages": _HELLO, "stream": True},
        translated={"model": _GPT, "max_tokens": 1024, "messages": _HELLO},
        translated_stream={"model": _GPT, "max_tokens": 1024, "messages": _HELLO, "stream": True},
    ),
    "CountTokens": _said(
        anthropic={"model": _CLAUDE, "messages": _HELLO},
        openai={"model": _GPT, "messages": _HELLO},
    ),
    "NewBatch": _said(
        one={
            "requests": [
                {"custom_id": "first", "params": {"model": _CLAUDE, "max_tokens": 1024, "messages": _HELLO}},
            ]
        }
    ),
    "Chat": _said(
        whole={"model": _GPT, "messages": _HELLO},
        stream={"model": _GPT, "messages": _HELLO, "stream": True, "stream_options": {"include_usage": True}},
        translated={"model": _CLAUDE, "messages": _HELLO},
        translated_stream={"model": _CLAUDE, "messages": _HELLO, "stream": True},
    ),
    "Responses": _said(
        whole={"model": _GPT, "input": "Hello"},
        stream={"model": _GPT, "input": "Hello", "stream": True},
    ),
    "EmbeddingsRequest": _said(
        one={"model": "text-embedding-3-small", "input": "Hello"},
        several={"model": "text-embedding-3-small", "input": ["Hello", "Goodbye"]},
    ),
}
