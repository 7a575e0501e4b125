"""What a model refuses although its API has it: beside another field, more than so many of it, or other values of it.

By the model's name as its vendor, or a router of several vendors, writes it: the first row that fits counts. Names of
weights that somebody serves himself (`deepseek-ai/DeepSeek-V4-Pro`) have capitals, and no such rules.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from lastcall_sidecar.wire.messages_on_chat.models import plain

#: OpenAI's limit of `stop`, and the least of all vendors' (https://platform.openai.com/docs/api-reference/chat/create).
_STOPS = 4


class Effort(Enum):
    """What becomes of `reasoning_effort` beside tools."""

    KEPT = auto()
    LEFT_OUT = auto()
    #: `none` is said, whatever was asked for.
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request must know of its model."""

    effort_beside_tools: Effort = Effort.KEPT
    #: A tool may be forced; elsewhere the model is left the choice.
    forces: bool = True
    #: Takes `parallel_tool_calls`.
    parallel: bool = True
    #: So many stop sequences.
    stops: int = _STOPS
    #: Takes `temperature` and `top_p`.
    samples: bool = True
    #: Takes `thinking: {"type": "disabled"}`, with which a tool may be forced as well.
    switches_off: bool = False


#: No rule but the number of stop sequences, as for every name that is in no row.
_OTHER = Rules()
_ROWS: tuple[tuple[str, Rules], ...] = (
    (r"gpt-.*-chat", _OTHER),
    # Unsupported parameter: 'parallel_tool_calls' (run-llama/llama_index#20865), 'stop' (crewAIInc/crewAI#2738).
    (r"o\d(?:-|$)", Rules(stops=0, parallel=False)),
    # 'stop' is not supported with this model (n8n-io/n8n#18149); some say that it is from 5.5 on: looked for here, it
    # holds in any case.
    (r"gpt-5(?:\.[0-3])?(?![.\d])", Rules(stops=0)),
    # openai/openai-openapi#541, charmbracelet/crush#2913
    (r"gpt-5\.[45](?!\d)", Rules(Effort.LEFT_OUT, stops=0)),
    # BerriAI/litellm#34569: without an effort they have one of their own, and refuse it. What comes later is taken to
    # be like them.
    (r"gpt-(?:[5-9]|[12]\d)(?!\d)", Rules(Effort.NONE, stops=0)),
    # "Thinking mode does not support this tool_choice": awesome-deepseek-integration#606, deepseek-ai/DeepSeek-V3#1376.
    # 16 stop sequences: https://api-docs.deepseek.com/api/create-chat-completion
    (r"deepseek-(?:reasoner|r\d)", Rules(forces=False, stops=16)),
    (r"deepseek-v(?:[4-9]|[1-3]\d)", Rules(forces=False, stops=16, switches_off=True)),
    (r"deepseek-", Rules(stops=16)),
    # "tool_choice 'specified' is incompatible with thinking enabled": can1357/oh-my-pi#827, #1077, #5994; "only 1 is
    # allowed for this model": NousResearch/hermes-agent#12566. K3 always thinks. 5 stop sequences:
    # https://platform.moonshot.ai/docs/api/chat
    (r"kimi-k2\.[5-9]", Rules(forces=False, samples=False, stops=5, switches_off=True)),
    (r"kimi-(?:k[3-9]|for-coding)|k[3-9](?:-|$)", Rules(forces=False, samples=False, stops=5)),
    (r"kimi-(?:k2-)?thinking", Rules(forces=False, stops=5)),
    # "does not support being set to required or object in thinking mode": cloudwego/eino#994
    (r"qwen3\.\d+-(?:plus|flash|max)|qwq-plus", Rules(forces=False)),
    # https://docs.x.ai/docs/models: reasoning models take no `stop`
    (r"grok-(?:[4-9]|code|3-mini)", Rules(stops=0)),
    # https://ai.google.dev/api/generate-content: up to 5 sequences
    (r"gemini-", Rules(stops=5)),
)
_TABLE = tuple((re.compile(pattern), rules) for pattern, rules in _ROWS)


def rules(model: str) -> Rules:
    """Return the rules for a model."""
    name = plain(model)
    return next((found for pattern, found in _TABLE if pattern.match(name)), _OTHER)


def obey(chat: dict[str, Any], model: str) -> None:
    """Make of a chat request one that the model takes. What stays is what was asked for, as near as can be."""
    found = rules(model)
    beside_tools = "tools" in chat
    if beside_tools and found.effort_beside_tools is not Effort.KEPT:
        chat.pop("reasoning_effort", None)
        if found.effort_beside_tools is Effort.NONE:
            chat["reasoning_effort"] = "none"
    if not found.forces and "thinking" not in chat and chat.get("tool_choice", "none") != "none":
        chat["tool_choice"] = "auto"
    if not found.parallel:
        chat.pop("parallel_tool_calls", None)
    if not found.samples:
        chat.pop("temperature", None)
        chat.pop("top_p", None)
