"""A rollout as `lastcall watch` sees it, and when it is over. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lastcall_operator.cluster.api import Object

from .rows import PodRow

PERIOD_SECONDS = 1.0
#: So long is waited, once all pods are new, until the controller has closed its account of what was dropped. It looks
#: every `pollSeconds`, and one that was just restarted finds the rollout first.
VERDICT_SECONDS = 60.0
#: So long the API server may give no answer, once it has given one.
UNANSWERED_SECONDS = 60.0
#: Conditions of a DrainPolicy that say why the next pod waits, the most telling first.
_TELLING = ("Conflicted", "Unreachable", "Stalled", "Draining", "Progressing")


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
