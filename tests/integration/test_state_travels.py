"""State that upstreams want back travels through Anthropic's own SDK: with each of them, and from one to the next."""

import contextlib
import itertools

import pytest
from tests.support.fake import FakeProcess
from tests.support.sdk import WEATHER_TOOL, sync_client
from tests.support.sidecar_process import SidecarProcess

from lastcall_sidecar.testing.openai.vendors import VENDORS

CLAUDE = "claude-sonnet-4-6"
MODELS = {api: vendor.model for api, vendor in VENDORS.items()}
TURNS = 4


@pytest.fixture(scope="module")
def sidecar():
    """All of them behind one list of models; Anthropic's is the one for everything else."""
    with contextlib.ExitStack() as stack:
        claude = stack.enter_context(FakeProcess())
        others = {api: stack.enter_context(FakeProcess(api=api)) for api in MODELS}
        named = [
            {"name": api.lower(), "provider": "OpenAI", "url": fake.url, "models": [MODELS[api]]}
            for api, fake in others.items()
        ]
        settings = {"upstream": {"url": claude.url}, "upstreams": named, "drain": {"settleSeconds": 0}}
        yield stack.enter_context(SidecarProcess(settings))


@pytest.fixture
def client(sidecar):
    with sync_client(sidecar.url) as opened:
        yield opened


CALLS = "[fake kind=calls calls=2]"


def asked(model, messages, **fields):
    """The next turn: two calls."""
    return {
        "model": model,
        "max_tokens": 4096,
        "tools": [WEATHER_TOOL],
        "messages": [{"role": "user", "content": CALLS}, *messages],
        **fields,
    }


def gone_on(messages, answer):
    """The conversation with an answer in it, as the SDK's users send it back, and results of its calls."""
    calls = [block.id for block in answer.content if block.type == "tool_use"]
    assert len(calls) == 2
    results = [{"type": "tool_result", "tool_use_id": call, "content": "sunny"} for call in calls]
    said = [block.to_dict() for block in answer.content]
    text = {"type": "text", "text": CALLS}
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": [*results, text]}]


def streamed(client, **question):
    with client.messages.stream(**question) as stream:
        return stream.get_final_message()


WAYS = {"whole": lambda client, **question: client.messages.create(**question), "stream": streamed}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("api", MODELS)
def test_a_tool_loop_goes_on_with_what_the_upstream_wants_back(client, api, way):
    messages = []
    for _ in range(TURNS):
        messages = gone_on(messages, way(client, **asked(MODELS[api], messages)))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("thinking", [None, {"type": "enabled", "budget_tokens": 1024}], ids=["plain", "thinking"])
def test_a_conversation_moves_from_one_upstream_to_the_next_and_back(client, way, thinking):
    models = [CLAUDE, *MODELS.values()]
    messages = []
    fields = {"thinking": thinking} if thinking else {}
    for model in itertools.chain(models, reversed(models)):
        messages = gone_on(messages, way(client, **asked(model, messages, **fields)))


def test_tokens_of_such_a_conversation_are_counted_by_anthropic(client):
    messages = gone_on([], client.messages.create(**asked(MODELS["Kimi"], [])))
    question = asked(CLAUDE, messages)
    del question["max_tokens"]
    assert client.messages.count_tokens(**question).input_tokens > 0


def test_a_large_conversation_is_mended_too(client):
    messages = gone_on([], client.messages.create(**asked(MODELS["Kimi"], [])))
    messages[-1]["content"].append({"type": "text", "text": "x" * 5_000_000})
    gone_on(messages, client.messages.create(**asked(CLAUDE, messages)))


def test_nobody_is_left_in_flight(sidecar):
    sidecar.wait_for(in_flight=0, totals_dropped=0)
    assert "Traceback" not in sidecar.output()
