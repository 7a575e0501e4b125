"""Manifests with the sidecar in them, offline: what `lastcall inject -f` prints.

Pure. The same as the webhook does, to a Pod or to the template of a workload. The webhook then finds the pods injected,
and does it once more, which changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastcall_operator.api.streamproxy import StreamProxy
from lastcall_operator.injection.choose import require_proxy
from lastcall_operator.injection.containers import Object, copied
from lastcall_operator.injection.errors import InjectionError, Note
from lastcall_operator.injection.inject import InjectionDefaults, inject, wants_injection

#: Where each kind has its pod.
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class InjectedDocuments:
    """All documents, those that asked for it with their sidecar; and what to tell, by `Kind/name`."""

    documents: tuple[Any, ...]
    notes: tuple[tuple[str, Note], ...] = ()
    #: how many pods or templates got a sidecar
    injected: int = 0


def inject_documents(
    documents: Iterable[Any],
    proxies: Sequence[StreamProxy],
    defaults: InjectionDefaults,
    namespace: str | None = None,
) -> InjectedDocuments:
    """Parsed YAML documents with sidecars; everything else is passed through as it is.

    What names no namespace, a document or a StreamProxy, is in `namespace`; without that it goes with any.

    Errors: InjectionError, which begins with the document's `Kind/name`.
    """
    made: list[Any] = []
    notes: list[tuple[str, Note]] = []
    count = 0
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            inner = inject_documents(document.get("items") or [], proxies, defaults, namespace)
            made.append({**document, "items": list(inner.documents)} if inner.injected else document)
            notes += inner.notes
            count += inner.injected
            continue
        path = _TEMPLATES.get(str(document.get("kind"))) if isinstance(document, dict) else None
        pod = None if path is None else _at(document, path)
        if path is None or pod is None or not wants_injection(pod):
            made.append(document)
            continue
        metadata = document.get("metadata") or {}
        name = f"{document['kind']}/{metadata.get('name') or metadata.get('generateName') or ''}"
        here = metadata.get("namespace") or namespace
        near = [it for it in proxies if not here or (it.namespace or namespace or here) == here]
        try:
            injected = inject(pod, require_proxy(pod["metadata"]["labels"], near), defaults)
        except InjectionError as error:
            raise InjectionError(f"{name}: {error}", error.reason) from error
        except (KeyError, TypeError, AttributeError) as error:  # nobody has checked it yet
            raise InjectionError(f"{name}: no API server takes such a pod: {error!r}") from error
        made.append(_with(document, path, injected.pod))
        notes += [(name, note) for note in injected.notes]
        count += 1
    return InjectedDocuments(tuple(made), tuple(notes), count)


def _at(document: Object, path: tuple[str, ...]) -> Object | None:
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _with(document: Object, path: tuple[str, ...], pod: Object) -> Object:
    if not path:
        return pod
    made: Object = copied(document)
    owner = made
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = pod
    return made
