"""A listening socket and the connections accepted on it.

Hypercorn's own `worker_serve` closes its listener first and then ends connections by a time-out of its own (3 s with
uvloop; with asyncio since Python 3.12 it waits for every idle one, pgjones/hypercorn#308). Here whoever drains decides.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

import structlog
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config

from lastcall_sidecar.sockets import shown

from .connection import ASGIApplication, Connection, ConnectionLimits, PushReader
from .room import MIN_IDLE_SECONDS, Room

#: Connections that the kernel completes before we accept them; enough for 2,000 clients that come at once.
BACKLOG = 2048
#: Bytes of the kernel's send buffer for each client, which is charged to the pod; Linux doubles it.
SEND_BUFFER_BYTES = 131072
#: Connections accepted in one turn of the loop: more would take descriptors before those that go give theirs back.
ACCEPTS_PER_TURN = 16
#: Seconds until it is tried again when the kernel has no descriptor or memory for a connection.
ACCEPT_RETRY_SECONDS = 0.5
#: How often, in seconds, it is logged that connections wait.
TELL_EVERY_SECONDS = 10.0
#: How often, in seconds, the end looks whether every client has been sent all of its bytes.
FLUSH_POLL_SECONDS = 0.05

#: Every address, of IPv4, too.
EVERYWHERE = "::"
#: How a kernel without IPv6 answers.
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})

log = structlog.get_logger(__name__)


class Listener:
    """Accepts on one address for one ASGI application. `limits` is asked anew for each use, so that it may change.

    asyncio's own server would accept until no descriptor is left, and libuv's would then end what comes without a word.
    """

    def __init__(
        self, name: str, app: ASGIApplication, limits: Callable[[], ConnectionLimits], *, max_connections: int
    ) -> None:
        self.name = name
        self._app = app
        self._limits = limits
        self._config = Config()
        self._context = WorkerContext(None)
        self._socket: socket.socket | None = None
        self._accepting = False
        self._beginning: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._room = Room(max_connections, self._resume)
        self._tell_at = 0.0

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Bind and listen. Returns the address (the port is chosen for port 0).

        Errors: OSError when the address cannot be bound.
        """
        bound = bind(host, port)
        bound.listen(BACKLOG)
        self._socket = bound
        self._resume()
        address = bound.getsockname()
        return address[0], address[1]

    def _resume(self) -> None:
        """Accept, if that is not done already."""
        if self._socket is not None and not self._accepting:
            self._accepting = True
            asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    def _pause(self) -> None:
        if self._socket is not None and self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTS_PER_TURN):
            if self._room.is_full(loop.time()):
                self._wait(MIN_IDLE_SECONDS, "every connection has a request: new ones wait")
                return
            try:
                accepted, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(ACCEPT_RETRY_SECONDS, f"a connection cannot be accepted: {error.strerror}")
                return
            accepted.setblocking(False)
            self._room.enter(loop.time())
            task = loop.create_task(self._begin(accepted))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    def _wait(self, seconds: float, why: str) -> None:
        loop = asyncio.get_running_loop()
        self._pause()
        loop.call_later(seconds, self._resume)
        if loop.time() >= self._tell_at:
            self._tell_at = loop.time() + TELL_EVERY_SECONDS
            log.warning(why, listener=self.name, connections=self.connections, limit=self._room.limit)

    async def _begin(self, accepted: socket.socket) -> None:
        """Give the socket to the loop, which then runs `_serve`."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(PushReader(loop), self._serve, loop=loop), accepted
            )
        except BaseException as error:
            accepted.close()
            self._room.leave()
            if not isinstance(error, OSError):
                raise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not isinstance(reader, PushReader):  # pragma: no cover - the factory above makes no other
            raise TypeError
        connection = Connection(self._app, self._config, self._context, self._limits, self._room, (reader, writer))
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - asyncio runs us in a task, always
            raise RuntimeError
        self._connections[connection] = task
        try:
            await connection.run()
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception:
            writer.transport.abort()
            log.exception("connection failed", listener=self.name)
        finally:
            del self._connections[connection]
            self._room.leave()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def flush(self) -> None:
        """Wait until the kernel has every byte that any client is owed; each connection's own limits bound it."""
        while any(connection.unsent_bytes() for connection in self._connections):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(FLUSH_POLL_SECONDS)

    def close(self) -> None:
        """Accept no more; open connections go on."""
        self._pause()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def end(self) -> None:
        """Close every connection that is left, idle ones for the most part.

        Where a client has not taken all of its bytes, a reset tells it so; waiting is over.
        """
        tasks = [*self._beginning, *self._connections.values()]
        for connection, task in self._connections.items():
            if connection.unsent_bytes():
                connection.reset()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket whose bounded send buffer passes to what it accepts.

    `::` is every address of both versions of IP, and of IPv4 alone where there is no IPv6.
    """
    if host != EVERYWHERE:
        return _bind(host, port)
    try:
        return _bind(host, port)
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
        return _bind("0.0.0.0", port)  # noqa: S104 - as was asked for


def _bind(host: str, port: int) -> socket.socket:
    try:
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, error.strerror, shown(host, port)) from error
    try:
        if host == EVERYWHERE:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, shown(host, port)) from error
    return bound
