"""The sidecar's share of CPU and memory, so that the pod keeps its class of service.

Pure. A pod is Guaranteed when each of its containers has limits of CPU and memory, and requests equal to them (or none,
which means the same); one container of ours without them would make it Burstable.
"""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from lastcall_operator.api.streamproxy import Resources

REQUESTS: Mapping[str, str] = {"cpu": "100m", "memory": "128Mi"}
LIMITS: Mapping[str, str] = {"memory": "512Mi"}
#: CPU of a sidecar that must have a limit of it: at 100m it would stand still for 90 ms of each 100.
GUARANTEED_CPU = "500m"
_COMPUTE = ("cpu", "memory")
_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)")
_SUFFIXES = {
    **{suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate(("n", "u", "m", "", "k", *"MGTPE"), -3)},
    **{f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}


def quantity(text: Any) -> Fraction:
    """The number that a Kubernetes quantity (`100m`, `1.5Gi`, `1e3`, 2) stands for.

    Errors: ValueError.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    return Fraction(match[1]) * (Fraction(10) ** int(match[2]) if match[2] else _SUFFIXES[match[3] or ""])


def is_guaranteed(containers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a pod of these containers (init containers, too) is of the class Guaranteed."""
    return all(_fixed(container.get("resources") or {}, name) for container in containers for name in _COMPUTE)


def sidecar_resources(asked: Resources, *, guaranteed: bool) -> dict[str, Any]:
    """The sidecar's `resources`: what is asked for, over the defaults; requests equal to limits if `guaranteed`.

    Errors: ValueError for what is no quantity.
    """
    requests, limits = asked.requests, asked.limits
    made: dict[str, Any] = {"requests": {**REQUESTS, **requests}, "limits": {**LIMITS, **limits}}
    for name in sorted(made["requests"].keys() & made["limits"].keys()):
        if quantity(made["requests"][name]) > quantity(made["limits"][name]):
            # One of the two is a default, or the API server will refuse the pod with its own sentence.
            side, other = ("limits", "requests") if name not in limits else ("requests", "limits")
            made[side][name] = made[other][name]
    if guaranteed:
        made["limits"].setdefault("cpu", requests.get("cpu", GUARANTEED_CPU))
        made["requests"].update({name: made["limits"][name] for name in _COMPUTE})
    return made


def _fixed(resources: Mapping[str, Any], name: str) -> bool:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    try:
        limit = quantity(limits[name])
        return limit > 0 and quantity(requests.get(name, limits[name])) == limit
    except (KeyError, ValueError):
        return False
