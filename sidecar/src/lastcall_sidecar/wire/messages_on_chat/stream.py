"""The chunks of a chat completion as the events of a message.

A message's blocks come one after the other, a chat's tool calls may come interleaved: what belongs to a later block
waits until the one before it is complete. Everything else leaves as it comes.
"""

from collections import deque

from lastcall_sidecar.wire.messages_on_chat import errors
from lastcall_sidecar.wire.messages_on_chat.blocks import Block, ThinkingBlock, event
from lastcall_sidecar.wire.messages_on_chat.calls import Calls
from lastcall_sidecar.wire.messages_on_chat.completion import Choice, Completion, Ending, Said, Usage, message
from lastcall_sidecar.wire.messages_on_chat.gathering import Gathered
from lastcall_sidecar.wire.messages_on_chat.reading import answered
from lastcall_sidecar.wire.sse import Event
from lastcall_sidecar.wire.stops import Stops
from lastcall_sidecar.wire.translation import Asked, StreamTranslator, TranslationError

_DONE = "[DONE]"
_STOP = event("message_stop", {})
#: Data of events that only keep the connection alive.
_NOTHING = frozenset({"", "null"})


class MessageStream(StreamTranslator):
    """One stream. Its end waits for the usage that comes behind the finish reason, or for `[DONE]`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        #: None until the first chunk with something of the answer.
        self._calls: Calls | None = None
        self._ending = Ending()
        self._stops = Stops(asked.stop_sequences)
        self._usage = Usage()
        #: What the upstream wants back and no block of thinking has carried yet, and whether one has begun.
        self._late = Gathered()
        self._thought = False
        #: Blocks that have not ended: the first one is being written.
        self._blocks: deque[Block] = deque()
        #: Of the first of `_blocks`, or of the next one.
        self._index = 0

    def feed(self, event: Event) -> bytes:
        """Take one chunk. Errors: TranslationError, also for a stream that is over before it began, or broken off."""
        if self.over:
            return b""
        said = event.data.strip()
        if said.startswith(_DONE):
            return self._end()
        if event.event == "error":
            return self._fail(said.encode())
        if said in _NOTHING:
            return b""
        data = event.data.encode()
        chunk = answered(data, Completion)
        if chunk.failed:
            return self._fail(data)
        self._usage.take(chunk)
        if chunk.choices:
            choice = chunk.choices[0]
            return self._begin(chunk, data) + self._take(choice, self._said(choice))
        # OpenAI's last chunk has the usage and no choice. With a choice more may come: some tell it in each chunk.
        return self._end() if chunk.usages and self._ending.finish_reason else b""

    def finish(self) -> bytes:
        """End well if a finish reason was told: some upstreams leave out `[DONE]`, or the usage."""
        return self._end() if self._ending.finish_reason and not self.over else b""

    def _fail(self, data: bytes) -> bytes:
        self.over = True
        return errors.error_event(data)

    def _begin(self, chunk: Completion, data: bytes) -> bytes:
        if self._calls:
            return b""
        begun = message(chunk, data, self._asked.model)
        self._calls = Calls(begun["id"])
        return event("message_start", {"message": begun})

    def _said(self, choice: Choice) -> Said:
        """What a chunk says; all of a message that stands beside an empty delta, where nothing was said before."""
        said = choice.said(in_pieces=True) or Said()
        if choice.message and not (self._index or self._blocks) and said.says_nothing:
            return choice.message
        return said

    def _take(self, choice: Choice, said: Said) -> bytes:
        called = self._ending.called
        self._ending.take(choice, said)
        if said.thinking:
            self._add("text", self._stops.rest())
        self._think(said)
        self._add("text", self._stops.take(said.text))
        if self._stops.hit is not None:
            self._ending.stop(self._stops.hit, called=called)
            self.enough = True
            return self._end()
        if said.calls:
            self._add("text", self._stops.rest())
        for call in said.calls:
            call.restore(self._asked.tool_names)
            block = self._calls.take(call) if self._calls else None
            if block:
                self._carry()
                self._blocks.append(block)
        return self._write(closing=False)

    def _think(self, said: Said) -> None:
        last = self._blocks[-1] if self._blocks else None
        if said.thinking and not isinstance(last, ThinkingBlock):
            last = self._begin_thinking()
        gathered = last.gathered if isinstance(last, ThinkingBlock) else self._late
        gathered.take(said, in_pieces=True)
        if last and said.thinking:
            last.add(said.thinking)

    def _begin_thinking(self) -> ThinkingBlock:
        block = ThinkingBlock(self._late)
        self._blocks.append(block)
        self._late, self._thought = Gathered(), True
        return block

    def _carry(self) -> None:
        """Begin a block that shows nothing, if a turn with calls brings state that no other block carries.

        Before the call where it is known by then. A turn without calls has no need of it: clients read its text.
        """
        if self._calls and self._calls.spilled:
            self._late.calls |= self._calls.spilled
            self._calls.spilled.clear()
        if self._late.has_state or (self._late.field and not self._thought):
            self._begin_thinking()

    def _add(self, kind: str, part: str) -> None:
        if not part:
            return
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(Block(kind, kind))
        self._blocks[-1].add(part)

    def _write(self, *, closing: bool) -> bytes:
        found = b""
        while self._blocks:
            block = self._blocks[0]
            found += block.write(self._index, closing=closing)
            if not closing and not block.is_complete(followed=len(self._blocks) > 1):
                break
            found += block.ending(self._index) + event("content_block_stop", {"index": self._index})
            self._blocks.popleft()
            self._index += 1
        return found

    def _end(self) -> bytes:
        if not self._calls:
            raise TranslationError("the upstream's stream has no message in it")
        self._calls.end(is_cut=self._ending.is_cut)
        if self._ending.called:
            self._carry()
        self.over = True
        self._add("text", self._stops.rest())
        # A call that was cut before its name is nothing that a client could know.
        self._blocks = deque(block for block in self._blocks if block.is_known)
        if not self._index and not self._blocks:
            self._blocks.append(Block("text", "text"))
        found = self._write(closing=True)
        found += event("message_delta", {"delta": self._ending.stopped(), "usage": self._usage.told()})
        return found + _STOP
