"""Playing a script to a client: pace, framing, and what may be spoiled on request.

Called by `fake_llm`; the only module here, beside it, that does I/O.
"""

import asyncio
import gzip
import hashlib
import socket
import struct
from collections.abc import Mapping, Sequence

from aiohttp import web

from lastcall_sidecar.testing.directives import Directive, Misbehavior
from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.framing import Script

#: Set on a request whose answer was spoiled on purpose, so that it is not counted as completed.
SPOILED = web.RequestKey("spoiled", bool)

#: What only an event stream can do.
_STREAM_ONLY = frozenset({Misbehavior.NO_MESSAGE_STOP, Misbehavior.LINGER, Misbehavior.ERROR_EVENT})
#: What ends, or stops, an answer in its middle.
_CUT = frozenset({Misbehavior.TRUNCATE, Misbehavior.RESET, Misbehavior.STALL})
#: A stream as fast as it can still lets others run after so many events.
_TURN = 256


async def stream(
    request: web.Request, script: Script, directive: Directive, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send the script as an event stream, spread evenly over `directive.seconds`."""
    sums = {"x-fake-text-sha256": script.text_sha256, "x-fake-body-sha256": script.stream_sha256}
    response = web.StreamResponse(headers={**headers, **sums, "cache-control": "no-cache"})
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    events = _spoiled_events(script, directive)
    if directive.misbehave is Misbehavior.ENCODED:
        packed = gzip.compress(b"".join(events), mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["x-fake-body-sha256"] = hashlib.sha256(packed).hexdigest()
        events = _recut(packed, max(len(packed) // len(events), 1))
    pieces = _recut(b"".join(events), directive.chunk_bytes) if directive.chunk_bytes else events
    response.enable_chunked_encoding()
    await response.prepare(request)
    await _paced(response, pieces, directive.seconds / max(len(script.events) - 1, 1) * len(events) / len(pieces))
    if directive.misbehave in _CUT:
        await _break(request, directive)
        return response
    if directive.misbehave is Misbehavior.LINGER:
        await asyncio.sleep(directive.hold_seconds)
    await response.write_eof()
    if directive.misbehave in {Misbehavior.NO_MESSAGE_STOP, Misbehavior.ERROR_EVENT}:
        request[SPOILED] = True
    return response


async def document(
    request: web.Request, script: Script, directive: Directive, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send the script as one JSON document after `directive.seconds`; cuts fall into its middle."""
    if directive.misbehave in _STREAM_ONLY:
        raise FakeError(400, f"misbehave={directive.misbehave}: only a stream can do that")
    await asyncio.sleep(directive.seconds)
    body = script.document
    response = web.StreamResponse(
        headers={
            **headers,
            "x-fake-text-sha256": script.text_sha256,
            "x-fake-body-sha256": script.document_sha256,
        }
    )
    response.content_type = "application/json"
    if directive.misbehave is Misbehavior.ENCODED:
        body = gzip.compress(body, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["x-fake-body-sha256"] = hashlib.sha256(body).hexdigest()
    response.content_length = len(body)
    await response.prepare(request)
    if directive.misbehave in _CUT:
        await response.write(body[: len(body) // 2])
        await _break(request, directive)
        return response
    await response.write(body)
    await response.write_eof()
    return response


async def _paced(response: web.StreamResponse, pieces: Sequence[bytes], step_seconds: float) -> None:
    """Send piece after piece, each at its own time since the start: a late one does not shift the rest."""
    now = asyncio.get_running_loop().time
    started = now()
    for index, piece in enumerate(pieces):
        delay = started + index * step_seconds - now()
        if delay > 0:
            await asyncio.sleep(delay)
        elif index % _TURN == 0:
            await asyncio.sleep(0)
        await response.write(piece)


def _recut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


def _spoiled_events(script: Script, directive: Directive) -> list[bytes]:
    """Leave out, or add, what the misbehavior asks for; a cut leaves half an event at its end."""
    kept = list(script.events)
    how = directive.misbehave
    after = min(directive.after if directive.after is not None else len(kept) // 2, len(kept) - 1)
    if how is Misbehavior.NO_MESSAGE_STOP:
        return kept[: after if directive.after is not None else -1] or [b""]
    if how is Misbehavior.ERROR_EVENT:
        return [*kept[:after], script.failure]
    if how is Misbehavior.TRUNCATE:
        return [*kept[:after], kept[after][: len(kept[after]) // 2]]
    if how in _CUT:
        return kept[:after] or [b""]
    return kept


async def _break(request: web.Request, directive: Directive) -> None:
    """End the connection, or leave it hanging, before the answer is whole."""
    if directive.misbehave is Misbehavior.STALL:
        await asyncio.sleep(directive.hold_seconds)
    request[SPOILED] = True
    transport = request.transport
    if transport is None:
        return
    if directive.misbehave is Misbehavior.RESET:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
