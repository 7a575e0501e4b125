"""What the tables show: one row a pod. Pure; made from the API server's pods and from `/livez`."""

from dataclasses import asdict, dataclass
from typing import Any

from lastcall_operator.api.gauge import Gauge
from lastcall_operator.api.names import HELD_SINCE

#: Labels that name a pod's revision: a Deployment's and a StatefulSet's.
_REVISIONS = ("pod-template-hash", "controller-revision-hash")


@dataclass(frozen=True, slots=True)
class PodRow:
    """One pod with a sidecar. `in_flight` and `oldest_seconds` are None when it does not answer."""

    namespace: str
    pod: str
    in_flight: int | None
    oldest_seconds: float | None
    #: serving, draining, drained, expired; `silent` when it does not answer
    state: str
    ready: bool
    terminating: bool
    revision: str
    node: str
    #: RFC 3339; since when its removal has been refused
    held_since: str | None = None

    @property
    def shown_state(self) -> str:
        """The state for people."""
        marks = [self.state, *(["ending"] if self.terminating else []), *(["held"] if self.held_since else [])]
        return ", ".join(marks if self.ready or self.terminating else [*marks, "not ready"])

    def to_json(self) -> dict[str, Any]:
        """The row for scripts: every field by its name."""
        return asdict(self)


def row_of(pod: dict[str, Any], gauge: Gauge | None) -> PodRow:
    """A pod and its gauge as a row."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels = metadata.get("labels", {})
    return PodRow(
        namespace=metadata["namespace"],
        pod=metadata["name"],
        in_flight=None if gauge is None else gauge.in_flight,
        oldest_seconds=None if gauge is None else gauge.oldest_request_seconds,
        state="silent" if gauge is None else gauge.state,
        ready=any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", [])),
        terminating="deletionTimestamp" in metadata,
        revision=next((labels[name] for name in _REVISIONS if name in labels), ""),
        node=pod.get("spec", {}).get("nodeName", ""),
        held_since=metadata.get("annotations", {}).get(HELD_SINCE),
    )


def busiest_first(rows: list[PodRow]) -> list[PodRow]:
    """The rows in the order of `lastcall top`: who carries most, then who does not say, then by name."""
    return sorted(rows, key=lambda row: (-(row.in_flight or 0), row.in_flight is not None, row.namespace, row.pod))


def seconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.0f} s"
    return f"{value // 60:.0f} min {value % 60:.0f} s"
