"""The controller's figures for Prometheus. The names are those of the documentation; the text format is its own."""

from collections import defaultdict
from collections.abc import Mapping

from lastcall_operator.status.outcomes import Outcome

_HELP = {
    "lastcall_rollouts_total": ("counter", "Rollouts that came to their end, by outcome."),
    "lastcall_rollout_streams_dropped_total": ("counter", "Streams lost by pods that were removed."),
    "lastcall_drains_total": ("counter", "Pods whose end was followed, by outcome."),
    "lastcall_pods": ("gauge", "Pods of targeted workloads, by the state of their sidecar."),
    "lastcall_reconcile_age_seconds": ("gauge", "Seconds since a reconciler last came to its end."),
}


class Metrics:
    """Counters and gauges. Label values are ours, never a client's text."""

    def __init__(self) -> None:
        self._counters: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        self._pods: dict[tuple[str, str], Mapping[str, int]] = {}
        self._counters["lastcall_rollout_streams_dropped_total", "", ""] = 0.0

    def drained(self, found: Outcome) -> None:
        """A pod is gone."""
        self._counters["lastcall_drains_total", "outcome", "expired" if found.expired else "finished"] += 1
        self._counters["lastcall_rollout_streams_dropped_total", "", ""] += found.dropped

    def rolled(self, *, dropped: int) -> None:
        """A rollout is over."""
        self._counters["lastcall_rollouts_total", "outcome", "dropped" if dropped else "clean"] += 1

    def pods(self, policy: tuple[str, str], states: Mapping[str, int] | None) -> None:
        """How a policy's pods are; None: there is no such policy any more."""
        if states is None:
            self._pods.pop(policy, None)
        else:
            self._pods[policy] = states

    def text(self, reconcile_age_seconds: float) -> str:
        """The text exposition."""
        values: defaultdict[tuple[str, str, str], float] = defaultdict(float, self._counters)
        for states in self._pods.values():
            for state, count in states.items():
                values["lastcall_pods", "state", state] += count
        values["lastcall_reconcile_age_seconds", "", ""] = reconcile_age_seconds
        lines: list[str] = []
        for name, (kind, told) in _HELP.items():
            lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
            for (metric, label, word), number in sorted(values.items()):
                if metric == name:
                    labels = f'{{{label}="{word}"}}' if label else ""
                    lines.append(f"{name}{labels} {number:g}")
        return "\n".join(lines) + "\n"
