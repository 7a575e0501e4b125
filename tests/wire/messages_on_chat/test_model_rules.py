"""What a model takes alone but not beside something else, and how much of it: by its name, as its vendor has it."""

import json

import pytest
from tests.wire.messages_on_chat.judges import request

from lastcall_sidecar.testing.openai.chat_request import chat_request
from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.stops import MAX_SEQUENCE_CHARS, MAX_SEQUENCES
from lastcall_sidecar.wire.translation import Options

SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"], "additionalProperties": False}
TOOL = {"name": "f", "description": "Does it.", "input_schema": SCHEMA}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
EFFORT = {"output_config": {"effort": "high"}}
FORCED = {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}
ANY = {"tools": [TOOL], "tool_choice": {"type": "any"}}
OFF = {"thinking": {"type": "disabled"}}
NAMED = {"type": "function", "function": {"name": "f"}}

OWN = (
    "gpt-3.5-turbo",
    "gpt-4o",
    "gpt-4.1-mini",
    "o1",
    "o3-mini",
    "o4-mini-2025-04-16",
    "gpt-5",
    "gpt-5-chat-latest",
    "gpt-5.2",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.5",
    "gpt-5.5-2026-04-23",
    "gpt-5.6",
    "gpt-5.6-terra",
    "gpt-5.9",
)
ASKED = {
    "a tool and a budget": {"tools": [TOOL], **BUDGET},
    "a tool and an effort": {"tools": [TOOL], **EFFORT},
    "a tool": {"tools": [TOOL]},
    "a tool, thinking disabled": {"tools": [TOOL], **OFF},
    "a tool by name, one at a time": {
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    },
    "an effort": EFFORT,
    "a stop sequence": {"stop_sequences": ["END"]},
    "five stop sequences": {"stop_sequences": ["a", "b", "c", "d", "e"]},
    "sampling": {"temperature": 0.2, "top_p": 0.5, "top_k": 3, "max_tokens": 9},
    "everything": {
        "tools": [TOOL],
        **EFFORT,
        "stop_sequences": ["a", "b", "c", "d", "e"],
        "temperature": 0.2,
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    },
}


@pytest.mark.parametrize("model", OWN)
@pytest.mark.parametrize("fields", ASKED.values(), ids=ASKED)
def test_openais_api_refuses_nothing_of_what_its_own_models_are_asked(model, fields):
    chat_request(request(model, **fields))


#: openai/openai-openapi#541, charmbracelet/crush#2913; for 5.6 BerriAI/litellm#34569: refused also where none is told.
BESIDE_TOOLS = {
    "gpt-5": ("low", "high", None),
    "gpt-5.2": ("low", "high", None),
    "gpt-5.4": (None, None, None),
    "gpt-5.4-mini": (None, None, None),
    "openai/gpt-5.5": (None, None, None),
    "gpt-5.6": ("none", "none", "none"),
    "openai/gpt-5.6-luna": ("none", "none", "none"),
    "gpt-5.10": ("none", "none", "none"),
    "gpt-6": ("none", "none", "none"),
    "gpt-5.6-chat-latest": (None, None, None),
    "qwen3-32b": ("low", "high", None),
}


@pytest.mark.parametrize(("model", "expected"), BESIDE_TOOLS.items(), ids=BESIDE_TOOLS)
def test_the_effort_beside_tools_is_what_the_model_takes_there(model, expected):
    asked = [request(model, tools=[TOOL], **fields) for fields in (BUDGET, EFFORT, {})]
    assert tuple(found.get("reasoning_effort") for found in asked) == expected


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-5.5", "gpt-5.6"])
def test_without_tools_the_effort_is_sent(model):
    assert request(model, **EFFORT)["reasoning_effort"] == "high"
    assert "reasoning_effort" not in request(model)


#: deepseek-ai/DeepSeek-V3#1376 and awesome-deepseek-integration#606; can1357/oh-my-pi#1077 and #5994 for Kimi;
#: cloudwego/eino#994 for Qwen at its vendor's. Names with capitals are those of weights that somebody serves himself.
THINKS_BEFORE_IT_CALLS = (
    "deepseek-reasoner",
    "deepseek-v4-flash",
    "deepseek/deepseek-v4-pro",
    "kimi-k2-thinking",
    "kimi-k2.6",
    "moonshotai/kimi-k3",
    "kimi-for-coding",
    "qwen3.5-plus",
)


@pytest.mark.parametrize("model", THINKS_BEFORE_IT_CALLS)
def test_a_model_that_thinks_before_it_calls_is_left_the_choice(model):
    assert request(model, **FORCED)["tool_choice"] == "auto"
    assert request(model, **ANY)["tool_choice"] == "auto"
    assert request(model, tools=[TOOL], tool_choice={"type": "none"})["tool_choice"] == "none"
    one = request(model, tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert (one["tool_choice"], one["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.parametrize(
    "model", ["deepseek-chat", "deepseek-ai/DeepSeek-V4-Pro", "moonshotai/Kimi-K2.5", "Qwen/Qwen3.5-Plus", "gpt-5.5"]
)
def test_other_models_are_told_which_tool_to_call(model):
    assert request(model, **FORCED)["tool_choice"] == NAMED
    assert request(model, **ANY)["tool_choice"] == "required"


#: BerriAI/litellm#37470, can1357/oh-my-pi#1077: with thinking off the call may be forced. K3 has no such switch.
SWITCHED_OFF = {
    "deepseek-v4-flash": ({"type": "disabled"}, NAMED),
    "kimi-k2.6": ({"type": "disabled"}, NAMED),
    "kimi-k3": (None, "auto"),
    "deepseek-reasoner": (None, "auto"),
    "qwen3-32b": (None, NAMED),
    "gpt-5.5": (None, NAMED),
}


@pytest.mark.parametrize(("model", "expected"), SWITCHED_OFF.items(), ids=SWITCHED_OFF)
def test_thinking_that_the_client_switches_off_is_off_where_there_is_a_switch(model, expected):
    asked = json.loads(
        MESSAGES_ON_CHAT.request(
            json.dumps({"messages": [{"role": "user", "content": "hi"}], **FORCED, **OFF}).encode(), Options(model)
        ).body
    )
    assert (asked.get("thinking"), asked["tool_choice"]) == expected


#: kuishou68 in iOfficeAI/gemini-cli-pro#30: "invalid temperature: only 1 is allowed for this model".
@pytest.mark.parametrize("model", ["kimi-k2.5", "kimi-k2.6", "kimi-k3", "kimi-for-coding"])
def test_sampling_that_the_vendor_has_fixed_is_left_out(model):
    asked = request(model, temperature=0.2, top_p=0.5)
    assert not {"temperature", "top_p"} & asked.keys()


@pytest.mark.parametrize("model", ["kimi-k2-0905-preview", "moonshotai/Kimi-K2.5"])
def test_sampling_is_sent_where_it_is_free(model):
    assert request(model, temperature=0.2)["temperature"] == 0.2


@pytest.mark.parametrize("model", ["o1", "o3", "o3-mini", "o4-mini"])
def test_models_that_call_one_tool_at_a_time_are_not_told_to(model):
    asked = request(model, tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert "parallel_tool_calls" not in asked


SIX = ["a", "b", "c", "d", "e", "f"]
#: How many of six the upstream is told; what it is not told, the answer's translation looks for.
STOPS = {
    "gpt-4o": 4,
    "gpt-5": 0,
    "gpt-5.5": 0,
    "o3": 0,
    "gpt-5-chat-latest": 4,
    "qwen3-32b": 4,
    "gemini-2.5-pro": 5,
    "deepseek-chat": 6,
    "grok-4": 0,
}


@pytest.mark.parametrize(("model", "count"), STOPS.items(), ids=STOPS)
def test_stop_sequences_that_the_upstream_does_not_take_are_looked_for_here(model, count):
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stop_sequences": SIX}).encode()
    made = MESSAGES_ON_CHAT.request(body, Options(model))
    assert json.loads(made.body).get("stop") == (SIX[:count] or None)
    assert made.asked.stop_sequences == (() if count == len(SIX) else tuple(SIX))


def test_as_many_as_the_upstream_takes_are_its_own_affair():
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stop_sequences": SIX[:4]}).encode()
    made = MESSAGES_ON_CHAT.request(body, Options("gpt-4o"))
    assert json.loads(made.body)["stop"] == SIX[:4]
    assert made.asked.stop_sequences == ()


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (["a"] * (MAX_SEQUENCES + 1), "stop_sequences: "),
        (["a", "b" * (MAX_SEQUENCE_CHARS + 1)], "stop_sequences: "),
    ],
    ids=["too many", "too long"],
)
def test_what_would_be_looked_for_has_its_bounds(sequences, message):
    with pytest.raises(BodyError) as raised:
        request("gpt-5", stop_sequences=sequences)
    assert str(raised.value).startswith(message)


def test_an_empty_sequence_stops_nothing():
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["", "END"]}).encode()
    assert MESSAGES_ON_CHAT.request(body, Options("gpt-5")).asked.stop_sequences == ("END",)
