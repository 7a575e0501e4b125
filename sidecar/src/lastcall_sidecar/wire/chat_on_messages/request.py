"""A request for a chat completion becomes one for a message."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages.fields import FIELDS
from lastcall_sidecar.wire.chat_on_messages.models import Sampling, Traits, traits
from lastcall_sidecar.wire.chat_on_messages.naming import rename
from lastcall_sidecar.wire.chat_on_messages.schemas import closed
from lastcall_sidecar.wire.chat_on_messages.shapes import Request, ResponseFormat, given, read
from lastcall_sidecar.wire.chat_on_messages.thinking import Thinking, settle
from lastcall_sidecar.wire.chat_on_messages.tools import tools
from lastcall_sidecar.wire.chat_on_messages.turns import Conversation
from lastcall_sidecar.wire.stops import check
from lastcall_sidecar.wire.translation import Asked, Handling, Options, Translated

#: OpenAI's range of `temperature`; Anthropic's ends at 1, which is the default of both.
_HOTTEST = 2.0
#: What `metadata.user_id` takes; OpenAI's `user` has no limit, and clients put an email address there.
_MAX_USER_ID_CHARS = 256


def translate(body: bytes, options: Options) -> Translated:
    """Translate a body that `body.scan` has accepted; BodyError, beginning with a field, if it cannot be served."""
    _refuse(read(body, dict[str, Raw]))
    request = read(body, Request)
    conversation = Conversation()
    for index, message in enumerate(request.messages):
        conversation.take(index, message)
    conversation.end()
    stream = request.stream or False
    model = traits(options.model)
    max_tokens = request.max_completion_tokens or request.max_tokens or options.default_max_tokens
    tooling = tools(request)
    told, looked_for = _stops(request.stop)
    thinking = settle(
        request.reasoning_effort,
        model,
        max_tokens,
        forced=tooling.get("tool_choice", {}).get("type") in {"any", "tool"},
        lacking=conversation.lacks_thinking(),
    )
    made: dict[str, Any] = {
        "model": options.model,
        "max_tokens": max_tokens,
        **({"system": conversation.system} if conversation.system else {}),
        "messages": [
            {"role": turn.role, "content": turn.blocks if thinking.on else turn.without_thinking()}
            for turn in conversation.turns
        ],
        **tooling,
        **_thinking(thinking),
        **_sampling(request, model, thinking),
        **({"stop_sequences": told} if told else {}),
        **_user(request),
    }
    answer_format = _format(request.response_format)
    if answer_format:
        made.setdefault("output_config", {})["format"] = answer_format
    if stream or options.force_stream:
        made["stream"] = True
    usage = request.stream_options is not None and bool(request.stream_options.include_usage)
    asked = Asked(options.model, stream, usage, stop_sequences=looked_for, tool_names=rename(made))
    return Translated(msgspec.json.encode(made), asked)


def _refuse(fields: Mapping[str, Raw]) -> None:
    """Raise BodyError for the first field that would change what the answer means."""
    for name, raw in fields.items():
        rule = FIELDS.get(name)
        if rule and rule.handling is Handling.REFUSE and _value(raw) not in (None, *rule.neutral):
            raise BodyError(f"{name}: cannot be served, {rule.note}")


def _value(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.ValidationError, RecursionError):  # a number that no float holds, or something bottomless
        return raw


def _thinking(thinking: Thinking) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if thinking.config:
        made["thinking"] = thinking.config
    if thinking.effort:
        made["output_config"] = {"effort": thinking.effort}
    return made


def _sampling(request: Request, model: Traits, thinking: Thinking) -> dict[str, Raw]:
    """Return `temperature` and `top_p` with their digits, where they are not the default and the model takes them."""
    temperature = _number(request.temperature, "temperature", _HOTTEST)
    top_p = _number(request.top_p, "top_p", 1.0)
    made = {}
    if temperature < 1:
        made["temperature"] = request.temperature
    if top_p < 1 and not (made and model.sampling is Sampling.ONE):
        made["top_p"] = request.top_p
    return {} if thinking.on or model.sampling is Sampling.NONE else made


def _number(raw: Raw, name: str, highest: float) -> float:
    """Return the number, 1 where there is none; BodyError if it is out of its range."""
    value = read(raw, float, name) if given(raw) else 1.0
    if not 0 <= value <= highest:
        raise BodyError(f"{name}: must be between 0 and {highest:g}")
    return value


def _stops(stop: str | list[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """Stop sequences that the API takes, and those that we look for: it refuses blank ones, as line ends. BodyError."""
    sequences = [stop] if isinstance(stop, str) else stop or []
    blank = tuple(sequence for sequence in sequences if sequence and not sequence.strip())
    check(blank, "stop")
    return [sequence for sequence in sequences if sequence.strip()], blank


def _user(request: Request) -> dict[str, Any]:
    """Return the user's id; its SHA-256 where the API would refuse it: an address, or one that is too long."""
    user = request.safety_identifier or request.user
    if user and ("@" in user or len(user) > _MAX_USER_ID_CHARS):
        user = hashlib.sha256(user.encode()).hexdigest()
    return {"metadata": {"user_id": user}} if user else {}


def _format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    match wanted:
        case None | ResponseFormat(type="text"):
            return None
        case ResponseFormat(type="json_schema", json_schema=schema):
            if schema is None or not given(schema.schema):
                raise BodyError("response_format.json_schema.schema: required")
            return {"type": "json_schema", "schema": closed(schema.schema, "response_format.json_schema.schema")}
        case ResponseFormat(type="json_object"):
            raise BodyError("response_format.type: the Messages API has no json_object; use json_schema")
        case _:
            raise BodyError("response_format.type: must be text or json_schema")
