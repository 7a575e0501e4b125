"""`lastcall watch deploy/chat`: a rollout as progress bars, why the next pod waits, and what became of its streams."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lastcall_operator.api import names
from lastcall_operator.api.annotations import LARGEST_SEQUENCE, whole_number
from lastcall_operator.api.printable import printable
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DRAIN_POLICIES,
    REPLICA_SETS,
    ROLLOUTS,
    STATEFUL_SETS,
    Resource,
)
from lastcall_operator.errors import ApiUnavailableError, LastcallError, NotFoundError

from .progress import Pace, Patience, Progress, progress
from .rows import PodRow, busiest_first
from .session import Exit, as_json, connect, look, where
from .tables import plain, table

#: kubectl's names for them.
KINDS: dict[str, Resource] = {
    "deploy": DEPLOYMENTS, "deployment": DEPLOYMENTS, "sts": STATEFUL_SETS, "statefulset": STATEFUL_SETS,
    "rollout": ROLLOUTS, "rollouts": ROLLOUTS,
}  # fmt: skip

Found = tuple[Progress, list[PodRow]]
Look = Callable[[], Awaitable[Found]]


async def watch(arguments: argparse.Namespace, pace: Pace | None = None) -> int:
    """Show the rollout until it is over. Exit code 0: over, and nothing dropped."""
    place = await where(arguments)
    kind, name = arguments.workload
    patience = Patience(pace or Pace())
    async with await connect(place) as api:

        async def now() -> Found:
            return await _now(api, KINDS[kind], place.namespace, name)

        if arguments.output == "json":
            found = await _until_over(now, patience, lambda _: None)
        elif sys.stdout.isatty():
            found = await _picture(now, patience)
        else:
            found = await _until_over(now, patience, _Lines())
    return _told(found, arguments.output, owed=patience.owed(found[0]), seconds=patience.pace.verdict_seconds)


async def _now(api: Api, resource: Resource, namespace: str | None, name: str) -> Found:
    workload = {"kind": resource.kind, **await api.get(resource, namespace, name)}
    labels = workload["spec"]["selector"].get("matchLabels") or {}
    if not labels:
        raise LastcallError(f"{resource.kind} {name} selects its pods by expressions only; watch reads matchLabels")
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    rows = busiest_first(await look(api, namespace, labels=f"{names.SIDECAR_LABEL}={names.TRUE},{chosen}"))
    policy = await _policy(api, resource, namespace, name)
    return progress(workload, policy, rows, await _revision(api, workload, namespace, chosen)), rows


async def _revision(api: Api, workload: Object, namespace: str | None, labels: str) -> str:
    """What is being rolled out: the template hash, or the controller revision, that its pods are labelled with."""
    if workload["kind"] == STATEFUL_SETS.kind:
        return str(workload.get("status", {}).get("updateRevision", ""))
    sets = [
        item
        for item in await api.list(REPLICA_SETS, namespace, labels=labels)
        if any(owner["uid"] == workload["metadata"]["uid"] for owner in item["metadata"].get("ownerReferences", []))
    ]
    newest = max(sets, key=_sequence, default=None)
    found = {} if newest is None else newest["metadata"].get("labels", {})
    return next((str(found[each]) for each in names.TEMPLATE_HASHES if each in found), "")


def _sequence(replica_set: Object) -> int:
    found = replica_set["metadata"].get("annotations", {})
    text = next((found[each] for each in names.SEQUENCES if each in found), None)
    return whole_number(text, most=LARGEST_SEQUENCE) or 0


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


async def _until_over(look_again: Look, patience: Patience, show: Callable[[Found], None]) -> Found:
    """Look until the rollout is over. The first look may fail; later ones may for a while.

    Errors: ApiError.
    """
    found = await look_again()
    show(found)
    while not patience.over(found[0], asyncio.get_running_loop().time()):
        found = await _answered(look_again, patience)
        show(found)
    return found


async def _answered(look_again: Look, patience: Patience) -> Found:
    """Look again, until there is an answer."""
    while True:
        await asyncio.sleep(patience.pace.period_seconds)
        try:
            return await look_again()
        except ApiUnavailableError:
            if patience.unanswered(asyncio.get_running_loop().time()):
                raise


class _Lines:
    """A line for each change, for pipes and logs."""

    def __init__(self) -> None:
        self._said: str | None = None

    def __call__(self, found: Found) -> None:
        if (sentence := found[0].sentence) != self._said:
            print(printable(sentence), flush=True)
        self._said = sentence


async def _picture(look_again: Look, patience: Patience) -> Found:
    found = await look_again()
    with Live(render(*found), console=Console(), auto_refresh=False) as live:
        return await _until_over(look_again, patience, lambda now: live.update(render(*now), refresh=True))


def render(now: Progress, rows: Sequence[PodRow]) -> RenderableType:
    """Lay out one moment."""
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        Text(f"{now.kind.lower()}/{now.name}", style="bold"),
        ProgressBar(total=max(now.total, 1), completed=now.updated, width=30),
        Text(f"{now.updated} of {now.total} updated"),
    )
    return Group(bar, Text(printable(now.waits_for or "nothing waits"), style="bright_black"), table(rows))


def _told(found: Found, output: str | None, *, owed: bool, seconds: float) -> int:
    now, rows = found
    if output == "json":
        whole: dict[str, Any] = {**asdict(now), "pods": [row.to_json() for row in rows]}
        print(as_json(whole))
    elif not sys.stdout.isatty():
        print(plain(rows))
    if owed:
        text = f"no account of this rollout within {seconds:.0f} s: what it dropped is not known. Is the controller up?"
        print(f"lastcall: {text}", file=sys.stderr)
    return Exit.NOT if now.dropped or owed else Exit.DONE
