"""`lastcall inject -f`: manifests as the webhook would change them, without a cluster."""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lastcall_operator.api.printable import printable
from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.streamproxy import StreamProxy, parse_stream_proxy
from lastcall_operator.cluster.resources import STREAM_PROXIES
from lastcall_operator.errors import LastcallError
from lastcall_operator.injection.documents import inject_documents
from lastcall_operator.injection.inject import InjectionDefaults
from lastcall_operator.settings import Settings

from .session import Exit, as_json, connect, where


class ManifestError(LastcallError):
    """A file that cannot be read, or a document in it that makes no sense. Says which."""


async def inject(arguments: argparse.Namespace) -> int:
    """Print every document, those that ask for it with their sidecar; what was changed of the user's goes to stderr."""
    documents = await asyncio.to_thread(_documents, arguments.filename)
    proxies = list(_proxies(arguments.filename, documents))
    for name in arguments.proxy:
        proxies += _proxies(name, await asyncio.to_thread(_documents, name))
    if arguments.from_cluster:
        place = await where(arguments)
        async with await connect(place) as api:
            proxies += _proxies("the cluster", await api.list(STREAM_PROXIES, place.namespace), kind=None)
    defaults = InjectionDefaults(image=arguments.sidecar_image or Settings().sidecar_image)
    made = inject_documents(documents, proxies, defaults, arguments.namespace)
    if arguments.output == "json":
        print(as_json({"apiVersion": "v1", "kind": "List", "items": list(made.documents)}))
    else:
        print(yaml.safe_dump_all(made.documents, sort_keys=False, allow_unicode=True), end="")
    for subject, note in made.notes:
        print(printable(f"{subject}: {note.reason}: {note.message}"), file=sys.stderr)
    if not made.injected:
        print("lastcall: no pod in there asks for a sidecar by the label lastcall.dev/inject", file=sys.stderr)
    return Exit.DONE


def _documents(name: str) -> list[Any]:
    """All documents of a file; `-` is standard input.

    Errors: ManifestError.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except OSError as error:
        raise ManifestError(f"{name}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{name} is no YAML: {' '.join(str(error).split())}") from error


def _proxies(name: str, documents: Iterable[Any], kind: str | None = "StreamProxy") -> list[StreamProxy]:
    """The StreamProxies among the documents.

    Errors: ManifestError.
    """
    found = []
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict):
            raise ManifestError(f"{name}, document {number}: not a Kubernetes object")
        if kind is not None and document.get("kind") != kind:
            continue
        try:
            found.append(parse_stream_proxy(document))
        except SpecError as error:
            which = (document.get("metadata") or {}).get("name", "")
            raise ManifestError(f"{name}, document {number} (StreamProxy {which}): {error}") from error
    return found
