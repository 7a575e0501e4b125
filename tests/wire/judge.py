"""The vendor's SDK as the judge of what a stream amounts to."""

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import httpx2

from lastcall_sidecar.wire.accumulate import MessageAccumulator
from lastcall_sidecar.wire.sse import Decoder

#: With it the SDK keeps what there is of a tool's input that was cut within a string.
FINE_GRAINED = "fine-grained-tool-streaming-2025-05-14"


class Judge:
    """One client of the SDK, to which any stream can be played."""

    def __init__(self) -> None:
        self._stream = b""
        transport = httpx2.MockTransport(self._answer)
        self._client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport))

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=self._stream, headers={"content-type": "text/event-stream"})

    def message(self, stream: bytes, *, beta: bool = True, betas: Iterable[str] = ()) -> Any:
        """What `get_final_message()` gives, as plain data; its errors are those of the SDK."""
        self._stream = stream
        asked = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        if beta:
            asked["betas"] = list(betas)
        messages: Any = self._client.beta.messages if beta else self._client.messages
        with messages.stream(**asked) as events:
            return events.get_final_message().to_dict(mode="json", warnings=False)


JUDGE = Judge()


def accumulator(chunks: Iterable[bytes], **options: Any) -> MessageAccumulator:
    """An accumulator that was fed a stream in these chunks."""
    found = MessageAccumulator(**options)
    decoder = Decoder()
    for chunk in chunks:
        for event in decoder.feed(chunk):
            found.feed(event)
    return found


def accumulated(chunks: Iterable[bytes], **options: Any) -> Any:
    """The message of a stream in these chunks, as plain data."""
    return json.loads(accumulator(chunks, **options).message())
