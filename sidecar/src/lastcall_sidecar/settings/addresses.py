"""Hosts, ports, URLs and origins as text: what they mean, and what is wrong with them. Pure."""

import ipaddress
import re
from urllib.parse import urlsplit

#: As a host that is allowed: all of them.
ANY_HOST = "*"

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")

#: The version of an API at the end of a path: `/v1`, `/api/paas/v4`, `/v1beta/openai`.
_VERSION = re.compile(r"/v[0-9]+(?:(?:alpha|beta)[0-9]*)?(?:/openai)?\Z")
#: The version that our routes have.
OUR_VERSION = "/v1"


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
    elif not good_host(host):
        raise ValueError("the host must be a name or an IP address")
    return host, int(port)


def url_fault(url: str, key_file: str) -> str | None:
    """What is wrong with an upstream's URL, which is never repeated: it may hold a password.

    `key_file` is the path of the field that names its key's file.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "must be printable ASCII without blanks or backslashes; encode others (%20, punycode)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return "has a bad port" if "port" in str(error).lower() else "is not a URL"
    if parts.username is not None or parts.password is not None:
        return f"must not hold credentials: name a file in {key_file}"
    if "?" in url or "#" in url:
        return "must have neither query nor fragment"
    if port == 0 or parts.netloc.endswith(":") or not good_host(parts.hostname or ""):
        return "must be http(s)://HOST[:PORT][/PATH]"
    if any(part in {".", ".."} for part in parts.path.lower().replace("%2e", ".").split("/")):
        return "must not have dot segments in its path"
    return None


def before_version(path: str) -> str:
    """What stands in a URL's path before the version of an API at its end; all of it where there is none."""
    path = path.rstrip("/")
    version = _VERSION.search(path)
    return path if version is None else path[: version.start()]


def asked_url(url: str, path: str) -> str:
    """What an upstream with this URL is asked for where a request is for `path`: a version of its own replaces ours."""
    base = url.rstrip("/")
    own = urlsplit(base).path
    if path.startswith(f"{OUR_VERSION}/") and before_version(own) != own:
        return base + path.removeprefix(OUR_VERSION)
    return base + path


def origin_fault(origin: str) -> str | None:
    """What is wrong with an origin that a browser would send."""
    if origin == "*":
        return "any origin is not allowed: name each one, as https://host[:port]"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return "must be http(s)://HOST[:PORT]"
    bare = f"{parts.scheme}://{parts.netloc}"
    good = parts.scheme in {"http", "https"} and port != 0 and "@" not in origin and good_host(parts.hostname or "")
    if not good or origin != bare or origin != origin.lower() or parts.netloc.endswith(":"):
        return "must be http(s)://HOST[:PORT] in lower case and nothing after it, as browsers send it"
    if port == {"http": 80, "https": 443}[parts.scheme]:
        return "browsers leave the scheme's own port out; so must this"
    return None


def allowed_host_fault(host: str) -> str | None:
    """What is wrong with a host that a listener is to answer to."""
    name = host.removeprefix("*.")
    if name != host and is_address(name):
        return "`*.` stands before a name only"
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") and ":" in name else name
    if host == ANY_HOST or good_host(bare):
        return None
    return "must be a host without scheme, port or path: a name, an address, `*.` and a name for all below it, or `*`"


def proxy_fault(network: str) -> str | None:
    """What is wrong with the address or network of a proxy that is trusted."""
    try:
        ipaddress.ip_network(network)
    except ValueError:
        return "must be an IP address or a network, as 10.0.0.0/8 or fd00::/8 (no bits behind the mask)"
    return None


def is_address(host: str) -> bool:
    """Whether a host is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on this host."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether a listener on this host takes all of the machine's addresses."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def good_host(host: str) -> bool:
    """Whether it is an IP address or may be a name."""
    # A name of digits and dots that is no address is a misspelled one.
    return is_address(host) or (bool(_HOST.fullmatch(host)) and not re.fullmatch(r"[0-9.]+", host))
