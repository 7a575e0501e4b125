"""The whole of a response of the Responses API, known before its first byte leaves. Pure and deterministic.

https://platform.openai.com/docs/api-reference/responses-streaming; the judge of the shapes is the vendor's SDK.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from lastcall_sidecar.testing.composing import Part, PartKind, compact, compose
from lastcall_sidecar.testing.framing import Script, event, noisy, seal
from lastcall_sidecar.testing.openai import errors
from lastcall_sidecar.testing.openai.chat import CREATED, noise, reasoning_tokens
from lastcall_sidecar.testing.openai.planning import ResponsesPlan

#: Events of one item, without the numbers that all events have.
_Told = tuple[str, dict[str, Any]]

#: The finish reasons with which a response stays incomplete.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def write(asked: ResponsesPlan) -> Script:
    """Write the answer to a plan."""
    plan = asked.plan
    numbers = iter(range(2**31))

    def numbered(kind: str, fields: dict[str, Any]) -> bytes:
        return event(plan.eol, compact({"type": kind, "sequence_number": next(numbers), **fields}), kind)

    items = [_ITEMS[part.kind](asked, part, index) for index, part in enumerate(compose(plan))]
    output = [item for item, _ in items]
    finished = _response(asked, "incomplete" if plan.stop_reason in _INCOMPLETE else "completed", output)
    events = [numbered(kind, fields) for kind, fields in _events(asked, items, finished)]
    failure = errors.told(errors.asked_for(500, None))["error"]
    told = {"type": "error", "sequence_number": 0, **failure, "code": "server_error", "error": failure}
    parts = [part for item in output for part in item.get("content", ())]
    return seal(
        noisy(events, noise(plan)) if plan.noise else events,
        compact(finished).encode(),
        "".join(part["text"] for part in parts if part["type"] == "output_text"),
        event(plan.eol, compact(told | {"type": "error"}), "error"),
    )


def _response(asked: ResponsesPlan, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    plan = asked.plan
    reason = _INCOMPLETE.get(plan.stop_reason) if status == "incomplete" else None
    return {
        "id": f"resp_fake{plan.seed:020d}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": plan.model,
        "output": output,
        "service_tier": "default",
        **json.loads(asked.echoed),
        "usage": None if status == "in_progress" else _usage(asked),
    }


def _usage(asked: ResponsesPlan) -> dict[str, Any]:
    plan = asked.plan
    read = plan.input_tokens + plan.cache_read_tokens + plan.cache_write_tokens
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": plan.cache_read_tokens,
            "cache_write_tokens": plan.cache_write_tokens,
        },
        "output_tokens": plan.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens(plan)},
        "total_tokens": read + plan.output_tokens,
    }


def _events(
    asked: ResponsesPlan, items: list[tuple[dict[str, Any], list[_Told]]], finished: dict[str, Any]
) -> Iterator[_Told]:
    started = {"response": _response(asked, "in_progress", [])}
    yield "response.created", started
    yield "response.in_progress", started
    for index, (item, told) in enumerate(items):
        yield "response.output_item.added", {"output_index": index, "item": _begun(item)}
        yield from told
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield f"response.{finished['status']}", {"response": finished}


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """An item of which nothing is there yet."""
    nothing: dict[str, Any] = {"content": [], "summary": [], "arguments": ""}
    empty = {name: value for name, value in nothing.items() if name in item}
    return item | empty | ({"status": "in_progress"} if "status" in item else {})


def _reasoning(asked: ResponsesPlan, part: Part, index: int) -> tuple[dict[str, Any], list[_Told]]:
    identity = f"rs_fake{asked.plan.seed:020d}"
    where = {"item_id": identity, "output_index": index, "summary_index": 0}
    done = {"type": "summary_text", "text": part.text}
    item = {"id": identity, "type": "reasoning", "summary": [done]}
    name = "response.reasoning_summary"
    return item, [
        (f"{name}_part.added", {**where, "part": {"type": "summary_text", "text": ""}}),
        *((f"{name}_text.delta", {**where, "delta": piece}) for piece in part.pieces),
        (f"{name}_text.done", {**where, "text": part.text}),
        (f"{name}_part.done", {**where, "part": done}),
    ]


def _message(asked: ResponsesPlan, part: Part, index: int) -> tuple[dict[str, Any], list[_Told]]:
    identity = f"msg_fake{asked.plan.seed:020d}"
    where = {"item_id": identity, "output_index": index, "content_index": 0}
    more: dict[str, Any]
    if asked.refusal:
        name, field, more = "response.refusal", "refusal", {}
        content: dict[str, Any] = {"type": "refusal"}
    else:
        name, field, more = "response.output_text", "text", {"logprobs": []}
        content = {"type": "output_text", "annotations": [], "logprobs": []}
    done = {**content, field: part.text}
    status = "incomplete" if asked.plan.stop_reason in _INCOMPLETE else "completed"
    item = {"id": identity, "type": "message", "role": "assistant", "status": status, "content": [done]}
    return item, [
        ("response.content_part.added", {**where, "part": {**content, field: ""}}),
        *((f"{name}.delta", {**where, "delta": piece, **more}) for piece in part.pieces),
        (f"{name}.done", {**where, field: part.text, **more}),
        ("response.content_part.done", {**where, "part": done}),
    ]


def _call(asked: ResponsesPlan, part: Part, index: int) -> tuple[dict[str, Any], list[_Told]]:
    suffix = f"{asked.plan.seed:020d}_{index}"
    where = {"item_id": f"fc_fake{suffix}", "output_index": index}
    name = part.call.name if part.call else ""
    item = {
        "id": f"fc_fake{suffix}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_fake{suffix}",
        "name": name,
        "arguments": part.text,
    }
    kind = "response.function_call_arguments"
    return item, [
        *((f"{kind}.delta", {**where, "delta": piece}) for piece in part.pieces),
        (f"{kind}.done", {**where, "name": name, "arguments": part.text}),
    ]


_ITEMS: dict[PartKind, Callable[[ResponsesPlan, Part, int], tuple[dict[str, Any], list[_Told]]]] = {
    PartKind.THINKING: _reasoning,
    PartKind.TEXT: _message,
    PartKind.TOOL: _call,
}
