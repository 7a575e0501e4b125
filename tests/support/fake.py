"""The fake LLM for tests: as a process (`FakeProcess`), or in the test's own event loop (`fake_in_loop`).

Clients that block (the sync SDK) need the process.
"""

import asyncio
import contextlib
import json
import re
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from lastcall_sidecar.testing.fake_llm import Options, serve
from lastcall_sidecar.testing.serving import Api
from tests.support.process import Program

_START = "from lastcall_sidecar.testing.fake_llm import Options, run; run('127.0.0.1:0', print, Options(api=%r))"


class FakeProcess(Program):
    """`with FakeProcess() as fake: fake.url`; `api` says whose API it plays."""

    def __init__(
        self,
        *,
        api: Api = "Anthropic",
        python: Sequence[str] = (sys.executable,),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__([*python, "-c", _START % api], env)

    @property
    def url(self) -> str:
        found = re.search(r"^http://\S+$", self.output(), re.MULTILINE)
        assert found is not None, self.report()
        return found[0]

    def is_ready(self) -> bool:
        return re.search(r"^http://\S+\n", self.output(), re.MULTILINE) is not None

    def stats(self) -> dict[str, Any]:
        """The counts of `/__stats`."""
        counts: dict[str, Any] = get_json(f"{self.url}/__stats")
        return counts

    def requests(self) -> list[dict[str, Any]]:
        """The latest requests as the fake got them, oldest first."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/__requests")
        return found

    def bodies(self) -> list[Any]:
        """What the bodies of the latest requests said, oldest first; None where it was no JSON of 64 KiB at most."""
        return [request["body"] for request in get_json(f"{self.url}/__requests?bodies=1")]


@contextlib.asynccontextmanager
async def fake_in_loop(options: Options | None = None) -> AsyncIterator[str]:
    """Run the fake in this event loop; yields its URL."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve("127.0.0.1:0", ready.set_result, stop, options))
    await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ready.done():
            await task
        yield ready.result()
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


def get_json(url: str, timeout_seconds: float = 5.0) -> Any:
    """GET and parse, blocking, past any proxy settings."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_seconds) as answer:
        return json.load(answer)
