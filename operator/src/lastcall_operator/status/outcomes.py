"""How the end of a pod went: what it carried when it was deleted, what finished, what was lost."""

from dataclasses import dataclass, replace

from lastcall_operator.api.gauge import Gauge, LastWord
from lastcall_operator.api.names import Reason

from .readings import counted
from .told import Happened


@dataclass(frozen=True, slots=True)
class Track:
    """A pod's end as far as it has been seen. `began`: when it was deleted, seconds since the epoch."""

    pod: str
    uid: str
    revision: str
    began: float
    first: Gauge | None = None
    last: Gauge | None = None
    #: what the sidecar left behind when it left
    word: LastWord | None = None
    #: since when it has been seen drained, seconds since the epoch; None: it is not
    drained: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one pod."""

    pod: str
    uid: str
    revision: str
    seconds: float
    finished: int
    dropped: int
    #: the ceiling, or the kubelet's patience, came before the last stream's end
    expired: bool
    #: whether the sidecar ever answered while the pod was going
    seen: bool


def follow(track: Track, gauge: Gauge | None) -> Track:
    """Take note of an answer, or of a silence."""
    if gauge is None:
        return track
    first = track.first
    if first is None or gauge.completed < first.completed:  # a restarted sidecar counts from 0
        first = gauge
    return replace(track, first=first, last=gauge)


def outcome(track: Track, now: float) -> Outcome:
    """What became of its streams, now that it is gone.

    The sidecar's last word is what counts. Without one (it was killed) whatever was in flight when it was last seen is
    lost.
    """
    finished = dropped = lost = 0
    if track.first is not None and track.last is not None:
        lost = 0 if track.word is not None else track.last.in_flight
        account = track.word or track.last
        finished = max(0, account.completed - track.first.completed)
        dropped = max(0, account.dropped - track.first.dropped) + lost
    expired = lost > 0 or (track.last is not None and track.last.state == "expired")
    return Outcome(
        pod=track.pod,
        uid=track.uid,
        revision=track.revision,
        seconds=max(0.0, now - track.began),
        finished=finished,
        dropped=dropped,
        expired=expired,
        seen=track.last is not None,
    )


def started(track: Track) -> Happened:
    """The event of its beginning."""
    load = "its sidecar does not answer" if track.last is None else f"{track.last.in_flight} in flight"
    return Happened(Reason.DRAIN_STARTED, f"{track.pod} drains: {load}", once=True, identity=track.uid)


def ended(found: Outcome) -> Happened:
    """The event of its end."""
    if not found.seen:
        message = f"{found.pod} is gone after {found.seconds:.0f} s; its sidecar never said what it carried"
        return Happened(Reason.DRAIN_FINISHED, message, warning=True, once=True, identity=found.uid)
    streams = f"{counted(found.finished, 'stream')} finished, {found.dropped} dropped, in {found.seconds:.0f} s"
    if found.expired:
        return Happened(
            Reason.DRAIN_EXPIRED, f"{found.pod} did not finish: {streams}", warning=True, once=True, identity=found.uid
        )
    return Happened(
        Reason.DRAIN_FINISHED,
        f"{found.pod} has drained: {streams}",
        warning=found.dropped > 0,
        once=True,
        identity=found.uid,
    )
