"""The models, embeddings and token counts of the fake OpenAI API, in the vendors' shapes. Pure and deterministic."""

import base64
import hashlib
import math
import random
import struct
from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.chat import CREATED
from lastcall_sidecar.testing.openai.checks import embeds, known_only, number, one_of, typed
from lastcall_sidecar.testing.openai.errors import empty, missing, mistyped, no_such_model
from lastcall_sidecar.testing.openai.vllm_request import MAX_MODEL_LEN, check_messages, check_model
from lastcall_sidecar.testing.planning import input_tokens

MODELS = ("gpt-4o", "gpt-4.1-mini", "gpt-5", "o4-mini", "text-embedding-3-small", "fake-llm-1")
VLLM_MODELS = ("fake-llm-1", "Qwen/Qwen3-32B")

EMBEDDING_FIELDS = frozenset({"input", "model", "dimensions", "encoding_format", "user"})
_DIMENSIONS: Mapping[str, int] = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_MAX_INPUTS = 2048


def models(*, vllm: bool) -> dict[str, Any]:
    """The list of models; it has no pages."""
    return {"object": "list", "data": [_model(name, vllm=vllm) for name in (VLLM_MODELS if vllm else MODELS)]}


def model(identity: str, *, vllm: bool) -> dict[str, Any]:
    """One model, or 404."""
    if identity not in (VLLM_MODELS if vllm else MODELS):
        raise FakeError(404, f"The model '{identity}' does not exist", param="model", code="model_not_found")
    return _model(identity, vllm=vllm)


def _model(identity: str, *, vllm: bool) -> dict[str, Any]:
    found = {"id": identity, "object": "model", "created": CREATED, "owned_by": "vllm" if vllm else "system"}
    return found | {"root": identity, "parent": None, "max_model_len": MAX_MODEL_LEN} if vllm else found


def tokenized(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer vLLM's `/tokenize`, of a prompt or of a conversation: as many tokens as its usage would tell."""
    check_model(request)
    if "messages" in request:
        check_messages(request)
        count = input_tokens(request)
    elif isinstance(request.get("prompt"), str):
        count = max(len(request["prompt"]) // 4, 1)
    else:
        raise FakeError(400, "prompt: Field required")
    return {"count": count, "max_model_len": MAX_MODEL_LEN, "tokens": list(range(count)), "token_strs": None}


def embeddings(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a request for embeddings: vectors of length 1, equal for equal inputs."""
    name = typed("", request, "model", str, required=True)
    if not embeds(name):
        raise no_such_model(name)
    known_only("", request, EMBEDDING_FIELDS)
    number(request, "dimensions", 1, 3072, whole=True)
    one_of("encoding_format", request.get("encoding_format"), ("float", "base64"))
    inputs = _inputs(request)
    size = request.get("dimensions") or _DIMENSIONS.get(name, _DEFAULT_DIMENSIONS)
    vectors = [_vector(str(found), size) for found in inputs]
    encoded = request.get("encoding_format") == "base64"
    tokens = sum(max(len(found) // 4, 1) if isinstance(found, str) else len(found) for found in inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if encoded else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(request: Mapping[str, Any]) -> list[Any]:
    found = request.get("input")
    if found is None:
        raise missing("input")
    if isinstance(found, str) or (isinstance(found, list) and found and all(type(item) is int for item in found)):
        found = [found]
    if not isinstance(found, list):
        raise mistyped("input", "one of a string or an array", found)
    if not found:
        raise empty("input")
    if len(found) > _MAX_INPUTS or not all(isinstance(item, str | list) and item for item in found):
        raise FakeError(400, "'$.input' is invalid. Please check the API reference.")
    return found


def _vector(text: str, size: int) -> list[float]:
    source = random.Random(hashlib.sha256(text.encode()).digest())
    raw = [source.gauss(0, 1) for _ in range(size)]
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
