"""Containers as dictionaries: finding and changing ports, probes, hooks and variables.

Pure. The dictionaries are copies that the caller owns; they are changed in place.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

Object = dict[str, Any]

PROBES: tuple[Literal["livenessProbe", "readinessProbe", "startupProbe"], ...] = (
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
)
HOOKS = ("postStart", "preStop")
#: The longest name of a port (IANA_SVC_NAME).
MAX_PORT_NAME = 15


def copied(value: Any) -> Any:
    """A copy of a JSON value in which nothing is shared: `deepcopy` would keep what a YAML alias made one."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def all_containers(spec: Object) -> list[Object]:
    """Init containers and containers, in the order of their start."""
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def ports(container: Object) -> list[Object]:
    """The declared TCP ports."""
    return [port for port in container.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]


def port_users(container: Object) -> Iterator[Object]:
    """The parts of probes and hooks that name a port in `port`."""
    handlers: list[Any] = [container.get(probe) for probe in PROBES]
    handlers += [(container.get("lifecycle") or {}).get(hook) for hook in HOOKS]
    for handler in handlers:
        for kind in ("httpGet", "tcpSocket", "grpc"):
            part = (handler or {}).get(kind)
            if part is not None:
                yield part


def taken_ports(containers: Iterable[Object]) -> set[int]:
    """Port numbers that somebody listens on: declared ones, and those that probes and hooks ask."""
    found: set[int] = set()
    for container in containers:
        found |= {port["containerPort"] for port in ports(container)}
        found |= {part["port"] for part in port_users(container) if isinstance(part.get("port"), int)}
    return found


def rename_port(container: Object, old: str, new: str) -> None:
    """Rename a port, also where the container's own probes and hooks refer to it."""
    for port in container.get("ports") or []:
        if port.get("name") == old:
            port["name"] = new
    for part in port_users(container):
        if part.get("port") == old:
            part["port"] = new


def free_name(name: str, taken: set[str]) -> str:
    """A name for the app's port: `http-app`, or, where that is too long or taken, the nearest that is neither."""
    number = 1
    while True:
        suffix = "-app" if number == 1 else f"-app{number}"
        candidate = name[: MAX_PORT_NAME - len(suffix)].rstrip("-") + suffix
        if candidate not in taken:
            return candidate
        number += 1


def add_variables(container: Object, variables: Iterable[Mapping[str, Any]]) -> list[str]:
    """Add the variables that the container lacks; returns the names of those added."""
    present = {variable["name"] for variable in container.get("env") or []}
    added = [dict(variable) for variable in variables if variable["name"] not in present]
    if added:
        container["env"] = [*(container.get("env") or []), *added]
    return [variable["name"] for variable in added]


def without(items: Any, names: Iterable[str]) -> Any:
    """A list of named things without these; what is no list stays."""
    gone = set(names)
    return [item for item in items if item.get("name") not in gone] if isinstance(items, list) else items


def remove_named(owner: Object, key: str, names: Iterable[str]) -> None:
    """Remove things from a list by name; a list that becomes empty by that goes, too."""
    left = without(owner.get(key), names)
    if left == owner.get(key):
        return
    if left:
        owner[key] = left
    else:
        del owner[key]
