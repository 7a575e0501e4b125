"""Scenarios 2 and 3: a rolling restart under live clients drops nothing with Lastcall, and drops streams without it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Figures
from tests.e2e.gauge import Books, restart, settled, watched
from tests.e2e.kube import BARE_URL, GATEWAY, GATEWAY_URL, Api, get, kubectl, until
from tests.e2e.load import Load, Shape
from tests.e2e.verdict import Verdict, summary

pytestmark = pytest.mark.e2e

#: A drain lasts as long as the longest stream and the settle time; the rest is the cluster's own.
_ROLLOUT_SECONDS = 150.0
_SPEC = "/spec/template/spec"


async def test_a_rolling_restart_under_sixty_live_clients_drops_and_refuses_nothing(
    api: Api, diagnostics: Path, figures: Figures
) -> None:
    before = {pod.uid for pod in await api.pods()}
    async with watched(api, diagnostics) as books, Load(GATEWAY_URL, Shape()) as load:
        await load.saturated()
        await asyncio.sleep(5)  # so that streams of all ages are under way
        await restart(f"deployment/{GATEWAY}")
        await _rolled()
        await asyncio.sleep(10)  # the last of the old ones has settled: who comes now is no test of them
        outcomes, pods = await asyncio.gather(load.finish(), settled(api, _ROLLOUT_SECONDS))
        assert not {pod.uid for pod in pods} & before
        await _at_rest(books)
    figures(load, books)

    assert load.broken() == [], summary(outcomes)
    assert {(outcome.client, outcome.connection) for outcome in outcomes} == {
        (client, connection) for client in ("raw", "sdk") for connection in ("kept", "fresh")
    }
    assert len(outcomes) > 2 * Shape().clients  # how many more is the machine's speed
    left = [seen for uid, seen in books.pods.items() if uid in before]
    assert all(seen.counted()["completed"] for seen in left), f"each pod that left had carried streams\n{books}"
    assert all(seen.farewell is not None for seen in left), f"each pod that left said how it went\n{books}"
    assert await _failed_hooks({seen.pod.name for seen in left}) == []
    assert books.totals() == {"completed": len(outcomes), "failed": 0, "dropped": 0}, f"our books differ\n{books}"


async def test_an_ordinary_rolling_restart_of_the_bare_upstream_drops_streams(api: Api, figures: Figures) -> None:
    async with Load(BARE_URL, Shape(clients=30, longest_seconds=30.0)) as load:
        await load.saturated()
        await asyncio.sleep(3)
        await restart("deployment/bare")
        await kubectl("rollout", "status", "deployment/bare", "--timeout=120s")
        outcomes = await load.finish()
    figures(load)
    assert any(outcome.verdict is Verdict.DROPPED for outcome in outcomes), summary(outcomes)


async def test_the_gateway_without_its_drain_drops_streams(api: Api, figures: Figures) -> None:
    async with _without_drain(api):
        before = {pod.uid for pod in await api.pods()}
        async with Load(GATEWAY_URL, Shape(clients=30, longest_seconds=30.0, shortest_seconds=10.0)) as load:
            await load.saturated()
            await restart(f"deployment/{GATEWAY}")
            await _all_replaced(api, before)
            outcomes = await load.finish()
    figures(load)
    assert any(outcome.verdict is Verdict.DROPPED for outcome in outcomes), summary(outcomes)


async def _all_replaced(api: Api, before: set[str]) -> set[str]:
    """Wait until the rollout is through, none of the pods of before is left, and three are Ready."""
    await _rolled()
    pods = {pod.uid for pod in await settled(api, _ROLLOUT_SECONDS)}
    assert not pods & before
    return pods


async def _rolled() -> None:
    """Wait until all pods are new and Ready, and the old ones are at least on their way out."""
    rollout = f"--timeout={_ROLLOUT_SECONDS:g}s"
    await kubectl("rollout", "status", f"deployment/{GATEWAY}", rollout, within_seconds=_ROLLOUT_SECONDS + 10)


async def _failed_hooks(pods: set[str]) -> list[str]:
    """What the kubelet says of preStop hooks that failed in these pods."""
    events = (await get("events", "--field-selector", "reason=FailedPreStopHook"))["items"]
    return [event["message"] for event in events if event["involvedObject"]["name"] in pods]


async def _at_rest(books: Books) -> None:
    async def holds() -> bool:
        return not any(seen.in_flight for seen in books.pods.values() if seen.gone is None)

    await until(holds, 10, "nothing in flight by the account of the pods that stay")


@asynccontextmanager
async def _without_drain(api: Api) -> AsyncIterator[None]:
    """Take preStop and most of the grace period away, as in most people's manifests; put them back afterwards."""
    spec = (await get("deployment", GATEWAY))["spec"]["template"]["spec"]
    hook, grace = spec["containers"][0]["lifecycle"], spec["terminationGracePeriodSeconds"]
    await _patch(api, [{"op": "remove", "path": f"{_SPEC}/containers/0/lifecycle"}, _grace(2)])
    try:
        yield
    finally:
        await _patch(api, [{"op": "add", "path": f"{_SPEC}/containers/0/lifecycle", "value": hook}, _grace(grace)])


def _grace(seconds: int) -> dict[str, Any]:
    return {"op": "replace", "path": f"{_SPEC}/terminationGracePeriodSeconds", "value": seconds}


async def _patch(api: Api, operations: list[dict[str, Any]]) -> None:
    before = {pod.uid for pod in await api.pods()}
    await kubectl("patch", "deployment", GATEWAY, "--type=json", f"--patch={json.dumps(operations)}")
    await _all_replaced(api, before)
