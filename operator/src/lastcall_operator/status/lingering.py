"""A pod that is deleted and drained, and does not end: its app takes no notice of SIGTERM.

An injected pod has a grace of half an hour for its streams. When they have ended, what is left of it is not the app's:
the pod is deleted again, so that the app has the grace of its own from now on. A later delete may only shorten a grace,
and the API server counts it from the first one. Kubelets up to 1.34 keep to the grace that they began with
(https://github.com/kubernetes/kubernetes/issues/83916), so it is said, too: who knows it can mend the app.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

from lastcall_operator.api.names import Reason

from .outcomes import Track
from .readings import named
from .records import Pod
from .told import Happened

#: An app that does as it is told ends within this many seconds of its streams: nothing is deleted twice for it.
PATIENCE_SECONDS = 5.0


def watched(track: Track, now: float) -> Track:
    """Take note of whether the pod is drained. A lease's end is not the pod's."""
    gauge = track.last
    drained = gauge is not None and gauge.final and gauge.state == "drained"
    return replace(track, drained=None if not drained else now if track.drained is None else track.drained)


def lingers(track: Track, now: float) -> bool:
    """Tell whether its app should have ended by now."""
    return track.drained is not None and now - track.drained >= PATIENCE_SECONDS


def shorter_grace(pod: Pod, track: Track, now: float) -> int | None:
    """Say with how many seconds of grace to delete the pod again; None: leave it as it is.

    Never 0, which would take the pod out of the API while its processes live.
    """
    own, given = pod.own_grace_seconds, pod.deletion_grace_seconds
    if own is None or given is None or pod.deleted is None or not lingers(track, now):
        return None
    wanted = max(1, own) + max(0, math.ceil(now - pod.deleted))
    return wanted if wanted < given else None


def shortened(track: Track, own_seconds: int) -> Happened:
    """The event of it."""
    message = (
        f"{track.pod} is drained, and its app does not end on SIGTERM: deleted again with its own grace of "
        f"{own_seconds} s; a kubelet may keep to the first one (kubernetes#83916)"
    )
    return Happened(Reason.APP_DOES_NOT_END, message, warning=True, once=True, identity=track.uid)


def told(tracks: Iterable[Track], since: str) -> str:
    """The sentence of a condition. `since`: when the first of them was drained, as RFC 3339."""
    return f"{named(each.pod for each in tracks)}: drained since {since}, its app does not end"
