"""A proxy that does nothing, in a process of its own: what any proxy costs on this machine, now.

`python -m tests.support.null_proxy UPSTREAM_PORT` prints its own port.
"""

import asyncio
import sys
from pathlib import Path

from tests.support.process import Program


class NullProxy(Program):
    """`with NullProxy(port) as proxy: proxy.url`."""

    def __init__(self, upstream_port: int) -> None:
        root = str(Path(__file__).parents[2])
        super().__init__([sys.executable, "-m", "tests.support.null_proxy", str(upstream_port)], {"PYTHONPATH": root})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{int(self.output())}"

    def is_ready(self) -> bool:
        return self.output().endswith("\n")


class _End(asyncio.Protocol):
    """One end of a relayed connection."""

    def __init__(self, upstream_port: int | None = None, other: asyncio.Transport | None = None) -> None:
        self._upstream_port, self._other = upstream_port, other
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._upstream_port is not None:
            self._task = asyncio.get_running_loop().create_task(self._connect(transport, self._upstream_port))

    async def _connect(self, transport: asyncio.Transport, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._other, _ = await loop.create_connection(lambda: _End(other=transport), "127.0.0.1", port)
        self._other.write(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        else:
            self._other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other.close()


async def main(upstream_port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _End(upstream_port), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
