"""What the schema's types cannot say: addresses, keys, and fields that contradict each other.

Pure. Called by `load.py` with settings whose types and bounds are good. What concerns upstreams is in `upstreams.py`.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

import msgspec

from . import upstreams
from .addresses import allowed_host_fault, is_wildcard, origin_fault, proxy_fault, split_address
from .problems import Finding
from .schema import Listen, Settings
from .shape import show

#: The longest path of a unix socket: `sun_path` on Linux without its final NUL.
MAX_SOCKET_PATH_BYTES = 107
#: What cannot change while the process runs.
RESTART = ("mode", "listen.traffic", "listen.admin", "logs.level", "logs.format", "admin.controlSocket")

_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*")
#: An Ed25519 SubjectPublicKeyInfo is this and 32 bytes (RFC 8410).
_ED25519 = bytes.fromhex("302a300506032b6570032100")


def findings(settings: Settings, given: Collection[str]) -> Iterator[Finding]:
    """All that is wrong. `given` holds the paths that somebody wrote down, unlike defaults."""
    yield from upstreams.findings(settings, given)
    yield from _listen(settings.listen)
    if settings.limits.max_body_bytes > settings.limits.max_buffered_bytes:
        what = f"must not be above limits.maxBufferedBytes ({settings.limits.max_buffered_bytes}): one body must fit"
        yield Finding("limits.maxBodyBytes", what, ("limits.maxBufferedBytes",))
    if settings.drain.public_key is not None and not _is_ed25519(settings.drain.public_key):
        yield Finding("drain.publicKey", "must be an Ed25519 public key in PEM (BEGIN PUBLIC KEY)")
    socket = settings.admin.control_socket
    if "\0" in socket or not PurePosixPath(socket).is_absolute():
        yield Finding("admin.controlSocket", "must be an absolute path")
    elif len(socket.encode()) > MAX_SOCKET_PATH_BYTES:
        what = f"must be at most {MAX_SOCKET_PATH_BYTES} bytes long: the kernel takes no longer path for a socket"
        yield Finding("admin.controlSocket", what)


def warnings(settings: Settings) -> Iterator[str]:
    """What is allowed and probably not meant."""
    limits = settings.limits
    if limits.max_duration_seconds > settings.drain.ceiling_seconds:
        yield (
            f"limits.maxDurationSeconds ({limits.max_duration_seconds}) is above drain.ceilingSeconds "
            f"({settings.drain.ceiling_seconds}): a drain may have to cut the longest requests"
        )
    if limits.queue_timeout_seconds >= limits.max_duration_seconds:
        yield (
            f"limits.queueTimeoutSeconds ({limits.queue_timeout_seconds}) is not below limits.maxDurationSeconds "
            f"({limits.max_duration_seconds}): a request may spend all its life in the queue"
        )
    for name, seconds in {
        "limits.writeStallSeconds": limits.write_stall_seconds,
        "limits.maxDurationSeconds": limits.max_duration_seconds,
    }.items():
        if settings.streaming.heartbeat_seconds >= seconds:
            yield (
                f"streaming.heartbeatSeconds ({settings.streaming.heartbeat_seconds}) is not below {name} ({seconds}): "
                "no heartbeat comes before that limit"
            )
    yield from upstreams.warnings(settings)


def frozen_changes(before: Settings, after: Settings) -> Iterator[Finding]:
    """What differs and cannot change while the process runs: where it stands, listens and logs."""
    old, new = (msgspec.to_builtins(settings) for settings in (before, after))
    for path in RESTART:
        section, _, key = path.partition(".")
        was, is_ = (settings[section][key] if key else settings[section] for settings in (old, new))
        if was != is_:
            yield Finding(path, f"cannot change from {show(was)} to {show(is_)} while running: needs a restart")


def _listen(listen: Listen) -> Iterator[Finding]:
    split: dict[str, tuple[str, int]] = {}
    for path, address in {"listen.traffic": listen.traffic, "listen.admin": listen.admin}.items():
        try:
            split[path] = split_address(address)
        except ValueError as error:
            yield Finding(path, str(error))
    if len(split) == 2:
        (host, port), (admin_host, admin_port) = split.values()
        if port == admin_port and (host == admin_host or is_wildcard(host) or is_wildcard(admin_host)):
            yield Finding("listen.admin", f"the port {port} is already taken by listen.traffic", ("listen.traffic",))
    for name, values, fault in (
        ("corsOrigins", listen.cors_origins, origin_fault),
        ("allowedHosts", listen.allowed_hosts, allowed_host_fault),
        ("trustedProxies", listen.trusted_proxies, proxy_fault),
    ):
        for index, value in enumerate(values):
            what = fault(value)
            if what is not None:
                yield Finding(f"listen.{name}[{index}]", what)


def _is_ed25519(pem: str) -> bool:
    match = _PEM.fullmatch(pem)
    if match is None:
        return False
    try:
        der = base64.b64decode("".join(match[1].split()), validate=True)
    except binascii.Error:
        return False
    return len(der) == len(_ED25519) + 32 and der.startswith(_ED25519)
