"""Refuse what vLLM refuses of a Chat Completions request: far less than OpenAI, and some things that OpenAI does not.

Pure. Fields that it does not know it ignores; roles and tool results in any order are the chat template's affair.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.responses_request import responses_shape
from lastcall_sidecar.testing.planning import input_tokens

#: The context of all models that the fake serves, in tokens.
MAX_MODEL_LEN = 131072
_MODEL = re.compile(r"fake-[\w.-]+|[\w.-]+/[\w.-]+")
_EFFORTS = frozenset({None, "none", "low", "medium", "high"})


def is_served(model: str) -> bool:
    """Tell whether a model of that name is there."""
    return _MODEL.fullmatch(model) is not None


def check_model(request: Mapping[str, Any]) -> None:
    """Refuse a model that is not served."""
    model = request.get("model")
    if not isinstance(model, str):
        raise _invalid("model", "Input should be a valid string")
    if not is_served(model):
        raise FakeError(404, f"The model `{model}` does not exist.", param="model")


def vllm_request(request: Mapping[str, Any]) -> None:
    """Check a request for a chat completion."""
    check_model(request)
    check_messages(request)
    _numbers(request)
    if request.get("stream_options") and not request.get("stream"):
        raise _invalid("stream_options", "Stream options can only be defined when `stream=True`.")
    if request.get("reasoning_effort") not in _EFFORTS:
        raise _invalid("reasoning_effort", "Input should be 'none', 'low', 'medium' or 'high'")
    _choice(request)
    wanted = request.get("max_completion_tokens") or request.get("max_tokens") or 0
    read = input_tokens(request)
    if read + wanted > MAX_MODEL_LEN:
        raise FakeError(
            400,
            f"'max_tokens' or 'max_completion_tokens' is too large: {wanted}. This model's maximum context length is "
            f"{MAX_MODEL_LEN} tokens and your request has {read} input tokens ({wanted} > {MAX_MODEL_LEN} - {read}).",
            param="max_tokens",
        )


def vllm_responses_request(request: Mapping[str, Any]) -> None:
    """Check a request for a response."""
    check_model(request)
    responses_shape(request)


def check_messages(request: Mapping[str, Any]) -> None:
    """Refuse what is no list of messages."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "Input should be a valid list with at least 1 item")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid("messages", "Field required: role")
        if not isinstance(message.get("content"), str | list | None):
            raise _invalid("messages", "content: Input should be a valid string or list")
        for call in message.get("tool_calls") or ():
            _arguments(call)


def _arguments(call: Mapping[str, Any]) -> None:
    """Parse a call's arguments, as the chat template needs them."""
    try:
        parsed = json.loads(call["function"]["arguments"] or "{}")
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid("tool_calls", f"arguments: {error}") from error
    if not isinstance(parsed, dict):
        raise _invalid("tool_calls", "arguments: Can only get item pairs from a mapping.")


def _numbers(request: Mapping[str, Any]) -> None:
    for name, lowest, highest in (("temperature", 0, 2**31), ("top_p", 0, 1), ("n", 1, 2**31)):
        value = request.get(name)
        if value is not None and (not isinstance(value, int | float) or not lowest <= value <= highest):
            raise _invalid(name, f"{name} must be in [{lowest}, {highest}], got {value}.")
    for name in ("max_tokens", "max_completion_tokens"):
        value = request.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise _invalid(name, f"{name} must be at least 1, got {value}.")


def _choice(request: Mapping[str, Any]) -> None:
    choice, tools = request.get("tool_choice"), request.get("tools")
    if choice in (None, "none"):
        return
    if not tools:
        raise _invalid("tool_choice", "When using `tool_choice`, `tools` must be set.")
    if choice in ("auto", "required"):
        return
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if name not in [tool.get("function", {}).get("name") for tool in tools]:
        raise _invalid("tool_choice", "The tool specified in `tool_choice` does not match any of the specified `tools`")


def _invalid(param: str, message: str) -> FakeError:
    return FakeError(400, message, param=param)
