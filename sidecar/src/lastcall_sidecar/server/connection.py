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
from typing import Any, Protocol, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import LifespanState
from hypercorn.utils import parse_socket_addr

from lastcall_sidecar.sockets import set_keep_alive

from .http1 import HTTP1
from .room import Room

ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]

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


class PushReader(asyncio.StreamReader):
    """Hands bytes on as they come, instead of waking a task that asks for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._early = b""
        self._taker: Callable[[bytes], None] | None = None

    def feed_data(self, data: Any) -> None:
        """Take bytes from the transport."""
        if self._taker is None:
            self._early += data
        else:
            self._taker(bytes(data))

    def give_to(self, taker: Callable[[bytes], None]) -> None:
        """From now on bytes go there, those that came before first."""
        self._taker, early, self._early = taker, self._early, b""
        if early:
            taker(early)

    async def ended(self) -> None:
        """Wait until no more bytes will come, whatever the reason."""
        with suppress(OSError):
            await self.read(1)


class Connection(TCPServer):
    """A client connection: reads, times out, closes. The requests on it are `HTTP1`'s."""

    protocol: HTTP1  # type: ignore[assignment]  # Hypercorn's speaks HTTP/2 and websockets, too
    reader: PushReader

    def __init__(
        self,
        app: ASGIApplication,
        config: Config,
        context: WorkerContext,
        limits: Callable[[], ConnectionLimits],
        room: Room,
        streams: tuple[PushReader, asyncio.StreamWriter],
    ) -> None:
        reader, writer = streams
        super().__init__(
            ASGIWrapper(app), asyncio.get_running_loop(), config, context, LifespanState({}), reader, writer
        )
        self.asgi = app
        self.limits = limits
        self._room = room
        self.transport = cast("asyncio.Transport", writer.transport)
        #: Addresses, as ASGI's scope has them.
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._written_bytes = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._closing = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = float("inf")
        self._due: tuple[float, Callable[[], None]] | None = None
        self._delivered_at_check = -1
        self._stalled_seconds = 0.0

    async def run(self) -> None:
        """Serve the connection to its end; never raises for what a client does."""
        try:
            self.client, self.server = (
                parse_socket_addr(self._socket.family, address)
                for address in (self._socket.getpeername(), self._socket.getsockname())
            )
            set_keep_alive(self._socket, self.limits().write_stall_seconds)
            self.protocol = HTTP1(self)
            # Balancers and browsers open connections ahead of need: with no byte sent, this one is merely idle.
            self.is_idle()
            self.reader.give_to(self.take)
            try:
                await self.reader.ended()
            finally:
                self.protocol.leave()
                await self.protocol.ended()
        except OSError:
            pass  # the client is gone: nothing is left to tell it
        finally:
            await self._close()

    # What `HTTP1` asks of it.

    def take(self, data: bytes) -> None:
        """Bytes came."""
        if not self._closing:
            began = self.protocol.in_head
            self.protocol.feed(data)
            if self.protocol.in_head:
                if not began:
                    self._arm(self.limits().head_seconds, self.protocol.refuse_late_head)
            elif began and self.protocol.waits:
                self.is_idle()  # it was the first half of an empty line

    def write(self, data: bytes) -> None:
        """Write bytes. What is written in one turn of the loop leaves together: one system call and packet for all."""
        if self._closing or self.transport.is_closing():
            return
        self._written_bytes += len(data)
        self._held_bytes += len(data)
        self._held.append(data)
        if self._held_bytes > HIGH_WATER_BYTES:
            self._flush()
        elif len(self._held) == 1:
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            if not self.transport.is_closing():
                self.transport.write(data)

    def is_behind(self) -> bool:
        """Whether the client reads more slowly than we write."""
        return self.transport.get_write_buffer_size() > HIGH_WATER_BYTES

    async def drained(self) -> None:
        """Wait until it is no longer behind, or gone."""
        with suppress(OSError):
            await self.writer.drain()

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking."""
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def is_busy(self) -> None:
        """A request is under way: nothing here limits it."""
        self._due = None
        self._room.busy(self)

    def is_idle(self) -> None:
        """The client may send its next request."""
        self._arm(self.limits().keep_alive_seconds, self.begin_close)
        self._room.idle(self, self.loop.time())

    # Ends.

    def make_room(self) -> None:
        """We are idle, and another one needs our place."""
        self._closing = True
        self.transport.abort()

    def begin_close(self) -> None:
        """We are done: flush, send FIN, give the client a moment to take it."""
        if not self._closing:
            self._flush()
            self._closing = True
            self._room.busy(self)
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
        self.begin_close()
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass  # it was reset: closed all the same
        finally:
            self._room.busy(self)
            self._disarm()

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        """Do this after so many seconds, and nothing else. A timer that runs is kept where it is not too late."""
        due = self.loop.time() + seconds
        self._due = (due, action)
        if due < self._armed_at:
            self._set_timer(due)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = when
        self._timer = self.loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer, self._armed_at = None, float("inf")
        if self._due is not None:
            due, action = self._due
            if due > self.loop.time():
                self._set_timer(due)
            else:
                self._due = None
                action()

    def _disarm(self) -> None:
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What the application may ask (`ClientConnection`).

    def delivered_bytes(self) -> int:
        """How many bytes the client's host has acknowledged."""
        return self._written_bytes - self.unsent_bytes() - self._queued_bytes("TIOCOUTQ")

    def unsent_bytes(self) -> int:
        """Bytes that the kernel has not yet taken."""
        return 0 if self.transport.is_closing() else self._held_bytes + self.transport.get_write_buffer_size()

    def is_quiet(self) -> bool:
        """Whether nothing waits to be sent, and nothing to be read."""
        return not self.unsent_bytes() and not self._queued_bytes("FIONREAD")

    def _queued_bytes(self, which: str) -> int:
        """How many bytes the kernel holds: TIOCOUTQ, not acknowledged by the client, or FIONREAD, not read by us."""
        if sys.platform != "linux":
            return 0
        import fcntl  # noqa: PLC0415 - not everywhere
        import termios  # noqa: PLC0415

        try:
            answer = fcntl.ioctl(self._socket.fileno(), getattr(termios, which), b"\0\0\0\0")
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
        self._flush()
        self._closing = True
        with suppress(OSError, ValueError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
