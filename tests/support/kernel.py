"""What the kernel holds of TCP connections on this machine."""

from collections.abc import Collection
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def queued_bytes(ports: Collection[int]) -> int:
    """Bytes on their way through the connections that have one of these ports at an end.

    Both directions, and both ends where both are here: sent and not acknowledged, and received and not read.
    """
    total = 0
    for table in _TABLES:
        for line in table.read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if {int(end.rpartition(":")[2], 16) for end in (local, remote)} & set(ports):
                total += sum(int(queue, 16) for queue in queues.split(":"))
    return total
