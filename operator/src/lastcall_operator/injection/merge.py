"""A pod that is injected once more: what we set is brought up to date, what others added to it since stays.

Pure. As `kubectl apply` merges: the annotation `lastcall.dev/injected` names the fields that an injection has written;
what stands in the pod beside those is somebody else's (LimitRanger, another webhook, the API server's defaults).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lastcall_operator.injection.containers import Object

#: Fields by name, as deep as they were written; empty: the whole value. Items of lists are named by their keys.
Fields = dict[str, Any]

#: What tells the items of a list apart. A port has its name besides: one number may have two.
_KEYS: Mapping[str, Callable[[Object], str]] = {
    "initContainers": lambda item: str(item.get("name")),
    "containers": lambda item: str(item.get("name")),
    "volumes": lambda item: str(item.get("name")),
    "env": lambda item: str(item.get("name")),
    "volumeMounts": lambda item: str(item.get("mountPath")),
    "ports": lambda item: f"{item.get('name', '')}/{item.get('containerPort')}/{item.get('protocol', 'TCP')}",
}
#: Lists whose items are somebody's as a whole.
_WHOLE = frozenset({"env", "volumeMounts", "ports"})
#: Lists whose order is the injection's business: that of the start.
_CONTAINERS = frozenset({"initContainers", "containers"})
#: Where a pod's spec has something of ours.
_PARTS = ("initContainers", "containers", "volumes")
#: Fields of our container whose values a cluster's policies rewrite: mirrors of images, AlwaysPullImages (which then
#: refuses every other value), vertical autoscalers, profiles of seccomp, Istio's probes. The others say how it is run.
_REWRITTEN = (
    "image",
    "imagePullPolicy",
    "resources",
    "securityContext",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
)


def fields_set(before: Object, after: Object) -> Fields:
    """The fields of a pod's spec that an injection writes: `before` is the spec without it, `after` with it."""
    return {
        part: fields
        for part in _PARTS
        if (fields := _items_set(part, before.get(part) or [], after.get(part) or [])) != {}
    }


def readable(fields: Any) -> bool:
    """Whether it is what `fields_set` makes: anybody may write an annotation."""
    return isinstance(fields, dict) and all(map(readable, fields.values()))


def keep_others(standing: Object, plain: Object, made: Object, fields: Fields, *, ours: str, unchanged: bool) -> None:
    """Put into the spec `made`, just injected, what others have added to it as it was `standing`.

    `plain` is the spec without the injection before, which wrote `fields`. `unchanged`: it wrote the same then; so what
    others have rewritten in the container `ours` since is theirs, and everything stays in its place.
    """
    merge = _Merge(unchanged)
    for part in _PARTS:
        if standing.get(part) and made.get(part):
            made[part] = merge.lists(part, standing[part], plain.get(part), made[part], fields.get(part, {}))
    if unchanged:
        for part in _CONTAINERS:
            here = _by_key(part, standing.get(part) or [])
            for container in made.get(part) or []:
                if container["name"] == ours and ours in here:
                    container.update({key: here[ours][key] for key in _REWRITTEN if key in here[ours]})


def _items_set(name: str, before: list[Object], after: list[Object]) -> Fields:
    old = _by_key(name, before)
    found = {}
    for key, item in _by_key(name, after).items():
        if item != old.get(key):
            found[key] = {} if name in _WHOLE else _set(old.get(key), item, name)
    return found


def _set(before: Any, after: Any, name: str) -> Fields:
    """The fields in which a value differs."""
    if isinstance(after, dict) and isinstance(before, dict | None):
        old = before or {}
        return {key: _set(old.get(key), value, key) for key, value in after.items() if value != old.get(key)}
    if name in _KEYS and isinstance(after, list):
        return _items_set(name, before or [], after)
    return {}


@dataclass(frozen=True, slots=True)
class _Merge:
    unchanged: bool

    def objects(self, standing: Object, plain: Any, made: Object, fields: Fields) -> Object:
        plain = plain if isinstance(plain, dict) else {}
        found = {**made}
        for key, value in standing.items():
            if key not in made:
                # What is the pod's own and is not in `made` has been replaced.
                left = None if key in plain else _without(key, value, fields.get(key))
                if left is not None:
                    found[key] = left
            elif isinstance(value, dict) and isinstance(made[key], dict):
                found[key] = self.objects(value, plain.get(key), made[key], fields.get(key, {}))
            elif key in _KEYS and isinstance(value, list) and isinstance(made[key], list):
                found[key] = self.lists(key, value, plain.get(key), made[key], fields.get(key, {}))
        return found

    def lists(self, name: str, standing: list[Object], plain: Any, made: list[Object], fields: Fields) -> list[Object]:
        old, own, new = _by_key(name, standing), _by_key(name, plain or []), _by_key(name, made)
        # What is the pod's own is in `made`, maybe by another name.
        found = {key: item for key, item in old.items() if not (key in new or key in own or key in fields)}
        for key, item in new.items():
            # Half a variable is none: `value` and `valueFrom` exclude each other.
            merged = key in old and name != "env"
            found[key] = self.objects(old[key], own.get(key), item, fields.get(key, {})) if merged else item
        return [found[key] for key in self._order(name, found, old, new)]

    def _order(self, name: str, found: Object, old: Object, new: Object) -> list[str]:
        if self.unchanged and name not in _CONTAINERS:
            return [*(key for key in old if key in found), *(key for key in new if key not in old)]
        order = list(new)
        before: str | None = None
        for key in old:
            if key in found and key not in new:
                order.insert(0 if before is None else order.index(before) + 1, key)
            before = key if key in found else before
        return order


def _without(name: str, value: Any, fields: Fields | None) -> Any:
    """What others have in a value that we set and do not set any more; None: nothing. `fields` None: it is theirs."""
    if fields is None:
        return value
    if fields and name in _KEYS and isinstance(value, list):
        return [item for key, item in _by_key(name, value).items() if key not in fields] or None
    return None  # what is left of an object is half of one: a probe that asks nothing, with the API server's defaults


def _by_key(name: str, items: list[Object]) -> dict[str, Object]:
    """Items by their keys, in their order: further ones of one key are told apart, too."""
    found: dict[str, Object] = {}
    for item in items:
        key = _KEYS[name](item)
        while key in found:
            key += "+"
        found[key] = item
    return found
