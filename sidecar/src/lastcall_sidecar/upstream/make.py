"""Which transport an origin gets."""

import ssl
from urllib.request import getproxies

import httpx

from .no_proxy import bypasses
from .pool import DirectTransport, PooledTransport


def make_transport(
    origin: httpx.URL,
    *,
    connect_timeout_seconds: float,
    stall_seconds: float,
    idle_seconds: float,
    trust_env: bool = False,
    ca_file: str | None = None,
) -> PooledTransport:
    """A transport to one origin. Needs a running event loop.

    A connection that has rested for `idle_seconds` is not used again.

    Errors: OSError, ssl.SSLError for a `ca_file` that cannot be read.
    """
    tls = ssl.create_default_context(cafile=ca_file) if origin.scheme == "https" else None
    proxy = _proxy(origin) if trust_env else None
    if proxy is None:
        return DirectTransport(
            origin,
            tls,
            connect_timeout_seconds=connect_timeout_seconds,
            stall_seconds=stall_seconds,
            idle_seconds=idle_seconds,
        )
    from .proxied import make_proxied  # noqa: PLC0415 - aiohttp is a tenth of our memory, and few need it

    # Nothing is ever idle there.
    return make_proxied(
        origin, tls, proxy, connect_timeout_seconds=connect_timeout_seconds, stall_seconds=stall_seconds
    )


def _proxy(origin: httpx.URL) -> str | None:
    """The URL of the proxy that the environment names for an origin."""
    proxies = getproxies()
    port = origin.port or (443 if origin.scheme == "https" else 80)
    if bypasses(proxies.get("no", ""), origin.host, port):
        return None
    proxy = proxies.get(origin.scheme)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
