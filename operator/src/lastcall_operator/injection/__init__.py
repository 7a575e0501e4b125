"""What a pod looks like with its sidecar: pure."""

from .choose import bypass, choose_proxy, require_proxy
from .documents import InjectedDocuments, inject_documents
from .errors import InjectionError, Note
from .inject import Injected, InjectionDefaults, inject, wants_injection
from .original import undo
from .patch import json_patch

__all__ = [
    "Injected",
    "InjectedDocuments",
    "InjectionDefaults",
    "InjectionError",
    "Note",
    "bypass",
    "choose_proxy",
    "inject",
    "inject_documents",
    "json_patch",
    "require_proxy",
    "undo",
    "wants_injection",
]
