"""What the sidecar and the operator agree upon: the files of `tests/contract/golden`, tested from both sides.

The files hold answers as they really are, so that the other side can read them. To compare one with a live answer,
both are made `normal`: what differs from run to run is checked for its form and replaced by the name of that form.
"""

import json
import re
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent.parent / "contract" / "golden"

#: By the name of a field: the form that its value must have, unless it is null.
_FORMS = {
    **dict.fromkeys(("timestamp", "started", "since", "deadline", "lease_expires"), "time"),
    "hash": "hash",
    "version": "version",
    "error": "text",
    "oldest_request_seconds": "seconds",
}
_PATTERNS = {
    "time": r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z",
    "hash": r"sha256:[0-9a-f]{64}",
    "version": r"\d+\.\d+\.\d+",
    "text": r".{10,}",
}


def golden(name: str) -> Any:
    """The content of a golden file, as the operator would get it."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def normal(value: Any, name: str = "") -> Any:
    """The same with everything that differs from run to run replaced by `<form>`.

    Errors: ValueError for what has not its form.
    """
    if isinstance(value, dict):
        return {key: normal(inner, key) for key, inner in value.items()}
    form = _FORMS.get(name)
    if form is None or value is None:
        return value
    if form == "seconds":
        fits = isinstance(value, float) and value >= 0 and round(value, 1) == value
    else:
        fits = isinstance(value, str) and re.fullmatch(_PATTERNS[form], value) is not None
    if not fits:
        raise ValueError(f"{name}: {value!r} is no {form}")
    return f"<{form}>"


def normal_text(value: Any) -> str:
    """For comparing: field by field in order, with types (1 is not 1.0, nor true)."""
    return json.dumps(normal(value), indent=2)
