"""Sidecars for all tests here, each with its upstream: one with its defaults, one with short limits, one in a hurry."""

import pytest_asyncio
from tests.support.hurried import HurriedSidecar
from tests.support.sidecar_process import merged
from tests.support.stage import on_stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def wire():
    async with on_stage() as found:
        yield found


#: Limits that a test can wait for. Each is of another length, so that it shows which one it was.
HASTY = {
    "upstream": {"responseHeaderTimeoutSeconds": 1, "connectTimeoutSeconds": 2},
    "limits": {
        "firstEventTimeoutSeconds": 3,
        "stallTimeoutSeconds": 4,
        "writeStallSeconds": 2,
        "maxDurationSeconds": 8,
    },
    "streaming": {"heartbeatSeconds": 1},
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hasty():
    async with on_stage(HASTY) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hasty_openai():
    async with on_stage(merged(HASTY, {"upstream": {"provider": "OpenAI"}})) as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hurried():
    async with on_stage(sidecar=HurriedSidecar) as found:
        yield found
