"""What an answer is made of, before any vendor's protocol dresses it: the plan, and its blocks cut into pieces.

Pure and deterministic: equal plans give equal blocks, today and in another process.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lastcall_sidecar.testing.directives import Kind, LineEnding

#: Mostly short words, and some whose UTF-8 has 2, 3 and 4 bytes, so that cuts fall into the middle of characters.
_PASSAGE = (
    "the a last call is for those who stay and nobody new comes in while every glass gets emptied before lights go out "
    "slowly rivers carry small boats toward open water past seven quiet bridges naïve façade über señor žluťoučký "
    "灯火 船歌 кофе καφές 🍺 🥂 👩\u200d🚀 event: data: message_stop \\n"
)
WORDS = tuple(_PASSAGE.split())


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a client's tool: its name, and its input as JSON text."""

    name: str
    input_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that an answer depends on. `events` counts the content deltas of all blocks; thinking takes two at least."""

    seed: int
    model: str
    events: int
    thinking: bool = False
    #: The thinking's text is told; without, only its signature is.
    thinking_shown: bool = True
    text: bool = True
    #: The text as a whole (a JSON document that was asked for), in place of prose.
    fixed_text: str | None = None
    tools: tuple[ToolCall, ...] = ()
    #: Blocks that no client sends and few servers do: redacted thinking, a server's tool, citations.
    rare_blocks: bool = False
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    input_tokens: int = 1
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    event_bytes: int = 0
    eol: LineEnding = LineEnding.LF
    noise: bool = False

    @property
    def output_tokens(self) -> int:
        """Follows from the number of events alone."""
        return self.events * 3 + 1


class PartKind(StrEnum):
    """The kinds of block that every vendor has."""

    THINKING = "thinking"
    TEXT = "text"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Part:
    """One block as the pieces that are streamed; `call` is there for a tool's, whose pieces are its input's JSON."""

    kind: PartKind
    pieces: tuple[str, ...]
    call: ToolCall | None = None

    @property
    def text(self) -> str:
        """All pieces together."""
        return "".join(self.pieces)


#: Whether an answer of each kind has thinking, text and tool calls.
SHAPES: Mapping[Kind, tuple[bool, bool, bool]] = {
    Kind.TEXT: (False, True, False),
    Kind.TOOLS: (False, True, True),
    Kind.CALLS: (False, False, True),
    Kind.THINKING: (True, True, False),
    Kind.MIXED: (True, True, True),
    Kind.EVERYTHING: (True, True, True),
    Kind.NONE: (False, False, False),
}


def compose(plan: Plan) -> Iterator[Part]:
    """Yield the blocks of an answer; their pieces, and one signature for the thinking, are `plan.events` together."""
    source = random.Random(plan.seed)
    shares = _shares(plan)
    if plan.thinking:
        yield Part(PartKind.THINKING, tuple(_prose(source, max(next(shares) - 1, 1), plan.event_bytes)))
    if plan.text:
        share = max(next(shares), 1)
        fixed = plan.fixed_text
        pieces = _prose(source, share, plan.event_bytes) if fixed is None else cut(fixed, share)
        yield Part(PartKind.TEXT, tuple(pieces))
    for call in plan.tools:
        yield Part(PartKind.TOOL, tuple(cut(call.input_json, max(next(shares), 1))), call)


def compact(value: Any) -> str:
    """JSON as the vendors write it: no spaces, and any character as itself."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def cut(text: str, pieces: int) -> list[str]:
    """Cut a text into exactly so many pieces; the real API, too, begins with an empty one."""
    body = max(pieces - 1, 1)
    size = max(-(-len(text) // body), 1)
    cuts = [text[index * size : (index + 1) * size] for index in range(body)]
    return ["", *cuts] if pieces > 1 else cuts


def _shares(plan: Plan) -> Iterator[int]:
    kinds = plan.thinking + plan.text + len(plan.tools)
    for index in range(kinds):
        yield plan.events // kinds + (index < plan.events % kinds)


def _prose(source: random.Random, pieces: int, piece_bytes: int) -> list[str]:
    """Write so many pieces of text, of a few words each, or of about so many bytes."""
    if piece_bytes:
        passage = " ".join(source.choices(WORDS, k=200)) + " "
        times = piece_bytes // len(passage.encode()) + 1
        return [f"{index} {passage * times}" for index in range(pieces)]
    return [" ".join(source.choices(WORDS, k=source.randint(1, 6))) + " " for _ in range(pieces)]
