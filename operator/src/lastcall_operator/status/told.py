"""What a roll-up tells: conditions and events, before anybody writes them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.printable import printable

#: Parts of a status that change with every stream: written no more often than the policy is polled.
_VOLATILE = frozenset({"inFlight", "pods", "message", "oldestRequestSeconds"})


@dataclass(frozen=True, slots=True)
class Told:
    """A condition as it is now. `status` None is `Unknown`."""

    type: str
    status: bool | None
    reason: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))

    @property
    def word(self) -> str:
        """As Kubernetes spells it."""
        return {True: "True", False: "False", None: "Unknown"}[self.status]


@dataclass(frozen=True, slots=True)
class Happened:
    """An event to post on the object itself. `once`: it happened once, whoever sees it again."""

    reason: str
    message: str
    warning: bool = False
    once: bool = False
    #: what makes it the same event when numbers in the message differ
    identity: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))


def risen(told: Iterable[Told], conditions: Iterable[Mapping[str, Any]]) -> list[Told]:
    """The conditions that are true now and were not, or that are so for another reason."""
    before = {each.get("type"): (each.get("status"), each.get("reason")) for each in conditions}
    return [each for each in told if each.status and before.get(each.type) != ("True", each.reason)]


def fallen(told: Iterable[Told], conditions: Iterable[Mapping[str, Any]]) -> list[Told]:
    """The conditions that are false now and were not, or that are so for another reason."""
    before = {each.get("type"): (each.get("status"), each.get("reason")) for each in conditions}
    return [each for each in told if each.status is False and before.get(each.type) != ("False", each.reason)]


def steady(status: Any) -> Any:
    """A status without what changes with every stream: equal ones need not be written at once."""
    if isinstance(status, Mapping):
        return {key: steady(value) for key, value in status.items() if key not in _VOLATILE}
    return [steady(each) for each in status] if isinstance(status, list) else status
