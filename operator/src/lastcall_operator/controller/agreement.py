"""The reservations in a DrainPolicy, as the controller takes part in them: whoever decides, decides as one.

The webhook reserves what it allows, leases and refuses. The controller reads it, reserves the drains of its own
rollouts in the same way, and forgets at rest what nobody wants any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import structlog

from lastcall_operator.api import names
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import DRAIN_POLICIES
from lastcall_operator.errors import ConflictError, ForbiddenError, NotFoundError
from lastcall_operator.removal.reservations import Reservations, parse, render

log = structlog.get_logger("lastcall.agreement")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What has been agreed on about a policy's pods, and of which version of the policy it is read."""

    namespace: str
    policy: str
    version: str
    reservations: Reservations

    @classmethod
    def of(cls, obj: Mapping[str, Any], now: float) -> Self:
        """As it stands in a DrainPolicy. `now`: seconds since the epoch."""
        metadata = obj["metadata"]
        text = (metadata.get("annotations") or {}).get(names.RESERVATIONS)
        return cls(metadata["namespace"], metadata["name"], metadata["resourceVersion"], parse(text, now))


async def newest(api: Api, obj: Mapping[str, Any], now: float) -> Agreement:
    """As it stands now: the watch may lag behind.

    Errors: ApiError.
    """
    metadata = obj["metadata"]
    return Agreement.of(await api.get(DRAIN_POLICIES, metadata["namespace"], metadata["name"]), now)


async def write(api: Api, agreement: Agreement, wanted: Reservations) -> bool:
    """Write what is wanted, if it is another; whether that is agreed on now: nobody else has written meanwhile.

    Errors: ApiError.
    """
    if wanted == agreement.reservations:
        return True
    change = {names.RESERVATIONS: render(wanted)}
    try:
        await api.annotate(
            DRAIN_POLICIES, agreement.namespace, agreement.policy, change, resource_version=agreement.version
        )
    except (ConflictError, NotFoundError):
        return False
    except ForbiddenError as error:  # without the right to it we do as if we were alone: nothing waits for it
        log.warning("reservation.forbidden", policy=agreement.policy, error=str(error))
    return True
