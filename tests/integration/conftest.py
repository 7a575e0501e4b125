"""One sidecar with its defaults, and its upstream, for all tests here that need nothing else."""

import pytest_asyncio
from tests.support.stage import on_stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def wire():
    async with on_stage() as found:
        yield found
