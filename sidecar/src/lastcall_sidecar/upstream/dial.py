"""Connections to one origin: its addresses, the sockets, TLS, and what a failure of them is called.

Called by `pool.py`. Nothing of a request has been sent when one of these fails.
"""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from lastcall_sidecar.sockets import set_keep_alive

#: Bytes read ahead by the kernel, per connection.
RECEIVE_BUFFER_BYTES = 262144
#: Seconds after which the next address is tried beside the one that does not answer (RFC 8305, 5).
NEXT_ADDRESS_SECONDS = 0.25
#: Seconds that a name's addresses are good for. A burst of connections asks once.
ADDRESSES_SECONDS = 10.0

#: Family, protocol and address of a socket to connect.
Address = tuple[int, int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
#: Asks for the addresses of a host and port, as `getaddrinfo` gives them.
Resolve = Callable[[str, int], Awaitable[Sequence[tuple[int, int, int, str, Any]]]]
P = TypeVar("P", bound=asyncio.Protocol)


class Dialer:
    """Connects to one host and port."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        connect_timeout_seconds: float,
        stall_seconds: float,
        resolve: Resolve | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_seconds = connect_timeout_seconds
        self._stall_seconds = stall_seconds
        self._loop = asyncio.get_running_loop()
        self._resolve = resolve or _resolve
        self._literal = _is_address(host)
        self._asking: asyncio.Task[Sequence[Address]] | None = None
        self._good_until = 0.0
        self._turn = 0

    async def connect(self, make: Callable[[socket.socket], P]) -> P:
        """A connection; `make` gets its socket.

        Errors: httpx.ConnectTimeout, httpx.ConnectError.
        """
        asked = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                addresses = await self._addresses()
                asked = self._asking
                return await self._started(await self._first(addresses), make)
        except OSError as error:
            self._forget(asked)
            raise _told(error) from error

    def close(self) -> None:
        """Stop asking for addresses."""
        if self._asking is not None:
            self._asking.cancel()

    async def _started(self, made: socket.socket, make: Callable[[socket.socket], P]) -> P:
        try:
            if self._tls is None:
                _, protocol = await self._loop.create_connection(lambda: make(made), sock=made)
            else:
                _, protocol = await self._loop.create_connection(
                    lambda: make(made),
                    sock=made,
                    ssl=self._tls,
                    server_hostname=self._host.rstrip("."),
                    ssl_handshake_timeout=self._timeout_seconds + 1,  # ours comes first
                )
        except BaseException:
            with suppress(OSError):
                made.close()
            raise
        return protocol

    async def _addresses(self) -> Sequence[Address]:
        if not self._literal and (self._asking is None or self._loop.time() > self._good_until):
            self._good_until = float("inf")
            self._asking = self._loop.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        if self._asking is None:
            return await self._ask()
        found = await asyncio.shield(self._asking)
        self._turn += 1
        first = self._turn % len(found)
        return [*found[first:], *found[:first]]

    def _forget(self, asked: asyncio.Task[Sequence[Address]] | None) -> None:
        """Ask anew at the next try: the name may have moved to others than these, of which none would do."""
        if asked is not None and asked is self._asking and asked.done():
            self._good_until = 0.0

    async def _ask(self) -> Sequence[Address]:
        found = await self._resolve(self._host, self._port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return [(family, protocol, address) for family, _, protocol, _, address in found]

    def _asked(self, task: asyncio.Task[Sequence[Address]]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._asking = None
        else:
            self._good_until = self._loop.time() + ADDRESSES_SECONDS

    async def _first(self, addresses: Sequence[Address]) -> socket.socket:
        """The first of the addresses that answers; each next one is tried a little later, or when one fails."""
        if len(addresses) == 1:
            return await self._to(addresses[0])
        left = list(reversed(addresses))
        trying: set[asyncio.Task[socket.socket]] = set()
        failure: OSError | None = None
        try:
            while left or trying:
                if left:
                    trying.add(self._loop.create_task(self._to(left.pop())))
                done, trying = await asyncio.wait(
                    trying, timeout=NEXT_ADDRESS_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                while done:
                    task = done.pop()
                    error = task.exception()
                    if error is None:
                        trying |= done
                        return task.result()
                    if not isinstance(error, OSError):
                        raise error
                    failure = failure or error
        finally:
            for task in trying:
                task.add_done_callback(_close_late)
                task.cancel()
        raise failure or OSError("no address")

    async def _to(self, address: Address) -> socket.socket:
        family, protocol, name = address
        made = socket.socket(family, socket.SOCK_STREAM, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            set_keep_alive(made, self._stall_seconds)
            await self._loop.sock_connect(made, name)
        except BaseException:
            made.close()
            raise
        return made


def _told(error: OSError) -> httpx.TransportError:
    """What happened, as httpx says it."""
    match error:
        case TimeoutError(errno=None):
            return httpx.ConnectTimeout("no connection in time")
        case socket.gaierror():
            return httpx.ConnectError("its name has no address")
        case ssl.SSLError():
            return httpx.ConnectError(f"TLS failed: {error}")
        case _:
            words = str(error) or type(error).__name__
            return httpx.ConnectError(errno.errorcode.get(error.errno or 0, words))


async def _resolve(host: str, port: int) -> Sequence[tuple[int, int, int, str, Any]]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close what was connected after another address had won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
