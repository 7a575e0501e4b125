"""The fake LLM's models and its message batches, in the vendor's shapes.

Everything is deterministic (fixed dates, ids from contents), so that an answer through a proxy can be compared with
one that came straight from here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lastcall_sidecar.testing.directives import DirectiveError, find
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.planning import last_user_text, plan
from lastcall_sidecar.testing.script import write
from lastcall_sidecar.testing.validate import message_request

#: Id, display name, release date: newest first, as the real list is ordered.
MODELS = (
    ("claude-opus-4-6", "Claude Opus 4.6", "2026-02-04T00:00:00Z"),
    ("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-01T00:00:00Z"),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
    ("fake-llm-1", "Fake LLM 1", "2025-01-01T00:00:00Z"),
)
_CREATED = "2026-01-01T00:00:00Z"
_ENDED = "2026-01-01T00:01:00Z"
_EXPIRES = "2026-01-02T00:00:00Z"
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def model(identity: str) -> dict[str, Any]:
    """One model, or 404."""
    found = next((entry for entry in _models() if entry["id"] == identity), None)
    if found is None:
        raise FakeError(404, f"model: {identity}")
    return found


def models(query: Mapping[str, str]) -> dict[str, Any]:
    """One page of the list of models."""
    return page(_models(), query)


def page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Cut one page out of a list by `limit`, `after_id` and `before_id`."""
    try:
        limit = int(query.get("limit", "20"))
    except ValueError as error:
        raise FakeError(400, "limit: Input should be a valid integer") from error
    if not 1 <= limit <= 1000:
        raise FakeError(400, "limit: must lie between 1 and 1000")
    ids = [item["id"] for item in items]
    if (after := query.get("after_id")) in ids:
        items = items[ids.index(after) + 1 :]
        more, items = len(items) > limit, items[:limit]
    elif (before := query.get("before_id")) in ids:
        items = items[: ids.index(before)]
        more, items = len(items) > limit, items[-limit:]
    else:
        more, items = len(items) > limit, items[:limit]
    edges = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"data": items, "has_more": more, "first_id": edges[0], "last_id": edges[1]}


def _models() -> list[dict[str, Any]]:
    return [
        {
            "type": "model",
            "id": identity,
            "display_name": name,
            "created_at": released,
            "lifecycle": "active",
            "max_input_tokens": 200000,
            "max_tokens": 64000,
        }
        for identity, name, released in MODELS
    ]


@dataclass(slots=True)
class Batch:
    """A batch that ends by itself once its longest `[fake seconds=…]` is over; without any, at once."""

    identity: str
    requests: list[dict[str, Any]]
    ends: float
    canceled: bool = False


@dataclass(slots=True)
class Batches:
    """All batches since the start, in memory. `now` is monotonic seconds; `origin` leads into `results_url`."""

    _batches: dict[str, Batch] = field(default_factory=dict)

    def create(self, body: Mapping[str, Any], origin: str, now: float) -> dict[str, Any]:
        """Accept a batch; equal contents are one batch, begun anew."""
        requests = body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise FakeError(400, "requests: List should have at least 1 item")
        seen: set[str] = set()
        for index, request in enumerate(requests):
            if not isinstance(request, dict) or not isinstance(request.get("params"), dict):
                raise FakeError(400, f"requests.{index}.params: Field required")
            identity = request.get("custom_id")
            if not isinstance(identity, str) or not _CUSTOM_ID.fullmatch(identity):
                raise FakeError(400, f"requests.{index}.custom_id: String should match pattern '{_CUSTOM_ID.pattern}'")
            if identity in seen:
                raise FakeError(400, f"requests.{index}.custom_id: {identity} is there twice")
            seen.add(identity)
        digest = hashlib.sha256(json.dumps(requests, sort_keys=True).encode()).hexdigest()
        longest = max(_seconds(request["params"]) for request in requests)
        batch = Batch(f"msgbatch_fake{digest[:20]}", requests, now + longest)
        self._batches.pop(batch.identity, None)
        self._batches[batch.identity] = batch
        return _told(batch, origin, now)

    def listing(self, query: Mapping[str, str], origin: str, now: float) -> dict[str, Any]:
        """One page of the batches, newest first."""
        return page([_told(batch, origin, now) for batch in reversed(self._batches.values())], query)

    def retrieve(self, identity: str, origin: str, now: float) -> dict[str, Any]:
        """Tell how one batch stands, or 404."""
        return _told(self._find(identity), origin, now)

    def cancel(self, identity: str, origin: str, now: float) -> dict[str, Any]:
        """End a running batch without results; 400 if it has ended already."""
        batch = self._find(identity)
        if now >= batch.ends:
            raise FakeError(400, f"Batch {identity} has already ended and cannot be canceled.")
        batch.canceled = True
        told = _told(batch, origin, now) | {"processing_status": "canceling", "cancel_initiated_at": _ENDED}
        batch.ends = now
        return told

    def delete(self, identity: str, now: float) -> dict[str, Any]:
        """Forget a batch that has ended."""
        if now < self._find(identity).ends:
            raise FakeError(400, f"Batch {identity} is still in progress and cannot be deleted.")
        del self._batches[identity]
        return {"id": identity, "type": "message_batch_deleted"}

    def results(self, identity: str, now: float) -> list[bytes]:
        """One line of JSON per request; 404 while the batch runs."""
        batch = self._find(identity)
        if now < batch.ends:
            raise FakeError(404, f"Batch {identity} has no available results.")
        return [
            b'{"custom_id":%s,"result":%s}\n' % (json.dumps(request["custom_id"]).encode(), _result(batch, request))
            for request in batch.requests
        ]

    def _find(self, identity: str) -> Batch:
        if identity not in self._batches:
            raise FakeError(404, f"Batch {identity} not found.")
        return self._batches[identity]


def _seconds(params: Mapping[str, Any]) -> float:
    try:
        message_request(params)
        return find(last_user_text(params)).seconds
    except (FakeError, DirectiveError):
        return 0.0


def _result(batch: Batch, request: Mapping[str, Any]) -> bytes:
    if batch.canceled:
        return b'{"type":"canceled"}'
    params = request["params"]
    try:
        message_request(params)
        directive = find(last_user_text(params))
    except FakeError as error:
        return _errored(error)
    except DirectiveError as error:
        return _errored(FakeError(400, str(error)))
    if directive.error is not None:
        return _errored(FakeError(directive.error))
    return b'{"type":"succeeded","message":%s}' % write(plan(params, directive)).document


def _errored(error: FakeError) -> bytes:
    return b'{"type":"errored","error":%s}' % error.body("req_fakebatch")


def _told(batch: Batch, origin: str, now: float) -> dict[str, Any]:
    ended = now >= batch.ends
    results = [json.loads(_result(batch, request))["type"] for request in batch.requests] if ended else []
    return {
        "id": batch.identity,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": {
            "processing": 0 if ended else len(batch.requests),
            "succeeded": results.count("succeeded"),
            "errored": results.count("errored"),
            "canceled": results.count("canceled"),
            "expired": 0,
        },
        "ended_at": _ENDED if ended else None,
        "created_at": _CREATED,
        "expires_at": _EXPIRES,
        "archived_at": None,
        "cancel_initiated_at": _ENDED if batch.canceled else None,
        "results_url": f"{origin}/v1/messages/batches/{batch.identity}/results" if ended else None,
    }
