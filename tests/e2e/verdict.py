"""What became of one request, as its client saw it. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

_EVENT = re.compile(rb"^event: ?(.*)$", re.MULTILINE)


class Verdict(StrEnum):
    """How a request ended."""

    #: A 2xx, cleanly ended, the terminal event seen, every byte as the upstream made it.
    WHOLE = "whole"
    #: It began well and then ended by RST, early EOF, silence, an error event or without its terminal event.
    DROPPED = "dropped"
    #: No connection, no head, or a status that is not 2xx.
    REFUSED = "refused"
    #: It looks whole, and its bytes are not the upstream's.
    CORRUPT = "corrupt"


@dataclass(frozen=True)
class Outcome:
    """One request's end. Times are monotonic seconds; `connection` is `kept` or `fresh`."""

    client: str
    connection: str
    stream: bool
    started: float
    ended: float
    verdict: Verdict
    detail: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        lasted = self.ended - self.started
        return f"{self.verdict} {self.client}/{self.connection} {self.request_id} after {lasted:.1f} s: {self.detail}"


def judge_body(
    status: int, headers: Mapping[str, str], body: bytes, *, stream: bool, clean: bool
) -> tuple[Verdict, str]:
    """Judge an answer by its raw bytes. `clean`: HTTP's framing said that it is whole. Header names are lower case."""
    if not 200 <= status < 300:
        return Verdict.REFUSED, f"status {status}: {body[:200]!r}"
    if not clean:
        return Verdict.DROPPED, f"cut after {len(body)} bytes"
    if stream:
        events = _EVENT.findall(body)
        if not events or events[-1].strip() != b"message_stop":
            return Verdict.DROPPED, f"last event {events[-1:]!r}: {body[-200:]!r}"
    if hashlib.sha256(body).hexdigest() != headers.get("x-fake-body-sha256"):
        return Verdict.CORRUPT, f"{len(body)} bytes with another hash than the upstream's"
    return Verdict.WHOLE, ""


def judge_text(headers: Mapping[str, str], text: str, *, stopped: bool) -> tuple[Verdict, str]:
    """Judge an answer by what an SDK made of it. `stopped`: it saw the terminal event."""
    if not stopped:
        return Verdict.DROPPED, f"no message_stop after {len(text)} characters"
    if hashlib.sha256(text.encode()).hexdigest() != headers.get("x-fake-text-sha256"):
        return Verdict.CORRUPT, f"{len(text)} characters with another hash than the upstream's"
    return Verdict.WHOLE, ""


def summary(outcomes: Iterable[Outcome]) -> str:
    """Count the verdicts by client, and spell out up to ten of those that are not whole."""
    outcomes = list(outcomes)
    counts = Counter((outcome.client, outcome.connection, outcome.verdict) for outcome in outcomes)
    lines = [
        f"{client}/{connection} {verdict}: {count}" for (client, connection, verdict), count in sorted(counts.items())
    ]
    broken = [str(outcome) for outcome in outcomes if outcome.verdict is not Verdict.WHOLE]
    return "\n".join([*lines, *broken[:10], *([f"… and {len(broken) - 10} more"] if len(broken) > 10 else [])])
