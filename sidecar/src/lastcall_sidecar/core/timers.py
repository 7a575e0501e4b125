"""The clocks of one request, and which of them runs out first.

Pure: `exchange.py` starts and stops clocks and asks for the next deadline. A clock runs only while the party that it
measures is the one waited for, so that a client that does not read never makes the upstream look slow.
"""

from collections.abc import Mapping
from enum import StrEnum


class Clock(StrEnum):
    """What is waited for."""

    #: The next bytes of the client's body.
    CLIENT_BODY = "client_body"
    #: The upstream's taking of the next bytes of the body.
    UPLOAD = "upload"
    #: The head of the answer, from the end of the upload.
    RESPONSE_HEADER = "response_header"
    #: The first event of a stream, from its head.
    FIRST_EVENT = "first_event"
    #: The upstream's next bytes.
    STALL = "stall"
    #: Progress toward the client, while bytes wait for it.
    WRITE_STALL = "write_stall"
    #: The end, from the moment the request was admitted.
    MAX_DURATION = "max_duration"
    #: Nothing went to the client: a heartbeat is due.
    HEARTBEAT = "heartbeat"
    #: The upstream's end, once the stream's own end has passed.
    LINGER = "linger"
    #: The upload is paused, and so is the reader that would see the client leave: look.
    PEER_CHECK = "peer_check"


class Timers:
    """Running clocks. Limits are seconds; a clock whose limit is 0 or missing never runs out."""

    __slots__ = ("_limits", "_since")

    def __init__(self, limits: Mapping[Clock, float]) -> None:
        self._limits = limits
        self._since: dict[Clock, float] = {}

    def __repr__(self) -> str:
        return f"<Timers {', '.join(f'{clock} since {since:.3f}' for clock, since in self._since.items()) or 'idle'}>"

    def start(self, clock: Clock, now: float) -> float:
        """Start or restart a clock; returns its deadline (infinite without a limit)."""
        limit = self._limits.get(clock, 0)
        if not limit:
            return float("inf")
        self._since[clock] = now
        return now + limit

    def stop(self, clock: Clock) -> None:
        """Stop a clock; one that does not run is fine."""
        self._since.pop(clock, None)

    def running(self, clock: Clock) -> bool:
        """Whether the clock runs."""
        return clock in self._since

    def limit(self, clock: Clock) -> float:
        """The clock's limit in seconds; 0 without one."""
        return self._limits.get(clock, 0)

    def next(self) -> tuple[float, Clock] | None:
        """The earliest deadline and its clock; None when nothing runs."""
        return min(((since + self._limits[clock], clock) for clock, since in self._since.items()), default=None)
