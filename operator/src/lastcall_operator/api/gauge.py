"""What a sidecar says of itself in `/livez`, as the operator reads it.

The golden files in tests/contract hold both sides to the same fields. A sidecar's pod is somebody else's: what has not
exactly this shape, with these types and bounds, is no answer, and counts as silence.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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


#: What the API server's own integers hold: statuses carry these numbers.
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, Meta(ge=0)]
_Time = Annotated[datetime, Meta(tz=True)]


class _Drain(msgspec.Struct, frozen=True):
    state: Literal["serving", "draining", "drained", "expired"]
    final: bool
    since: _Time | None
    lease_expires: _Time | None


class _Config(msgspec.Struct, frozen=True):
    hash: str | None
    generation: _Count | None
    error: str | None


class LastWord(msgspec.Struct, frozen=True):
    """What a sidecar leaves as its container's termination message: its account, which nothing can change any more."""

    completed: _Count
    dropped: _Count


class _Livez(msgspec.Struct, frozen=True):
    in_flight: _Count
    streams: _Count
    queued: _Count
    oldest_request_seconds: _Seconds | None
    drain: _Drain
    config: _Config
    totals: LastWord
    pod: str
    pod_uid: str


class _Termination(msgspec.Struct, frozen=True):
    lastcall: LastWord


_LIVEZ = msgspec.json.Decoder(_Livez)
_TERMINATION = msgspec.json.Decoder(_Termination)


def parse_livez(body: bytes) -> Gauge:
    """Read an answer.

    Errors: GaugeError.
    """
    try:
        found = _LIVEZ.decode(body)
        drain, config = found.drain, found.config
        return Gauge(
            in_flight=found.in_flight,
            state=drain.state,
            final=drain.final,
            streams=found.streams,
            queued=found.queued,
            oldest_request_seconds=found.oldest_request_seconds,
            drain_since=_epoch(drain.since),
            lease_expires=_epoch(drain.lease_expires),
            config_hash=config.hash,
            config_generation=config.generation,
            config_error=config.error,
            completed=found.totals.completed,
            dropped=found.totals.dropped,
            pod=found.pod,
            pod_uid=found.pod_uid,
        )
    except (ValueError, RecursionError) as error:
        raise GaugeError(f"not the answer of a sidecar: {type(error).__name__}: {error}") from error


def parse_last_word(message: str | None) -> LastWord | None:
    """Read a termination message; None for anything that is no sidecar's."""
    try:
        return _TERMINATION.decode(message or "").lastcall
    except (ValueError, RecursionError):
        return None


def _epoch(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
