"""A Messages request as a chat completion's. What becomes of each field is said in `fields.py`."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat import models
from lastcall_sidecar.wire.messages_on_chat.conversation import chat_messages
from lastcall_sidecar.wire.messages_on_chat.fields import FIELDS
from lastcall_sidecar.wire.messages_on_chat.naming import rename
from lastcall_sidecar.wire.messages_on_chat.reading import NOTHING, is_given, read
from lastcall_sidecar.wire.messages_on_chat.rules import obey, rules
from lastcall_sidecar.wire.messages_on_chat.schemas import can_be_strict, portable
from lastcall_sidecar.wire.messages_on_chat.tools import ToolChoice, choice, functions
from lastcall_sidecar.wire.messages_on_chat.vendors import vendor_of
from lastcall_sidecar.wire.stops import check
from lastcall_sidecar.wire.translation import Asked, Handling, Options, Translated

#: What OpenAI's `user` takes; Claude Code's `user_id` is longer.
_MAX_USER_CHARS = 64
#: Chat upstreams know no more than these three.
_EFFORTS: Mapping[str, str] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
#: Up to so many tokens of a thinking budget.
_BUDGETS = ((4096, "low"), (16384, "medium"))


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = NOTHING


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Conversation(msgspec.Struct):
    messages: list[msgspec.Raw]
    system: str | list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None


class _Request(_Conversation):
    model: str = ""
    stream: bool | None = None
    max_tokens: msgspec.Raw = NOTHING
    temperature: msgspec.Raw = NOTHING
    top_p: msgspec.Raw = NOTHING
    top_k: msgspec.Raw = NOTHING
    stop_sequences: list[str] | None = None
    tool_choice: ToolChoice | None = None
    metadata: _Metadata | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None


def translate_request(body: bytes, options: Options) -> Translated:
    """Translate a request's body. Errors: BodyError."""
    _refuse(body)
    request = read(body, _Request)
    model = options.model
    stream = bool(request.stream) or options.force_stream
    told, looked_for = _stops(request.stop_sequences or [], model)
    chat = _prompt(request, model)
    chat |= {
        **_limits(request, model),
        **({"stop": told} if told else {}),
        **choice(request.tool_choice, has_tools="tools" in chat),
        **_extras(request, model),
        **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
    }
    obey(chat, model)
    asked = Asked(
        model=request.model or model,
        stream=bool(request.stream),
        stop_sequences=looked_for,
        tool_names=rename(chat, model),
    )
    return Translated(msgspec.json.encode(chat), asked)


def prompt(body: bytes, model: str) -> dict[str, Any]:
    """Return `model`, `messages` and `tools` of a chat request: all that is of its prompt. Errors: BodyError."""
    chat = _prompt(read(body, _Conversation), model)
    rename(chat, model)
    return chat


def _prompt(request: _Conversation, model: str) -> dict[str, Any]:
    messages = chat_messages(
        request.system, request.messages, vendor_of(model), system_anywhere=models.is_openais(model)
    )
    if not messages:
        raise BodyError("messages: nobody says anything")
    tools = functions(request.tools or [])
    return {"model": model, "messages": messages, **({"tools": tools} if tools else {})}


def _refuse(body: bytes) -> None:
    given = read(body, dict[str, msgspec.Raw])
    for name, rule in FIELDS.items():
        if rule.handling is Handling.REFUSE and name in given:
            value = read(given[name], Any, name)
            if value is not None and value not in rule.neutral:
                raise BodyError(f"{name}: {rule.note}")


def _limits(request: _Request, model: str) -> dict[str, Any]:
    limit = "max_completion_tokens" if models.limits_completion(model) else "max_tokens"
    found = {limit: request.max_tokens}
    if models.takes_sampling(model):
        found |= {"temperature": request.temperature, "top_p": request.top_p}
    if not models.is_openais(model):
        found |= {"top_k": request.top_k}
    return {name: value for name, value in found.items() if is_given(value)}


def _stops(sequences: list[str], model: str) -> tuple[list[str], tuple[str, ...]]:
    """Stop sequences that the upstream is told, and, if it takes no more, all those that we look for. BodyError."""
    sequences = [sequence for sequence in sequences if sequence]
    most = rules(model).stops
    if len(sequences) <= most:
        return sequences, ()
    check(sequences, "stop_sequences")
    return sequences[:most], tuple(sequences)


def _extras(request: _Request, model: str) -> dict[str, Any]:
    config = request.output_config or _OutputConfig()
    found = {
        "user": _user(request.metadata),
        "reasoning_effort": _effort(request.thinking, config.effort) if models.takes_effort(model) else None,
        "thinking": _off(request.thinking) if rules(model).switches_off else None,
        "response_format": (
            _response_format(config.format, "output_config.format")
            or _response_format(request.output_format, "output_format")
        ),
    }
    return {name: value for name, value in found.items() if value is not None}


def _user(metadata: _Metadata | None) -> str | None:
    user = metadata.user_id if metadata else None
    if user and len(user) > _MAX_USER_CHARS:
        return hashlib.sha256(user.encode()).hexdigest()
    return user or None


def _off(thinking: _Thinking | None) -> dict[str, str] | None:
    return {"type": "disabled"} if thinking and thinking.type == "disabled" else None


def _effort(thinking: _Thinking | None, effort: str | None) -> str | None:
    """What is asked for outright counts, then a budget. Adaptive thinking alone leaves it to the upstream."""
    kind = thinking.type if thinking else None
    if kind == "disabled":
        return None
    if effort is not None:
        return _EFFORTS.get(effort)
    budget = thinking.budget_tokens if thinking and kind == "enabled" else None
    if budget is None:
        return None
    return next((word for most, word in _BUDGETS if budget <= most), "high")


def _response_format(asked: _Format | None, path: str) -> dict[str, Any] | None:
    if asked is None:
        return None
    if asked.type != "json_schema":
        raise BodyError(f"{path}.type: must be json_schema")
    if not is_given(asked.schema):
        raise BodyError(f"{path}.schema: required")
    schema = portable(asked.schema)
    described = {"name": "output", "schema": schema, "strict": can_be_strict(schema)}
    return {"type": "json_schema", "json_schema": described}
