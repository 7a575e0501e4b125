"""What every command needs: the API server, the namespace, and exit codes that mean something."""

import argparse
import asyncio
import json
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from lastcall_operator.api import names
from lastcall_operator.api.annotations import admin_port
from lastcall_operator.api.gauge import Gauge, GaugeError, parse_livez
from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.kubeconfig import find_kubeconfig
from lastcall_operator.cluster.resources import PODS
from lastcall_operator.errors import ApiError, ApiUnavailableError, ForbiddenError, LastcallError, NotFoundError

from .rows import PodRow, row_of

#: Sidecars that are asked at once, through the API server.
AT_ONCE = 32
#: Seconds for one sidecar's answer through the API server; a silent one may not hold up the table.
GAUGE_SECONDS = 3.0
#: Where a pod's own service account says its namespace.
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Exit(IntEnum):
    """Exit codes of the `lastcall` command."""

    DONE = 0
    #: it was done, and the answer is no: streams were dropped, something is wrong, a drain did not end in time
    NOT = 1
    #: the command line says something that cannot be
    USAGE = 2
    NOT_FOUND = 3
    FORBIDDEN = 4
    #: no cluster, or it does not answer
    UNAVAILABLE = 5


def exit_code(error: LastcallError) -> Exit:
    """The code of a command that ended in an error."""
    match error:
        case NotFoundError():
            return Exit.NOT_FOUND
        case ForbiddenError():
            return Exit.FORBIDDEN
        case ApiUnavailableError():
            return Exit.UNAVAILABLE
        case _:
            return Exit.NOT


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster, and which of its namespaces; `namespace` None: all of them."""

    kubeconfig: str | None
    context: str | None
    namespace: str | None


async def where(arguments: argparse.Namespace) -> Where:
    """What the flags say; without --namespace it is the context's own, as with kubectl."""
    if getattr(arguments, "all_namespaces", False):
        return Where(arguments.kubeconfig, arguments.context, None)
    namespace = arguments.namespace or await _usual_namespace(arguments.kubeconfig, arguments.context)
    return Where(arguments.kubeconfig, arguments.context, namespace)


async def _usual_namespace(kubeconfig: str | None, context: str | None) -> str:
    found = await asyncio.to_thread(find_kubeconfig, kubeconfig, context)
    if found is not None:
        return found.namespace or "default"
    return await asyncio.to_thread(_pod_namespace)


def _pod_namespace() -> str:
    return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.exists() else "default"


async def connect(place: Where) -> Api:
    """Open the API server.

    Errors: ApiUnavailableError.
    """
    return await Api.connect(kubeconfig=place.kubeconfig, context=place.context)


async def look(api: Api, namespace: str | None, *, labels: str = f"{names.SIDECAR_LABEL}={names.TRUE}") -> list[PodRow]:
    """All pods with a sidecar, and what each says of itself."""
    pods = await api.list(PODS, namespace, labels=labels)
    places = asyncio.Semaphore(AT_ONCE)

    async def row(pod: dict[str, Any]) -> PodRow:
        async with places:
            return row_of(pod, await gauge(api, pod))

    return list(await asyncio.gather(*(row(pod) for pod in pods)))


async def gauge(api: Api, pod: dict[str, Any]) -> Gauge | None:
    """Ask one sidecar through the API server, which reaches pods from everywhere; None: it does not answer.

    Errors: ForbiddenError: the user may not use `pods/proxy`.
    """
    if not pod.get("status", {}).get("podIP"):
        return None
    metadata = pod["metadata"]
    path = f"{PODS.path(metadata['namespace'], metadata['name'])}:{admin_port(metadata.get('annotations'))}/proxy/livez"
    try:
        async with asyncio.timeout(GAUGE_SECONDS):
            return parse_livez(json.dumps(await api.call("GET", path)).encode())
    except ForbiddenError:
        raise
    except (ApiError, GaugeError, TimeoutError):
        return None


def as_json(value: Any) -> str:
    """A value for scripts."""
    return json.dumps(value, indent=2)
