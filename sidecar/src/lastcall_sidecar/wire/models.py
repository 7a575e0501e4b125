"""Lists of models that both vendors' SDKs can read: each entry has the fields of both.

Called by `listing.py` with what upstreams answered to `GET /v1/models` and `/v1/models/{id}`. What else an upstream
says of a model stays. https://docs.claude.com/en/api/models-list, https://platform.openai.com/docs/api-reference/models
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lastcall_sidecar.wire.body import BodyError
from lastcall_sidecar.wire.translation import TranslationError

Entry = dict[str, Any]

#: The most entries of a page that may be asked for, as Anthropic has it.
MAX_PAGE = 1000
_BEGINNING = "1970-01-01T00:00:00Z"


def entries(body: bytes, owner: str) -> tuple[list[Entry], str | None]:
    """The models of an upstream's list, and the id after which its next page begins, if there is one.

    Errors: TranslationError.
    """
    found = _parse(body)
    data = found.get("data")
    if not isinstance(data, list):
        raise TranslationError("the upstream's list of models is none")
    more = found.get("last_id") if found.get("has_more") is True else None
    return [_entry(one, owner) for one in data], more if isinstance(more, str) else None


def entry(body: bytes, owner: str) -> Entry:
    """One model as an upstream tells it.

    Errors: TranslationError.
    """
    return _entry(_parse(body), owner)


def configured(names: Iterable[str]) -> list[Entry]:
    """What can be said of names that only the configuration has."""
    return [_entry({"id": name}, "lastcall") for name in names]


def merged(lists: Iterable[Sequence[Entry]]) -> list[Entry]:
    """One list of several: the first that has a name tells of it."""
    found: dict[str, Entry] = {}
    for one in lists:
        for each in one:
            found.setdefault(each["id"], each)
    return list(found.values())


def page(every: Sequence[Entry], query: Mapping[str, str]) -> dict[str, Any]:
    """The part of a list that `limit`, `after_id` and `before_id` ask for; all of it without a limit.

    Errors: BodyError for a limit that is no number from 1 to 1000, or an id that is not in the list.
    """
    begin, end = 0, len(every)
    ids = [each["id"] for each in every]
    limit = _limit(query.get("limit"), len(every))
    if "after_id" in query:
        begin = _place(ids, query["after_id"], "after_id") + 1
    if "before_id" in query:
        end = _place(ids, query["before_id"], "before_id")
        part = every[max(begin, end - limit) : end]
        more = end - limit > begin
    else:
        part = every[begin : begin + limit]
        more = begin + limit < end
    return {
        "object": "list",
        "data": list(part),
        "has_more": more,
        "first_id": part[0]["id"] if part else None,
        "last_id": part[-1]["id"] if part else None,
    }


def _limit(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise BodyError(f"limit: must be a number from 1 to {MAX_PAGE}")
    return int(text)


def _place(ids: Sequence[str], wanted: str, name: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise BodyError(f"{name}: there is no such model in this list") from None


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise TranslationError("the upstream's answer about models is not valid JSON") from error
    if not isinstance(found, dict):
        raise TranslationError("the upstream's answer about models is no JSON object")
    return found


def _finite(text: str) -> float:
    """Read a number. What is none to JSON could not be written again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _entry(told: Any, owner: str) -> Entry:
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise TranslationError("the upstream's list has a model without an id")
    seconds, moment = _created(told)
    return {
        **told,
        "type": "model",
        "display_name": told.get("display_name") or told["id"],
        "created_at": moment,
        "lifecycle": told.get("lifecycle") or "active",
        "object": "model",
        "created": seconds,
        "owned_by": told.get("owned_by") or owner,
    }


def _created(told: Mapping[str, Any]) -> tuple[int, str]:
    """When it was made, in both vendors' notations; at the beginning of time where nobody says."""
    seconds, moment = told.get("created"), told.get("created_at")
    if isinstance(moment, str):
        try:
            return int(datetime.fromisoformat(moment).timestamp()), moment
        except (ValueError, OverflowError):
            return 0, moment
    if isinstance(seconds, int) and 0 <= seconds < 2**33:
        return seconds, datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    return 0, _BEGINNING
