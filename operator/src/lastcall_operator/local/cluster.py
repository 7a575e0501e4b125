"""The local cluster: a fake LLM, some sidecars in front of it, and a Service in front of those.

To the planner it is what a real cluster is: `snapshot` shows the pods as last seen, `act` carries out an action and
returns at once; how far it got shows in later snapshots. What cannot be carried out is raised by `check`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from lastcall_operator.errors import ProcessError
from lastcall_operator.local.front import Endpoint, Front
from lastcall_operator.local.gauge import Totals
from lastcall_operator.local.processes import Child, free_ports
from lastcall_operator.local.sidecars import PROBE_SECONDS, Blueprint, LocalPod, start_pod
from lastcall_operator.rollout import Action, DrainPod, ReplacePod, Snapshot

#: The kubelet's readiness probe. The chart says 1 s; half of it keeps the demo short.
READINESS_SECONDS = 0.5
#: The operator polls each second while something moves; the picture wants to be smoother.
GAUGE_SECONDS = 0.25
_START_SECONDS = 60.0


class LocalCluster:
    """Starts with `async with`, and leaves no process behind. `clock` gives monotonic seconds."""

    def __init__(
        self,
        program: Path,
        directory: Path,
        environment: Mapping[str, str],
        *,
        replicas: int,
        settle_seconds: int,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self.revision = "1"
        self.replicas = replicas
        self.pods: list[LocalPod] = []
        self.exits: list[tuple[str, int]] = []
        self.url = ""
        self.upstream_url = ""
        self._program = program
        self._directory = directory
        self._environment = dict(environment)
        self._settle_seconds = settle_seconds
        self._rng = rng
        self._clock = clock
        self._front = Front(self._endpoints, rng)
        self._http = httpx.AsyncClient(trust_env=False, timeout=PROBE_SECONDS)
        self._children: list[Child] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._retired = Totals()

    async def __aenter__(self) -> Self:
        try:
            upstream = await self._start_upstream()
            for number in range(self.replicas):
                self.pods.append(await self._make_pod(f"sidecar-{number + 1}"))
            await _together([self._until_up(upstream), *(pod.until_ready(self._http) for pod in self.pods)])
            self.url = await self._front.start()
            self._spawn(self._probe(GAUGE_SECONDS, LocalPod.probe_gauge))
            self._spawn(self._probe(READINESS_SECONDS, LocalPod.probe_readiness))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End everything at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._front.stop()
        for child in self._children:
            child.kill()
        for child in self._children:
            await child.ended()
        await self._http.aclose()

    @property
    def totals(self) -> Totals:
        """What all sidecars counted, those that have been replaced among them."""
        return sum((pod.totals for pod in self.pods), self._retired)

    def snapshot(self) -> Snapshot:
        """Show the pods as they were last seen."""
        return Snapshot(self.revision, self.replicas, tuple(pod.view() for pod in self.pods))

    def pod(self, name: str) -> LocalPod:
        """Find a pod by its name."""
        return next(pod for pod in self.pods if pod.name == name)

    def act(self, action: Action) -> None:
        """Begin to do what the planner asked for."""
        if isinstance(action, DrainPod):
            pod = self.pod(action.pod)
            pod.asked_to_drain = self._clock()
            self._spawn(pod.drain(f"rollout to revision {self.revision}"))
        elif isinstance(action, ReplacePod):
            self._spawn(self.replace(action.pod))

    async def replace(self, name: str, grace_seconds: float | None = None) -> None:
        """End a pod (see `LocalPod.end`), start its successor, and wait until that one is ready."""
        old = self.pod(name)
        old.terminating = True
        code = await (old.end(self._http) if grace_seconds is None else old.end(self._http, grace_seconds))
        self.exits.append((name, code))
        self._retired += old.totals
        self.pods.remove(old)
        successor = await self._make_pod(name)
        self.pods.append(successor)
        self.pods.sort(key=lambda pod: pod.name)
        await successor.until_ready(self._http)

    async def refresh(self) -> None:
        """Ask every pod for its gauge now."""
        await asyncio.gather(*(pod.probe_gauge(self._http) for pod in self.pods))

    def check(self) -> None:
        """Raise what went wrong in the background: a ProcessError, most often."""
        if self._failures:
            raise self._failures[0]
        for child in self._children:
            if child.exit_code is not None and not self._may_end(child):
                raise ProcessError(f"{child.name} ended with exit code {child.exit_code}: {child.last_words()}")

    def _may_end(self, child: Child) -> bool:
        """Tell whether a child's end is our doing: it has been replaced, or is about to be."""
        owner = next((pod for pod in self.pods if pod.child is child), None)
        upstream = self._children[0]
        return child is not upstream and (owner is None or owner.terminating)

    def _endpoints(self) -> list[Endpoint]:
        return [pod.endpoint() for pod in self.pods]

    async def _make_pod(self, name: str) -> LocalPod:
        blueprint = Blueprint(
            self._program, self._directory, self.upstream_url, self._settle_seconds, self._rng, self._environment
        )
        pod = await start_pod(name, self.revision, blueprint, self._clock())
        self._children.append(pod.child)
        return pod

    async def _start_upstream(self) -> Child:
        listen = f"127.0.0.1:{free_ports(1, self._rng)[0]}"
        fake = await Child.start(
            "the fake LLM",
            [str(self._program), "fake-llm", "--listen", listen],
            self._directory / "fake-llm.log",
            self._environment,
        )
        self._children.append(fake)
        self.upstream_url = f"http://{listen}"
        return fake

    async def _until_up(self, fake: Child) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while fake.exit_code is None:
                    with contextlib.suppress(httpx.HTTPError):
                        await self._http.get(f"{self.upstream_url}/healthz")
                        return
                    await asyncio.sleep(0.1)
        raise ProcessError(f"The fake LLM did not start: {fake.last_words()}")

    async def _probe(
        self, every_seconds: float, probe: Callable[[LocalPod, httpx.AsyncClient], Coroutine[Any, Any, None]]
    ) -> None:
        while True:
            await asyncio.gather(*(probe(pod, self._http) for pod in self.pods))
            await asyncio.sleep(every_seconds)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)


async def _together(work: list[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at once; the first failure ends the rest, and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
