"""Ingress: the app's port is found, and its names are taken over by the sidecar.

Pure. A Service that names its target then leads to the sidecar in injected pods and to the app in plain ones.
The app gives its name up, and its own container declares it anew with the sidecar's number: a port is but a
declaration, and a pod has one network. EndpointSlice controllers before 1.33 look for names in `spec.containers` only,
where no native sidecar is found (https://github.com/kubernetes/kubernetes/issues/127958, not backported).
"""

from dataclasses import dataclass

from lastcall_operator.api.names import Reason
from lastcall_operator.api.streamproxy import StreamProxy
from lastcall_operator.injection.containers import Object, all_containers, free_name, port_users, ports, rename_port
from lastcall_operator.injection.errors import InjectionError, Note
from lastcall_operator.injection.original import Original

#: The name of the traffic port where there is no name of the app's to take over.
PLAIN_PORT_NAME = "lastcall"


@dataclass(frozen=True, slots=True)
class AppPort:
    """The container, by name, and the number of its port."""

    container: str
    number: int


def find_app_port(spec: Object, proxy: StreamProxy) -> AppPort:
    """The port that `spec.appPort` means.

    Errors: InjectionError when no container or several have it.
    """
    wanted = proxy.spec.app_port
    if isinstance(wanted, str) and wanted.isascii() and wanted.isdigit():
        wanted = int(wanted)  # no port's name is all digits
    key = "containerPort" if isinstance(wanted, int) else "name"
    where = f"spec.appPort of StreamProxy {proxy.name}"
    containers = spec.get("containers") or []
    found = [
        AppPort(it["name"], port["containerPort"]) for it in containers for port in ports(it) if port.get(key) == wanted
    ]
    if not found:
        declared = [
            f"{port.get('name') or 'unnamed'} ({port['containerPort']})" for it in containers for port in ports(it)
        ]
        raise InjectionError(
            f"{where}: no container of the pod declares a TCP port {wanted}; declared are "
            f"{', '.join(declared) or 'none'}"
        )
    holders = sorted({port.container for port in found})
    if len(holders) > 1:
        what = f"{where}: the containers {' and '.join(holders)} both declare port {wanted}; only one can be meant"
        raise InjectionError(what, Reason.PORT_CONFLICT)
    _refuse_tls(next(it for it in containers if it["name"] == holders[0]), found[0], where)
    return found[0]


def _refuse_tls(container: Object, app: AppPort, where: str) -> None:
    """Clients that speak TLS to a port get no answer from a sidecar, which has no certificate to answer with.

    Errors: InjectionError where the pod says that its port speaks TLS.
    """
    called = {port.get("name") or "" for port in ports(container) if port["containerPort"] == app.number}
    place = f"spec.containers[{app.container}]"
    if any(name == "https" or name.startswith("https-") for name in called):
        sign = f"{place}.ports: it is called https"
    elif any(
        part.get("scheme") == "HTTPS" and part.get("port") in {app.number, *called} for part in port_users(container)
    ):
        sign = f"{place}: a probe or hook asks it by HTTPS"
    else:
        return
    raise InjectionError(
        f"{where}: the app's port {app.number} speaks TLS ({sign}), and a sidecar takes plain HTTP only: name a port "
        "without TLS, and leave TLS to the mesh or the ingress"
    )


def take_over(spec: Object, app: AppPort, traffic_port: int, original: Original, notes: list[Note]) -> None:
    """Rename the app's port, under all its names, and give those to the sidecar's number."""
    # The first: that no two have one name is checked after us, and told as a conflict below.
    container = next(it for it in spec["containers"] if it["name"] == app.container)
    taken = {port["name"] for it in all_containers(spec) for port in it.get("ports") or [] if port.get("name")}
    taken |= {part["port"] for part in port_users(container) if isinstance(part.get("port"), str)}
    freed: list[str] = []
    for port in ports(container):
        if port["containerPort"] != app.number:
            continue
        name = port.get("name")
        if port.get("hostPort"):
            what = (
                f"spec.containers[{app.container}].ports[{name or app.number}].hostPort leads to the app, past the "
                "sidecar"
            )
            notes.append(Note(Reason.BYPASSED, what))
        if not name:
            continue
        new = free_name(name, taken)
        taken.add(new)
        rename_port(container, name, new)
        original.of(container).ports[name] = new
        freed.append(name)
    others = [
        it["name"]
        for it in all_containers(spec)
        if it is not container and any(port.get("name") in freed for port in it.get("ports") or [])
    ]
    if others:
        what = f"spec.containers[{others[0]}].ports: the name {' or '.join(freed)} is claimed there, too"
        raise InjectionError(what, Reason.PORT_CONFLICT)
    if not freed and PLAIN_PORT_NAME not in taken:
        freed = [PLAIN_PORT_NAME]
    container["ports"] += [{"name": name, "containerPort": traffic_port, "protocol": "TCP"} for name in freed]
    original.of(container).declared = dict.fromkeys(freed, traffic_port)
