"""`lastcall watch deploy/chat`: a rollout as progress bars, why the next pod waits, and what became of its streams."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api, Object
from lastcall_operator.cluster.resources import DEPLOYMENTS, DRAIN_POLICIES, REPLICA_SETS, STATEFUL_SETS, Resource
from lastcall_operator.errors import ApiUnavailableError, LastcallError, NotFoundError

from .rows import PodRow, busiest_first
from .session import Exit, as_json, connect, look, where
from .tables import plain, table

PERIOD_SECONDS = 1.0
#: So long is waited, once all pods are new, until the controller has closed its account of what was dropped. It looks
#: every `pollSeconds`, and one that was just restarted finds the rollout first.
VERDICT_SECONDS = 60.0
#: So long the API server may give no answer, once it has given one.
UNANSWERED_SECONDS = 60.0
#: kubectl's names for them.
KINDS: dict[str, Resource] = {
    "deploy": DEPLOYMENTS, "deployment": DEPLOYMENTS, "sts": STATEFUL_SETS, "statefulset": STATEFUL_SETS,
}  # fmt: skip
#: Conditions of a DrainPolicy that say why the next pod waits, the most telling first.
_TELLING = ("Conflicted", "Unreachable", "Stalled", "Draining", "Progressing")
_SEQUENCE = "deployment.kubernetes.io/revision"


class Account(StrEnum):
    """Who counts what the rollout drops: the controller does, in the status of the workload's DrainPolicy."""

    #: no policy is in force: nobody counts
    NOBODY = "nobody"
    #: there was no rollout since the policy is there, or the controller has not seen it yet
    NONE = "none"
    #: what is there is of an earlier rollout
    EARLIER = "earlier"
    #: of this rollout, and not over
    OPEN = "open"
    #: of this rollout, and final
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout at one moment."""

    kind: str
    name: str
    total: int
    updated: int
    #: pods on their way out that still carry something, or are not gone
    ending: int
    #: pods of an earlier revision, those that are ending among them
    older: int
    in_flight: int
    #: why nothing moves, in a sentence; empty when nothing waits
    waits_for: str
    account: Account
    #: by the account of this rollout; None: there is none
    streams_finished: int | None
    dropped: int | None
    #: all pods are new and Ready, and nobody leaves any more
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


Found = tuple[Progress, list[PodRow]]
Look = Callable[[], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often it is looked, and for how long others are waited for."""

    period_seconds: float = PERIOD_SECONDS
    verdict_seconds: float = VERDICT_SECONDS
    unanswered_seconds: float = UNANSWERED_SECONDS


@dataclass(slots=True)
class Patience:
    """When to stop looking. `now` is seconds of one clock, whichever."""

    pace: Pace = field(default_factory=Pace)
    _done_since: float | None = None
    _silent_since: float | None = None
    _seen_older: bool = False

    def owed(self, found: Progress) -> bool:
        """Whether an account of this rollout is to be expected, and is not closed.

        A first installation is no rollout, and has none: NONE counts only after pods of an earlier revision were seen.
        """
        self._seen_older = self._seen_older or found.older > 0
        awaited = {Account.OPEN, Account.EARLIER, *({Account.NONE} if self._seen_older else set())}
        return found.account in awaited

    def over(self, found: Progress, now: float) -> bool:
        """Whether to stop: all is new, and the account is closed, or does not come."""
        self._silent_since = None
        owed = self.owed(found)
        if not found.done:
            self._done_since = None
            return False
        if self._done_since is None:
            self._done_since = now
        return not owed or now - self._done_since >= self.pace.verdict_seconds

    def unanswered(self, now: float) -> bool:
        """Whether the API server has given no answer for too long."""
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since >= self.pace.unanswered_seconds


def progress(workload: Object, policy: Object | None, rows: Sequence[PodRow], revision: str) -> Progress:
    """Read a rollout to `revision` off the workload, its DrainPolicy and its pods. Pure."""
    spec, status = workload["spec"], workload.get("status", {})
    total = int(spec.get("replicas", 1))
    updated = int(status.get("updatedReplicas", 0))
    ready = int(status.get("readyReplicas", 0))
    ending = sum(row.terminating for row in rows)
    known = int(status.get("observedGeneration", 0)) >= int(workload["metadata"].get("generation", 0))
    settled = known and updated == total == ready == int(status.get("replicas", 0)) and ending == 0
    rollout = ((policy or {}).get("status") or {}).get("rollout") or {}
    account = _account(policy, rollout, revision)
    ours = rollout if account in {Account.OPEN, Account.CLOSED} else {}
    waits_for = _why(policy, rows) if not settled else ""
    if settled and account is Account.OPEN:
        waits_for = "the controller closes its account"
    return Progress(
        kind=workload.get("kind", "Workload"),
        name=workload["metadata"]["name"],
        total=total,
        updated=updated,
        ending=ending,
        older=sum(row.revision != revision for row in rows),
        in_flight=sum(row.in_flight or 0 for row in rows),
        waits_for=waits_for,
        account=account,
        streams_finished=ours.get("streamsFinished"),
        dropped=ours.get("dropped"),
        done=settled,
    )


def _account(policy: Object | None, rollout: Object, revision: str) -> Account:
    conditions = ((policy or {}).get("status") or {}).get("conditions", [])
    if policy is None or any(item["type"] == "Accepted" and item["status"] == "False" for item in conditions):
        return Account.NOBODY
    if not rollout:
        return Account.NONE
    if rollout.get("revision") != revision:
        return Account.EARLIER
    return Account.CLOSED if rollout.get("finishedAt") else Account.OPEN


def _why(policy: Object | None, rows: Sequence[PodRow]) -> str:
    conditions = {item["type"]: item for item in ((policy or {}).get("status") or {}).get("conditions", [])}
    for kind in _TELLING:
        found = conditions.get(kind)
        if found is not None and found["status"] == "True" and found.get("message"):
            return str(found["message"])
    held = sorted(row.pod for row in rows if row.held_since is not None)
    return f"held: {', '.join(held)}" if held else ""


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
    newest = max(sets, key=lambda item: int(item["metadata"].get("annotations", {}).get(_SEQUENCE, 0)), default=None)
    return "" if newest is None else str(newest["metadata"].get("labels", {}).get("pod-template-hash", ""))


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
            print(sentence, flush=True)
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
    return Group(bar, Text(now.waits_for or "nothing waits", style="bright_black"), table(rows))


def _told(found: Found, output: str | None, *, owed: bool, seconds: float) -> int:
    now, rows = found
    if output == "json":
        whole: dict[str, Any] = {**asdict(now), "pods": [row.to_json() for row in rows]}
        print(as_json(whole))
    elif not sys.stdout.isatty():
        print(plain(rows))
    if owed:
        text = f"no account of this rollout within {seconds:.0f} s, so nobody can say what it dropped; is the controller up?"
        print(f"lastcall: {text}", file=sys.stderr)
    return Exit.NOT if now.dropped or owed else Exit.DONE
