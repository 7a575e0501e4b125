"""Numbers and times in the annotations of objects that are not ours: anybody may have written anything there."""

from collections.abc import Mapping
from datetime import UTC, datetime

from . import names

LAST_PORT = 65535
#: Of `deployment.kubernetes.io/revision`: an int64.
LARGEST_SEQUENCE = 2**63 - 1


def whole_number(text: object, *, least: int = 0, most: int) -> int | None:
    """A decimal number within bounds, as the API's own integers are written; None for anything else.

    Neither Unicode's digits nor underscores, plus signs or spaces, which `int` takes, nor more digits than `most` has,
    which `int` refuses by an exception from 4,300 on.
    """
    if not isinstance(text, str) or not text.isascii():
        return None
    digits = text.removeprefix("-")
    if not digits.isdigit() or len(digits) > len(str(max(abs(least), abs(most)))):
        return None
    number = int(text)
    return number if least <= number <= most else None


def admin_port(annotations: Mapping[str, str] | None) -> int:
    """The admin port of a pod's sidecar: the one that the pod names, and the usual one where that is no port."""
    return whole_number((annotations or {}).get(names.ADMIN_PORT), least=1, most=LAST_PORT) or names.ADMIN_PORT_DEFAULT


def seconds(text: object) -> float | None:
    """An RFC 3339 time in seconds since the epoch, UTC where it names no offset; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
