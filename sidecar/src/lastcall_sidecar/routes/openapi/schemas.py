"""Schemas of answers. Of those that come from upstream only what both vendors' SDKs rely on."""

from typing import Any

from lastcall_sidecar.core.drain import State

_STATES = [state.value for state in State]
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TEXT: dict[str, Any] = {"type": "string"}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}


def _object(properties: dict[str, Any], *, optional: frozenset[str] = frozenset(), **more: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", **more, "required": required, "properties": properties}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_PAGE: dict[str, Any] = {
    "has_more": {"type": "boolean"},
    "first_id": _TEXT_OR_NULL,
    "last_id": _TEXT_OR_NULL,
}

SCHEMAS: dict[str, Any] = {
    # Ours.
    "Healthy": _object({"status": {"const": "ok"}}),
    "Ready": {"anyOf": [{"$ref": "#/components/schemas/Healthy"}, {"$ref": "#/components/schemas/Draining"}]},
    "Draining": _object(
        {
            "status": {"const": "draining"},
            "state": {"enum": _STATES},
            "reason": _TEXT_OR_NULL,
            "in_flight": _COUNT,
        }
    ),
    "Livez": _object(
        {
            "status": {"const": "ok"},
            "in_flight": {**_COUNT, "description": "Requests in flight, queued ones included."},
            "draining": {"type": "boolean"},
            "timestamp": {"type": "string", "format": "date-time"},
        }
    ),
    "Index": _object(
        {
            "service": {"const": "lastcall-sidecar"},
            "version": _TEXT,
            "state": {"enum": _STATES},
            "endpoints": {"type": "array", "items": _TEXT},
            "queue": _object({"running": _COUNT, "queued": _COUNT, "maxConcurrent": _COUNT, "maxQueued": _COUNT}),
        }
    ),
    "Description": _object({"openapi": {"const": "3.1.0"}, "info": {"type": "object"}, "paths": {"type": "object"}}),
    # Of both vendors.
    "Models": _object({"object": {"const": "list"}, "data": _list_of("Model"), **_PAGE}),
    "Model": _object(
        {
            "id": _TEXT,
            "type": {"const": "model"},
            "display_name": _TEXT,
            "created_at": _TEXT,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": _TEXT,
        },
        description="With the fields of both vendors.",
    ),
    # Anthropic's.
    "MessageAnswer": _object(
        {
            "id": _TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": _TEXT,
            "content": {"type": "array", "items": _object({"type": _TEXT})},
            "stop_reason": _TEXT_OR_NULL,
            "stop_sequence": _TEXT_OR_NULL,
            "usage": _object({"input_tokens": _COUNT, "output_tokens": _COUNT}),
        }
    ),
    "TokenCount": _object({"input_tokens": _COUNT}),
    "Batch": _object(
        {
            "id": _TEXT,
            "type": {"const": "message_batch"},
            "processing_status": _TEXT,
            "request_counts": {"type": "object"},
        }
    ),
    "Batches": _object({"data": _list_of("Batch"), **_PAGE}, optional=frozenset(_PAGE)),
    "DeletedBatch": _object({"id": _TEXT, "type": {"const": "message_batch_deleted"}}),
    "Error": _object(
        {
            "type": {"const": "error"},
            "error": _object({"type": _TEXT, "message": _TEXT}),
            "request_id": _TEXT_OR_NULL,
        },
        optional=frozenset({"request_id"}),
        description="Anthropic's error shape.",
    ),
    # OpenAI's.
    "ChatCompletion": _object(
        {
            "id": _TEXT,
            "object": {"const": "chat.completion"},
            "created": {"type": "integer"},
            "model": _TEXT,
            "choices": {
                "type": "array",
                "items": _object(
                    {
                        "index": _COUNT,
                        "message": _object({"role": {"const": "assistant"}, "content": _TEXT_OR_NULL}),
                        "finish_reason": _TEXT_OR_NULL,
                    }
                ),
            },
            "usage": {"type": ["object", "null"]},
        },
        optional=frozenset({"usage"}),
    ),
    "ResponseAnswer": _object(
        {
            "id": _TEXT,
            "object": {"const": "response"},
            "model": _TEXT,
            "status": _TEXT,
            "output": {"type": "array", "items": _object({"type": _TEXT})},
        }
    ),
    "Embeddings": _object(
        {
            "object": {"const": "list"},
            "model": _TEXT,
            "data": {
                "type": "array",
                "items": _object(
                    {
                        "object": {"const": "embedding"},
                        "index": _COUNT,
                        "embedding": {"type": ["array", "string"], "items": {"type": "number"}},
                    }
                ),
            },
            "usage": {"type": "object"},
        }
    ),
    "OpenAIError": _object(
        {
            "error": {
                "description": "OpenAI's error shape; the gate in front of vLLM says no more than a word.",
                "anyOf": [
                    _TEXT,
                    _object(
                        {
                            "message": _TEXT,
                            "type": _TEXT_OR_NULL,
                            "param": _TEXT_OR_NULL,
                            "code": {"type": ["string", "integer", "null"]},
                        },
                        optional=frozenset({"param", "code"}),
                    ),
                ],
            },
            "type": {"not": {"const": "error"}, "description": "That would be Anthropic's."},
        },
        optional=frozenset({"type"}),
    ),
    "EitherError": {
        "description": "Anthropic's with an `anthropic-version` or `x-api-key` header, else OpenAI's.",
        "anyOf": [{"$ref": "#/components/schemas/Error"}, {"$ref": "#/components/schemas/OpenAIError"}],
    },
}
