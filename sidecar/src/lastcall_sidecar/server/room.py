"""How many connections a listener has, and which of them goes so that another one may come. Used by `listener.py`.

Each connection takes a file descriptor. If clients could take all of them, no probe would be answered any more and no
upstream reached, whoever the clients are. So a listener has a limit; where it is reached, the connection that has been
idle for longest goes, as it would have gone at its idle limit. Where none is idle, new ones wait in the kernel. Pure:
`now` is the loop's time.
"""

from collections.abc import Callable
from typing import Protocol

#: So long, in seconds, a connection has at least: to send the request for which it was made, over a slow network.
MIN_IDLE_SECONDS = 0.5


class Guest(Protocol):
    """A connection, as far as its room goes."""

    def is_quiet(self) -> bool:
        """Whether it owes its client nothing, and nothing of its client's waits to be read."""
        ...

    def make_room(self) -> None:
        """End now."""
        ...


class Room:
    """The connections of one listener: at most `limit`. `on_room` is called when more may come."""

    def __init__(self, limit: int, on_room: Callable[[], None]) -> None:
        self.limit = limit
        self._on_room = on_room
        self._open = 0
        # And since when; the oldest first.
        self._idle: dict[Guest, float] = {}

    def __repr__(self) -> str:
        return f"<Room {self._open} of {self.limit} taken, {len(self._idle)} idle>"

    def is_full(self, now: float) -> bool:
        """Whether nobody may come."""
        return self._open >= self.limit and self._oldest(now) is None

    def enter(self, now: float) -> None:
        """One more came; for it goes who has been idle for longest, if there are too many now."""
        if self._open >= self.limit and (oldest := self._oldest(now)) is not None:
            del self._idle[oldest]
            oldest.make_room()
        self._open += 1

    def leave(self) -> None:
        """One is gone."""
        self._open -= 1
        self._on_room()

    def idle(self, guest: Guest, now: float) -> None:
        """This one waits for its client's next request: if one must go, it is its turn behind those that do already."""
        self._idle.pop(guest, None)
        self._idle[guest] = now
        self._on_room()

    def busy(self, guest: Guest) -> None:
        """This one has a request, or is ending: it does not go for another."""
        self._idle.pop(guest, None)

    def _oldest(self, now: float) -> Guest | None:
        for guest, since in self._idle.items():
            if since > now - MIN_IDLE_SECONDS:
                return None
            if guest.is_quiet():
                return guest
        return None
