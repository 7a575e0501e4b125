"""Was a stream whole? Decided from what the client itself received, and from nothing that a sidecar says.

The fake LLM announces in its headers what the client must end up with: a hash of all bytes of the body, and one of the
text. A client gathers `Evidence`; `judge` gives the stream's fate. Pure.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

BODY_HEADER = "x-fake-body-sha256"
TEXT_HEADER = "x-fake-text-sha256"
_OK = 200


class Fate(StrEnum):
    """What became of a stream."""

    #: every byte arrived, and the terminal event among them
    VERBATIM = "verbatim"
    #: it ended as it should, but with other bytes than the upstream sent
    ALTERED = "altered"
    #: it began, and ended before its terminal event or with an error
    DROPPED = "dropped"
    #: it never began: no connection, or another status than 200
    REFUSED = "refused"


class Digest(Protocol):
    """A hash under way, as hashlib makes them."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Give the hash of all bytes so far."""


@dataclass(slots=True)
class Evidence:
    """What one client saw of one stream."""

    status: int | None = None
    expected_body: str | None = None
    expected_text: str | None = None
    body: Digest = field(default_factory=hashlib.sha256)
    #: None when this client does not look at the text
    text: str | None = None
    terminal: bool = False
    error: str | None = None

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the answer's head."""
        self.status = status
        self.expected_body = headers.get(BODY_HEADER)
        self.expected_text = headers.get(TEXT_HEADER)

    def failure(self, error: BaseException) -> None:
        """Note what ended the stream."""
        self.error = f"{type(error).__name__}: {error}".strip().rstrip(":")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A stream's fate, and what speaks against it: empty for VERBATIM."""

    fate: Fate
    why: str = ""


def judge(evidence: Evidence) -> Judgement:
    """Judge a stream that is over."""
    if evidence.status != _OK:
        answer = "no answer" if evidence.status is None else f"status {evidence.status}"
        return Judgement(Fate.REFUSED, evidence.error or answer)
    if evidence.error is not None:
        return Judgement(Fate.DROPPED, evidence.error)
    if not evidence.terminal:
        return Judgement(Fate.DROPPED, "it ended without message_stop")
    if evidence.expected_body is None or evidence.expected_body != evidence.body.hexdigest():
        return Judgement(Fate.ALTERED, "other bytes arrived than the upstream sent")
    if evidence.text is not None and evidence.expected_text != hashlib.sha256(evidence.text.encode()).hexdigest():
        return Judgement(Fate.ALTERED, "the SDK made another text of it than the upstream sent")
    return Judgement(Fate.VERBATIM)
