"""What the gateway's pods say of themselves while they come and go: the other side of the clients' books."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.kube import CONTEXT, GATEWAY_PODS, NAMESPACE, Api, Pod, kubectl, until

#: A terminating pod is asked this often: its last word is what counts.
PERIOD_SECONDS = 0.1
#: What a farewell tells as well. (`accepted` it does not: a request may come after our last question.)
_TOTALS = ("completed", "failed", "dropped")


@dataclass
class Seen:
    """One pod: as it is, when it was first seen leaving and gone (monotonic), its first and last account.

    `farewell` is what its log said when it left: a pod can finish a stream between our last question and its exit.
    """

    pod: Pod
    first: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    leaving: float | None = None
    gone: float | None = None
    farewell: dict[str, Any] | None = None

    @property
    def in_flight(self) -> int:
        """Requests under way by its last account."""
        return int(self.last["in_flight"]) if self.last else 0

    @property
    def state(self) -> str:
        """Its drain state, for a reader."""
        if self.gone is not None:
            return "gone"
        return str(self.last["drain"]["state"]) if self.last else "starting"

    def counted(self) -> dict[str, int]:
        """What happened between its first account and its last word. A pod born under watch began at zero."""
        zero = dict.fromkeys(_TOTALS, 0)
        first = self.first["totals"] if self.first else zero
        last = {**(self.last["totals"] if self.last else zero), **(self.farewell or {})}
        return {name: last[name] - first[name] for name in _TOTALS}


@dataclass
class Books:
    """All pods that were seen, by UID, in the order of their appearance."""

    pods: dict[str, Seen] = field(default_factory=dict)

    def totals(self) -> dict[str, int]:
        """Add up all pods, gone ones by their last word."""
        counts = [seen.counted() for seen in self.pods.values()]
        return {name: sum(count[name] for count in counts) for name in _TOTALS}

    def leaving(self) -> list[Seen]:
        """Pods that were told to go, and are not gone."""
        return [seen for seen in self.pods.values() if seen.leaving is not None and seen.gone is None]

    def __str__(self) -> str:
        """One line a pod."""
        return "\n".join(
            f"{seen.pod.name} {seen.state} in flight {seen.in_flight} {json.dumps(seen.counted())}"
            for seen in self.pods.values()
        )


async def _ask(api: Api, seen: Seen) -> None:
    account = await api.livez(seen.pod.name)
    if account is None or account["pod_uid"] != seen.pod.uid:
        return
    if seen.last is not None and account["totals"]["accepted"] < seen.last["totals"]["accepted"]:
        return  # the container was restarted; its books begin again, and the old ones stay what they were
    seen.last = account


async def _look(api: Api, books: Books) -> None:
    """Note who is there, who was told to go, and who is gone."""
    pods = {pod.uid: pod for pod in await api.pods()}
    for uid, pod in pods.items():
        seen = books.pods.setdefault(uid, Seen(pod))
        seen.pod = pod
        if pod.terminating and seen.leaving is None:
            seen.leaving = time.monotonic()
    for uid, seen in books.pods.items():
        if uid not in pods and seen.gone is None:
            seen.gone = time.monotonic()


async def _watch(api: Api, books: Books) -> None:
    turn = 0
    while True:
        began = time.monotonic()
        if turn % 5 == 0:
            await _look(api, books)
        asked = [
            seen for seen in books.pods.values() if seen.gone is None and (seen.leaving is not None or turn % 10 == 0)
        ]
        await asyncio.gather(*(_ask(api, seen) for seen in asked))
        turn += 1
        await asyncio.sleep(max(0.0, began + PERIOD_SECONDS - time.monotonic()))


async def _follow_logs(books: Books, folder: Path) -> None:
    """Keep each pod's log in a file: it is gone with the pod."""
    followed: dict[str, asyncio.subprocess.Process] = {}
    try:
        while True:
            for seen in books.pods.values():
                if seen.pod.uid not in followed and seen.last is not None:
                    command = ("kubectl", "--context", CONTEXT, "--namespace", NAMESPACE, "logs", "--follow")
                    with _log(folder, seen).open("wb") as log:
                        followed[seen.pod.uid] = await asyncio.create_subprocess_exec(
                            *command, seen.pod.name, stdout=log, stderr=log
                        )
            await asyncio.sleep(0.5)
    finally:
        for uid, process in followed.items():
            if process.returncode is None and books.pods[uid].gone is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in followed.values()))


def _log(folder: Path, seen: Seen) -> Path:
    return folder / f"{seen.pod.name}.log"


def _farewell(log: Path) -> dict[str, Any] | None:
    """Find the line with which a sidecar leaves: it holds the final counts."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    found: dict[str, Any] | None = next((line for line in reversed(lines) if line.get("event") == "leaving"), None)
    return {name: found[name] for name in _TOTALS if name in found} if found is not None else None


@asynccontextmanager
async def watched(api: Api, folder: Path | None = None) -> AsyncIterator[Books]:
    """Keep books on the gateway's pods for as long as the block lasts; with a folder, their logs and farewells too."""
    books = Books()
    for pod in await api.pods():
        account = await api.livez(pod.name)
        books.pods[pod.uid] = Seen(pod, first=account, last=account)
    tasks = [asyncio.create_task(_watch(api, books))]
    if folder is not None:
        tasks.append(asyncio.create_task(_follow_logs(books, folder)))
    try:
        yield books
    finally:
        # The watch may be behind by a question that a pod on its way out never answers.
        await _look(api, books)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        for seen in books.pods.values():
            if folder is not None and seen.gone is not None:
                seen.farewell = _farewell(_log(folder, seen))


async def settled(api: Api, within_seconds: float, *, replicas: int = 3) -> list[Pod]:
    """Wait until there are exactly so many pods, all Ready, none terminating."""
    pods: list[Pod] = []

    async def holds() -> bool:
        pods[:] = await api.pods(GATEWAY_PODS)
        return len(pods) == replicas and all(pod.ready and not pod.terminating for pod in pods)

    await until(holds, within_seconds, f"{replicas} Ready gateway pods and no other")
    return pods


async def restart(workload: str) -> None:
    """`kubectl rollout restart`."""
    await kubectl("rollout", "restart", workload)
