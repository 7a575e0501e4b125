"""Services that lead around the sidecar: they select its pods, but target the app's own port."""

from collections.abc import Iterable, Sequence

from .records import Pod, Service

#: What the injection appends to the name of the port that it takes over.
TAKEN_OVER = "-app"


def app_port_number(pod: Pod, app_port: str | int | None) -> int | None:
    """The number of the app's port, after the injection renamed it; None where the pod has no such port."""
    if isinstance(app_port, int) or app_port is None:
        return app_port
    if app_port.isdigit():
        return int(app_port)
    return dict(pod.app_ports).get(app_port + TAKEN_OVER)


def bypassing(services: Iterable[Service], pods: Sequence[Pod], app_port: str | int | None) -> list[tuple[str, str]]:
    """The Services that lead to the app's own port: name, and the target port that does so."""
    found: dict[str, str] = {}
    for service in services:
        for pod in pods:
            if service.namespace != pod.namespace or not service.selector:
                continue
            if service.selector.items() <= pod.labels.items():
                target = _around(service, pod, app_port)
                if target is not None:
                    found.setdefault(service.name, str(target))
    return sorted(found.items())


def _around(service: Service, pod: Pod, app_port: str | int | None) -> str | int | None:
    number = app_port_number(pod, app_port)
    if number is None:
        return None
    own = {number} | {name for name, each in pod.app_ports if each == number and name}
    return next((target for target in service.targets if target in own), None)
