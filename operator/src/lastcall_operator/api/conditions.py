"""The upkeep of `status.conditions`, as the Kubernetes API conventions have it. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

Condition = dict[str, Any]
#: The API server's own bound for a message.
MAX_MESSAGE_CHARS = 32768


class Status(StrEnum):
    """What is known of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


def set_condition(
    conditions: Sequence[Condition],
    kind: str,
    status: Status,
    *,
    reason: str,
    message: str,
    generation: int,
    now: str,
) -> list[Condition]:
    """The conditions with this one in force; `lastTransitionTime` moves only when its status does. `now`: RFC 3339."""
    before = next((item for item in conditions if item["type"] == kind), None)
    kept = before is not None and before["status"] == status.value
    made: Condition = {
        "type": kind,
        "status": status.value,
        "reason": reason,
        "message": message[:MAX_MESSAGE_CHARS],
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if kept and before is not None else now,
    }
    if before is None:
        return [*conditions, made]
    return [made if item["type"] == kind else item for item in conditions]
