"""A TCP front that treats connections as kube-proxy does, so that the demo meets a cluster's difficulties.

It moves bytes and knows no HTTP. New connections go to a ready endpoint, chosen at random; when there is none, to one
that still serves (terminating endpoints are kube-proxy's fallback, too). A connection stays where it is until one side
ends it, whatever becomes of the endpoint's readiness. An endpoint that refuses is not replaced by another: the client
sees the refusal, as it would in a cluster.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_CHUNK_BYTES = 64 * 1024
#: kube-proxy has no such limit: a SYN to a dead address is the client's wait. Here it only bounds a test's.
_CONNECT_SECONDS = 5.0
#: Linger on, for no time at all: closing then sends RST.
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a pod listens, and what the last probes said: `ready` for new work, `serving` at all."""

    name: str
    host: str
    port: int
    ready: bool
    serving: bool


class Front:
    """Listens on one port, forwards to many. `endpoints` is asked for each new connection."""

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]], rng: random.Random) -> None:
        self._endpoints = endpoints
        self._rng = rng
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and give the URL to call."""
        self._server = await asyncio.start_server(self._accept, host, port, backlog=1024)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening, and cut whatever still flows."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def choose(self) -> Endpoint | None:
        """Choose the endpoint of a new connection: a ready one, else one that serves, else none."""
        known = self._endpoints()
        candidates = [one for one in known if one.ready] or [one for one in known if one.serving]
        return self._rng.choice(candidates) if candidates else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this callback as a task of its own
        self._connections.add(task)
        try:
            await self._forward(reader, writer)
        except asyncio.CancelledError:  # by `stop`; asyncio's own callback would log it as an error
            _reset(writer)
        finally:
            self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoint = self.choose()
        if endpoint is None:
            _reset(writer)
            return
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                far_reader, far_writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        except OSError:  # TimeoutError among them
            _reset(writer)
            return
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, far_writer))
                pumps.create_task(_pump(far_reader, writer))
        except* OSError:  # one side was reset: so is the other
            _reset(writer)
            _reset(far_writer)
        finally:
            writer.close()
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Move bytes one way until that way ends; the end is passed on, and the other way goes on."""
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a packet to a closed port is answered."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
