"""The description, OpenAPI 3.1: every route of the traffic listener in the modes in which the routes are ours."""

from typing import Any

from lastcall_sidecar import __version__

from .operations import NO_KEY, SECURITY, SECURITY_SCHEMES, json_content, own, relayed
from .requests import EXAMPLES, REQUESTS
from .schemas import SCHEMAS

_ABOUT = """\
An LLM proxy that relays streams verbatim, counts what is in flight and drains gracefully.

Routes of Anthropic and OpenAI go to the upstream that has the asked model, in its own protocol; Messages and Chat \
Completions are translated where the two differ. Every other path under /v1 goes to the upstream as it is, and so do \
OpenAI's other routes (/v1/completions, /v1/moderations, /v1/images, /v1/audio, …). What an upstream answers is passed \
on with its status and headers, so any answer may come that the vendor has.

Errors have the shape of the route's vendor. What is no HTTP request that can be served has no route yet, and is \
answered in Anthropic's shape: 400, 408, 431, 501 or 505. With upstream.provider Any nothing is understood or \
translated, and all errors of ours have Anthropic's shape. In mode Ingress all paths are the app's, and this \
description does not apply.\
"""


def openapi(*, keys: bool = False) -> dict[str, Any]:
    """The description of a sidecar that has API keys of its own (`keys`), or leaves credentials to the upstream."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lastcall sidecar",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": SECURITY if keys else [NO_KEY, *SECURITY],
        "tags": [
            {"name": "anthropic", "description": "Goes upstream; errors in Anthropic's shape."},
            {"name": "openai", "description": "Goes upstream; errors in OpenAI's shape."},
            {"name": "operations", "description": "Answered here, without a key; errors in Anthropic's shape."},
        ],
        "paths": {**_ANTHROPIC, **_MODELS, **_OPENAI, **_OWN},
        "components": {
            "schemas": {**SCHEMAS, **REQUESTS},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _parameter(name: str, place: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


_PAGE = [
    _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": 1000}, "Entries per page."),
    _parameter("after_id", "query", {"type": "string"}, "The entry before the page."),
    _parameter("before_id", "query", {"type": "string"}, "The entry behind the page."),
]
_BATCH_ID = [
    _parameter("batch_id", "path", {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_-]+$"}, "The batch's id.")
]
_MODEL_ID = [
    _parameter(
        "model_id",
        "path",
        {"type": "string", "minLength": 1, "examples": ["claude-sonnet-4-6", "gpt-4o"]},
        "Its name, as the client knows it; a slash in it may be escaped or not.",
    )
]

_ANTHROPIC: dict[str, Any] = {
    "/v1/messages": {
        "post": relayed(
            "createMessage",
            "Create a message (also at /messages)",
            answer="MessageAnswer",
            body="Messages",
            examples=EXAMPLES["Messages"],
            read=True,
            queued=True,
            stream=True,
        )
    },
    "/v1/messages/count_tokens": {
        "post": relayed(
            "countTokens",
            "Count tokens (also at /messages/count_tokens)",
            answer="TokenCount",
            body="CountTokens",
            examples=EXAMPLES["CountTokens"],
            read=True,
            headers={
                "x-lastcall-token-count": {
                    "schema": {"enum": ["exact", "rough"]},
                    "description": "Where the upstream is not Anthropic's: by its tokenizer, or by the characters.",
                }
            },
        )
    },
    "/v1/messages/batches": {
        "get": {
            **relayed("listBatches", "List message batches", answer="Batches", vendor_only=True),
            "parameters": _PAGE,
        },
        "post": relayed(
            "createBatch",
            "Create a message batch",
            answer="Batch",
            body="NewBatch",
            examples=EXAMPLES["NewBatch"],
            vendor_only=True,
        ),
    },
    "/v1/messages/batches/{batch_id}": {
        "parameters": _BATCH_ID,
        "get": relayed("getBatch", "Tell how a batch stands", answer="Batch", vendor_only=True),
        "delete": relayed("deleteBatch", "Delete a batch that has ended", answer="DeletedBatch", vendor_only=True),
    },
    "/v1/messages/batches/{batch_id}/cancel": {
        "parameters": _BATCH_ID,
        "post": relayed("cancelBatch", "Cancel a batch", answer="Batch", vendor_only=True),
    },
    "/v1/messages/batches/{batch_id}/results": {
        "parameters": _BATCH_ID,
        "get": relayed(
            "getBatchResults",
            "The results of a batch that has ended, one a line",
            content={"application/x-jsonl": {"schema": {"type": "string"}}},
            vendor_only=True,
        ),
    },
}

_MODELS: dict[str, Any] = {
    "/v1/models": {
        "get": relayed(
            "listModels",
            "List the models of all upstreams (also at /models and /v1/chat/models)",
            answer="Models",
            vendor=None,
        ),
        "parameters": _PAGE,
    },
    "/v1/models/{model_id}": {
        "get": relayed("getModel", "Describe a model", answer="Model", vendor=None),
        "parameters": _MODEL_ID,
    },
}

_OPENAI: dict[str, Any] = {
    "/v1/chat/completions": {
        "post": relayed(
            "createChatCompletion",
            "Create a chat completion (also at /chat/completions)",
            answer="ChatCompletion",
            body="Chat",
            examples=EXAMPLES["Chat"],
            vendor="openai",
            read=True,
            queued=True,
            stream=True,
        )
    },
    "/v1/responses": {
        "post": relayed(
            "createResponse",
            "Create a response",
            answer="ResponseAnswer",
            body="Responses",
            examples=EXAMPLES["Responses"],
            vendor="openai",
            vendor_only=True,
            queued=True,
            stream=True,
        ),
    },
    "/v1/embeddings": {
        "post": relayed(
            "createEmbeddings",
            "Create embeddings",
            answer="Embeddings",
            body="EmbeddingsRequest",
            examples=EXAMPLES["EmbeddingsRequest"],
            vendor="openai",
            vendor_only=True,
        )
    },
}

_OWN: dict[str, Any] = {
    "/health": {
        "get": own(
            "health",
            "Whether new requests are wanted, for load balancers",
            json_content("New requests are wanted.", "Healthy"),
            {"503": json_content("Draining: requests are still served, new ones should go elsewhere.", "Draining")},
        )
    },
    "/ready": {
        "get": own(
            "ready",
            "Whether the pod's readiness probe succeeds",
            json_content("It serves; in a drain before its end (drain.readiness), too.", "Ready"),
            {"503": json_content("It is about to leave, or drains on a lease.", "Draining")},
        )
    },
    "/livez": {
        "get": own(
            "livez",
            "Liveness, and how many requests are in flight",
            json_content("The process lives; while it drains, too.", "Livez"),
        )
    },
    "/": {
        "get": own("index", "Service, version, endpoints, queue, state", json_content("What this is.", "Index")),
    },
    "/openapi.json": {
        "get": own("openapiJson", "This description", json_content("OpenAPI 3.1, as JSON.", "Description")),
    },
    "/openapi.yaml": {
        "get": own(
            "openapiYaml",
            "This description as YAML",
            {
                "description": "OpenAPI 3.1, as YAML.",
                "content": {"application/yaml": {"schema": {"$ref": "#/components/schemas/Description"}}},
            },
        )
    },
    "/docs": {
        "get": own(
            "docs",
            "This description as a page",
            {"description": "A page without scripts.", "content": {"text/html": {"schema": {"type": "string"}}}},
        )
    },
}
