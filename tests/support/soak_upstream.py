"""The upstream of a soak: answers, breaks and stalls as each request's `x-plan` header asks. Used by `soak_load`."""

import asyncio
import hashlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable

from lastcall_sidecar.testing.script import Plan, write

_SCRIPT = write(Plan(seed=1, model="claude-soak", events=8))
DOCUMENT = _SCRIPT.document
STREAM = b"".join(_SCRIPT.events)
STREAM_SHA256 = hashlib.sha256(STREAM).hexdigest()
_HALF = len(STREAM) // 2
_BIG_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_delta","x":"' + b"x" * 60_000 + b'"}\n\n'
_BIG_EVENTS = 40

_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(DOCUMENT)
_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EARLY = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class _OverError(Exception):
    """This connection is done."""


class SoakUpstream:
    """Serves; counts what it began to serve."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.requests = 0
        self._plans: dict[str, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]] = {
            "plain": self._plain,
            "stream": self._stream,
            "slow": self._slow,
            "big": self._big,
            "reset before head": self._reset,
            "close before head": self._close,
            "die in head": self._die_in_head,
            "die in body": self._die_in_body,
            "die in chunk": self._die_in_chunk,
            "end without terminal": self._end_without_terminal,
            "stall before head": self._stall,
            "stall in stream": self._stall_in_stream,
            "linger": self._linger,
            "garbage": self._garbage,
            "early": self._early,
        }

    async def serve(self) -> int:
        """Listen; returns the port."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        await asyncio.start_server(self._connection, sock=listener, limit=1 << 20)
        port: int = listener.getsockname()[1]
        return port

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                plan = _header(head, b"x-plan").decode() or "plain"
                if plan != "early":  # which answers before it has seen the body
                    await _read_body(reader, head)
                await self._plans[plan](reader, writer)
        except (_OverError, asyncio.IncompleteReadError):
            writer.close()
        except OSError:
            writer.transport.abort()

    async def _plain(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_JSON_HEAD + DOCUMENT)
        await writer.drain()

    async def _stream(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Cut anywhere: in the middle of events, too."""
        at = self._chance.randrange(1, len(STREAM))
        writer.write(_SSE_HEAD + chunk(STREAM[:at]))
        await asyncio.sleep(self._chance.choice((0, 0, 0.005, 0.02)))
        writer.write(chunk(STREAM[at:]) + b"0\r\n\r\n")
        await writer.drain()

    async def _slow(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._chance.uniform(0.05, 0.5))
        writer.write(_JSON_HEAD + DOCUMENT)
        await writer.drain()

    async def _big(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD + chunk(_SCRIPT.events[0]))
        for _ in range(_BIG_EVENTS):
            writer.write(chunk(_BIG_EVENT))
            await writer.drain()
        writer.write(chunk(_SCRIPT.events[-1]) + b"0\r\n\r\n")
        await writer.drain()

    async def _reset(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _abort(writer)

    async def _close(self, _: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise _OverError

    async def _die_in_head(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD[:40])
        await self._die(writer)

    async def _die_in_body(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_JSON_HEAD + DOCUMENT[:100])
        await self._die(writer)

    async def _die_in_chunk(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD + chunk(STREAM)[:_HALF])
        await self._die(writer)

    async def _end_without_terminal(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD + chunk(STREAM[:_HALF]) + b"0\r\n\r\n")
        await writer.drain()

    async def _stall(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until we are left
        raise _OverError

    async def _stall_in_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD + chunk(STREAM[:_HALF]))
        await self._stall(reader, writer)

    async def _linger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_SSE_HEAD + chunk(STREAM))
        await self._stall(reader, writer)

    async def _early(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_EARLY)
        raise _OverError

    async def _garbage(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
        raise _OverError

    async def _die(self, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)
        if self._chance.random() < 0.5:
            _abort(writer)
        raise _OverError


def _abort(writer: asyncio.StreamWriter) -> None:
    reset(writer)
    raise _OverError


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST: it leaves no TIME_WAIT behind."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if _header(head, b"transfer-encoding"):
        await reader.readuntil(b"0\r\n\r\n")
    else:
        await reader.readexactly(int(_header(head, b"content-length") or 0))
