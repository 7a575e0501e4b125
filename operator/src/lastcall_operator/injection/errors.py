"""Why a pod cannot be injected, and what an injection has to tell. Each sentence names the field."""

from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.names import Reason
from lastcall_operator.errors import LastcallError


class InjectionError(LastcallError):
    """This pod cannot have a sidecar as it is. `reason` is that of the condition and the event."""

    def __init__(self, message: str, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done to the user's own fields, or that will not work as it looks; for events, conditions."""

    reason: Reason
    message: str

    def as_json(self) -> dict[str, Any]:
        """The note as in the annotation `lastcall.dev/notes`."""
        return {"reason": self.reason.value, "message": self.message}
