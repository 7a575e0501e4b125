"""A stream of Anthropic's, accumulated into the one message that a client who asked for no stream gets.

Called for demotion and by whoever records answers. The judge is the vendor's SDK: of the same stream the message is,
field by field, what its `get_final_message()` gives (that of `beta.messages`, which knows all that the other does, and
compaction, fallbacks and context management). What it takes as well: usage and fields of a `message_delta` that no SDK
knows yet. Every value stays the JSON that it came in, to the last digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lastcall_sidecar.wire.blocks import Block
from lastcall_sidecar.wire.protocol import to_json
from lastcall_sidecar.wire.raw_json import NULL, items, members, text, written, written_list
from lastcall_sidecar.wire.sse import Event
from lastcall_sidecar.wire.translation import TranslationError

#: All events of a stream, as the bytes of their data: twice what one event may have.
MAX_STREAM_BYTES = 64 * 1024 * 1024

#: The HTTP status that an error of each type has where it is the whole answer. https://docs.claude.com/en/api/errors
STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_UNTOLD = "The upstream ended the stream with an error"
#: Told by every `message_delta`, if only as null.
_STOPS = ("stop_reason", "stop_sequence", "stop_details")


@dataclass(frozen=True, slots=True)
class StreamError:
    """The error that ended a stream."""

    #: `api_error` where the upstream named none.
    type: str
    message: str
    #: The HTTP status of an answer that is this error; 500 for types yet unknown.
    status: int
    #: The `error` object as the upstream sent it: JSON, with `type` and `message` at least.
    raw: bytes = field(repr=False)


class MessageAccumulator:
    """One stream: events in, in the end one message out.

    Errors that it raises are of the upstream's making; the stream is of no use from then on.
    """

    def __init__(self, *, max_bytes: int = MAX_STREAM_BYTES, keep_cut_strings: bool = False) -> None:
        """With `keep_cut_strings` a tool's input keeps what there is of a string that was cut short.

        So the SDK does for requests with the beta `fine-grained-tool-streaming-2025-05-14`.
        """
        self._room_bytes = max_bytes
        self._keep_cut_strings = keep_cut_strings
        #: The stream has told its end: by `message_stop`, or by an error.
        self.over = False
        self.error: StreamError | None = None
        #: None before `message_start`.
        self._message: dict[str, bytes] | None = None
        self._usage: dict[str, bytes] = {}
        self._blocks: list[Block] = []

    def __repr__(self) -> str:
        state = "over" if self.over else "not started" if self._message is None else "under way"
        return f"MessageAccumulator({state}, {len(self._blocks)} blocks, error={self.error})"

    def feed(self, event: Event) -> None:
        """Take one event; nothing counts once `over`. Events yet unknown change nothing.

        Errors: TranslationError for what is no Anthropic stream, and for more of one than may be kept.
        """
        if self.over or event.event == "ping":
            return
        data = event.data.encode()
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            raise TranslationError("the upstream's answer is larger than may be kept")
        if event.event == "error":
            self._fail(data)
        elif data.strip():
            self._take(data)

    def _take(self, data: bytes) -> None:
        fields = members(data)
        match text(fields.get("type")):
            case "message_start" if self._message is None:
                self._start(members(fields.get("message", NULL)))
            case "content_block_start":
                self._start_block(members(fields.get("content_block", NULL)))
            case "content_block_delta":
                self._block(fields.get("index")).take(members(fields.get("delta", NULL)))
            case "message_delta":
                self._change(fields)
            case "message_stop":
                self._started()
                self.over = True
            case "error":  # of an event without a name
                self._fail(data)
            case None if fields.get("error", NULL) != NULL:
                self._fail(data)

    def message(self) -> bytes:
        """Return the message as JSON: all of it once `over`, and before as much as has come.

        Errors: TranslationError if none has begun, or if a tool's input is no JSON.
        """
        message = dict(self._started())
        message["content"] = written_list(
            block.written(keep_cut_strings=self._keep_cut_strings) for block in self._blocks
        )
        if self._usage:
            message["usage"] = written(self._usage)
        return written(message)

    @property
    def cut_inputs(self) -> dict[int, str]:
        """The text of each tool's input that was cut short, by its block: the message has not all of it."""
        cut = ((index, block.cut_input) for index, block in enumerate(self._blocks))
        return {index: source for index, source in cut if source is not None}

    def _started(self) -> dict[str, bytes]:
        if self._message is None:
            raise TranslationError("the upstream's stream does not begin with message_start")
        return self._message

    def _start(self, message: dict[str, bytes]) -> None:
        self._message = message
        content, usage = message.get("content", NULL), message.get("usage", NULL)
        self._blocks = [Block(members(block)) for block in (items(content) if content != NULL else ())]
        self._usage = members(usage) if usage != NULL else {}

    def _start_block(self, fields: dict[str, bytes]) -> None:
        message = self._started()
        self._blocks.append(Block(dict(fields)))
        if text(fields.get("type")) == "fallback":
            # Who answers from here on. The message names the last, as it does where nothing streams.
            model = members(fields.get("to", NULL)).get("model")
            message["model"] = message.get("model", NULL) if model is None else model

    def _block(self, index: bytes | None) -> Block:
        """Return the block of a delta: blocks are numbered as they start."""
        self._started()
        position = int(index) if index is not None and index.isdigit() and len(index) < 10 else -1
        if not 0 <= position < len(self._blocks):
            raise TranslationError("the upstream sent a delta to a block that has not started")
        return self._blocks[position]

    def _change(self, fields: dict[str, bytes]) -> None:
        message = self._started()
        delta = members(fields.pop("delta", b"{}"))
        told = {name: delta.pop(name, NULL) for name in _STOPS}
        usage = members(fields.pop("usage", b"{}"))
        del fields["type"]
        # Usage is the sum so far; where it, or anything else, is null, what was told before stays.
        self._usage.update({name: value for name, value in usage.items() if value != NULL})
        message.update(told | {name: value for name, value in (fields | delta).items() if value != NULL})

    def _fail(self, data: bytes) -> None:
        """Take an error, however odd: it ends the stream in any case."""
        try:
            raw = members(data).get("error", NULL)
            told = members(raw)
        except TranslationError:
            raw, told = NULL, {}
        kind, message = text(told.get("type")), text(told.get("message"))
        if kind is None or message is None:
            kind, message = kind or "api_error", message or _UNTOLD
            raw = to_json({"type": kind, "message": message})
        self.error = StreamError(kind, message, STATUSES.get(kind, 500), raw)
        self.over = True
