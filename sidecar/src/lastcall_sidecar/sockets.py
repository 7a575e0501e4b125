"""Options that make the kernel notice a peer that vanished; for both directions."""

import resource
import socket
from contextlib import suppress

#: A silent peer is probed after this long, then each KEEP_ALIVE_INTERVAL_SECONDS, and given up after three probes.
KEEP_ALIVE_IDLE_SECONDS = 30
KEEP_ALIVE_INTERVAL_SECONDS = 10
KEEP_ALIVE_PROBES = 3
#: The kernel gives up on a peer this much later than our own clock does: ours says why.
USER_TIMEOUT_MARGIN_SECONDS = 30


#: Connections of the admin listener: probes, scrapers, the operator, preStop hooks, and a few people.
ADMIN_CONNECTIONS = 64
#: File descriptors that are neither a client's nor an upstream's: those connections, and as many for files, the control
#: socket, children's pipes, telemetry, and what is accepted while another goes.
RESERVED_DESCRIPTORS = 2 * ADMIN_CONNECTIONS
#: What the traffic listener takes in any case; with fewer descriptors nothing could be served.
MIN_TRAFFIC_CONNECTIONS = 16
#: What "unlimited" is taken for; macOS says so, and means this.
UNLIMITED_DESCRIPTORS = 10240


def shown(host: str, port: int) -> str:
    """An address as people write it: brackets around one of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def set_keep_alive(sock: socket.socket, stall_seconds: float) -> None:
    """Probe an idle peer; give up on one that acknowledges nothing, or does not read, some time past a stall."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEP_ALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEP_ALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEP_ALIVE_PROBES),
        ("TCP_USER_TIMEOUT", int((stall_seconds + USER_TIMEOUT_MARGIN_SECONDS) * 1000)),
    ):
        if hasattr(socket, option):  # not on every platform
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def traffic_connections() -> int:
    """How many connections clients may have: each may need one to an upstream, and the reserve is nobody's."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        allowed = UNLIMITED_DESCRIPTORS
    return max(MIN_TRAFFIC_CONNECTIONS, (allowed - RESERVED_DESCRIPTORS) // 2)


def allow_descriptors() -> None:
    """Take as many file descriptors as we may.

    A stream has two. The usual soft limit of 1,024 is for programs that use `select`; all others are to raise it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says "unlimited" and does not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
