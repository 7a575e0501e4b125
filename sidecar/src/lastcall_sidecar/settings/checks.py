"""What the schema's types cannot say: addresses, keys, and fields that contradict each other.

Pure. Called by `load.py` with settings whose types and bounds are good.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

import msgspec

from .schema import Listen, Mode, Provider, Settings
from .shape import show

#: The longest path of a unix socket: `sun_path` on Linux without its final NUL.
MAX_SOCKET_PATH_BYTES = 107
#: What cannot change while the process runs.
RESTART = ("mode", "listen.traffic", "listen.admin", "logs.level", "logs.format", "admin.controlSocket")

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")
_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END PUBLIC KEY-----\s*")
#: An Ed25519 SubjectPublicKeyInfo is this and 32 bytes (RFC 8410).
_ED25519 = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a path; `others` are the paths that took part in it."""

    where: str
    what: str
    others: tuple[str, ...] = ()


def split_address(address: str) -> tuple[str, int]:
    """Host (IPv6 without its brackets) and port of a listener's `host:port`.

    Errors: ValueError, with what is wrong.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("the address in brackets must be an IPv6 address") from None
    elif ":" in host:
        raise ValueError("an IPv6 address must stand in brackets, as in [::1]:8080")
    elif not _good_host(host):
        raise ValueError("the host must be a name or an IP address")
    return host, int(port)


def findings(settings: Settings, given: Collection[str]) -> Iterator[Finding]:
    """All that is wrong. `given` holds the paths that somebody wrote down, unlike defaults."""
    yield from _upstream(settings, given)
    yield from _listen(settings.listen)
    yield from _loop(settings)
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


def frozen_changes(before: Settings, after: Settings) -> Iterator[Finding]:
    """What differs and cannot change while the process runs: where it stands, listens and logs."""
    old, new = (msgspec.to_builtins(settings) for settings in (before, after))
    for path in RESTART:
        section, _, key = path.partition(".")
        was, is_ = (settings[section][key] if key else settings[section] for settings in (old, new))
        if was != is_:
            yield Finding(path, f"cannot change from {show(was)} to {show(is_)} while running: needs a restart")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on this host."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _upstream(settings: Settings, given: Collection[str]) -> Iterator[Finding]:
    if "upstream.url" not in given:
        if settings.mode is Mode.INGRESS:
            yield Finding(
                "upstream.url", "required in mode Ingress: the app's own address, as http://127.0.0.1:PORT", ("mode",)
            )
        elif settings.upstream.provider is Provider.ANY:
            yield Finding("upstream.url", "required with provider Any", ("upstream.provider",))
        return
    what = _url_fault(settings.upstream.url)
    if what is not None:
        yield Finding("upstream.url", what)


def _url_fault(url: str) -> str | None:
    # The URL is never repeated in a message: it may hold a password.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "must be printable ASCII without blanks or backslashes; encode others (%20, punycode)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return "has a bad port" if "port" in str(error).lower() else "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "must not hold credentials: name a file in upstream.apiKeyFile"
    if "?" in url or "#" in url:
        return "must have neither query nor fragment"
    if port == 0 or parts.netloc.endswith(":") or not _good_host(parts.hostname or ""):
        return "must be http(s)://HOST[:PORT][/PATH]"
    if any(part in {".", ".."} for part in parts.path.lower().replace("%2e", ".").split("/")):
        return "must not have dot segments in its path"
    return None


def _good_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name of digits and dots that is no address is a misspelled one.
        return bool(_HOST.fullmatch(host)) and not re.fullmatch(r"[0-9.]+", host)
    return True


def _listen(listen: Listen) -> Iterator[Finding]:
    split: dict[str, tuple[str, int]] = {}
    for path, address in {"listen.traffic": listen.traffic, "listen.admin": listen.admin}.items():
        try:
            split[path] = split_address(address)
        except ValueError as error:
            yield Finding(path, str(error))
    if len(split) == 2:
        (host, port), (admin_host, admin_port) = split.values()
        if port == admin_port and (host == admin_host or _is_wildcard(host) or _is_wildcard(admin_host)):
            yield Finding("listen.admin", f"the port {port} is already taken by listen.traffic", ("listen.traffic",))
    for index, origin in enumerate(listen.cors_origins):
        what = _origin_fault(origin)
        if what is not None:
            yield Finding(f"listen.corsOrigins[{index}]", what)


def _origin_fault(origin: str) -> str | None:
    if origin == "*":
        return "any origin is not allowed: name each one, as https://host[:port]"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return "must be http(s)://HOST[:PORT]"
    bare = f"{parts.scheme}://{parts.netloc}"
    good = parts.scheme in {"http", "https"} and port != 0 and "@" not in origin and _good_host(parts.hostname or "")
    if not good or origin != bare or origin != origin.lower() or parts.netloc.endswith(":"):
        return "must be http(s)://HOST[:PORT] in lower case and nothing after it, as browsers send it"
    if port == {"http": 80, "https": 443}[parts.scheme]:
        return "browsers leave the scheme's own port out; so must this"
    return None


def _loop(settings: Settings) -> Iterator[Finding]:
    try:
        parts: SplitResult = urlsplit(settings.upstream.url)
        upstream_port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        return  # told elsewhere
    for path, address in {"listen.traffic": settings.listen.traffic, "listen.admin": settings.listen.admin}.items():
        try:
            own_host, own_port = split_address(address)
        except ValueError:
            continue
        if own_port != upstream_port:
            continue
        local = is_loopback(host) or _is_wildcard(host)
        if host == own_host or (local and (is_loopback(own_host) or _is_wildcard(own_host))):
            yield Finding("upstream.url", f"is our own address ({path}): requests would go round in a circle", (path,))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_ed25519(pem: str) -> bool:
    match = _PEM.fullmatch(pem)
    if match is None:
        return False
    try:
        der = base64.b64decode("".join(match[1].split()), validate=True)
    except binascii.Error:
        return False
    return len(der) == len(_ED25519) + 32 and der.startswith(_ED25519)
