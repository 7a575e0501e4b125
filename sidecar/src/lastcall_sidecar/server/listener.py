"""A listening socket and the connections accepted on it.

Hypercorn's own `worker_serve` closes its listener first and then ends connections by a time-out of its own (3 s with
uvloop; with asyncio since Python 3.12 it waits for every idle one, pgjones/hypercorn#308). Here whoever drains decides.
"""

import asyncio
import socket
from collections.abc import Callable

import structlog
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config

from .connection import ASGIApplication, Connection, ConnectionLimits, PushReader

#: Connections that the kernel completes before we accept them; enough for 2,000 clients that come at once.
BACKLOG = 2048
#: Bytes of the kernel's send buffer for each client, which is charged to the pod; Linux doubles it.
SEND_BUFFER_BYTES = 131072
#: How often, in seconds, the end looks whether every client has been sent all of its bytes.
FLUSH_POLL_SECONDS = 0.05

log = structlog.get_logger(__name__)


class Listener:
    """Accepts on one address for one ASGI application. `limits` is asked anew for each use, so that it may change."""

    def __init__(self, name: str, app: ASGIApplication, limits: Callable[[], ConnectionLimits]) -> None:
        self.name = name
        self._app = app
        self._limits = limits
        self._config = Config()
        self._context = WorkerContext(None)
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Bind and listen. Returns the address (the port is chosen for port 0).

        Errors: OSError when the address cannot be bound.
        """
        bound = bind(host, port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: asyncio.StreamReaderProtocol(PushReader(loop), self._serve, loop=loop), sock=bound, backlog=BACKLOG
        )
        address = bound.getsockname()
        return address[0], address[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not isinstance(reader, PushReader):  # pragma: no cover - the factory above makes no other
            raise TypeError
        connection = Connection(self._app, self._config, self._context, self._limits, (reader, writer))
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
        if self._server is not None:
            self._server.close()

    async def end(self) -> None:
        """Close every connection that is left, idle ones for the most part.

        Where a client has not taken all of its bytes, a reset tells it so; waiting is over.
        """
        tasks = list(self._connections.values())
        for connection, task in self._connections.items():
            if connection.unsent_bytes():
                connection.reset()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket whose bounded send buffer passes to what it accepts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return bound
