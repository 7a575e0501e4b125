"""Which StreamProxy a pod belongs to, and which Services lead past its sidecar.

Pure. Called by the webhook for each pod, and by the controller for the conditions `Conflicted` and `Bypassed`.
"""

from collections.abc import Iterable, Iterator, Mapping

from lastcall_operator.api import names
from lastcall_operator.api.names import Reason
from lastcall_operator.api.streamproxy import StreamProxy
from lastcall_operator.injection.containers import Object, ports
from lastcall_operator.injection.errors import InjectionError, Note


def choose_proxy(
    labels: Mapping[str, str], proxies: Iterable[StreamProxy]
) -> tuple[StreamProxy | None, tuple[StreamProxy, ...]]:
    """The StreamProxy of a pod with these labels, and the others that select it, too: the oldest wins, then the name.

    `proxies` are those of the pod's namespace.
    """
    found = sorted((proxy for proxy in proxies if proxy.spec.selector.matches(labels)), key=lambda proxy: proxy.age)
    return (found[0], tuple(found[1:])) if found else (None, ())


def require_proxy(labels: Mapping[str, str], proxies: Iterable[StreamProxy]) -> StreamProxy:
    """As `choose_proxy`.

    Errors: InjectionError when there is none: a labelled pod without its sidecar would be a lie.
    """
    chosen, _ = choose_proxy(labels, proxies)
    if chosen is None:
        raise InjectionError(
            f"metadata.labels[{names.INJECT_LABEL}]: the pod asks for a sidecar, but no StreamProxy of its namespace "
            "selects it"
        )
    return chosen


def bypass(services: Iterable[Object], pods: Iterable[Object]) -> tuple[Note, ...]:
    """What to tell of Services that select these pods (injected in mode Ingress) and lead to the app itself.

    `services` and `pods` are of one namespace.
    """
    found: dict[str, Note] = {}
    listed = list(pods)
    for service in services:
        selector = (service.get("spec") or {}).get("selector")
        if not selector:
            continue  # its endpoints are made by hand
        for pod in listed:
            labels = (pod.get("metadata") or {}).get("labels") or {}
            if selector.items() <= labels.items():
                for message in _past_the_sidecar(service, pod):
                    found.setdefault(message, Note(Reason.BYPASSED, message))
    return tuple(found.values())


def _past_the_sidecar(service: Object, pod: Object) -> Iterator[str]:
    app_port = _app_port(pod)
    for port in service["spec"].get("ports") or []:
        if app_port is None or port.get("protocol", "TCP") != "TCP":
            continue
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else _named(pod, target)
        if number == app_port:
            yield (
                f"Service {service['metadata']['name']}: spec.ports[].targetPort {target} leads to the app, past the "
                f"sidecar; name the port that the sidecar has taken over"
            )


def _app_port(pod: Object) -> int | None:
    """The app's port, as the sidecar knows it; None where it stands before no app."""
    for container in (pod.get("spec") or {}).get("initContainers") or []:
        if container["name"] == names.SIDECAR_CONTAINER:
            for variable in container.get("env") or []:
                if variable["name"] == "LASTCALL_UPSTREAM__URL":
                    return int(variable["value"].rpartition(":")[2])
    return None


def _named(pod: Object, name: str) -> int | None:
    """The port of this name, as Kubernetes finds it: the containers' before the sidecars'."""
    spec = pod["spec"]
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    for container in containers:
        for port in ports(container):
            if port.get("name") == name:
                number: int = port["containerPort"]
                return number
    return None
