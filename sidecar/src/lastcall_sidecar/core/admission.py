"""Who may go on now, who waits, who is refused: slots and a bounded queue that is fair between keys.

A slot that becomes free goes to the keys in turn, and within a key to who came first, so that a client with a thousand
requests in the queue delays another one's by one slot, not by a thousand. `waiting.py` calls it, and wakes the places
that a call returns; nothing in here waits, and how long anybody may wait is the caller's business.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum


class PlaceState(StrEnum):
    """Where a request is on its way through admission."""

    #: It holds a slot.
    ADMITTED = "admitted"
    #: It waits for one.
    QUEUED = "queued"
    #: There was neither a slot nor a place in the queue. It holds nothing.
    REFUSED = "refused"
    #: It gave back what it held.
    LEFT = "left"


@dataclass(slots=True, eq=False, repr=False)
class Place:
    """One request's place. Only its `Admission` changes it."""

    #: Whose request it is, as far as fairness goes.
    key: str
    state: PlaceState

    def __repr__(self) -> str:
        """The state alone: a key may be a client's name."""
        return f"<Place {self.state.value}>"


class Admission:
    """Slots and their queue. `max_concurrent` 0 means unlimited; `max_queued` 0 means that nobody waits.

    Raises ValueError for a negative limit, with everything as it was.
    """

    __slots__ = ("_admitted", "_max_concurrent", "_max_queued", "_queued", "_waiting")

    def __init__(self, max_concurrent: int, max_queued: int) -> None:
        _check(max_concurrent, max_queued)
        self._max_concurrent = max_concurrent
        self._max_queued = max_queued
        self._admitted: set[Place] = set()
        # Keys in the order of their turns, each with its places in the order of arrival; never an empty queue.
        self._waiting: OrderedDict[str, OrderedDict[Place, None]] = OrderedDict()
        self._queued = 0

    @property
    def running(self) -> int:
        """How many slots are held. Above `max_concurrent` only after that was lowered."""
        return len(self._admitted)

    @property
    def queued(self) -> int:
        """How many places wait for a slot."""
        return self._queued

    def ask(self, key: str) -> Place:
        """Ask for a slot; the place's state is the answer. While somebody waits, no slot is free."""
        if self._slot_free():
            place = Place(key, PlaceState.ADMITTED)
            self._admitted.add(place)
        elif self._queued < self._max_queued:
            place = Place(key, PlaceState.QUEUED)
            self._waiting.setdefault(key, OrderedDict())[place] = None
            self._queued += 1
        else:
            place = Place(key, PlaceState.REFUSED)
        return place

    def leave(self, place: Place) -> list[Place]:
        """Give back a slot, or a place in the queue; returns who was admitted for it.

        Idempotent, and nothing happens for a place that was refused or is another `Admission`'s.
        """
        queue = self._waiting.get(place.key)
        if place in self._admitted:
            self._admitted.remove(place)
        elif queue is not None and place in queue:
            del queue[place]
            self._queued -= 1
            if not queue:
                del self._waiting[place.key]
        else:
            return []
        place.state = PlaceState.LEFT
        return self._admit_waiting()

    def reconfigure(self, max_concurrent: int, max_queued: int) -> list[Place]:
        """Take new limits; returns who was admitted for it. Nobody loses a slot or a place in the queue."""
        _check(max_concurrent, max_queued)
        self._max_concurrent = max_concurrent
        self._max_queued = max_queued
        return self._admit_waiting()

    def __repr__(self) -> str:
        """Use and limits, as in `<Admission 5 of 5 running, 12 of 1000 queued>`."""
        slots = self._max_concurrent or "unlimited"
        return f"<Admission {self.running} of {slots} running, {self._queued} of {self._max_queued} queued>"

    def _slot_free(self) -> bool:
        return self._max_concurrent == 0 or len(self._admitted) < self._max_concurrent

    def _admit_waiting(self) -> list[Place]:
        admitted: list[Place] = []
        while self._waiting and self._slot_free():
            key, queue = self._waiting.popitem(last=False)
            place, _ = queue.popitem(last=False)
            if queue:
                self._waiting[key] = queue
            self._queued -= 1
            self._admitted.add(place)
            place.state = PlaceState.ADMITTED
            admitted.append(place)
        return admitted


def _check(max_concurrent: int, max_queued: int) -> None:
    if max_concurrent < 0 or max_queued < 0:
        raise ValueError(f"limits of admission are not negative: {max_concurrent} concurrent, {max_queued} queued")
