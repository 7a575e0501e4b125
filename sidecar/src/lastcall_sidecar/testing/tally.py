"""What the fake LLM saw, for tests that ask whether an aborted client was felt upstream.

`GET /__stats` answers `Tally.snapshot()`, `GET /__requests` the latest requests with their heads as they came, and with
`?bodies=1` also what their bodies said.
"""

import json
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any

#: How many requests `/__requests` remembers.
REMEMBERED = 256
#: The largest body that is remembered; translations are looked at in small ones.
MAX_KEPT_BODY_BYTES = 64 * 1024


@dataclass(slots=True)
class Tally:
    """Counts since the start. Every request ends up in exactly one of completed, disconnected and misbehaved."""

    requests: int = 0
    active: int = 0
    peak_active: int = 0
    completed: int = 0
    #: The client left before the answer was whole: what the upstream sees of an aborted request.
    disconnected: int = 0
    #: Answers that were spoiled because the request wished so.
    misbehaved: int = 0
    #: The same for event streams only.
    streams_started: int = 0
    streams_completed: int = 0
    streams_disconnected: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    recent: deque[tuple[dict[str, Any], bytes | None]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def begin(self) -> None:
        """Count a request whose head has arrived."""
        self.requests += 1
        self.active += 1
        self.peak_active = max(self.peak_active, self.active)

    def remember(self, request: dict[str, Any], body: bytes | None) -> None:
        """Keep a request for `/__requests`; without its body where nobody may want that much."""
        self.recent.append((request, body))

    def requests_told(self, *, bodies: bool) -> list[dict[str, Any]]:
        """The latest requests, oldest first; with `bodies`, the parsed JSON of each as `body` (null: none was kept)."""
        if not bodies:
            return [request for request, _ in self.recent]
        return [{**request, "body": _parsed(body)} for request, body in self.recent]

    def snapshot(self) -> dict[str, Any]:
        """All counts as JSON has them (keys of `statuses` are strings)."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        del plain["recent"]
        statuses = {str(status): count for status, count in self.statuses.items()}
        return plain | {"statuses": statuses, "paths": dict(self.paths)}


def _parsed(body: bytes | None) -> Any:
    try:
        return None if body is None else json.loads(body)
    except ValueError:
        return None
