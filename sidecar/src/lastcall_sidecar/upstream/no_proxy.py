"""Which hosts the environment's `no_proxy` keeps from the proxy, as curl and Go read it. Pure.

https://curl.se/docs/manpage.html#--noproxy and https://pkg.go.dev/golang.org/x/net/http/httpproxy. Python's own
(`urllib.request.proxy_bypass`) knows names only, and no CIDR, which clusters inject. No name is looked up for this.
"""

import ipaddress
import re

_SEPARATORS = re.compile(r"[,\s]+")
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):(\d{1,5})")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def bypasses(no_proxy: str, host: str, port: int) -> bool:
    """Whether an entry of `no_proxy` is for this host (IPv6 without brackets) and port.

    Entries, with commas or blanks between them: `*` for all; an address; a CIDR; a name, for itself and all below it,
    with a leading dot or `*.` or without. All but CIDRs may end in `:port`, and are for that port alone then. What is
    none of these is for no host.
    """
    host = host.lower().rstrip(".").partition("%")[0]
    address = _address(host)
    return any(_is_for(entry, host, address, port) for entry in _SEPARATORS.split(no_proxy.lower()) if entry)


def _is_for(entry: str, host: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port:
        entry = with_port[1]
        if int(with_port[2]) != port:
            return False
    entry = entry.removeprefix("[").removesuffix("]")
    if address is not None:
        return _holds(entry, address)
    name = entry.removeprefix("*").strip(".")
    return name != "" and (host == name or host.endswith(f".{name}"))


def _holds(entry: str, address: _Address) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return any(one.version == network.version and one in network for one in _both(address))


def _both(address: _Address) -> tuple[_Address, ...]:
    """The address, and the IPv4 one that it stands for, if it does."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (address,) if mapped is None else (address, mapped)


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
