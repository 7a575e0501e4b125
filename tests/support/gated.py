"""An upstream whose answers wait for the test: each begins at once, and ends when the gate has been opened.

    async with GatedUpstream() as upstream:
        ...                       # streams have had message_start and a few deltas, plain requests nothing
        upstream.gate.set()       # now each goes on, over the `[fake seconds=…]` that its text asks for

It runs in the test's own event loop. The bytes are those of the fake LLM, hash in the head included.
"""

import asyncio
import json

from lastcall_sidecar.testing.directives import Directive, find
from lastcall_sidecar.testing.planning import last_user_text, plan
from lastcall_sidecar.testing.script import Script, write
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    Connection,
    Request,
    ScriptedUpstream,
    chunk,
    json_response,
    sse_head,
)

#: Events of a stream that leave before the gate: message_start, content_block_start, ping, one delta.
EVENTS_BEFORE_GATE = 4


class GatedUpstream(ScriptedUpstream):
    """The server; an async context manager."""

    def __init__(self) -> None:
        super().__init__(self._serve)
        self.gate = asyncio.Event()

    async def _serve(self, connection: Connection) -> None:
        while True:
            await self._answer(connection, await connection.read_request())

    async def _answer(self, connection: Connection, request: Request) -> None:
        if request.method != "POST":
            await connection.send(json_response(b'{"data": []}'))
            return
        asked = json.loads(request.body)
        directive = find(last_user_text(asked))
        script = write(plan(asked, directive))
        if asked.get("stream"):
            await self._stream(connection, script, directive)
        else:
            await self.gate.wait()
            await connection.send(
                json_response(script.document, "200 OK", f"x-fake-body-sha256: {script.document_sha256}")
            )

    async def _stream(self, connection: Connection, script: Script, directive: Directive) -> None:
        await connection.send(sse_head(f"x-fake-body-sha256: {script.stream_sha256}"))
        first, rest = script.events[:EVENTS_BEFORE_GATE], script.events[EVENTS_BEFORE_GATE:]
        await connection.send(b"".join(map(chunk, first)))
        await self.gate.wait()
        for event in rest:
            await asyncio.sleep(directive.seconds / len(rest))
            await connection.send(chunk(event))
        await connection.send(LAST_CHUNK)
