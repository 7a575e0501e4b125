"""The gauge: what is in flight, each request with its ticket.

The pipeline takes a ticket when a request's head has been read, and gives it back exactly once: when the last byte of
the response has been accepted by the transport, or the client is gone. Everything that is decided about a drain, and
every number of `/livez`, comes from here; so a second release raises instead of counting.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum

from lastcall_sidecar.errors import LastcallError


class Outcome(StrEnum):
    """How a request ended; the values are the keys of `/livez` `totals`."""

    #: The client got all of it, errors that the upstream itself answered included.
    COMPLETED = "completed"
    #: The upstream failed us: no answer, a broken one, or one that came too late.
    FAILED = "failed"
    #: The client left first.
    DISCONNECTED = "disconnected"
    #: We ended a stream while the client still wanted it. The product's promise is that this stays zero.
    DROPPED = "dropped"
    #: We answered an error of our own and never asked the upstream.
    REFUSED = "refused"


class AlreadyReleased(LastcallError, ValueError):  # noqa: N818 - it says what the ticket is
    """The ticket is not, or no longer, held in this gauge; nothing has changed."""

    def __init__(self, ticket: "Ticket") -> None:
        super().__init__(f"{ticket!r} is not held in this gauge")
        self.ticket = ticket


@dataclass(slots=True, eq=False, repr=False)
class Ticket:
    """One request in flight. Only its gauge changes it."""

    id: int
    #: When the request's head had been read, monotonic seconds.
    started: float
    #: Whether its response is a `text/event-stream`.
    stream: bool = False
    #: Whether it waits for a slot.
    queued: bool = False
    #: How it ended; None while in flight.
    outcome: Outcome | None = None

    def __repr__(self) -> str:
        """Id and state, as in `<Ticket 7 in flight, stream>`."""
        words = ["in flight" if self.outcome is None else self.outcome.value]
        if self.stream:
            words.append("stream")
        if self.queued:
            words.append("queued")
        return f"<Ticket {self.id} {', '.join(words)}>"


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests since the start. `accepted` is what is in flight and all the others together."""

    accepted: int = 0
    completed: int = 0
    failed: int = 0
    disconnected: int = 0
    dropped: int = 0
    refused: int = 0


@dataclass(slots=True, eq=False, repr=False)
class InFlight:
    """The gauge. All times are monotonic seconds."""

    #: How many of the requests in flight are streams.
    streams: int = field(default=0, init=False)
    #: How many of the requests in flight wait for a slot.
    queued: int = field(default=0, init=False)
    #: When a request last arrived, whatever became of it.
    last_request: float | None = field(default=None, init=False)
    _accepted: int = field(default=0, init=False)
    _ended: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0), init=False)
    # Ordered by arrival. Unlike a dict's, its first entry is found in O(1) after any number of deletions.
    _held: "OrderedDict[Ticket, None]" = field(default_factory=OrderedDict, init=False)

    @property
    def count(self) -> int:
        """How many requests are in flight, queued ones included."""
        return len(self._held)

    @property
    def totals(self) -> Totals:
        """What has been counted until now, as a value."""
        return Totals(accepted=self._accepted, **{outcome.value: n for outcome, n in self._ended.items()})

    def take(self, now: float) -> Ticket:
        """Count a request whose head has been read."""
        self._accepted += 1
        self.last_request = now
        ticket = Ticket(self._accepted, now)
        self._held[ticket] = None
        return ticket

    def mark_stream(self, ticket: Ticket) -> None:
        """Take note that the response is an event stream. Raises `AlreadyReleased`."""
        self._require(ticket)
        if not ticket.stream:
            ticket.stream = True
            self.streams += 1

    def mark_queued(self, ticket: Ticket, queued: bool) -> None:
        """Take note that the request waits for a slot, or no longer. Raises `AlreadyReleased`."""
        self._require(ticket)
        self.queued += queued - ticket.queued
        ticket.queued = queued

    def release(self, ticket: Ticket, now: float, outcome: Outcome) -> float:
        """Give the ticket back and count how the request ended; returns how long it took, in seconds.

        Raises `AlreadyReleased` the second time, with all counts as they were.
        """
        self._require(ticket)
        del self._held[ticket]
        self.streams -= ticket.stream
        self.queued -= ticket.queued
        self._ended[outcome] += 1
        ticket.queued = False
        ticket.outcome = outcome
        return now - ticket.started

    def oldest_seconds(self, now: float) -> float | None:
        """How long the oldest request has been in flight; None when nothing is."""
        return now - next(iter(self._held)).started if self._held else None

    def __repr__(self) -> str:
        """The gauge, as in `<InFlight 3, 2 streams, 1 queued>`."""
        return f"<InFlight {self.count}, {self.streams} streams, {self.queued} queued>"

    def _require(self, ticket: Ticket) -> None:
        if ticket not in self._held:
            raise AlreadyReleased(ticket)
