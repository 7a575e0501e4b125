"""Sidecars for all tests here, each with its upstream."""

import pytest_asyncio
from tests.support.stage import on_stage


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def wire():
    """With its defaults."""
    async with on_stage() as found:
        yield found


#: The key that `openai` has for its upstream.
UPSTREAM_KEY = "sk-upstream-4711"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai(tmp_path_factory):
    """In front of an upstream of OpenAI's kind, with a key for it, one slot and no queue."""
    key = tmp_path_factory.mktemp("keys") / "upstream"
    key.write_text(f"{UPSTREAM_KEY}\n")
    upstream = {"provider": "OpenAI", "apiKeyFile": str(key)}
    async with on_stage({"upstream": upstream, "limits": {"maxConcurrent": 1, "maxQueued": 0}}) as found:
        yield found
