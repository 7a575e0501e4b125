"""Services that lead around the sidecar: they select its pods, but target the app's own port."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .readings import named
from .records import Pod, Service


@dataclass(frozen=True, slots=True)
class Bypass:
    """A Service, the first of its targets that leads to the app itself, and the pods where it does."""

    service: str
    target: str
    pods: tuple[Pod, ...]


def bypassing(services: Iterable[Service], pods: Sequence[Pod]) -> tuple[Bypass, ...]:
    """The Services that lead to the app's own port, by name."""
    found = []
    for service in sorted(services, key=lambda each: each.name):
        targets = [(target, pod) for pod in pods if (target := _around(service, pod)) is not None]
        if targets:
            found.append(Bypass(service.name, str(targets[0][0]), tuple(pod for _, pod in targets)))
    return tuple(found)


def sentence(bypasses: Sequence[Bypass]) -> str:
    """What to tell of them; at least one."""
    first, names = bypasses[0], named(each.service for each in bypasses)
    lead = "leads" if len(bypasses) == 1 else "lead"
    return (
        f"Service {names} {lead} around the sidecar: {first.service} targets the app's own port {first.target}; target "
        "the port that the sidecar has taken over by its name"
    )


def _around(service: Service, pod: Pod) -> str | int | None:
    """The target that leads to the pod's app; None for a pod that the Service does not select, or without an app."""
    here = service.namespace == pod.namespace and service.selector  # without one its endpoints are made by hand
    if pod.app_port is None or not here or not service.selector.items() <= pod.labels.items():
        return None
    for target in service.targets:
        number = target if isinstance(target, int) else pod.ports.get(target)
        if number == pod.app_port:
            return target
    return None
