"""A new configuration under load: in force for new requests within two seconds, and no request under way notices."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from tests.support.calls import HEADERS, all_whole, call, get, is_whole, question
from tests.support.fake import fake_in_loop
from tests.support.gated import GatedUpstream
from tests.support.metrics import scrape
from tests.support.raw_client import RawClient
from tests.support.running import gated_sidecar, running, together
from tests.support.scripted_upstream import ScriptedUpstream, json_response, repeat
from tests.support.sidecar_process import TEST_LOOP, SidecarProcess

PROMISED_SECONDS = 2
#: What a busy machine may add.
SLACK_SECONDS = 3
SETTLE = {"drain": {"settleSeconds": 0}}


async def in_force(sidecar: SidecarProcess, *, since: float, **wanted: object) -> float:
    """Wait until `config` in /livez says this; how many seconds after `since` that was."""
    while True:
        config = json.loads((await get(sidecar.admin_url, "/livez")).body)["config"]
        if all(config[name] == value for name, value in wanted.items()):
            return time.monotonic() - since
        assert time.monotonic() - since < 30, config
        await asyncio.sleep(0.02)


async def changed(sidecar: SidecarProcess, change: dict) -> float:
    """Write a change with a generation of its own and wait until it is in force; how long that took."""
    generation = sidecar.settings.get("generation", 0) + 1
    written = time.monotonic()
    sidecar.write_config({**change, "generation": generation})
    return await in_force(sidecar, since=written, generation=generation, error=None)


async def under_load():
    """The upstream moves away and back again under streams short and long."""
    done = asyncio.Event()
    answers, seconds = [], []

    async def worker(url: str, number: int) -> None:
        turn = 0
        async with await RawClient.connect(url) as client:
            while not done.is_set():
                turn += 1
                text = f"[fake events=10 seconds=0.05 seed={number * 1000 + turn}]"
                answers.append(await call(url, text, stream=bool(turn % 3), client=client))

    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(fake_in_loop()) for _ in range(2)]
        sidecar = await stack.enter_async_context(running(SidecarProcess({"upstream": {"url": urls[0]}, **SETTLE})))
        long = [asyncio.create_task(call(sidecar.url, f"[fake seconds=6 seed={n}]")) for n in range(20)]
        workers = [asyncio.create_task(worker(sidecar.url, number)) for number in range(5)]
        served = []
        for turn in range(1, 4):
            seconds.append(await changed(sidecar, {"upstream": {"url": urls[turn % 2]}}))
            served.append(await asyncio.gather(*(_served(url) for url in urls)))
            await asyncio.sleep(0.5)
            served.append(await asyncio.gather(*(_served(url) for url in urls)))
        done.set()
        await asyncio.gather(*workers)
        streams = await asyncio.gather(*long)
        livez = await asyncio.to_thread(sidecar.wait_for, in_flight=0)
    return {"answers": answers, "long": streams, "seconds": seconds, "served": served, "livez": livez}


async def _served(url: str) -> int:
    """How many requests that fake LLM has begun to answer."""
    stats = json.loads((await get(url, "/__stats")).body)
    return sum(stats["paths"].values())


async def slots():
    """`limits.maxConcurrent`, lower than what runs already and up again."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        running_already = [asyncio.create_task(call(sidecar.url, f"[fake seed={n}]")) for n in range(3)]
        await asyncio.to_thread(sidecar.wait_for, streams=3)
        await changed(sidecar, {"limits": {"maxConcurrent": 2}})
        queued = [asyncio.create_task(call(sidecar.url, f"[fake seed={n}]")) for n in range(10, 12)]
        lowered = await asyncio.to_thread(sidecar.wait_for, in_flight=5)
        await asyncio.sleep(0.3)  # they do not slip in
        lowered = await asyncio.to_thread(sidecar.livez)
        await changed(sidecar, {"limits": {"maxConcurrent": 4}})
        raised = await asyncio.to_thread(sidecar.wait_for, streams=4)
        upstream.gate.set()
        return {
            "lowered": lowered,
            "raised": raised,
            "answers": await asyncio.gather(*running_already, *queued),
        }


def mount(folder: Path, version: int, files: dict[str, str]) -> None:
    """Put files where the kubelet would: in a folder of their own, which a symlink is swapped to."""
    content = folder / f"..version_{version}"
    content.mkdir()
    for name, text in files.items():
        (content / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    fresh = folder / "..data_tmp"
    fresh.symlink_to(content.name)
    fresh.replace(folder / "..data")


class Mounted(SidecarProcess):
    """A sidecar whose configuration and secrets are a mounted ConfigMap and two mounted Secrets."""

    def __init__(self, settings: dict) -> None:
        super().__init__(settings)
        self.mounts = {name: self.folder / name for name in ("config", "upstream", "clients")}
        for path in self.mounts.values():
            path.mkdir()
        self.settings["upstream"]["apiKeyFile"] = str(self.mounts["upstream"] / "key")
        self.settings["auth"] = {"apiKeysFile": str(self.mounts["clients"] / "keys")}
        self.command = [*self._module, "serve", "--loop", TEST_LOOP, "--config", str(self.mounts["config"] / "l.yaml")]


async def mounted():
    """All files swapped as the kubelet swaps them, one after the other, and the requests that the upstream then saw."""

    async def answer(connection) -> None:
        await connection.read_request()
        await connection.send(json_response(b"{}"))

    async def ask(sidecar: SidecarProcess, key: str) -> int:
        async with httpx.AsyncClient(base_url=sidecar.url, trust_env=False) as client:
            headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
            return (await client.post("/v1/messages", content=question(stream=False), headers=headers)).status_code

    async def swapped(name: str, files: dict[str, str], key: str, wanted: int) -> float:
        versions[name] = versions.get(name, 0) + 1
        mount(sidecar.mounts[name], versions[name], files)
        return await until(key, wanted)

    async def until(key: str, wanted: int) -> float:
        started = time.monotonic()
        while await ask(sidecar, key) != wanted:
            assert time.monotonic() - started < 30
            await asyncio.sleep(0.05)
        return time.monotonic() - started

    versions: dict[str, int] = {}
    async with ScriptedUpstream(repeat(answer)) as upstream, GatedUpstream() as slow:
        sidecar = Mounted({"upstream": {"url": upstream.url}, **SETTLE})
        mount(sidecar.mounts["config"], 0, {"l.yaml": json.dumps(sidecar.settings)})
        mount(sidecar.mounts["upstream"], 0, {"key": "upstream-1\n"})
        mount(sidecar.mounts["clients"], 0, {"keys": "team-a: client-1\n"})
        async with running(sidecar):
            before = [await ask(sidecar, key) for key in ("client-1", "client-2")]
            client_seconds = await swapped("clients", {"keys": "team-a: client-2\n"}, "client-2", 200)
            after = [await ask(sidecar, key) for key in ("client-1", "client-2")]
            mount(sidecar.mounts["upstream"], 1, {"key": "upstream-2\n"})
            started = time.monotonic()
            while upstream.requests[-1].header("x-api-key") != "upstream-2":
                assert time.monotonic() - started < 30
                await ask(sidecar, "client-2")
                await asyncio.sleep(0.05)
            upstream_seconds = time.monotonic() - started
            sidecar.settings["upstream"]["url"] = slow.url
            mount(sidecar.mounts["config"], 1, {"l.yaml": json.dumps({**sidecar.settings, "generation": 7})})
            config_seconds = await in_force(sidecar, since=time.monotonic(), generation=7, error=None)
            slow.gate.set()
            moved = await ask(sidecar, "client-2")
        return {
            "before": before,
            "after": after,
            "moved": moved,
            "moved_to": len(slow.requests),
            "seconds": [client_seconds, upstream_seconds, config_seconds],
            "keys": [request.header("x-api-key") for request in upstream.requests],
        }


async def under_way():
    """A request keeps what it began with: its slot, its upstream and its key, whatever comes meanwhile."""
    async with GatedUpstream() as first, GatedUpstream() as second, AsyncExitStack() as stack:
        sidecar = SidecarProcess({"upstream": {"url": first.url}, **SETTLE})
        sidecar.write_config({"auth": {"apiKeysFile": str(sidecar.file("keys", "old-key\n"))}})
        await stack.enter_async_context(running(sidecar))
        client = await stack.enter_async_context(await RawClient.connect(sidecar.url))
        headers = [("x-api-key", "old-key"), *(pair for pair in HEADERS if pair[0] != "x-api-key")]
        whole = client.request_bytes("POST", "/v1/messages", headers, question())
        half = await stack.enter_async_context(await RawClient.connect(sidecar.url))
        await half.send(whole[:-20])  # authenticated by its head; its body comes later
        await client.send(whole)
        await asyncio.to_thread(sidecar.wait_for, in_flight=2, streams=1)
        sidecar.file("keys", "new-key\n")
        await changed(sidecar, {"upstream": {"url": second.url}, "limits": {"maxBodyBytes": 1024}})
        await half.send(whole[-20:])
        first.gate.set()
        second.gate.set()
        answers = [await client.answer(), await half.answer()]
        await client.send(whole)  # the same connection, a new request: the old key is no good any more
        refused = await client.answer()
        return {"answers": answers, "refused": refused.head.status, "seen": [len(first.requests), len(second.requests)]}


FROZEN = {
    "mode": {"mode": "Egress"},
    "listen.traffic": {"listen": {"traffic": "127.0.0.1:9"}},
    "listen.admin": {"listen": {"admin": "127.0.0.1:10"}},
    "logs.level": {"logs": {"level": "debug"}},
    "logs.format": {"logs": {"format": "text"}},
    "admin.controlSocket": {"admin": {"controlSocket": "/tmp/elsewhere.sock"}},
}


async def bad_changes():
    """One bad configuration after another, each told and none in force, and then a good one."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        upstream.gate.set()
        good = sidecar.config_file.read_text()
        before = await asyncio.to_thread(sidecar.livez)
        texts = {
            "no YAML": "mode: [",
            "not a mapping": "- a\n- b\n",
            "unknown field": json.dumps({**sidecar.settings, "maxConcurrent": 5}),
            "out of bounds": json.dumps({**sidecar.settings, "limits": {"maxConcurrent": -1}}),
            "needs a restart": json.dumps(_all_frozen(sidecar.settings)),
        }
        told = {}
        last = None
        for name, text in texts.items():
            sidecar.write_config_text(text)
            last = told[name] = await _next_error(sidecar, last)
        sidecar.config_file.unlink()
        told["gone"] = await _next_error(sidecar, last)
        served = await call(sidecar.url)
        worst = await asyncio.to_thread(sidecar.livez)
        health = await get(sidecar.url, "/health")
        metrics = await scrape(sidecar)
        sidecar.write_config_text(good)
        mended = await in_force(sidecar, since=time.monotonic(), error=None)
        return {
            "before": before["config"],
            "told": told,
            "worst": worst["config"],
            "served": served,
            "health": health.head.status,
            "errors": metrics["lastcall_config_errors_total"],
            "mended": mended,
            "after": (await asyncio.to_thread(sidecar.livez))["config"],
            "log": sidecar.output(),
        }


def _all_frozen(settings: dict) -> dict:
    merged = json.loads(json.dumps(settings))
    for change in FROZEN.values():
        for section, value in change.items():
            if isinstance(value, dict):
                merged.setdefault(section, {}).update(value)
            else:
                merged[section] = value
    return merged


async def _next_error(sidecar: SidecarProcess, last: str | None) -> str:
    started = time.monotonic()
    while True:
        error = json.loads((await get(sidecar.admin_url, "/livez")).body)["config"]["error"]
        if error not in {None, last}:
            return error
        assert time.monotonic() - started < 30
        await asyncio.sleep(0.05)


async def during_a_drain():
    """A drain that is on keeps the ceiling that it began with: the grace period of its pod was made for that one."""
    async with gated_sidecar({"drain": {"settleSeconds": 0, "ceilingSeconds": 600}}) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        sidecar.terminate()
        before = await asyncio.to_thread(sidecar.wait_for, draining=True)
        await changed(sidecar, {"drain": {"ceilingSeconds": 1200}})
        after = await asyncio.to_thread(sidecar.livez)
        upstream.gate.set()
        return {"before": before["drain"], "after": after["drain"], "stream": await stream}


@pytest.fixture(scope="module")
def outcomes():
    return together(under_load, slots, mounted, under_way, bad_changes, during_a_drain)


def test_nothing_is_lost_when_the_upstream_moves_under_load(outcomes):
    seen = outcomes["under_load"]
    assert len(seen["answers"]) > 50
    assert all_whole(seen["answers"])
    assert all_whole(seen["long"])
    totals = seen["livez"]["totals"]
    requests = len(seen["answers"]) + len(seen["long"])
    assert totals == {**dict.fromkeys(totals, 0), "accepted": requests, "completed": requests}


def test_new_requests_go_to_the_new_upstream_only(outcomes):
    served = outcomes["under_load"]["served"]
    for turn in range(3):
        new = (turn + 1) % 2
        before, after = served[2 * turn], served[2 * turn + 1]
        assert after[new] > before[new]
        assert after[1 - new] <= before[1 - new] + 5  # those of the five workers that were just on their way


@pytest.mark.parametrize("name", ["under_load", "mounted"])
def test_a_change_is_in_force_within_two_seconds(outcomes, name):
    seconds = outcomes[name]["seconds"]
    assert len(seconds) == 3
    assert max(seconds) < PROMISED_SECONDS + SLACK_SECONDS
    assert sorted(seconds)[1] < PROMISED_SECONDS


def test_slots_may_become_fewer_and_more(outcomes):
    seen = outcomes["slots"]
    assert (seen["lowered"]["streams"], seen["lowered"]["queued"]) == (3, 2)
    assert (seen["raised"]["streams"], seen["raised"]["queued"]) == (4, 1)
    assert all_whole(seen["answers"])


def test_a_swapped_secret_of_clients_is_taken(outcomes):
    seen = outcomes["mounted"]
    assert seen["before"] == [200, 401]
    assert seen["after"] == [401, 200]


def test_a_swapped_key_of_the_upstream_is_taken(outcomes):
    keys = outcomes["mounted"]["keys"]
    assert set(keys) == {"upstream-1", "upstream-2"}
    assert keys == sorted(keys)


def test_a_swapped_configuration_is_taken(outcomes):
    assert outcomes["mounted"]["moved"] == 200
    assert outcomes["mounted"]["moved_to"] == 1


def test_what_is_under_way_keeps_what_it_began_with(outcomes):
    seen = outcomes["under_way"]
    assert all(is_whole(answer) for answer in seen["answers"])
    assert seen["refused"] == 401


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no YAML", "(line 1)"),
        ("not a mapping", "mapping"),
        ("unknown field", "maxConcurrent"),
        ("out of bounds", "limits.maxConcurrent"),
        ("gone", "cannot read"),
    ],
)
def test_a_bad_configuration_is_told(outcomes, name, words):
    assert words in outcomes["bad_changes"]["told"][name]


@pytest.mark.parametrize("field", FROZEN)
def test_what_cannot_change_live_says_so(outcomes, field):
    told = outcomes["bad_changes"]["told"]["needs a restart"]
    assert f"{field}: cannot change" in told
    assert "needs a restart" in told


def test_a_bad_configuration_changes_nothing(outcomes):
    seen = outcomes["bad_changes"]
    assert seen["worst"]["hash"] == seen["before"]["hash"]
    assert is_whole(seen["served"])
    assert seen["health"] == 200
    assert seen["errors"] == len(seen["told"])
    assert seen["log"].count("configuration rejected") == len(seen["told"])


def test_a_good_configuration_mends_it(outcomes):
    assert outcomes["bad_changes"]["after"] == outcomes["bad_changes"]["before"]


def test_a_new_ceiling_is_for_the_next_drain(outcomes):
    seen = outcomes["during_a_drain"]
    assert seen["after"] == seen["before"]
    assert is_whole(seen["stream"])
