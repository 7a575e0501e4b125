"""Services that lead around the sidecar: they select its pods, but target the app's own port.

`injection.choose.bypass` says the same of whole objects; this works on what the watches keep.
"""

from collections.abc import Iterable, Sequence

from .records import Pod, Service


def bypassing(services: Iterable[Service], pods: Sequence[Pod]) -> list[tuple[str, str]]:
    """The Services that lead to the app's own port: name, and the target port that does so."""
    found: dict[str, str] = {}
    for service in services:
        for pod in pods:
            if service.namespace == pod.namespace and service.selector and _selects(service, pod):
                target = _around(service, pod)
                if target is not None:
                    found.setdefault(service.name, str(target))
    return sorted(found.items())


def _selects(service: Service, pod: Pod) -> bool:
    return service.selector.items() <= pod.labels.items()


def _around(service: Service, pod: Pod) -> str | int | None:
    if pod.app_port is None:
        return None
    for target in service.targets:
        number = target if isinstance(target, int) else pod.ports.get(target)
        if number == pod.app_port:
            return target
    return None
