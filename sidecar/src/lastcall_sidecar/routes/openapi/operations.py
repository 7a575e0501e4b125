"""What operations of one kind have in common: those that go upstream, and those that we answer ourselves."""

from typing import Any

SECURITY_SCHEMES: dict[str, Any] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
#: One of the two is enough.
SECURITY: list[dict[str, list[str]]] = [{"key": []}, {"bearer": []}]
NO_KEY: dict[str, list[str]] = {}

#: By the vendor; None where the caller's headers say which one it is of.
_ERRORS = {"anthropic": "Error", "openai": "OpenAIError", None: "EitherError"}
_REQUEST_ID: dict[str, Any] = {
    "x-lastcall-request-id": {
        "required": True,
        "schema": {"type": "string", "pattern": "^req_[0-9A-Za-z]{24}$"},
        "description": "Ours, also in the log.",
    }
}
_IDS: dict[str, Any] = {
    **_REQUEST_ID,
    "request-id": {"schema": {"type": "string"}, "description": "The upstream's, else ours."},
    "x-request-id": {"schema": {"type": "string"}, "description": "The upstream's, else the client's or ours."},
}
_RETRY_AFTER: dict[str, Any] = {
    "retry-after": {"schema": {"type": "string"}, "description": "Seconds, where there is something to wait for."}
}
_NO_RETRY: dict[str, Any] = {
    "x-should-retry": {"schema": {"type": "string"}, "description": "`false`: both vendors' SDKs would try again."}
}
#: A gateway in front of the upstream may have pages for these.
_PAGES = frozenset({"502", "503", "504"})

_REFUSED = "A browser's request from another origin (listen.corsOrigins), or the upstream's refusal."
_ANY_ROUTE = {
    "400": "The request is not acceptable, or not to this upstream.",
    "401": "The API key is missing or unknown, here or upstream.",
    "403": _REFUSED,
    "404": "The upstream has no such model, or no such thing.",
    "408": "The request's body stopped coming.",
    "413": "The body is larger than the upstream takes.",
    "429": "The upstream's rate limit.",
    "500": "The upstream failed, or a bug of ours.",
    "502": "The upstream cannot be reached, or broke its protocol.",
    "503": "The drain's ceiling was reached, or the upstream is unavailable.",
    "504": "The upstream took too long.",
    "529": "Anthropic's way to say overloaded.",
}


def schema(name: str) -> dict[str, Any]:
    """A reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_content(description: str, name: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """An answer in JSON."""
    answer: dict[str, Any] = {"description": description, "content": {"application/json": {"schema": schema(name)}}}
    return {**answer, "headers": headers} if headers else answer


def relayed(
    name: str,
    summary: str,
    *,
    answer: str = "",
    content: dict[str, Any] | None = None,
    body: str | None = None,
    examples: dict[str, Any] | None = None,
    vendor: str | None = "anthropic",
    read: bool = False,
    queued: bool = False,
    vendor_only: bool = False,
    stream: bool = False,
    headers: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """An operation that goes upstream.

    `answer` is the schema of its JSON, `content` what it answers otherwise; `body` the schema of its request. `read`:
    we read the body ourselves. `queued`: it takes a slot. `vendor_only`: no other vendor's upstream has such a route.
    """
    found = dict(content or {"application/json": {"schema": schema(answer)}})
    if stream:
        # Whether a schema here is that of the stream or of each event, OpenAPI 3.1 does not say.
        found["text/event-stream"] = {"schema": {"description": "The vendor's events."}}
    said = dict(_ANY_ROUTE)
    if read:
        said["413"] = "The body is larger than limits.maxBodyBytes, or than the upstream takes."
        said["415"] = "The body is encoded (Content-Encoding)."
    if read or queued:
        busy = "503" if vendor == "openai" else "529"
        said[busy] = "All slots and the queue are full, or too many bodies are held; or the upstream is overloaded."
    if vendor_only:
        said["501"] = "No upstream is of the vendor that has this route."
    responses = {
        "200": {
            "description": "The upstream's answer: verbatim, or in the caller's protocol.",
            "content": found,
            "headers": {**_IDS, **(headers or {})},
        },
        **{status: _failure(status, said[status], _ERRORS[vendor]) for status in sorted(said)},
        "default": {"description": "The upstream's own answer, status and headers included."},
    }
    described: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": [vendor] if vendor else ["anthropic", "openai"],
        "responses": responses,
    }
    if body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema(body), **({"examples": examples} if examples else {})}},
        }
    return described


def _failure(status: str, description: str, error: str) -> dict[str, Any]:
    headers = {**_REQUEST_ID}
    if status in {"429", "503", "529"}:
        headers |= _RETRY_AFTER
    if status == "501":
        headers |= _NO_RETRY
    told = json_content(description, error, headers)
    if status in _PAGES:
        told["content"]["text/html"] = {"schema": {"type": "string"}}
    return told


def own(
    name: str, summary: str, answer: dict[str, Any], others: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """An operation that we answer ourselves."""
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["operations"],
        "security": [],
        "responses": {
            "200": answer,
            "400": json_content("The request's target is not acceptable.", "Error", _REQUEST_ID),
            "403": json_content("A browser's request from another origin (listen.corsOrigins).", "Error", _REQUEST_ID),
            **(others or {}),
        },
    }
