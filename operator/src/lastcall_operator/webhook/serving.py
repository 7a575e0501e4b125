"""Hypercorn with a TLS context of our own, and an end that does not depend on who is still connected."""

import asyncio
import socket
import ssl

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

#: Longer than the 90 s for which the API server keeps a connection at rest: it closes first, and no request is lost
#: on a connection that we are just closing.
KEEP_ALIVE_SECONDS = 120.0
#: Seconds for requests under way when the listeners close; a decision takes less than 2.
GRACEFUL_SECONDS = 3.0


class _Tls(Config):
    """A configuration whose context somebody else keeps loaded with the newest certificate."""

    context: ssl.SSLContext

    def create_ssl_context(self) -> ssl.SSLContext:
        return self.context

    @property
    def ssl_enabled(self) -> bool:
        return True


def everywhere() -> str:
    """The host for all addresses: of both versions of IP, or of IPv4 where there is no IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tried:
            tried.bind(("::", 0))
    except OSError:
        return "0.0.0.0"  # noqa: S104 - as was asked for
    return "[::]"


def server(app: ASGIFramework, bind: str, context: ssl.SSLContext | None, ended: asyncio.Event) -> asyncio.Task[None]:
    """Serve an app until `ended` is set; plain without a context. `bind`: `host:port`, or `fd://…`."""
    config: Config
    if context is None:
        config = Config()
    else:
        config = _Tls()
        config.context = context
    config.bind = [bind]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = GRACEFUL_SECONDS
    config.accesslog = None
    config.errorlog = None  # its lines would be no JSON; what fails is logged where it fails
    config.include_server_header = False
    return asyncio.create_task(serve(app, config, shutdown_trigger=ended.wait))


async def end(servers: list[asyncio.Task[None]]) -> None:
    """Wait for servers whose `ended` is set, but not for clients that stay connected."""
    _, pending = await asyncio.wait(servers, timeout=GRACEFUL_SECONDS + 1)
    for task in pending:
        task.cancel()
    await asyncio.gather(*servers, return_exceptions=True)
