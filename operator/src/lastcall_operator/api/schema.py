"""How the specs of our resources are read: strictly, with sentences that name the field."""

import re
from typing import Any, TypeVar

import msgspec

#: A day: longer than anything that is waited for.
MAX_SECONDS = 86400

Spec = TypeVar("Spec", bound=msgspec.Struct)
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<where>[^`]*)`)?$", re.DOTALL)


class SpecError(ValueError):
    """A resource says what cannot be. The message is a sentence that names the field."""


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=False):
    """The manner of all parts: immutable, camelCase in resources, snake_case in Python, nothing unknown."""


def read(document: Any, kind: type[Spec]) -> Spec:
    """A spec, checked.

    Errors: SpecError.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, where = (found["what"], found["where"] or "$") if found else (str(error), "$")
        raise SpecError(f"{where.replace('$', 'spec', 1)}: {what}") from error
