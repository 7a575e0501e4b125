"""What a pod looks like with its sidecar: pure."""

from .choose import choose_proxy, require_proxy
from .documents import InjectedDocuments, inject_documents
from .errors import InjectionError, Note
from .inject import Injected, InjectionDefaults, inject, never_injected, wants_injection
from .original import undo
from .patch import json_patch
from .trial import Refusal, Template, refusals, template_of

__all__ = [
    "Injected",
    "InjectedDocuments",
    "InjectionDefaults",
    "InjectionError",
    "Note",
    "Refusal",
    "Template",
    "choose_proxy",
    "inject",
    "inject_documents",
    "json_patch",
    "never_injected",
    "refusals",
    "require_proxy",
    "template_of",
    "undo",
    "wants_injection",
]
