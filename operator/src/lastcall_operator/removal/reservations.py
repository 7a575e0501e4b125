"""What the webhook has just decided, in an annotation of the DrainPolicy: so that two webhooks decide as one.

The API server shows a deletion only after admission, and a drain shows only after the sidecar has begun it. Until then
a reservation counts. It runs out by itself, so that a webhook that died leaves nothing behind. The annotation is
written with the policy's resourceVersion; who loses the race reads again and decides again.

As JSON: `{"<pod uid>": {"removal": <until>, "lease": <until>, "held": <until>}}`, seconds since the epoch.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from lastcall_operator.removal.model import Allow, Decision, Kind, Policy, Removal

#: Long enough for the API server to show a deletion that was allowed, and short enough not to matter if it came to
#: nothing (a PodDisruptionBudget, say, refused the eviction afterwards).
REMOVAL_SECONDS: Final = 10.0
#: A leased drain, unless renewed: twelve tries of `kubectl drain`.
LEASE_SECONDS: Final = 60.0
#: For how long after the hold deadline a refused eviction is remembered: longer than any evictor takes to try again
#: (the cluster autoscaler comes back after some 10 minutes), or its deadline would begin anew each time.
REMEMBER_SECONDS: Final = 1200.0
#: By how much the clocks of two nodes may differ.
SKEW_SECONDS: Final = 60.0
#: Entries at most, some 20 KB: the annotations of an object may hold 256 KiB altogether.
LIMIT: Final = 200


class Reserved(StrEnum):
    """What was decided of a pod; what matters most comes first."""

    #: it may go: it counts as terminating
    REMOVAL = "removal"
    #: it drains for an eviction: it counts as leased
    LEASE = "lease"
    #: its eviction was refused, and may be tried again: its held-since stays
    HELD = "held"


#: Until when (seconds since the epoch), by the pod's UID and what was decided.
Reservations: TypeAlias = Mapping[tuple[str, Reserved], float]

_RANK: Final = MappingProxyType({kind: rank for rank, kind in enumerate(Reserved)})
#: No entry of ours lasts longer from now; a hold lasts as long as its policy says, and none says a year.
_LONGEST: Final = MappingProxyType(
    {
        Reserved.REMOVAL: REMOVAL_SECONDS + SKEW_SECONDS,
        Reserved.LEASE: LEASE_SECONDS + SKEW_SECONDS,
        Reserved.HELD: 366 * 86400.0,
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
        (uid, kind): until
        for uid, kinds in entries
        if isinstance(kinds, dict)
        for kind in Reserved
        if isinstance(until := kinds.get(kind.value), int | float) and now < until <= now + _LONGEST[kind]
    }
    return _bounded(read)


def render(reservations: Reservations) -> str:
    """Write the annotation: the same text for the same reservations."""
    entries: dict[str, dict[str, float]] = {}
    for (uid, kind), until in reservations.items():
        entries.setdefault(uid, {})[kind.value] = until
    return json.dumps(entries, sort_keys=True, separators=(",", ":"))


def add(reservations: Reservations, uid: str, kind: Reserved, until: float) -> Reservations:
    """Add or renew one entry."""
    return _bounded({**reservations, (uid, kind): until})


def after(reservations: Reservations, removal: Removal, decision: Decision, policy: Policy, now: float) -> Reservations:
    """Add what a decision reserves. Equal to what was there when there is nothing new, so that nothing is written."""
    if removal.dry_run:
        return reservations
    if isinstance(decision, Allow):
        if not decision.reserve:
            return reservations
        return add(reservations, removal.pod, Reserved.REMOVAL, now + REMOVAL_SECONDS)
    if removal.kind is Kind.EVICTION and (removal.pod, Reserved.HELD) not in reservations:
        until = now + policy.hold_deadline_seconds + REMEMBER_SECONDS
        reservations = add(reservations, removal.pod, Reserved.HELD, until)
    lease = decision.lease
    if lease is not None and reservations.get((lease, Reserved.LEASE), now) < now + LEASE_SECONDS / 2:
        return add(reservations, lease, Reserved.LEASE, now + LEASE_SECONDS)
    return reservations


def of_kind(reservations: Reservations, kind: Reserved) -> frozenset[str]:
    """Find the UIDs of the pods with an entry of that kind."""
    return frozenset(uid for uid, what in reservations if what is kind)


def _bounded(reservations: dict[tuple[str, Reserved], float]) -> Reservations:
    """Keep the entries that matter most; among equals those that last longest."""
    kept = sorted(reservations.items(), key=lambda entry: (_RANK[entry[0][1]], -entry[1], entry[0][0]))
    return dict(kept[:LIMIT])
