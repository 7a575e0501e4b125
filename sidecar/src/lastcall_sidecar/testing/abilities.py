"""What each model of the Messages API can do, and the requests that it refuses because it cannot. Pure.

By the version in the model's name (platform.claude.com: "Thinking", "Effort", "Structured outputs", "What's new").
`fake-…` models can do everything, in any combination.
"""

import re
from collections.abc import Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError

_VERSION = re.compile(r"claude-(\w+)-(\d)(?:-(\d{1,2}))?(?![\d.])")

#: Values of `output_config.effort`.
EFFORTS = ("low", "medium", "high", "xhigh", "max")

_ADAPTIVE = (4, 6)
#: Up to here a caller may set the budget itself.
_LAST_BUDGET = (4, 6)
#: From here on, thinking takes the place of sampling.
_NO_SAMPLING = (4, 7)
_ONE_SAMPLER = (4, 1)
_NO_PREFILL = (4, 6)
_STRUCTURED = (4, 1)
_XHIGH = (4, 7)


def check(request: Mapping[str, Any]) -> None:
    """Refuse what the model that was asked for cannot do. Errors: FakeError."""
    version = _version(request["model"])
    _prefill(request, version)
    if version is None:
        return
    _think(request.get("thinking", {}).get("type"), version)
    _sample(request, version)
    config = request.get("output_config", {})
    _try_hard(config.get("effort"), request["model"], version)
    if config.get("format") and version < _STRUCTURED:
        raise FakeError(400, "output_config.format: This model does not support structured outputs.")


def _version(model: str) -> tuple[int, int] | None:
    """Read `claude-opus-4-6-…` as (4, 6), and a name with a date behind its major version as that with 0."""
    found = _VERSION.match(model)
    if found:
        return int(found[2]), int(found[3] or 0)
    return (4, 6) if model.startswith("claude-") else None


def _prefill(request: Mapping[str, Any], version: tuple[int, int] | None) -> None:
    last = request["messages"][-1]
    if last["role"] != "assistant":
        return
    if version is not None and version >= _NO_PREFILL:
        raise FakeError(
            400,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    content = last["content"]
    text = content if isinstance(content, str) else content[-1].get("text", "") if content else ""
    if text != text.rstrip():
        raise FakeError(400, "messages: final assistant content cannot end with trailing whitespace")


def _think(kind: str | None, version: tuple[int, int]) -> None:
    if kind == "adaptive" and version < _ADAPTIVE:
        raise FakeError(400, "adaptive thinking is not supported on this model")
    if kind == "enabled" and version > _LAST_BUDGET:
        raise FakeError(
            400,
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.',
        )


def _sample(request: Mapping[str, Any], version: tuple[int, int]) -> None:
    given = [name for name in ("temperature", "top_p", "top_k") if name in request]
    if version >= _NO_SAMPLING and (request.get("temperature", 1) != 1 or given not in ([], ["temperature"])):
        raise FakeError(400, f"`{given[-1]}` is deprecated for this model.")
    if version >= _ONE_SAMPLER and {"temperature", "top_p"} <= set(given):
        raise FakeError(400, "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _try_hard(effort: str | None, model: str, version: tuple[int, int]) -> None:
    if effort is None:
        return
    if version < _ADAPTIVE and not model.startswith("claude-opus-4-5"):
        raise FakeError(400, "This model does not support the effort parameter.")
    if (effort == "xhigh" and version < _XHIGH) or (effort == "max" and version < _ADAPTIVE):
        raise FakeError(400, f"This model does not support effort level '{effort}'.")
