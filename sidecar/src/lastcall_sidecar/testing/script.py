"""The whole of an answer, known before its first byte leaves: events, JSON, hashes.

Pure and deterministic: equal plans give equal bytes, today and in another process. `fake_llm` plays a script;
a test may build the same one to know what must arrive.
"""

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lastcall_sidecar.testing.directives import LineEnding

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
    text: bool = True
    tool: ToolCall | None = None
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    input_tokens: int = 1
    event_bytes: int = 0
    eol: LineEnding = LineEnding.LF
    noise: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The answer to a plan, both as a stream and as one JSON document, with lowercase hex SHA-256 sums."""

    events: tuple[bytes, ...]
    stream_sha256: str
    document: bytes
    document_sha256: str
    text: str
    text_sha256: str


def write(plan: Plan) -> Script:
    """Write the answer to a plan."""
    content = list(_blocks(plan))
    events = tuple(_noisy(plan, _events(plan, content)) if plan.noise else _events(plan, content))
    total = hashlib.sha256()
    for event in events:
        total.update(event)
    blocks = [block for block, _ in content]
    message = _message(plan, blocks, plan.stop_reason, plan.stop_sequence, _output_tokens(plan))
    document = _compact(message).encode()
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return Script(
        events=events,
        stream_sha256=total.hexdigest(),
        document=document,
        document_sha256=hashlib.sha256(document).hexdigest(),
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _output_tokens(plan: Plan) -> int:
    return plan.events * 3 + 1


def _message(
    plan: Plan, content: list[dict[str, Any]], stop_reason: str | None, stop_sequence: str | None, output_tokens: int
) -> dict[str, Any]:
    return {
        "id": f"msg_fake{plan.seed:020d}",
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": {
            "input_tokens": plan.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _blocks(plan: Plan) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each finished content block with the deltas that build it; together they have `plan.events` deltas."""
    source = random.Random(plan.seed)
    kinds = [plan.thinking, plan.text, plan.tool is not None].count(True)
    share, rest = divmod(plan.events, kinds)
    shares = [share + (1 if index < rest else 0) for index in range(kinds)]
    if plan.thinking:
        count = shares.pop(0)
        pieces = _prose(source, max(count - 1, 1), plan.event_bytes)
        signature = base64.b64encode(hashlib.sha256(f"signature {plan.seed}".encode()).digest() * 4).decode()
        yield (
            {"type": "thinking", "thinking": "".join(pieces), "signature": signature},
            [
                *({"type": "thinking_delta", "thinking": piece} for piece in pieces),
                {"type": "signature_delta", "signature": signature},
            ],
        )
    if plan.text:
        pieces = _prose(source, max(shares.pop(0), 1), plan.event_bytes)
        yield {"type": "text", "text": "".join(pieces)}, [{"type": "text_delta", "text": piece} for piece in pieces]
    if plan.tool is not None:
        identity = f"toolu_fake{plan.seed:020d}"
        yield (
            {"type": "tool_use", "id": identity, "name": plan.tool.name, "input": json.loads(plan.tool.input_json)},
            [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in _cut(plan.tool.input_json, max(shares.pop(0), 1))
            ],
        )


def _prose(source: random.Random, pieces: int, piece_bytes: int) -> list[str]:
    """Write so many pieces of text, of a few words each, or of about so many bytes."""
    if piece_bytes:
        passage = " ".join(source.choices(WORDS, k=200)) + " "
        times = piece_bytes // len(passage.encode()) + 1
        return [f"{index} {passage * times}" for index in range(pieces)]
    return [" ".join(source.choices(WORDS, k=source.randint(1, 6))) + " " for _ in range(pieces)]


def _cut(text: str, pieces: int) -> list[str]:
    """Cut a text into exactly so many pieces; the real API, too, begins with an empty one."""
    body = max(pieces - 1, 1)
    size = -(-len(text) // body)
    cuts = [text[index * size : (index + 1) * size] for index in range(body)]
    return ["", *cuts] if pieces > 1 else cuts


def _event(plan: Plan, kind: str, fields: dict[str, Any]) -> bytes:
    eol = plan.eol.characters
    data = _compact({"type": kind, **fields}).encode()
    return b"event: " + kind.encode() + eol + b"data: " + data + eol + eol


def _events(plan: Plan, content: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> Iterator[bytes]:
    yield _event(plan, "message_start", {"message": _message(plan, [], None, None, 1)})
    empty: dict[str, dict[str, Any]] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
    }
    for index, (block, deltas) in enumerate(content):
        yield _event(plan, "content_block_start", {"index": index, "content_block": {**block, **empty[block["type"]]}})
        if index == 0:
            yield _event(plan, "ping", {})
        for delta in deltas:
            yield _event(plan, "content_block_delta", {"index": index, "delta": delta})
        yield _event(plan, "content_block_stop", {"index": index})
    yield _event(
        plan,
        "message_delta",
        {
            "delta": {"stop_reason": plan.stop_reason, "stop_sequence": plan.stop_sequence},
            "usage": {"output_tokens": _output_tokens(plan)},
        },
    )
    yield _event(plan, "message_stop", {})


def _noisy(plan: Plan, events: Iterator[bytes]) -> Iterator[bytes]:
    """Add what the SSE standard allows and few servers send: comments, `id`, `retry`, an event that nobody knows."""
    eol = plan.eol.characters
    for index, event in enumerate(events):
        prefix = (
            b": keep-alive" + eol,
            b"id: " + str(index).encode() + eol,
            b"retry: 3000" + eol,
            b"event: weather" + eol + b'data: {"type":"weather",' + eol + b'data: "sky":"clear"}' + eol + eol,
            b":" + eol + eol,
        )[index % 5]
        yield prefix + event
