"""The whole of a chat completion, known before its first byte leaves: chunks, JSON, hashes. Pure and deterministic.

https://platform.openai.com/docs/api-reference/chat; the judge of the shapes is the vendor's SDK. What vLLM does
otherwise: `reasoning_content`, `stop_reason`, a tool call in one piece, `[DONE]` even behind an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lastcall_sidecar.testing.composing import Part, PartKind, Plan, compact, compose
from lastcall_sidecar.testing.framing import Script, event, noisy, seal
from lastcall_sidecar.testing.openai import errors, vendors
from lastcall_sidecar.testing.openai.planning import ChatPlan

#: All that is dated is from here (2026-01-01, in Unix seconds).
CREATED = 1767225600


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of the answers: its message as it ends up, and the deltas that build it."""

    message: dict[str, Any]
    deltas: list[dict[str, Any]]


def write(chat: ChatPlan) -> Script:
    """Write the answer to a plan."""
    plan = chat.plan
    choices = [_choice(chat, replace(plan, seed=plan.seed + index)) for index in range(chat.choices)]
    events = _events(chat, choices)
    document = _envelope(chat, "chat.completion") | {
        "choices": [
            {"index": index, "message": choice.message, "logprobs": None, **_finish(chat)}
            for index, choice in enumerate(choices)
        ],
        "usage": usage(chat),
    }
    text = "".join(choice.message["content"] or "" for choice in choices)
    failure = errors.asked_for(500, None)
    told = errors.told_by_vllm(failure) if chat.vllm else errors.told(failure)
    return seal(
        noisy(events, noise(plan)) if plan.noise else events,
        compact(document).encode(),
        text,
        event(plan.eol, compact(told)) + (event(plan.eol, "[DONE]") if chat.vllm else b""),
    )


def usage(chat: ChatPlan) -> dict[str, Any]:
    """Count tokens as the vendor does: those of the cache are among the prompt's."""
    plan = chat.plan
    prompt = plan.input_tokens + plan.cache_read_tokens + plan.cache_write_tokens
    completion = plan.output_tokens * chat.choices
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if chat.vllm:
        cached = {"cached_tokens": plan.cache_read_tokens} if plan.cache_read_tokens else None
        return counted | {"prompt_tokens_details": cached}
    return counted | {
        "prompt_tokens_details": {
            "cached_tokens": plan.cache_read_tokens,
            "cache_write_tokens": plan.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning_tokens(plan),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def reasoning_tokens(plan: Plan) -> int:
    """A third of all, where the model thought."""
    return plan.output_tokens // 3 if plan.thinking else 0


def noise(plan: Plan) -> tuple[bytes, ...]:
    """What the SSE standard allows and the vendor's SDK bears: comments, `id`, `retry`.

    Not an empty line of its own: behind an `id` the SDK takes it for an event, and fails on its empty data.
    """
    eol = plan.eol.characters
    return (b": keep-alive" + eol, b"id: %d" + eol, b"retry: 3000" + eol, b":" + eol)


def _envelope(chat: ChatPlan, kind: str) -> dict[str, Any]:
    plan = chat.plan
    found = {"id": f"chatcmpl-fake{plan.seed:020d}", "object": kind, "created": CREATED, "model": plan.model}
    return found if chat.vllm else found | {"service_tier": "default", "system_fingerprint": "fp_fake"}


def _finish(chat: ChatPlan) -> dict[str, Any]:
    finish: dict[str, Any] = {"finish_reason": chat.plan.stop_reason}
    return finish | {"stop_reason": chat.plan.stop_sequence} if chat.vllm else finish


def _choice(chat: ChatPlan, plan: Plan) -> _Choice:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    message |= {"reasoning_content": None, "tool_calls": []} if chat.vllm else {"annotations": []}
    deltas: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in compose(plan):
        if part.kind is PartKind.THINKING:
            if chat.vllm:  # OpenAI tells only how many tokens it took
                message["reasoning_content"] = part.text
                deltas.extend({"reasoning_content": piece} for piece in part.pieces)
        elif part.call is None:
            field = "refusal" if chat.refusal else "content"
            message[field] = part.text
            deltas.extend({field: piece} for piece in part.pieces)
        else:
            deltas.extend(_call(chat, plan, part, calls))
            message["tool_calls"] = calls
    if not plan.text and not calls:
        message["content"] = ""
    if chat.vendor and calls:
        first = calls[0]["id"]
        message |= vendors.of_message(chat.vendor, first)
        deltas = [*vendors.deltas(chat.vendor, first), *deltas]
    return _Choice(message, deltas)


def _call(chat: ChatPlan, plan: Plan, part: Part, calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Add a call to those of the message, and yield its deltas."""
    index = len(calls)
    name = part.call.name if part.call else ""
    identity = ("chatcmpl-tool-" if chat.vllm else "call_fake") + f"{plan.seed:020d}" + (f"_{index}" if index else "")
    call: dict[str, Any] = {"id": identity, "type": "function", "function": {"name": name, "arguments": part.text}}
    if chat.vendor:
        call["id"] = vendors.VENDORS[chat.vendor].call_id(name, chat.calls_before + index)
        call |= vendors.of_call(chat.vendor, call["id"]) if not index else {}
    calls.append(call)
    if chat.vllm:
        yield {"tool_calls": [{"index": index, **call}]}
        return
    yield {"tool_calls": [{"index": index, **call, "function": {"name": name, "arguments": ""}}]}
    for piece in part.pieces:
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _events(chat: ChatPlan, choices: list[_Choice]) -> Iterator[bytes]:
    def chunk(found: list[dict[str, Any]], counted: dict[str, Any] | None = None) -> bytes:
        body = _envelope(chat, "chat.completion.chunk") | {"choices": found}
        if chat.include_usage:
            body["usage"] = counted
        return event(chat.plan.eol, compact(body))

    def delta(index: int, delta: dict[str, Any]) -> bytes:
        return chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])

    first: dict[str, Any] = {"role": "assistant", "content": "" if chat.plan.text or not chat.plan.tools else None}
    for index, choice in enumerate(choices):
        yield delta(index, first if chat.vllm else first | {"refusal": None})
        for found in choice.deltas:
            yield delta(index, found)
        last = {"content": ""} if chat.vllm else {}
        yield chunk([{"index": index, "delta": last, "logprobs": None, **_finish(chat)}])
    if chat.include_usage:
        yield chunk([], usage(chat))
    yield event(chat.plan.eol, "[DONE]")
