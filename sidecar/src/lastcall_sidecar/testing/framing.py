"""A finished script: the events of a stream and the JSON of a plain answer, with what they must add up to. Pure.

The writers of both protocols make one; `playing` sends it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lastcall_sidecar.testing.directives import LineEnding


@dataclass(frozen=True, slots=True)
class Script:
    """The answer to a plan, both as a stream and as one JSON document, with lowercase hex SHA-256 sums."""

    events: tuple[bytes, ...]
    stream_sha256: str
    document: bytes
    document_sha256: str
    text: str
    text_sha256: str
    #: What tells a failure within the stream, where one is asked for.
    failure: bytes = field(repr=False)


def seal(events: Iterable[bytes], document: bytes, text: str, failure: bytes) -> Script:
    """Make a script, and its sums."""
    events = tuple(events)
    total = hashlib.sha256()
    for event in events:
        total.update(event)
    return Script(
        events=events,
        stream_sha256=total.hexdigest(),
        document=document,
        document_sha256=hashlib.sha256(document).hexdigest(),
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        failure=failure,
    )


def event(eol: LineEnding, data: str, name: str = "") -> bytes:
    """Frame one event, with or without a name."""
    end = eol.characters
    begin = b"event: " + name.encode() + end if name else b""
    return begin + b"data: " + data.encode() + end + end


def noisy(events: Iterable[bytes], noise: Sequence[bytes]) -> Iterator[bytes]:
    """Put noise before each event in turn; `%d` in it becomes the event's number."""
    for index, found in enumerate(events):
        yield noise[index % len(noise)].replace(b"%d", str(index).encode()) + found
