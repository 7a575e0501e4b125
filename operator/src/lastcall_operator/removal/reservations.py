"""What has just been decided, in an annotation of the DrainPolicy: so that all who decide, decide as one.

The API server shows a deletion only after admission, and a drain shows only after the sidecar has begun it. Until then
a reservation counts. A refusal is remembered here, too: since when, so that it ends, whatever becomes of the mark on
the pod. Everything runs out by itself, so that a webhook that died leaves nothing behind. The annotation is written
with the policy's resourceVersion; who loses the race reads again and decides again.

As JSON: `{"<pod uid>": {"removal": [<since>, <until>], "lease": …, "held": …, "wanted": …}}`, seconds since the epoch.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from lastcall_operator.removal.model import Allow, Decision, Kind, Removal

#: Long enough for the API server to show a deletion that was allowed, and short enough not to matter if it came to
#: nothing (another webhook, say, refused the eviction afterwards).
REMOVAL_SECONDS: Final = 10.0
#: A leased drain, unless renewed: twelve tries of `kubectl drain`.
LEASE_SECONDS: Final = 60.0
#: A lease that was reserved is asked for within this many seconds, or not at all.
LEASE_WITHIN_SECONDS: Final = 10.0
#: By how much a reservation outlives every lease that it stands for: such a lease may begin late, and whoever looks for
#: another pod to drain may have looked a while ago, by another clock. Were it over first, a second drain could be
#: granted in the very second in which the first is renewed.
OUTLIVES_SECONDS: Final = LEASE_WITHIN_SECONDS + 10.0
#: A reservation is written for this much longer than it must last, so that not every renewal is a write.
SPARE_SECONDS: Final = 10.0
#: For how long after it a refusal is remembered: longer than anybody takes to try again (the cluster autoscaler comes
#: back after some 10 minutes, a ReplicaSet's controller after a quarter of an hour), or a deadline would begin anew
#: each time. Whoever takes longer has given up.
REMEMBER_SECONDS: Final = 1200.0
#: A refusal that is repeated is written again after this long: `kubectl drain` comes each 5 s.
REPEAT_SECONDS: Final = 60.0
#: By how much the clocks of two nodes may differ.
SKEW_SECONDS: Final = 60.0
#: Entries at most, some 20 KB: the annotations of an object may hold 256 KiB altogether.
LIMIT: Final = 200


class Reserved(StrEnum):
    """What was decided of a pod."""

    #: it may go: it counts as terminating
    REMOVAL = "removal"
    #: its drain has begun, or is about to: it counts as leased
    LEASE = "lease"
    #: its eviction was refused, and may be tried again: its hold goes on, whatever its workload does
    HELD = "held"
    #: its own controller was refused: the hold ends when the workload is at rest
    WANTED = "wanted"


@dataclass(frozen=True, slots=True)
class Span:
    """From when and until when something counts, in seconds since the epoch."""

    since: float
    until: float


#: By the pod's UID and what was decided.
Reservations: TypeAlias = Mapping[tuple[str, Reserved], Span]

_HOLDS: Final = frozenset({Reserved.HELD, Reserved.WANTED})
#: No entry of ours lasts longer from now.
_LONGEST: Final = MappingProxyType(
    {
        Reserved.REMOVAL: REMOVAL_SECONDS + SKEW_SECONDS,
        Reserved.LEASE: LEASE_SECONDS + OUTLIVES_SECONDS + SPARE_SECONDS + SKEW_SECONDS,
        Reserved.HELD: REMEMBER_SECONDS + SKEW_SECONDS,
        Reserved.WANTED: REMEMBER_SECONDS + SKEW_SECONDS,
    }
)


def parse(text: str | None, now: float) -> Reservations:
    """Read the annotation, without what has run out.

    What nobody can read counts for nothing, and neither does an end so far away that it cannot be ours: somebody would
    be held up by it.
    """
    try:
        found: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    read = {
        (uid, kind): span
        for uid, kinds in entries
        if isinstance(kinds, dict)
        for kind in Reserved
        if (span := _span(kinds.get(kind.value))) is not None and now < span.until <= now + _LONGEST[kind]
    }
    return _bounded(read)


def render(reservations: Reservations) -> str:
    """Write the annotation: the same text for the same reservations."""
    entries: dict[str, dict[str, list[float]]] = {}
    for (uid, kind), span in reservations.items():
        entries.setdefault(uid, {})[kind.value] = [span.since, span.until]
    return json.dumps(entries, sort_keys=True, separators=(",", ":"))


def add(reservations: Reservations, uid: str, kind: Reserved, span: Span) -> Reservations:
    """Add or renew one entry."""
    return _bounded({**reservations, (uid, kind): span})


def after(reservations: Reservations, removal: Removal, decision: Decision, now: float) -> Reservations:
    """Add what a decision reserves. Equal to what was there when there is nothing new, so that nothing is written."""
    if removal.dry_run:
        return reservations
    if isinstance(decision, Allow):
        # An eviction that was allowed and is asked for again was refused by somebody else. It must not count for ever.
        again = removal.kind is Kind.EVICTION and (removal.pod, Reserved.REMOVAL) in reservations
        if not decision.reserve or again:
            return reservations
        return add(reservations, removal.pod, Reserved.REMOVAL, Span(now, now + REMOVAL_SECONDS))
    if decision.since is not None:
        kind = Reserved.HELD if removal.kind is Kind.EVICTION else Reserved.WANTED
        reservations = _refused(reservations, removal.pod, kind, decision.since, now)
    return reservations if decision.lease is None else leased(reservations, [decision.lease], now)


def leased(reservations: Reservations, uids: Iterable[str], now: float) -> Reservations:
    """Add the leased drains of these pods, or renew those that would not outlive a lease that is asked for now."""
    needed = now + LEASE_SECONDS + OUTLIVES_SECONDS
    for uid in uids:
        old = reservations.get((uid, Reserved.LEASE), Span(now, now))
        if old.until < needed:
            reservations = add(reservations, uid, Reserved.LEASE, Span(old.since, needed + SPARE_SECONDS))
    return reservations


def held_since(reservations: Reservations, uid: str) -> float | None:
    """Tell since when a pod's removal has been refused; None when it has not, or everybody has given up."""
    found = (reservations.get((uid, kind)) for kind in _HOLDS)
    return min((span.since for span in found if span is not None), default=None)


def at_rest(reservations: Reservations) -> Reservations:
    """Forget what the workload's controllers wanted: it is as it should be, and they want no pod any more."""
    return {key: span for key, span in reservations.items() if key[1] is not Reserved.WANTED}


def full(reservations: Reservations) -> bool:
    """Tell whether there may have been more of them than are kept."""
    return len(reservations) >= LIMIT


def of_kind(reservations: Reservations, kind: Reserved) -> frozenset[str]:
    """Find the UIDs of the pods with an entry of that kind."""
    return frozenset(uid for uid, what in reservations if what is kind)


def _refused(reservations: Reservations, uid: str, kind: Reserved, since: float, now: float) -> Reservations:
    old = reservations.get((uid, kind))
    if old is not None and old.until > now + REMEMBER_SECONDS - REPEAT_SECONDS:
        return reservations
    return add(reservations, uid, kind, Span(since, now + REMEMBER_SECONDS))


def _span(found: Any) -> Span | None:
    """Read `[since, until]`; None for anything else."""
    if not isinstance(found, list) or len(found) != 2:
        return None
    numbers = [each for each in found if isinstance(each, int | float) and not isinstance(each, bool)]
    return Span(*numbers) if len(numbers) == len(found) and numbers[0] <= numbers[1] else None


def _bounded(reservations: dict[tuple[str, Reserved], Span]) -> Reservations:
    """Keep the entries that matter most.

    These are removals and leases, those first that last longest; of the holds those first that began first: they are
    the next to come to their end, and those behind them take their places.
    """

    def rank(entry: tuple[tuple[str, Reserved], Span]) -> tuple[bool, bool, float, str]:
        (uid, kind), span = entry
        hold = kind in _HOLDS
        return hold, kind is Reserved.LEASE, span.since if hold else -span.until, uid

    return dict(sorted(reservations.items(), key=rank)[:LIMIT])
