"""What is known of sidecars after a poll, and sums over it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lastcall_operator.api.gauge import Gauge

from .records import Pod

#: Silences in a row after which nothing is known of a sidecar any more.
MISSES = 3
#: Names that a sentence lists; the rest is counted.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """The last answer of one sidecar, and how often it has been silent since. `at`: seconds, when it was asked last."""

    gauge: Gauge | None
    misses: int
    at: float

    @property
    def now(self) -> Gauge | None:
        """What it says now; None when the last question was not answered."""
        return None if self.misses else self.gauge

    @property
    def unknown(self) -> bool:
        """Whether it has been silent for so long that it is no longer waited for."""
        return self.misses >= MISSES


Readings = Mapping[str, Reading]


def askable(pods: Iterable[Pod]) -> list[Pod]:
    """The pods whose sidecar can be asked: placed, with an address of their own, and not ended."""
    return [pod for pod in pods if pod.sidecar and pod.ip is not None and pod.phase in {"Pending", "Running"}]


def in_flight(pods: Iterable[Pod], readings: Readings) -> int:
    """Requests in flight in all of them; a silent one counts with what it said last."""
    found = (readings.get(pod.uid) for pod in pods)
    return sum(each.gauge.in_flight for each in found if each is not None and each.gauge is not None)


def draining(pods: Iterable[Pod], readings: Readings) -> list[Pod]:
    """The pods on their way out: deleted, or asked to drain."""
    return [pod for pod in pods if pod.deleted is not None or _drains(readings.get(pod.uid))]


def cut_off(pods: Sequence[Pod], readings: Readings) -> list[Pod]:
    """The Ready pods whose sidecar has been silent for too long. The kubelet reaches them, so something is between."""
    return [
        pod for pod in askable(pods) if pod.ready and (found := readings.get(pod.uid)) is not None and found.unknown
    ]


def named(names: Iterable[str]) -> str:
    """A few of the names, and how many more."""
    found = sorted(names)
    more = len(found) - _NAMED
    return ", ".join(found[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """`1 pod`, `2 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _drains(reading: Reading | None) -> bool:
    return reading is not None and reading.now is not None and reading.now.draining
