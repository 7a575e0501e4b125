"""A made-up removal has no effect: a hold's age, a mark, a lease are the API server's alone to begin."""

import asyncio

import pytest

from lastcall_operator.cluster.keys import DrainKey
from lastcall_operator.cluster.resources import SECRETS, VALIDATING_WEBHOOKS
from lastcall_operator.settings import Settings
from lastcall_operator.testing import eviction_review, pod, pod_deletion_review
from lastcall_operator.webhook.secret_path import LATE_SECONDS, SPACING_SECONDS, SecretPath

from .stage import HOST, staged

OPEN = "/validate/removals"


def called_at_the_open_path(cluster):
    """As the chart makes it."""
    hooks = [{"name": name, "clientConfig": {"service": {"name": "w", "path": OPEN}}} for name in ("a", "b")]
    cluster.put(VALIDATING_WEBHOOKS, {"metadata": {"name": "f-removals"}, "webhooks": hooks})


def paths(stage):
    found = stage.cluster.get(VALIDATING_WEBHOOKS, None, "f-removals")
    return {hook["clientConfig"]["service"]["path"] for hook in found["webhooks"]}


@pytest.fixture
async def stage():
    async with staged(replicas=2, prepare=called_at_the_open_path) as found:
        async with asyncio.timeout(10):
            while paths(found) == {OPEN}:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        yield found


async def test_the_api_server_is_told_one_secret_path_by_both_replicas(stage):
    (path,) = paths(stage)
    assert path.startswith(f"{OPEN}/")
    assert len(path) == len(OPEN) + 1 + 40
    stage.policy()
    stage.workload(a=5, b=0)
    for number in range(2):
        answer = await stage.call(path, pod_deletion_review(stage.get_pod("a")), number)
        assert not answer["allowed"]
    assert "lastcall.dev/held-since" in stage.annotations("a")


@pytest.mark.parametrize(
    "review",
    [pod_deletion_review, lambda found: eviction_review(found, grace_seconds=1)],
    ids=["a controller's", "an eviction"],
)
async def test_made_up_removals_age_nothing(stage, review):
    stage.policy(holdDeadlineSeconds=1)
    stage.workload(a=5, b=0, c=0)
    (path,) = paths(stage)
    await stage.call(OPEN, review(pod("gone")))  # the configuration is looked at, and was written a moment ago
    await asyncio.sleep(LATE_SECONDS)  # until now it might be an API server that has not heard of the path yet
    for _ in range(3):
        await stage.call(OPEN, review(stage.get_pod("a")))
        await asyncio.sleep(0.5)
    assert "lastcall.dev/held-since" not in stage.annotations("a")
    assert stage.events() == set()
    assert stage.loads["a"].state == "serving"
    real = await stage.call(path, review(stage.get_pod("a")))
    assert not real["allowed"]  # the first real one begins the hold


@pytest.mark.parametrize("word", ["x", "0" * 40, "%C3%A9"])
async def test_a_guess_is_not_found(stage, word):
    port = stage.webhooks[0][1].webhook_port
    url = f"https://127.0.0.1:{port}{OPEN}/{word}"
    async with stage.http.post(url, data=b"{}", ssl=stage.trusted, server_hostname=HOST) as answer:
        assert answer.status == 404


def no_key(cluster):
    called_at_the_open_path(cluster)
    cluster.put(SECRETS, {"metadata": {"name": "f-drain-key", "namespace": "lastcall"}, "data": {}})


async def test_where_no_path_can_be_secret_a_hold_has_an_end_all_the_same():
    async with staged(prepare=no_key) as stage:
        stage.policy(holdDeadlineSeconds=1)
        stage.workload(a=5, b=0)
        assert not (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
        assert "lastcall.dev/held-since" in stage.annotations("a")
        await asyncio.sleep(1.1)
        assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]


async def test_a_path_that_somebody_put_back_is_secret_again_at_the_next_look():
    async with staged(prepare=called_at_the_open_path) as stage, stage.cluster.connect() as api:
        settings = stage.webhooks[0][1]
        path = SecretPath(api, settings, DrainKey(api, settings.own_namespace, settings.drain_key_secret))
        await path.look()
        assert path.in_force
        (written,) = paths(stage)
        called_at_the_open_path(stage.cluster)
        await path.look()
        assert paths(stage) == {written}
        assert await path.admits(written.rpartition("/")[2])


async def test_with_a_new_key_both_replicas_know_the_path_of_whoever_was_first():
    async with staged(replicas=0, prepare=called_at_the_open_path) as stage, stage.cluster.connect() as api:
        settings = Settings(own_namespace="lastcall", fullname="f")
        keys = [DrainKey(api, settings.own_namespace, settings.drain_key_secret) for _ in range(2)]
        first, second = (SecretPath(api, settings, key) for key in keys)
        await first.look()
        await second.look()
        stage.cluster.remove(SECRETS, "lastcall", settings.drain_key_secret)
        keys[0].forget()
        await first.look()
        (written,) = paths(stage)
        assert await second.admits(written.rpartition("/")[2])


def upgraded(stage):
    """As `helm upgrade` leaves it: the chart's path stands there again, and the API server calls that one."""
    found = stage.cluster.get(VALIDATING_WEBHOOKS, None, "f-removals")
    for hook in found["webhooks"]:
        hook["clientConfig"]["service"]["path"] = OPEN
    stage.cluster.put(VALIDATING_WEBHOOKS, found)


@pytest.mark.parametrize("second", [0, 1], ids=["by one replica", "by both"])
async def test_no_more_drain_at_once_while_an_upgrade_has_put_the_path_back(stage, second):
    stage.policy(maxDraining=1)
    stage.workload(a=1, b=1, c=5)
    upgraded(stage)
    held = await stage.call(OPEN, pod_deletion_review(stage.get_pod("c")))
    assert not held["allowed"]
    assert "lastcall.dev/held-since" in stage.annotations("c")
    assert (await stage.call(OPEN, pod_deletion_review(stage.get_pod("a"))))["allowed"]
    assert not (await stage.call(OPEN, pod_deletion_review(stage.get_pod("b")), second))["allowed"]
    async with asyncio.timeout(10):
        while OPEN in paths(stage):  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)


async def test_a_flood_of_made_up_removals_is_none_for_the_api_server():
    async with staged(replicas=0, prepare=called_at_the_open_path) as stage, stage.cluster.connect() as api:
        settings = Settings(own_namespace="lastcall", fullname="f")
        path = SecretPath(api, settings, DrainKey(api, settings.own_namespace, settings.drain_key_secret))
        await path.look()
        looks = ("GET", VALIDATING_WEBHOOKS.plural)
        before, began = stage.cluster.requests[looks], asyncio.get_running_loop().time()
        for asked in range(10):
            await (path.is_open() if asked % 2 else path.admits("guess"))
        took = asyncio.get_running_loop().time() - began
        assert 1 <= stage.cluster.requests[looks] - before <= took / SPACING_SECONDS + 1
