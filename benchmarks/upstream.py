"""An upstream that costs next to nothing: a raw protocol that writes prepared events. Run on a core of its own.

What a stream is follows from its request's path query: `?events=200&interval_ms=20`. Each event carries the moment at
which it was written (monotonic, the same clock for every process of a machine), so that the load can tell the delay.
"""

import asyncio
import sys
import time
from urllib.parse import parse_qs

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message"}}\n\n'
LAST = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
DELTA = (
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    '"text":"a few words of an answer, sent at %.6f"}}\n\n'
)


def chunk(data: bytes) -> bytes:
    """Frame one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer each whole request (a head, and a body of its length)."""
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        query = parse_qs(head.split(b" ", 2)[1].partition(b"?")[2].decode())
        events, interval = int(query["events"][0]), float(query["interval_ms"][0]) / 1000
        self._transport.write(HEAD + chunk(FIRST))
        self._next(events, interval)

    def _next(self, left: int, interval: float) -> None:
        """Write one event, and the next one later: each in a packet of its own, as an LLM does."""
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(chunk(LAST) + b"0\r\n\r\n")
            return
        self._transport.write(chunk((DELTA % time.monotonic()).encode()))
        self._timer = asyncio.get_running_loop().call_later(interval, self._next, left - 1, interval)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop writing."""
        if self._timer is not None:
            self._timer.cancel()


async def main(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
