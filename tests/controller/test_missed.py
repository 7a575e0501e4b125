"""What the watches hold and the API server has not: looked for when watches begin, and believed at the second look."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from lastcall_operator.cluster.resources import DRAIN_POLICIES, SERVICES
from lastcall_operator.controller.cache import Cache, object_keys
from lastcall_operator.controller.missed import Missed
from lastcall_operator.status.records import service_record
from lastcall_operator.testing import FakeCluster, drain_policy

from .world import index

QUIET_SECONDS = 0.1


@asynccontextmanager
async def looking(cluster, cache):
    ended = asyncio.Event()
    async with cluster.connect() as api:
        missed = Missed(api, lambda: cache, (), ended.set, QUIET_SECONDS)
        task = asyncio.create_task(missed.keep())
        missed.listed()
        yield missed, ended
        task.cancel()


def held(cluster):
    policy = cluster.put(DRAIN_POLICIES, drain_policy())
    service = cluster.put(SERVICES, {"metadata": {"name": "chat", "namespace": "default"}, "spec": {}})
    record = service_record(service)
    return Cache(policies=index([object_keys(policy)]), services=index([{("namespace", record.namespace): record}]))


@pytest.mark.parametrize("resource", [DRAIN_POLICIES, SERVICES], ids=["policy", "service"])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "another of its name"])
async def test_an_object_that_is_gone_ends_the_process(resource, again):
    async with FakeCluster() as cluster:
        cache = held(cluster)
        obj = cluster.get(resource, "default", "chat")
        cluster.remove(resource, "default", "chat")
        if again:
            cluster.put(resource, {**obj, "metadata": {**obj["metadata"], "uid": "another"}})
        async with looking(cluster, cache) as (_, ended):
            await asyncio.wait_for(ended.wait(), 5)


async def test_a_deletion_that_is_on_its_way_is_waited_for():
    async with FakeCluster() as cluster:
        cache = held(cluster)
        cluster.remove(DRAIN_POLICIES, "default", "chat")
        async with looking(cluster, cache) as (_, ended):
            async with asyncio.timeout(5):
                while not cluster.requests["GET", "drainpolicies"]:  # noqa: ASYNC110 - the first look
                    await asyncio.sleep(0.01)
            cache.policies.clear()
            async with asyncio.timeout(5):
                while cluster.requests["GET", "drainpolicies"] < 2:  # noqa: ASYNC110 - the second
                    await asyncio.sleep(0.01)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ended.wait(), 3 * QUIET_SECONDS)


async def test_it_is_looked_again_when_the_api_server_is_back():
    async with FakeCluster() as cluster:
        cache = held(cluster)
        cluster.remove(DRAIN_POLICIES, "default", "chat")
        cluster.failing = 503
        async with looking(cluster, cache) as (_, ended):
            async with asyncio.timeout(5):
                while not cluster.requests:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            cluster.failing = None
            await asyncio.wait_for(ended.wait(), 5)
