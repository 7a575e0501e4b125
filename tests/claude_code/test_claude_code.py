"""Claude Code itself, through the sidecar: on an Anthropic upstream and, translated, on OpenAI-compatible ones."""

import asyncio
import contextlib
import random

import pytest
from tests.claude_code.claude import ask
from tests.claude_code.upstream import ToolUpstream, step
from tests.support.running import running
from tests.support.sidecar_process import SidecarProcess
from tests.support.waiting import eventually

from lastcall_operator.local.front import Endpoint, Front
from lastcall_sidecar.testing.openai.vendors import VENDORS

pytestmark = pytest.mark.claude_code

APIS = ("Anthropic", "OpenAI", "vLLM")
#: Vendors that refuse the next turn unless it brings back what they told beside the words of the last one.
WANTING = tuple(VENDORS)
MODELS = {"OpenAI": "gpt-4o", "vLLM": "fake-llm-1", **{api: vendor.model for api, vendor in VENDORS.items()}}
#: Conversations at a time in front of a drain, and how long each answer of their upstream takes.
LIVE = 8
ANSWER_SECONDS = 1.0


def settings(upstream, **drain):
    provider = "Anthropic" if upstream.api == "Anthropic" else "OpenAI"
    # The names that Claude Code asks for, as the upstream has them.
    models = {"claude-*": MODELS[upstream.api]} if upstream.api in MODELS else {}
    return {"upstream": {"provider": provider, "url": upstream.url, "models": models}, "drain": drain}


def used(lines):
    """The commands that Claude Code ran, and what it was told in the end."""
    blocks = [block for line in lines if line["type"] == "assistant" for block in line["message"]["content"]]
    commands = [block["input"]["command"] for block in blocks if block["type"] == "tool_use"]
    return commands, lines[-1]


def went_well(lines, turns):
    commands, last = used(lines)
    assert (last["type"], last["subtype"], last["is_error"]) == ("result", "success", False), last
    assert commands == [f"echo {step(number)}" for number in range(turns)]
    assert last["result"] == "Done: " + " ".join(step(number) for number in range(turns))


@pytest.mark.parametrize("api", APIS)
async def test_it_works_through_turns_with_tools(api, tmp_path):
    async with ToolUpstream(api, turns=3) as upstream, running(SidecarProcess(settings(upstream))) as sidecar:
        went_well(await ask(sidecar.url, "Take three steps.", tmp_path), 3)
        await asyncio.to_thread(sidecar.wait_for, in_flight=0, totals_failed=0, totals_dropped=0)
    assert upstream.refused == []
    assert upstream.served == 4


@pytest.mark.parametrize("api", WANTING)
async def test_what_an_upstream_wants_back_comes_back_for_five_turns(api, tmp_path):
    async with ToolUpstream(api, turns=5) as upstream, running(SidecarProcess(settings(upstream))) as sidecar:
        went_well(await ask(sidecar.url, "Take five steps.", tmp_path), 5)
        await asyncio.to_thread(sidecar.wait_for, in_flight=0, totals_failed=0, totals_dropped=0)
    assert upstream.refused == []
    assert upstream.served == 6


@pytest.mark.parametrize("api", APIS)
async def test_an_error_of_the_upstream_reaches_it(api, tmp_path):
    async with (
        ToolUpstream(api, turns=1, fails=True) as upstream,
        running(SidecarProcess(settings(upstream))) as sidecar,
    ):
        lines = await ask(sidecar.url, "Take a step.", tmp_path, exit_code=1)
    assert lines[-1]["is_error"]
    assert "the upstream is on strike" in lines[-1]["result"]


def both_have_served(*sidecars):
    return all(one.livez()["totals"]["completed"] >= 2 for one in sidecars)


@contextlib.asynccontextmanager
async def behind_a_front(*sidecars):
    """One address for all of them: a new connection goes to one that is ready, as kube-proxy would have it."""

    def endpoints():
        return [
            Endpoint(str(one.traffic_port), "127.0.0.1", one.traffic_port, ready=one in wanted, serving=True)
            for one in sidecars
        ]

    wanted = list(sidecars)
    front = Front(endpoints, random.Random(7))
    url = await front.start()
    try:
        yield url, wanted
    finally:
        await front.stop()


@pytest.mark.parametrize("api", ["Anthropic", "vLLM"])
async def test_eight_of_them_live_on_across_a_drain(api, tmp_path):
    turns = 5
    homes = [tmp_path / str(number) for number in range(LIVE)]
    for home in homes:
        home.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(ToolUpstream(api, turns=turns, seconds=ANSWER_SECONDS))
        leaving, staying = [
            await stack.enter_async_context(running(SidecarProcess(settings(upstream, settleSeconds=1))))
            for _ in range(2)
        ]
        url, wanted = await stack.enter_async_context(behind_a_front(leaving, staying))
        talks = [asyncio.create_task(ask(url, f"Take {turns} steps.", home)) for home in homes]
        # In the middle of their answers, on both: one of the two is asked to leave.
        await asyncio.to_thread(eventually, lambda: both_have_served(leaving, staying), "both have served", 60)
        await asyncio.to_thread(eventually, lambda: leaving.livez()["streams"] > 0, "an answer is under way", 60)
        leaving.terminate()
        wanted.remove(leaving)
        for talk in await asyncio.gather(*talks):
            went_well(talk, turns)
        assert await asyncio.to_thread(leaving.wait, 20) == 0
        output = leaving.output()
        assert '"dropped":0' in output.replace(" ", ""), output[-2000:]
        await asyncio.to_thread(staying.wait_for, in_flight=0, totals_failed=0, totals_dropped=0)
    assert upstream.refused == []
