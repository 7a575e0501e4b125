"""The difference of two JSON values as a JSON Patch (RFC 6902), small enough to read in an audit log.

Pure. Called by the webhook, which answers with patches; the injection itself knows nothing of them.
"""

from collections.abc import Iterator
from typing import Any

Operation = dict[str, Any]


def json_patch(before: Any, after: Any) -> list[Operation]:
    """Operations (`add`, `remove`, `replace`) that make `after` of `before`; none when they are the same."""
    return list(_difference(before, after, ""))


def _difference(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, path)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _of_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Operation]:
    for key in sorted(before.keys() | after.keys()):
        place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            yield {"op": "remove", "path": place}
        elif key not in before:
            yield {"op": "add", "path": place, "value": after[key]}
        else:
            yield from _difference(before[key], after[key], place)


def _of_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    """What stands between the common beginning and the common end: changed in place, then removed or added."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    common = min(len(old), len(new))
    for index in range(common):
        yield from _difference(old[index], new[index], f"{path}/{head + index}")
    for index in reversed(range(common, len(old))):  # from the end: what is before keeps its place
        yield {"op": "remove", "path": f"{path}/{head + index}"}
    for index in range(common, len(new)):
        yield {"op": "add", "path": f"{path}/{head + index}", "value": new[index]}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: Python takes `true` for 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)
