"""One client connection: Hypercorn's TCP server with limits of its own and an end that loses nothing.

Called by `listener.py` for each accepted socket. Hypercorn's `read_timeout` would disconnect healthy streams and its
keep-alive limit bounds the head, too, so that both are replaced by one timer here. Closing is patient: what was
written is flushed, a FIN says that we are done, and what the client still sends is read and thrown away for a moment,
since a close with unread bytes is a reset that destroys the answer on its way (RFC 9112, 9.6).
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from lastcall_sidecar.sockets import set_keep_alive

from .http1 import Requests, StrictHTTP1

ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]

#: Bytes that one read takes from the socket.
READ_BYTES = 65536
#: Bytes in the transport's buffer above which a sender waits; asyncio's and uvloop's own high-water mark.
HIGH_WATER_BYTES = 65536
#: How long a client may take to see our FIN and close, with nothing left to deliver, before we close for it.
LINGER_SECONDS = 2.0
#: From this state on the peer is gone: it reset the connection (CLOSE, 7) or sent its FIN (CLOSE_WAIT, 8, and on).
TCP_CLOSE = 7


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a connection, in seconds."""

    #: Between two requests. Longer than the idle limit of the load balancer in front (an ALB's is 60 s): whoever
    #: closes first loses a request that is just being sent.
    keep_alive_seconds: float = 75.0
    #: From a request's first byte to the end of its head.
    head_seconds: float = 10.0
    #: Without progress toward a client that does not read, once its connection is to be closed.
    write_stall_seconds: float = 60.0


class ClientConnection(Protocol):
    """What the application may know of, and do to, its client's connection: `extensions["lastcall.connection"]`."""

    def delivered_bytes(self) -> int:
        """How many bytes the client's host has acknowledged; grows while the client reads at all."""
        ...

    def peer_closed(self) -> bool:
        """Whether the client has closed, even while nobody reads what it sent before."""
        ...

    def reset(self) -> None:
        """End the connection at once; the client sees a reset."""
        ...


class Connection(TCPServer):
    """A client connection: reads, times out, closes. The requests on it are `StrictHTTP1`'s."""

    protocol: StrictHTTP1  # type: ignore[assignment]  # Hypercorn wraps its own to be able to change to HTTP/2

    def __init__(
        self,
        app: ASGIApplication,
        config: Config,
        context: WorkerContext,
        limits: Callable[[], ConnectionLimits],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        reader, writer = streams
        super().__init__(
            ASGIWrapper(app), asyncio.get_running_loop(), config, context, LifespanState({}), reader, writer
        )
        self.asgi = app
        self.limits = limits
        self.transport = writer.transport
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._written_bytes = 0
        self._held = b""
        self._between_requests = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._delivered_at_check = -1
        self._stalled_seconds = 0.0

    async def run(self) -> None:
        """Serve the connection to its end; never raises for what a client does."""
        try:
            addresses = tuple(
                parse_socket_addr(self._socket.family, address)
                for address in (self._socket.getpeername(), self._socket.getsockname())
            )
            set_keep_alive(self._socket, self.limits().write_stall_seconds)
            async with Requests(self.loop, self) as requests:
                self._task_group = requests
                self.protocol = StrictHTTP1(
                    self.app,
                    self.config,
                    requests,
                    ConnectionState(self.state),
                    (addresses[0], addresses[1]),
                    self,
                )
                # Balancers and browsers open connections ahead of need: with no byte sent, this one is merely idle.
                self._between_requests = True
                self._arm(self.limits().keep_alive_seconds, self._begin_close)
                await self._read_data()
        except OSError:
            pass  # the client is gone: nothing is left to tell it
        finally:
            await self._close()

    async def _read_data(self) -> None:
        while True:
            try:
                data = await self.reader.read(READ_BYTES)
            except OSError:
                break
            if not data:
                break
            if self._closing:
                continue
            if self._between_requests:
                self._between_requests = False
                self._arm(self.limits().head_seconds, self._head_is_late)
            await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        """Write bytes; wait only when the client is behind."""
        if isinstance(event, RawData):
            self.write(event.data)
            if self.transport.get_write_buffer_size() > HIGH_WATER_BYTES:
                with suppress(OSError):
                    await self.writer.drain()
        elif isinstance(event, Closed):
            self._begin_close()
        elif isinstance(event, Updated):
            self._disarm()
            self._between_requests = event.idle
            if event.idle:
                self._arm(self.limits().keep_alive_seconds, self._begin_close)

    def hold(self, head: bytes) -> None:
        """Write a head together with what follows it in this turn of the loop: one system call and packet less."""
        self._held += head
        self.loop.call_soon(self.write)

    def write(self, data: bytes = b"") -> None:
        """Write what is held, and these bytes."""
        data, self._held = self._held + data, b""
        if data and not self._closing and not self.transport.is_closing():
            self._written_bytes += len(data)
            self.transport.write(data)

    # Ends.

    def _begin_close(self) -> None:
        """We are done: flush, send FIN, give the client a moment to take it."""
        if not self._closing:
            self.write()
            self._closing = True
            with suppress(OSError, RuntimeError, NotImplementedError):
                self.transport.write_eof()
            self._arm(LINGER_SECONDS, self._close_if_stalled)

    def _close_if_stalled(self) -> None:
        delivered = self.delivered_bytes()
        self._stalled_seconds = (
            0.0 if delivered > self._delivered_at_check >= 0 else self._stalled_seconds + LINGER_SECONDS
        )
        self._delivered_at_check = delivered
        owed = self._written_bytes > delivered
        if owed and self._stalled_seconds <= self.limits().write_stall_seconds:
            self._arm(LINGER_SECONDS, self._close_if_stalled)
        else:
            self.transport.abort()

    async def _close(self) -> None:
        self._begin_close()
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass  # it was reset: closed all the same
        finally:
            self._disarm()

    def _head_is_late(self) -> None:
        self._task_group.spawn(self.protocol.refuse_late_head)

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What the application may ask (`ClientConnection`).

    def delivered_bytes(self) -> int:
        """How many bytes the client's host has acknowledged."""
        return self._written_bytes - self.unsent_bytes() - self._unacknowledged_bytes()

    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not yet taken."""
        return 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()

    def _unacknowledged_bytes(self) -> int:
        if sys.platform != "linux":
            return 0
        import fcntl  # noqa: PLC0415 - not everywhere
        import termios  # noqa: PLC0415

        try:
            answer = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError):
            return 0
        return int(struct.unpack("i", answer)[0])

    def peer_closed(self) -> bool:
        """Whether the client has left, even while nobody reads what it sent before (Linux; else False)."""
        if sys.platform != "linux":
            return False
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] >= TCP_CLOSE
        except (OSError, ValueError):
            return True

    def reset(self) -> None:
        """End the connection with a reset, unsent bytes lost."""
        self._closing = True
        with suppress(OSError, ValueError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
