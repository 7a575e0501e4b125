"""The API's own description, and a page that shows it."""

import html
from typing import Any

from lastcall_sidecar import __version__


def _json(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _relayed(summary: str, *, stream: bool = False, tags: str = "anthropic") -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if stream:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "summary": summary,
        "tags": [tags],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "The upstream's answer, verbatim.", "content": content},
            "400": _json("The body is no acceptable request.", "Error"),
            "401": _json("The API key is missing or unknown.", "Error"),
            "413": _json("The body is larger than limits.maxBodyBytes.", "Error"),
            "415": _json("The body is encoded.", "Error"),
            "502": _json("The upstream cannot be reached, or broke its protocol.", "Error"),
            "504": _json("The upstream took too long.", "Error"),
            "529": _json("All slots and the queue are full, or the wait was too long.", "Error"),
            "default": {"description": "The upstream's own answer, status and headers included."},
        },
    }


def _read(summary: str, tags: str = "anthropic") -> dict[str, Any]:
    described = _relayed(summary, tags=tags)
    del described["requestBody"]
    for status in ("413", "415", "529"):
        del described["responses"][status]
    return described


def openapi() -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lastcall sidecar",
            "version": __version__,
            "description": "An LLM proxy that relays streams verbatim, counts what is in flight and drains gracefully.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/messages": {"post": _relayed("Create a message (also at /messages)", stream=True)},
            "/v1/messages/count_tokens": {"post": _relayed("Count tokens (also at /messages/count_tokens)")},
            "/v1/messages/batches": {
                "get": _read("List message batches"),
                "post": _relayed("Create a message batch"),
            },
            "/v1/models": {"get": _read("List models (also at /models)")},
            "/v1/models/{model_id}": {
                "get": _read("Describe a model"),
                "parameters": [{"name": "model_id", "in": "path", "required": True, "schema": {"type": "string"}}],
            },
            "/v1/chat/completions": {
                "post": _relayed("Create a chat completion (also at /chat/completions)", stream=True, tags="openai")
            },
            "/health": {
                "get": {
                    "summary": "Readiness",
                    "tags": ["operations"],
                    "responses": {
                        "200": _json("New requests are wanted.", "Healthy"),
                        "503": _json("Draining: requests are still served, new ones should go elsewhere.", "Draining"),
                    },
                }
            },
            "/livez": {
                "get": {
                    "summary": "Liveness, and how many requests are in flight",
                    "tags": ["operations"],
                    "responses": {"200": _json("The process lives.", "Livez")},
                }
            },
            "/": {
                "get": {
                    "summary": "Service, version, endpoints, queue, state",
                    "tags": ["operations"],
                    "responses": {
                        "200": {
                            "description": "What this is.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
        "components": {"schemas": _SCHEMAS},
    }


_STATES = ["serving", "draining", "drained", "expired"]
_SCHEMAS: dict[str, Any] = {
    "Healthy": {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"const": "ok"}},
    },
    "Draining": {
        "type": "object",
        "required": ["status", "state", "reason", "in_flight"],
        "properties": {
            "status": {"const": "draining"},
            "state": {"enum": _STATES},
            "reason": {"type": ["string", "null"]},
            "in_flight": {"type": "integer", "minimum": 0},
        },
    },
    "Livez": {
        "type": "object",
        "required": ["status", "in_flight", "draining", "timestamp"],
        "properties": {
            "status": {"const": "ok"},
            "in_flight": {"type": "integer", "minimum": 0, "description": "Requests in flight, queued ones included."},
            "draining": {"type": "boolean"},
            "timestamp": {"type": "string", "format": "date-time"},
        },
    },
    "Error": {
        "type": "object",
        "description": "Anthropic's error shape; on OpenAI routes OpenAI's.",
        "required": ["error"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            },
            "request_id": {"type": "string"},
        },
    },
}


def docs_page() -> str:
    """The description as a page without scripts or anything from elsewhere."""
    described = openapi()
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td>"
        f"<td>{', '.join(html.escape(status) for status in operation['responses'])}</td></tr>"
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Lastcall sidecar</title><style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 "
        "1rem;color-scheme:light dark}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}</style>"
        f"<h1>Lastcall sidecar {html.escape(__version__)}</h1><p>{html.escape(described['info']['description'])} "
        "The whole description: <a href=/openapi.json>openapi.json</a>, <a href=/openapi.yaml>openapi.yaml</a>.</p>"
        f"<table><tr><th>Method<th>Path<th>What<th>Answers</tr>{rows}</table></html>"
    )
