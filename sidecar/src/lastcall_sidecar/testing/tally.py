"""What the fake LLM saw, for tests that ask whether an aborted client was felt upstream.

`GET /__stats` answers `Tally.snapshot()`, `GET /__requests` the latest requests with their heads as they came.
"""

from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any

#: How many requests `/__requests` remembers.
REMEMBERED = 256


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
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def begin(self) -> None:
        """Count a request whose head has arrived."""
        self.requests += 1
        self.active += 1
        self.peak_active = max(self.peak_active, self.active)

    def snapshot(self) -> dict[str, Any]:
        """All counts as JSON has them (keys of `statuses` are strings)."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        del plain["recent"]
        statuses = {str(status): count for status, count in self.statuses.items()}
        return plain | {"statuses": statuses, "paths": dict(self.paths)}
