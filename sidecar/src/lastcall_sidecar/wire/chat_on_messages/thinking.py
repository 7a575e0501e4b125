"""`reasoning_effort`: whether a model shall think, and how it is told so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.chat_on_messages.models import Mode, Off, Traits

#: Tokens to think with, by effort, for models that want to be told a number.
_BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
#: The API takes no smaller budget.
_LEAST_BUDGET = 1024
_OFF: Mapping[Off, dict[str, Any] | None] = {
    Off.SILENCE: None,
    Off.DISABLED: {"type": "disabled"},
    Off.BETWEEN_TOOLS: {"type": "between_tools"},
}


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a request says of thinking."""

    #: Whether the model may think: earlier thinking goes along then.
    on: bool
    #: The value of `thinking`, if any.
    config: dict[str, Any] | None = None
    #: The value of `output_config.effort`, if any.
    effort: str | None = None


def settle(effort: str | None, traits: Traits, max_tokens: int, *, forced: bool, lacking: bool) -> Thinking:
    """Decide; BodyError on an effort that does not exist.

    `forced`: a tool must be called, which excludes thinking. `lacking`: the thinking at the beginning of the turn under
    way is not there, without which the API refuses to go on thinking.
    """
    if effort not in {None, "none", *_BUDGETS}:
        raise BodyError(f"reasoning_effort: must be one of none, {', '.join(_BUDGETS)}")
    if traits.mode is Mode.NONE:
        return Thinking(on=False)
    if effort is None:
        return Thinking(on=traits.off is not Off.SILENCE)
    if traits.off is Off.NEVER:
        always = _adaptive("low" if effort == "none" else effort, traits)
        return replace(always, config=None) if forced else always
    if effort == "none" or forced or lacking:
        return Thinking(on=False, config=_OFF[traits.off])
    if traits.mode is Mode.ADAPTIVE:
        return _adaptive(effort, traits)
    budget = min(_BUDGETS[effort], max_tokens // 2)
    if budget < _LEAST_BUDGET:
        return Thinking(on=False)
    return Thinking(on=True, config={"type": "enabled", "budget_tokens": budget})


def _adaptive(effort: str, traits: Traits) -> Thinking:
    if effort == "minimal":
        effort = "low"
    if effort == "xhigh" and not traits.has_xhigh:
        effort = "max"
    return Thinking(on=True, config={"type": "adaptive"}, effort=effort)
