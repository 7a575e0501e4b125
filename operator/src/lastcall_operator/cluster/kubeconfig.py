"""Which kubeconfig counts, and what of it: the rules of kubectl and client-go.

`--kubeconfig` names one file, which must exist. Otherwise `KUBECONFIG` is a list of files, of which those that do not
exist are passed over, or `~/.kube/config` is read. Where several files say something, the first one counts
(https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lastcall_operator.errors import ApiUnavailableError

#: Where kubectl's kubeconfig is when nothing names another.
_USUAL = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """The files that exist, the context that is asked for or current, and that context's namespace."""

    files: tuple[Path, ...]
    context: str | None
    namespace: str | None


def find_kubeconfig(
    file: str | None, context: str | None, environ: Mapping[str, str] = os.environ
) -> Kubeconfig | None:
    """Read the kubeconfig; None where there is none, which is what a pod looks like. Blocks on files.

    Errors: ApiUnavailableError: `file` cannot be read, a file is no kubeconfig, `context` is in none of them.
    """
    found = [(path, document) for path in _paths(file, environ) if (document := _read(path, required=bool(file)))]
    if not found:
        if context is not None:
            raise ApiUnavailableError(f"no cluster: there is no kubeconfig, so no context {context!r}")
        return None
    documents = [document for _, document in found]
    chosen = context or next((name for each in documents if (name := each.get("current-context"))), None)
    contexts = [item for each in documents for item in _items(each, "contexts") if item.get("name") == chosen]
    if chosen is not None and not contexts:
        files = ", ".join(str(path) for path, _ in found)
        raise ApiUnavailableError(f"no cluster: there is no context {str(chosen)!r} in {files}")
    inner = contexts[0].get("context") if contexts else None
    namespace = inner.get("namespace") if isinstance(inner, dict) else None
    return Kubeconfig(tuple(path for path, _ in found), chosen, str(namespace) if namespace else None)


def _paths(file: str | None, environ: Mapping[str, str]) -> list[Path]:
    if file:
        return [Path(file).expanduser()]
    named = environ.get("KUBECONFIG", "")
    return [Path(name).expanduser() for name in (named.split(os.pathsep) if named else [_USUAL]) if name]


def _read(path: Path, *, required: bool) -> dict[str, Any] | None:
    """One file; None: it is not there and need not be, or it is empty."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if required:
            raise ApiUnavailableError(f"no cluster: the kubeconfig {path} does not exist") from error
        return None
    except OSError as error:
        raise ApiUnavailableError(f"no cluster: the kubeconfig {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:  # no UTF-8, or a date that there is not
        raise ApiUnavailableError(f"no cluster: the kubeconfig {path} is not valid YAML") from error
    if document is None:
        return None
    if not isinstance(document, dict):
        raise ApiUnavailableError(f"no cluster: the kubeconfig {path} is not a mapping")
    return document


def _items(document: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    items = document.get(name)
    yield from (item for item in (items if isinstance(items, list) else []) if isinstance(item, dict))
