"""The webhook's metrics."""

from collections import Counter

from opentelemetry.metrics import CallbackOptions, Observation

from lastcall_operator.removal.model import Decision, Kind

from . import names
from .meters import Meters, counted


class Metrics(Meters):
    """Counts what the webhook answers."""

    def __init__(self) -> None:
        super().__init__("lastcall-webhook")
        # A counter that has never counted is absent, and an alert on it would never be evaluated.
        self._removals: Counter[tuple[str, ...]] = Counter(
            {(kind.value, verdict): 0 for kind in Kind for verdict in ("Allow", "Refuse")}
        )
        self._faults: Counter[tuple[str, ...]] = Counter({("TimeoutError",): 0})
        self._injections: Counter[tuple[str, ...]] = Counter({("injected",): 0, ("refused",): 0})
        #: when the serving certificate ends, in seconds since the epoch; 0: there is none yet
        self.certificate_expiry = 0.0
        for name, counts, labels, description in (
            (names.REMOVALS, self._removals, ("kind", "decision"), "Removals that were decided"),
            (names.FAULTS, self._faults, ("error",), "Errors of the webhook's own; removals are allowed then"),
            (names.INJECTIONS, self._injections, ("outcome",), "Pods that asked for a sidecar"),
        ):
            self.meter.create_observable_counter(name, [counted(counts, labels)], description=description)
        self.meter.create_observable_gauge(
            names.CERTIFICATE_EXPIRY, [self._expiry], description="When the serving certificate ends"
        )
        self._seconds = self.meter.create_histogram(names.REMOVAL_SECONDS, description="From a review to its answer")

    def removal(self, kind: str, decision: Decision, seconds: float) -> None:
        """A removal was answered."""
        self._removals[kind, type(decision).__name__] += 1
        self._seconds.record(seconds, {"kind": kind})

    def fault(self, error: str) -> None:
        """Something of ours went wrong."""
        self._faults[error,] += 1

    def injection(self, outcome: str) -> None:
        """A pod asked for a sidecar."""
        self._injections[outcome,] += 1

    def _expiry(self, _options: CallbackOptions) -> list[Observation]:
        return [Observation(self.certificate_expiry)] if self.certificate_expiry else []
