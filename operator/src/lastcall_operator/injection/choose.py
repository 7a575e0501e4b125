"""Which StreamProxy a pod belongs to.

Pure. Called by the webhook for each pod, and by the controller for the condition `Conflicted`.
"""

from collections.abc import Iterable, Mapping

from lastcall_operator.api import names
from lastcall_operator.api.streamproxy import StreamProxy
from lastcall_operator.injection.errors import InjectionError


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
