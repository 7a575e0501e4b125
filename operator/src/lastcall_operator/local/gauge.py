"""What a sidecar says of itself in `/livez`, read strictly enough that a wrong answer counts as none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lastcall_operator.rollout import PodState


@dataclass(frozen=True, slots=True)
class Totals:
    """What a sidecar counted since it started; `accepted` is what has come in, the others are how it ended."""

    accepted: int = 0
    completed: int = 0
    failed: int = 0
    disconnected: int = 0
    dropped: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.accepted + other.accepted,
            self.completed + other.completed,
            self.failed + other.failed,
            self.disconnected + other.disconnected,
            self.dropped + other.dropped,
        )


@dataclass(frozen=True, slots=True)
class Gauge:
    """One answer of `/livez` on the admin listener (the contract is in the golden files)."""

    state: PodState
    in_flight: int
    oldest_request_seconds: float | None
    totals: Totals = field(default_factory=Totals)


def read_gauge(answer: Any) -> Gauge:
    """Read a parsed `/livez`; ValueError when it is not one."""
    try:
        totals: Mapping[str, Any] = answer["totals"]
        oldest = answer["oldest_request_seconds"]
        return Gauge(
            state=PodState(answer["drain"]["state"]),
            in_flight=int(answer["in_flight"]),
            oldest_request_seconds=None if oldest is None else float(oldest),
            totals=Totals(
                *(int(totals[name]) for name in ("accepted", "completed", "failed", "disconnected", "dropped"))
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of /livez: {error!r}") from error
