"""A StreamProxy is deleted while its pods live: they keep their configuration until the last of them is gone."""

from typing import Any

import pytest

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import CONFIG_MAPS, PODS, STREAM_PROXIES
from tests.controller.test_process import stream_proxy
from tests.controller.test_proxies import told
from tests.controller.world import World, world

NAME = "lastcall-chat"


def config_maps(it: World) -> list[str]:
    return [each["metadata"]["name"] for each in it.cluster.all(CONFIG_MAPS)]


def put_user(it: World, name: str = "chat-a", phase: str = "Running") -> None:
    it.add_pod(name, annotations={names.STREAM_PROXY: "chat"})
    made = it.cluster.get(PODS, "default", name)
    made["spec"]["volumes"] = [{"name": "lastcall-config", "configMap": {"name": NAME}}]
    made["status"]["phase"] = phase
    it.cluster.put(PODS, made)


async def configured_and_deleted(it: World) -> None:
    it.cluster.put(STREAM_PROXIES, stream_proxy())
    await it.proxy()
    it.cluster.remove(STREAM_PROXIES, "default", "chat")


async def looked_at_until_settled(it: World) -> float | None:
    delay = await it.proxy()
    it.ahead_seconds += delay or 0.0
    return await it.proxy()


async def test_nothing_is_collected_with_the_streamproxy() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        assert not it.cluster.get(CONFIG_MAPS, "default", NAME)["metadata"].get("ownerReferences")


async def test_the_configuration_stays_while_a_pod_has_it_and_goes_with_the_last() -> None:
    async with world() as it:
        put_user(it, "chat-a")
        put_user(it, "chat-b")
        await configured_and_deleted(it)
        assert await looked_at_until_settled(it) is not None, "it is looked at again"
        assert config_maps(it) == [NAME]
        it.cluster.remove(PODS, "default", "chat-a")
        await it.proxy()
        assert config_maps(it) == [NAME]
        it.cluster.remove(PODS, "default", "chat-b")
        assert await it.proxy() is None
        assert config_maps(it) == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_pod_that_has_ended_needs_nothing(phase: str) -> None:
    async with world() as it:
        put_user(it, phase=phase)
        await configured_and_deleted(it)
        await looked_at_until_settled(it)
        assert config_maps(it) == []


async def test_a_pod_that_has_no_mark_of_ours_and_mounts_it_counts() -> None:
    async with world() as it:
        put_user(it)
        made = it.cluster.get(PODS, "default", "chat-a")
        made["metadata"]["labels"], made["metadata"]["annotations"] = {}, {}
        it.cluster.put(PODS, made)
        await configured_and_deleted(it)
        await looked_at_until_settled(it)
        assert config_maps(it) == [NAME]


async def test_a_pod_that_is_just_being_made_is_waited_for() -> None:
    async with world() as it:
        await configured_and_deleted(it)
        assert await it.proxy() is not None, "the webhook may have let one through"
        assert config_maps(it) == [NAME]
        put_user(it)
        it.ahead_seconds += 60
        await it.proxy()
        assert config_maps(it) == [NAME]


async def test_one_of_the_same_name_takes_it_on() -> None:
    async with world() as it:
        put_user(it)
        await configured_and_deleted(it)
        await looked_at_until_settled(it)
        again = stream_proxy(drain={"settleSeconds": 9})
        it.cluster.put(STREAM_PROXIES, {**again, "metadata": {**again["metadata"], "uid": "another"}})
        await it.proxy()
        assert "settleSeconds: 9" in it.cluster.get(CONFIG_MAPS, "default", NAME)["data"][names.CONFIG_FILE]
        assert told(it, "Accepted")[0] == "True"
        it.cluster.remove(PODS, "default", "chat-a")
        it.ahead_seconds += 60
        await it.proxy()
        assert config_maps(it) == [NAME]


async def test_one_that_the_watch_has_not_told_of_yet_keeps_it() -> None:
    async with world() as it:
        await configured_and_deleted(it)
        await it.proxy()
        it.ahead_seconds += 60
        it.look()
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        assert await it.controller.proxies._step(("default", "chat")) is not None
        assert config_maps(it) == [NAME]


async def test_what_was_left_while_no_controller_ran_is_found() -> None:
    async with world() as it:
        await configured_and_deleted(it)
        theirs: Any = {"metadata": {"name": "lastcall-other", "namespace": "default", "labels": {"app": "x"}}}
        it.cluster.put(CONFIG_MAPS, theirs)
        it.look()
        woken: list[tuple[str, tuple[str, ...]]] = []
        it.controller.leftovers._step.__self__._wake = lambda kind, key: woken.append((kind, key))
        assert await it.controller.leftovers._step(("",)) is not None
        assert woken == [("StreamProxy", ("default", "chat"))]
        await looked_at_until_settled(it)
        assert config_maps(it) == ["lastcall-other"]
        assert await it.proxy() is None, "nothing is left to be looked at"


async def test_a_configuration_in_force_is_no_leftover() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        it.look()
        woken: list[Any] = []
        it.controller.leftovers._step.__self__._wake = lambda *call: woken.append(call)
        await it.controller.leftovers._step(("",))
        assert woken == []


async def test_somebody_else_s_config_map_of_that_name_is_left_alone() -> None:
    async with world() as it:
        theirs = it.cluster.put(CONFIG_MAPS, {"metadata": {"name": NAME, "namespace": "default"}, "data": {}})
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        it.cluster.remove(STREAM_PROXIES, "default", "chat")
        assert await it.proxy() is None
        assert it.cluster.get(CONFIG_MAPS, "default", NAME) == theirs


async def test_the_owner_that_an_older_version_wrote_is_taken_off() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        made = it.cluster.get(CONFIG_MAPS, "default", NAME)
        ours = {"apiVersion": names.API_VERSION, "kind": "StreamProxy", "name": "chat", "uid": "u", "controller": True}
        other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "v"}
        made["metadata"]["ownerReferences"] = [ours, other]
        it.cluster.put(CONFIG_MAPS, made)
        await it.proxy()
        assert it.cluster.get(CONFIG_MAPS, "default", NAME)["metadata"]["ownerReferences"] == [other]
