"""Pods that are kept busy, and when the last stream of each really ended: by its sidecar's own log."""

import asyncio
import contextlib
import json
from datetime import datetime

import httpx

from tests.e2e.stage import Departures, Stage
from tests.e2e.verdict import Verdict


class Busy:
    """Keeps pods busy all the time, until they have been told to leave; then their last streams end by themselves."""

    def __init__(self, stage: Stage, pods: list[str], found: Departures | None = None, seconds: float = 8.0) -> None:
        self.verdicts: list[tuple[Verdict, str]] = []
        #: when the last stream of each pod ended (seconds since the epoch): from then on it is not busy any more. What
        #: the clients see comes later, through two proxies of two busy cores.
        self.idle_since: dict[str, float] = {}
        #: streams under way, by pod
        self.live = dict.fromkeys(pods, 0)
        self._stage, self._found, self._seconds = stage, found, seconds
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._keep(pod, delay)) for pod in pods for delay in (0.0, seconds / 2)]
        self._logs = {pod: asyncio.create_task(self._read_log(pod)) for pod in pods}

    async def _keep(self, pod: str, delay: float) -> None:
        await asyncio.sleep(delay)
        while not self._stop.is_set() and (self._found is None or pod not in self._found.leaving):
            self.live[pod] += 1
            self.verdicts += await self._stage.hold(pod, 1, self._seconds).wait()
            self.live[pod] -= 1

    async def _read_log(self, pod: str) -> None:
        path = f"/api/v1/namespaces/{self._stage.namespace}/pods/{pod}/log"
        query = {"container": "lastcall", "follow": "true"}
        with contextlib.suppress(httpx.HTTPError):  # the pod is gone
            async with self._stage.http.stream("GET", path, params=query, timeout=None) as answer:
                async for line in answer.aiter_lines():
                    said = json.loads(line) if line.startswith("{") else {}
                    if str(said.get("event", "")).startswith("request"):
                        self.idle_since[pod] = datetime.fromisoformat(said["timestamp"]).timestamp()

    async def finish(self) -> list[tuple[Verdict, str]]:
        """Begin nothing new, and wait for what is under way and for the logs of all who have left."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        for pod, task in self._logs.items():
            if self._found is not None and pod in self._found.leaving:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(task), 30)
            task.cancel()
        await asyncio.gather(*self._logs.values(), return_exceptions=True)
        return self.verdicts
