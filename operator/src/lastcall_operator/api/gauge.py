"""What a sidecar says of itself in `/livez`, as the operator reads it.

The golden files in tests/contract hold both sides to the same fields.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Bytes of an answer that are read at most: a sidecar's is below 2 KB.
MAX_LIVEZ_BYTES = 65536


class GaugeError(ValueError):
    """This is no answer of a sidecar's `/livez`."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One answer of `/livez`. Times are seconds since the epoch."""

    in_flight: int
    #: serving, draining, drained or expired
    state: str
    #: whether the drain can no longer be taken back
    final: bool
    streams: int
    queued: int
    oldest_request_seconds: float | None
    drain_since: float | None
    lease_expires: float | None
    config_hash: str | None
    config_generation: int | None
    #: why the newest configuration is not in force
    config_error: str | None
    completed: int
    dropped: int
    pod: str
    pod_uid: str

    @property
    def draining(self) -> bool:
        """Whether a drain is on or over."""
        return self.state != "serving"


def parse_livez(body: bytes) -> Gauge:
    """Read an answer.

    Errors: GaugeError.
    """
    try:
        found: dict[str, Any] = json.loads(body)
        drain, config, totals = found["drain"], found["config"], found["totals"]
        return Gauge(
            in_flight=int(found["in_flight"]),
            state=str(drain["state"]),
            final=bool(drain["final"]),
            streams=int(found["streams"]),
            queued=int(found["queued"]),
            oldest_request_seconds=found["oldest_request_seconds"],
            drain_since=_seconds(drain["since"]),
            lease_expires=_seconds(drain["lease_expires"]),
            config_hash=config["hash"],
            config_generation=config["generation"],
            config_error=config["error"],
            completed=int(totals["completed"]),
            dropped=int(totals["dropped"]),
            pod=str(found["pod"]),
            pod_uid=str(found["pod_uid"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GaugeError(f"not the answer of a sidecar: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class LastWord:
    """What a sidecar leaves as its container's termination message: its account, which nothing can change any more."""

    completed: int
    dropped: int


def parse_last_word(message: str | None) -> LastWord | None:
    """Read a termination message; None for anything that is no sidecar's."""
    try:
        found: dict[str, Any] = json.loads(message or "")["lastcall"]
        return LastWord(int(found["completed"]), int(found["dropped"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
