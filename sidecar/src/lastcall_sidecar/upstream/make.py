"""Which transport an origin gets."""

import ssl
from collections.abc import Callable
from urllib.request import getproxies, proxy_bypass

import httpx

from .pool import DirectTransport, PooledTransport

#: Seconds that an idle connection is kept for reuse: below the idle limit of any server (uvicorn's is 5 s). A
#: connection that the server is just closing costs a request that may not be sent again.
IDLE_SECONDS_LOOPBACK = 4.0
IDLE_SECONDS_REMOTE = 30.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def make_transport(
    origin: httpx.URL,
    *,
    connect_timeout_seconds: float,
    stall_seconds: float,
    trust_env: bool = False,
    ca_file: str | None = None,
) -> PooledTransport:
    """A transport to one origin. Needs a running event loop.

    Errors: OSError, ssl.SSLError for a `ca_file` that cannot be read.
    """
    make: Callable[..., PooledTransport] = DirectTransport
    if trust_env and origin.scheme in getproxies() and not proxy_bypass(origin.host):
        from .proxied import make_proxied  # noqa: PLC0415 - aiohttp is a tenth of our memory, and few need it

        make = make_proxied
    return make(
        origin,
        ssl.create_default_context(cafile=ca_file) if origin.scheme == "https" else None,
        connect_timeout_seconds=connect_timeout_seconds,
        stall_seconds=stall_seconds,
        idle_seconds=IDLE_SECONDS_LOOPBACK if origin.host in LOOPBACK else IDLE_SECONDS_REMOTE,
    )
