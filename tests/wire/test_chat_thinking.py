"""Thinking by model, effort and tool loop; and its signatures, which come back with the assistant's message."""

import time

import pytest
from tests.wire.chats import USER, translated
from tests.wire.test_chat_messages import assistant, call, text, tool

from lastcall_sidecar.testing.signing import REDACTED, sign
from lastcall_sidecar.wire import carried
from lastcall_sidecar.wire.chat_on_messages.models import Mode, Off, Sampling, traits
from lastcall_sidecar.wire.translation import Options

ADAPTIVE = {"type": "adaptive"}
DISABLED = {"type": "disabled"}
BETWEEN_TOOLS = {"type": "between_tools"}
TOOL = {"type": "function", "function": {"name": "look"}}


def asked_of(model, max_tokens=64_000, **fields):
    return translated(options=Options(model, default_max_tokens=max_tokens), **fields)


def thought(asked):
    """What a request says of thinking: its `thinking` and its effort."""
    return asked.get("thinking"), asked.get("output_config", {}).get("effort")


def budget(tokens):
    return {"type": "enabled", "budget_tokens": tokens}


EFFORTS = {
    "4.6, minimal": ("claude-sonnet-4-6", "minimal", ADAPTIVE, "low"),
    "4.6, low": ("claude-sonnet-4-6", "low", ADAPTIVE, "low"),
    "4.6, medium": ("claude-opus-4-6", "medium", ADAPTIVE, "medium"),
    "4.6, high": ("claude-opus-4-6", "high", ADAPTIVE, "high"),
    "4.6, xhigh": ("claude-opus-4-6", "xhigh", ADAPTIVE, "max"),
    "4.6, max": ("claude-opus-4-6", "max", ADAPTIVE, "max"),
    "4.6, none": ("claude-opus-4-6", "none", None, None),
    "4.7, xhigh": ("claude-opus-4-7", "xhigh", ADAPTIVE, "xhigh"),
    "5, high": ("claude-opus-5", "high", ADAPTIVE, "high"),
    "5, none": ("claude-opus-5", "none", DISABLED, None),
    "5, nothing said": ("claude-opus-5", None, None, None),
    "Sonnet 5.5, none": ("claude-sonnet-5-5", "none", BETWEEN_TOOLS, None),
    "Haiku 5.5, none": ("claude-haiku-5-5", "none", DISABLED, None),
    "Opus 5.5, low": ("claude-opus-5-5", "low", ADAPTIVE, "low"),
    "Opus 5.5, none": ("claude-opus-5-5", "none", ADAPTIVE, "low"),
    "Fable, none": ("claude-fable-5-1", "none", ADAPTIVE, "low"),
    "Mythos, high": ("claude-mythos-preview", "high", ADAPTIVE, "high"),
    "a budget, minimal": ("claude-sonnet-4-5", "minimal", budget(1024), None),
    "a budget, low": ("claude-haiku-4-5-20251001", "low", budget(2048), None),
    "a budget, medium": ("claude-opus-4-5-20251101", "medium", budget(8192), None),
    "a budget, high": ("claude-opus-4-1-20250805", "high", budget(16384), None),
    "a budget, xhigh": ("claude-sonnet-4-20250514", "xhigh", budget(32000), None),
    "a budget, max": ("claude-sonnet-4-0", "max", budget(32000), None),
    "a budget, none": ("claude-sonnet-4-5", "none", None, None),
    "one that does not think": ("fake-llm-1", "high", None, None),
}


@pytest.mark.parametrize(("model", "effort", "thinking", "told"), EFFORTS.values(), ids=EFFORTS.keys())
def test_an_effort_is_told_as_the_model_understands_it(model, effort, thinking, told):
    assert thought(asked_of(model, reasoning_effort=effort)) == (thinking, told)


@pytest.mark.parametrize(
    ("max_tokens", "thinking"),
    [(64_000, budget(16_384)), (8192, budget(4096)), (2048, budget(1024)), (2047, None), (1, None)],
    ids=["enough", "half of it", "just enough", "too little", "nothing"],
)
def test_a_budget_leaves_half_for_the_answer(max_tokens, thinking):
    asked = asked_of("claude-sonnet-4-5", reasoning_effort="high", max_tokens=max_tokens)
    assert thought(asked) == (thinking, None)
    assert asked["max_tokens"] == max_tokens


NAMES = {
    "claude-opus-5-5": (Mode.ADAPTIVE, Off.NEVER, Sampling.NONE),
    "claude-opus-6": (Mode.ADAPTIVE, Off.NEVER, Sampling.NONE),
    "claude-sonnet-6-1-20280101": (Mode.ADAPTIVE, Off.BETWEEN_TOOLS, Sampling.NONE),
    "claude-haiku-5-5": (Mode.ADAPTIVE, Off.DISABLED, Sampling.NONE),
    "claude-sonnet-5": (Mode.ADAPTIVE, Off.DISABLED, Sampling.NONE),
    "claude-opus-4-8": (Mode.ADAPTIVE, Off.SILENCE, Sampling.NONE),
    "claude-fable-5": (Mode.ADAPTIVE, Off.NEVER, Sampling.NONE),
    "claude-mythos-preview": (Mode.ADAPTIVE, Off.NEVER, Sampling.NONE),
    "claude-opus-4-6": (Mode.ADAPTIVE, Off.SILENCE, Sampling.ONE),
    "anthropic/claude-opus-4.6": (Mode.ADAPTIVE, Off.SILENCE, Sampling.ONE),
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": (Mode.BUDGET, Off.SILENCE, Sampling.ONE),
    "claude-opus-4-20250514": (Mode.BUDGET, Off.SILENCE, Sampling.BOTH),
    "claude-3-7-sonnet-20250219": (Mode.BUDGET, Off.SILENCE, Sampling.BOTH),
    "claude-3-5-haiku-20241022": (Mode.NONE, Off.SILENCE, Sampling.BOTH),
    "claude-sonnet-3-1": (Mode.NONE, Off.SILENCE, Sampling.BOTH),
    "some-model": (Mode.NONE, Off.SILENCE, Sampling.BOTH),
}


@pytest.mark.parametrize(("model", "expected"), NAMES.items(), ids=NAMES.keys())
def test_a_model_is_known_by_its_name(model, expected):
    found = traits(model)
    assert (found.mode, found.off, found.sampling) == expected


SAMPLING = {
    "4.6": ("claude-opus-4-6", {}, {"temperature": 0.5}),
    "4.6, thinking": ("claude-opus-4-6", {"reasoning_effort": "low"}, {}),
    "4.5": ("claude-sonnet-4-5", {}, {"temperature": 0.5}),
    "4.5, thinking": ("claude-sonnet-4-5", {"reasoning_effort": "low"}, {}),
    "4.0": ("claude-sonnet-4-20250514", {}, {"temperature": 0.5, "top_p": 0.75}),
    "4.7": ("claude-opus-4-7", {}, {}),
    "5": ("claude-opus-5", {"reasoning_effort": "none"}, {}),
    "another": ("fake-llm-1", {}, {"temperature": 0.5, "top_p": 0.75}),
}


@pytest.mark.parametrize(("model", "fields", "expected"), SAMPLING.values(), ids=SAMPLING.keys())
def test_a_model_is_told_how_to_sample_where_it_takes_that(model, fields, expected):
    asked = asked_of(model, temperature=0.5, top_p=0.75, **fields)
    assert {name: asked[name] for name in ("temperature", "top_p") if name in asked} == expected


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "look"}}], ids=["any", "named"]
)
@pytest.mark.parametrize(
    ("model", "thinking"),
    [("claude-sonnet-4-5", None), ("claude-sonnet-4-6", None), ("claude-opus-5", DISABLED)],
    ids=["a budget", "adaptive", "on by default"],
)
def test_a_forced_call_excludes_thinking(model, thinking, choice):
    asked = asked_of(model, reasoning_effort="high", tools=[TOOL], tool_choice=choice)
    assert asked.get("thinking") == thinking


def test_a_model_that_always_thinks_is_not_told_to_beside_a_forced_call():
    asked = asked_of("claude-fable-5-1", reasoning_effort="high", tools=[TOOL], tool_choice="required")
    assert "thinking" not in asked
    assert asked["output_config"] == {"effort": "high"}


def test_a_choice_that_forces_nothing_leaves_a_budget():
    asked = asked_of("claude-sonnet-4-5", reasoning_effort="high", tools=[TOOL], tool_choice="auto")
    assert asked["thinking"] == budget(16_384)


#: The strict fake takes back only what it signed itself.
SIGNATURE = sign(1, "Hm.")
REDACTED_DATA = sign(1, REDACTED)
DETAILS = [
    {"type": "reasoning.text", "text": "Hm.", "signature": SIGNATURE},
    {"type": "reasoning.encrypted", "data": REDACTED_DATA},
]
THINKING = [
    {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": REDACTED_DATA},
]
CALL = assistant("I look.", tool_calls=[call()])
SIGNED = {**CALL, "reasoning_details": DETAILS}


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-5", "claude-opus-5-5"])
def test_signed_thinking_goes_back_before_what_was_said(model):
    asked = asked_of(model, reasoning_effort="high", messages=[USER, SIGNED, tool()])
    assert asked["messages"][1]["content"][:3] == [*THINKING, text("I look.")]
    assert asked["thinking"]["type"] != "disabled"


@pytest.mark.parametrize(
    ("model", "sent"),
    [("claude-sonnet-4-6", False), ("claude-opus-5", True), ("fake-llm-1", False)],
    ids=["does not think", "thinks by itself", "cannot think"],
)
def test_without_an_effort_thinking_goes_back_to_whom_it_may_be_of_use(model, sent):
    content = asked_of(model, messages=[USER, SIGNED, tool()])["messages"][1]["content"]
    assert (content[:2] == THINKING) is sent
    assert content[-2] == text("I look.")


LOOPS = {
    "signed": ([USER, SIGNED, tool()], True),
    "not signed": ([USER, CALL, tool()], False),
    "only its beginning signed": ([USER, SIGNED, tool(), CALL, tool()], True),
    "only its end signed": ([USER, CALL, tool(), SIGNED, tool()], False),
    "over": ([USER, CALL, tool(), assistant("Seen."), USER], True),
    "over, and a new one": ([USER, CALL, tool(), assistant("Seen."), USER, SIGNED, tool()], True),
    "with a user who says more": ([USER, CALL, tool(), USER], False),
    "with a user who says more, signed": ([USER, SIGNED, tool(), USER], True),
}


@pytest.mark.parametrize(("messages", "thinks"), LOOPS.values(), ids=LOOPS.keys())
@pytest.mark.parametrize(
    ("model", "on", "off"),
    [
        ("claude-sonnet-4-5", budget(16_384), None),
        ("claude-sonnet-4-6", ADAPTIVE, None),
        ("claude-opus-5", ADAPTIVE, DISABLED),
    ],
    ids=["a budget", "adaptive", "on by default"],
)
def test_a_tool_loop_goes_on_thinking_only_if_its_thinking_is_there(model, on, off, messages, thinks):
    asked = asked_of(model, reasoning_effort="high", messages=messages)
    assert asked.get("thinking") == (on if thinks else off)


def test_an_answer_begun_is_gone_on_with_without_thinking():
    asked = asked_of("claude-sonnet-4-5", reasoning_effort="high", messages=[USER, assistant("It is")])
    assert "thinking" not in asked


def test_one_who_always_thinks_goes_on_without():
    assert thought(asked_of("claude-opus-5-5", reasoning_effort="high", messages=[USER, CALL, tool()])) == (
        ADAPTIVE,
        "high",
    )


def test_where_nobody_thinks_earlier_thinking_stays_behind():
    messages = [USER, SIGNED, tool(), assistant("Seen."), USER, CALL, tool()]
    content = asked_of("claude-sonnet-4-6", reasoning_effort="high", messages=messages)["messages"][1]["content"]
    assert content[0] == text("I look.")


REASONING = {
    "the pieces of a stream": (
        [
            {"type": "reasoning.text", "index": 0, "text": "", "signature": ""},
            {"type": "reasoning.text", "index": 0, "text": "H"},
            {"type": "reasoning.text", "index": 0, "text": "m."},
            {"type": "reasoning.text", "index": 0, "signature": SIGNATURE},
            {"type": "reasoning.encrypted", "index": 1, "data": REDACTED_DATA},
        ],
        THINKING,
    ),
    "several without an index": (
        DETAILS + DETAILS,
        THINKING + THINKING,
    ),
    "thinking that is not shown": (
        [{"type": "reasoning.text", "signature": sign(1, "")}],
        [{"type": "thinking", "thinking": "", "signature": sign(1, "")}],
    ),
    "what is not signed": ([{"type": "reasoning.text", "text": "Hm."}, DETAILS[1]], [THINKING[1]]),
    "what has no data": ([DETAILS[0], {"type": "reasoning.encrypted"}], [THINKING[0]]),
    "of a type yet unknown": ([{"type": "reasoning.summary", "summary": "Hm."}, {}, *DETAILS], THINKING),
    "what another vendor signed": (
        [
            {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "google-gemini-v1"},
            {"type": "reasoning.encrypted", "data": "ZW5j", "id": "rs_1", "format": "openai-responses-v1"},
            {"type": "reasoning.text", "text": "Hm.", "signature": carried.signature(carried.State())},
            *({"format": "anthropic-claude-v1"} | detail for detail in DETAILS),
        ],
        THINKING,
    ),
    "none": ([], []),
}


@pytest.mark.parametrize(("details", "blocks"), REASONING.values(), ids=REASONING.keys())
def test_reasoning_details_become_thinking(details, blocks):
    messages = [USER, assistant("Hi.", reasoning_details=details), USER]
    asked = asked_of("claude-sonnet-4-6", reasoning_effort="high", messages=messages)
    assert asked["messages"][1]["content"] == [*blocks, text("Hi.")]


def test_thinking_of_which_nothing_came_is_left_out():
    messages = [USER, assistant(None, reasoning_details=DETAILS), USER]
    asked = asked_of("claude-sonnet-4-6", reasoning_effort="high", messages=messages)
    assert [message["role"] for message in asked["messages"]] == ["user"]


def test_pieces_of_thinking_are_put_together_in_linear_time():
    thinking = "a" * 3_000_000
    piece = {"type": "reasoning.text", "index": 0, "text": "a" * 300}
    details = [*[piece] * 10_000, {"type": "reasoning.text", "index": 0, "signature": sign(1, thinking)}]
    messages = [USER, assistant("Hi.", reasoning_details=details), USER]
    began = time.process_time()
    asked = asked_of("claude-sonnet-4-6", reasoning_effort="low", messages=messages)
    assert time.process_time() - began < 1
    assert asked["messages"][1]["content"][0]["thinking"] == thinking
