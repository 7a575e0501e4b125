"""Whether a pod needs a ConfigMap: pure."""

from collections.abc import Mapping
from typing import Any

#: Phases of pods that start no container any more.
_ENDED = frozenset({"Succeeded", "Failed"})


def mounts(pod: Mapping[str, Any], config_map: str) -> bool:
    """Whether a pod has a ConfigMap in a volume and may still start a container with it."""
    volumes = (pod.get("spec") or {}).get("volumes") or []
    running = (pod.get("status") or {}).get("phase") not in _ENDED
    return running and any((volume.get("configMap") or {}).get("name") == config_map for volume in volumes)
