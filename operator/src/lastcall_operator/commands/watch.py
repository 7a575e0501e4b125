"""`lastcall watch deploy/chat`: a rollout as progress bars, and why the next pod waits."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import DEPLOYMENTS, DRAIN_POLICIES, STATEFUL_SETS, Resource
from lastcall_operator.errors import ApiError, LastcallError, NotFoundError

from .rows import PodRow, busiest_first
from .session import Exit, as_json, connect, look, where
from .tables import plain, table

PERIOD_SECONDS = 1.0
#: kubectl's names for them.
KINDS: dict[str, Resource] = {
    "deploy": DEPLOYMENTS, "deployment": DEPLOYMENTS, "sts": STATEFUL_SETS, "statefulset": STATEFUL_SETS,
}  # fmt: skip
#: Conditions of a DrainPolicy that say why the next pod waits, the most telling first.
_TELLING = ("Conflicted", "Unreachable", "Stalled", "Draining", "Progressing")


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout at one moment."""

    kind: str
    name: str
    total: int
    updated: int
    #: pods on their way out that still carry something, or are not gone
    ending: int
    in_flight: int
    #: why nothing moves, in a sentence; empty when nothing waits
    waits_for: str
    streams_finished: int | None
    dropped: int | None
    done: bool

    @property
    def sentence(self) -> str:
        """The moment in one line."""
        parts = [f"{self.kind.lower()}/{self.name}: {self.updated} of {self.total} updated"]
        parts += [f"{self.ending} ending"] if self.ending else []
        parts += [f"{self.in_flight} in flight"]
        if self.streams_finished is not None:
            parts.append(f"{self.streams_finished} finished, {self.dropped} dropped")
        return ", ".join(parts) + (f" ({self.waits_for})" if self.waits_for else "")


def progress(workload: Object, policy: Object | None, rows: Sequence[PodRow]) -> Progress:
    """Read a rollout off the workload, its DrainPolicy and its pods. Pure."""
    spec, status = workload["spec"], workload.get("status", {})
    total = int(spec.get("replicas", 1))
    updated = int(status.get("updatedReplicas", 0))
    ready = int(status.get("readyReplicas", 0))
    ending = sum(row.terminating for row in rows)
    known = int(status.get("observedGeneration", 0)) >= int(workload["metadata"].get("generation", 0))
    rollout = ((policy or {}).get("status") or {}).get("rollout") or {}
    settled = known and updated == total == ready == int(status.get("replicas", 0)) and ending == 0
    return Progress(
        kind=workload.get("kind", "Workload"),
        name=workload["metadata"]["name"],
        total=total,
        updated=updated,
        ending=ending,
        in_flight=sum(row.in_flight or 0 for row in rows),
        waits_for="" if settled else _why(policy, rows),
        streams_finished=rollout.get("streamsFinished"),
        dropped=rollout.get("dropped"),
        done=settled,
    )


def _why(policy: Object | None, rows: Sequence[PodRow]) -> str:
    conditions = {item["type"]: item for item in ((policy or {}).get("status") or {}).get("conditions", [])}
    for kind in _TELLING:
        found = conditions.get(kind)
        if found is not None and found["status"] == "True" and found.get("message"):
            return str(found["message"])
    held = sorted(row.pod for row in rows if row.held_since is not None)
    return f"held: {', '.join(held)}" if held else ""


async def watch(arguments: argparse.Namespace) -> int:
    """Show the rollout until it is over. Exit code 0: over, and nothing dropped."""
    place = await where(arguments)
    kind, name = arguments.workload
    async with await connect(place) as api:
        resource = KINDS[kind]
        if arguments.output == "json":
            return _told(await _now(api, resource, place.namespace, name), machine=True)
        return await (_lines if not sys.stdout.isatty() else _picture)(api, resource, place.namespace, name)


async def _now(api: Api, resource: Resource, namespace: str | None, name: str) -> tuple[Progress, list[PodRow]]:
    workload = {"kind": resource.kind, **await api.get(resource, namespace, name)}
    labels = workload["spec"]["selector"].get("matchLabels") or {}
    if not labels:
        raise LastcallError(f"{resource.kind} {name} selects its pods by expressions only; watch reads matchLabels")
    selector = ",".join([f"{names.SIDECAR_LABEL}={names.TRUE}", *(f"{key}={value}" for key, value in labels.items())])
    rows = busiest_first(await look(api, namespace, labels=selector))
    return progress(workload, await _policy(api, resource, namespace, name), rows), rows


async def _policy(api: Api, resource: Resource, namespace: str | None, name: str) -> Object | None:
    try:
        policies = await api.list(DRAIN_POLICIES, namespace)
    except NotFoundError:
        return None
    aimed = [
        item
        for item in policies
        if (item["spec"]["targetRef"]["kind"], item["spec"]["targetRef"]["name"]) == (resource.kind, name)
    ]
    return min(aimed, key=lambda item: item["metadata"]["creationTimestamp"], default=None)


async def _lines(api: Api, resource: Resource, namespace: str | None, name: str) -> int:
    said = None
    while True:
        found = await _now(api, resource, namespace, name)
        if (sentence := found[0].sentence) != said:
            print(said := sentence, flush=True)
        if found[0].done:
            return _told(found, machine=False)
        await asyncio.sleep(PERIOD_SECONDS)


async def _picture(api: Api, resource: Resource, namespace: str | None, name: str) -> int:
    found = await _now(api, resource, namespace, name)
    with Live(render(*found), console=Console(), auto_refresh=False) as live:
        while not found[0].done:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                found = await _now(api, resource, namespace, name)
            except NotFoundError:
                raise
            except ApiError:  # a moment without an answer is no reason to stop looking
                continue
            live.update(render(*found), refresh=True)
    return _told(found, machine=False)


def render(now: Progress, rows: Sequence[PodRow]) -> RenderableType:
    """Lay out one moment."""
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text(f"{now.kind.lower()}/{now.name}", style="bold"),
        ProgressBar(total=max(now.total, 1), completed=now.updated, width=30),
        Text(f"{now.updated} of {now.total} updated"),
    )
    return Group(bar, Text(now.waits_for or "nothing waits", style="bright_black"), table(rows))


def _told(found: tuple[Progress, list[PodRow]], *, machine: bool) -> int:
    now, rows = found
    if machine:
        whole: dict[str, Any] = {**asdict(now), "pods": [row.to_json() for row in rows]}
        print(as_json(whole))
        return Exit.DONE if now.done and not now.dropped else Exit.NOT
    if not sys.stdout.isatty():
        print(plain(rows))
    return Exit.NOT if now.dropped else Exit.DONE
