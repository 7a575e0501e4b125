"""Events: what Lastcall tells the people who ask `kubectl describe`. Called by both processes; decides nothing.

The name of an event follows from what it says and of whom: the same thing said again, by another replica or after a
restart, is the same event. Posting never fails for the caller: an event is no reason to stop.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import structlog

from lastcall_operator.api.printable import printable
from lastcall_operator.errors import ApiError, ConflictError, NotFoundError

from .api import Api, Object
from .resources import EVENTS

#: The same sentence is counted again only after this many seconds: controllers ask again within milliseconds.
QUIET_SECONDS = 30.0
#: Another sentence for the same reason and object waits this long: numbers in it change every second.
PACE_SECONDS = 5.0
#: What was said last is remembered of this many objects and reasons.
REMEMBERED = 4096
#: The API server's own limit is 1024 bytes.
_MESSAGE_CHARS = 1000

log = structlog.get_logger("lastcall.events")


@dataclass(frozen=True, slots=True)
class About:
    """The object that an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, obj: Object, *, api_version: str = "", kind: str = "") -> Self:
        """Of an object; items of a LIST have no kind of their own, so it is given."""
        metadata = obj["metadata"]
        return cls(
            api_version or obj.get("apiVersion", ""),
            kind or obj.get("kind", ""),
            metadata.get("namespace", ""),
            metadata["name"],
            metadata["uid"],
        )


@dataclass(slots=True)
class _Said:
    same: str
    at: float
    count: int


class Events:
    """Posts events. `clock`: seconds since the epoch."""

    def __init__(self, api: Api, clock: Callable[[], float], *, instance: str = "") -> None:
        self._api, self._clock, self._instance = api, clock, instance or "lastcall"
        self._said: OrderedDict[tuple[str, str], _Said] = OrderedDict()

    async def post(
        self,
        about: About,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        once: bool = False,
        identity: str | None = None,
    ) -> None:
        """Say it. `once`: never again for this object, whoever else has said it; otherwise it is counted.

        What is the same is told by `identity`, which is the message where none is given.
        """
        same = message if identity is None else identity
        now = self._clock()
        said = self._said.get((about.uid, reason))
        if said is not None:
            quiet = QUIET_SECONDS if said.same == same else PACE_SECONDS
            if (once and said.same == same) or (not once and now - said.at < quiet):
                return
        count = 1 if said is None or said.same != same else said.count + 1
        self._said[about.uid, reason] = _Said(same, now, count)
        self._said.move_to_end((about.uid, reason))
        while len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        try:
            name = event_name(about, reason, same)
            body = self._body(about, name, reason, printable(message)[:_MESSAGE_CHARS], warning=warning)
            await self._send(body, count=count, once=once, now=now)
        except ApiError as error:
            log.warning("event.lost", reason=reason, about=f"{about.kind}/{about.name}", error=str(error))

    async def _send(self, body: Object, *, count: int, once: bool, now: float) -> None:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        first = {**body, "count": count, "firstTimestamp": stamp, "lastTimestamp": stamp}
        if count == 1:
            try:
                await self._api.create(EVENTS, namespace, first)
            except ConflictError:
                if once:
                    return
                count = 2  # said before our time: its count is not known, but that it is not the first
            else:
                return
        try:
            await self._api.patch(EVENTS, namespace, name, {"count": count, "lastTimestamp": stamp})
        except NotFoundError:  # the API server keeps an event for an hour by default
            await self._api.create(EVENTS, namespace, first)

    def _body(self, about: About, name: str, reason: str, message: str, *, warning: bool) -> Object:
        return {
            "metadata": {"name": name, "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": "lastcall"},
            "reportingComponent": "lastcall.dev/operator",
            "reportingInstance": self._instance,
        }


def event_name(about: About, reason: str, same: str) -> str:
    """The name of an event, at most 253 characters: the object's, and a hash of what is said."""
    said = hashlib.sha256(f"{about.uid}\0{reason}\0{same}".encode()).hexdigest()[:16]
    return f"{about.name[:230].rstrip('-.')}.{said}"
