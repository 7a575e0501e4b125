"""The clients' own book: what they started, and what became of it. Threads and the event loop write into it."""

import threading
from collections import Counter
from dataclasses import dataclass

from lastcall_operator.local.judgement import Fate, Judgement

#: The commonest complaints tell what happened; the rest are variations.
_SHOWN_COMPLAINTS = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of client: a library, and whether its connections are kept alive."""

    library: str
    keep_alive: bool

    def __str__(self) -> str:
        return f"{self.library}, {'keep-alive' if self.keep_alive else 'fresh connections'}"


@dataclass(frozen=True, slots=True)
class Score:
    """Streams counted at one moment. `finished` is those that ended, one way or another."""

    started: int = 0
    verbatim: int = 0
    altered: int = 0
    dropped: int = 0
    refused: int = 0

    @property
    def finished(self) -> int:
        """Streams that are over."""
        return self.verbatim + self.altered + self.dropped + self.refused

    @property
    def live(self) -> int:
        """Streams under way."""
        return self.started - self.finished

    @property
    def lost(self) -> int:
        """Streams that their client did not get whole."""
        return self.finished - self.verbatim


class Ledger:
    """Counts streams by kind and fate; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: Counter[Kind] = Counter()
        self._fates: Counter[tuple[Kind, Fate]] = Counter()
        self._complaints: Counter[str] = Counter()

    def start(self, kind: Kind) -> None:
        """Note that a stream has been asked for."""
        with self._lock:
            self._started[kind] += 1

    def finish(self, kind: Kind, judgement: Judgement) -> None:
        """Note what became of it."""
        with self._lock:
            self._fates[kind, judgement.fate] += 1
            if judgement.why:
                self._complaints[f"{judgement.fate}: {judgement.why}"] += 1

    def score(self) -> Score:
        """Count all streams."""
        with self._lock:
            fates: Counter[Fate] = Counter()
            for (_, fate), count in self._fates.items():
                fates[fate] += count
            return _score(self._started.total(), fates)

    def scores(self) -> dict[Kind, Score]:
        """Count the streams of each kind."""
        with self._lock:
            return {
                kind: _score(started, Counter({fate: self._fates[kind, fate] for fate in Fate}))
                for kind, started in self._started.items()
            }

    def complaints(self) -> list[str]:
        """Tell what went wrong most often with the streams that were not whole."""
        with self._lock:
            return [f"{count} × {why}" for why, count in self._complaints.most_common(_SHOWN_COMPLAINTS)]


def _score(started: int, fates: Counter[Fate]) -> Score:
    return Score(started, fates[Fate.VERBATIM], fates[Fate.ALTERED], fates[Fate.DROPPED], fates[Fate.REFUSED])
