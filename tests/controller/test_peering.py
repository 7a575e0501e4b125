"""With a peering a controller rests while another one is at work; without, it asks nobody."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lastcall_operator.cluster.resources import DRAIN_POLICIES, STREAM_PROXIES
from lastcall_operator.controller.peering import CLUSTER_PEERINGS, LOOK_SECONDS, PEERINGS, Peers, gated, others
from lastcall_operator.controller.process import main
from lastcall_operator.controller.registry import settings
from lastcall_operator.settings import Settings
from lastcall_operator.testing import FakeCluster, WatchedCluster, drain_policy
from tests.controller.test_process import free_port, kubeconfig, stream_proxy, until
from tests.controller.world import world

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def signed(seconds_ago: float, now: datetime = NOW, **more: Any) -> dict[str, Any]:
    return {"priority": 0, "lifetime": 60, "lastseen": (now - timedelta(seconds=seconds_ago)).isoformat(), **more}


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ({}, []),
        ({"me": signed(1)}, []),
        ({"me": signed(1), "b": signed(59), "a": signed(0)}, ["a", "b"]),
        ({"a": signed(61)}, []),
        ({"a": signed(61, lifetime=90)}, ["a"]),
        ({"a": None, "b": {}, "c": {"lastseen": "yesterday"}, "d": signed(0, lifetime="x"), "e": {"lastseen": 5}}, []),
    ],
    ids=["nobody", "we", "two", "gone", "slow", "nonsense"],
)
def test_who_else_is_at_work(status: dict[str, Any], found: list[str]) -> None:
    assert others(status, "me", NOW) == found


def test_off_by_default_and_never_kopf_s_own() -> None:
    off, on = settings(), settings("team")
    assert off.peering.standalone
    assert (on.peering.standalone, on.peering.name, on.peering.mandatory) == (False, "team", True)


@pytest.mark.parametrize("namespaces", [(), ("a", "b")], ids=["cluster", "namespaces"])
async def test_a_step_is_taken_only_while_nobody_else_is_at_work(namespaces: tuple[str, ...]) -> None:
    steps: list[str] = []

    async def step(key: str) -> float | None:
        steps.append(key)
        return 1.0

    async with FakeCluster() as cluster, cluster.connect() as api:

        def peering(status: dict[str, Any]) -> None:
            for namespace in namespaces:
                cluster.put(PEERINGS, {"metadata": {"name": "team", "namespace": namespace}})
            if namespaces:
                last = {"name": "team", "namespace": namespaces[-1]}
                cluster.put(PEERINGS, {"metadata": last, "status": status})
            else:
                cluster.put(CLUSTER_PEERINGS, {"metadata": {"name": "team"}, "status": status})

        async def tried() -> float | None:
            return await gated(Peers(api, "team", namespaces, "me"), step)("key")

        assert await tried() == LOOK_SECONDS  # there is no such peering
        peering({"another": signed(0, datetime.now(UTC))})
        assert await tried() == LOOK_SECONDS
        assert steps == []
        peering({"another": signed(120, datetime.now(UTC)), "me": signed(0, datetime.now(UTC))})
        assert await tried() == 1.0
        assert steps == ["key"]
        asked = cluster.requests.total()
        assert await gated(None, step)("key") == 1.0
        assert cluster.requests.total() == asked


async def test_no_loop_goes_on_with_what_it_saw_before_another_came() -> None:
    async with world(peering="team") as it:
        status = {"another": signed(0, datetime.now(UTC))}
        it.cluster.put(CLUSTER_PEERINGS, {"metadata": {"name": "team"}, "status": status})
        it.cluster.put(DRAIN_POLICIES, drain_policy())
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        assert [await it.policy(), await it.proxy()] == [LOOK_SECONDS, LOOK_SECONDS]
        assert await it.controller.pods._step(("default", "chat-a", "uid-a")) == LOOK_SECONDS
        assert it.writes() == 0


async def test_the_process_rests_until_the_other_is_gone(tmp_path: Path) -> None:
    async with WatchedCluster() as cluster:
        now = datetime.now(UTC)
        other = {"another": signed(0, now, lifetime=3)}
        cluster.put(CLUSTER_PEERINGS, {"metadata": {"name": "team"}, "status": other})
        cluster.put(DRAIN_POLICIES, drain_policy())
        stop = asyncio.Event()
        chosen = Settings(
            kubeconfig=kubeconfig(tmp_path, cluster.url), admin_port=free_port(), peering="team", pod_name="me"
        )
        running = asyncio.create_task(main(chosen, stop=stop))
        try:
            peers = lambda: cluster.get(CLUSTER_PEERINGS, None, "team").get("status") or {}  # noqa: E731
            status = lambda: cluster.get(DRAIN_POLICIES, "default", "chat").get("status")  # noqa: E731
            await until(lambda: "me" in peers(), "it signs under its own name")
            assert datetime.now(UTC) > now + timedelta(seconds=3) or status() is None
            await until(status, "it takes over when the other has not signed for long", seconds=20)
            assert datetime.now(UTC) > now + timedelta(seconds=3)
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)
