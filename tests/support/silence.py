"""How long a sidecar's event loop is silent, whatever else the machine does.

    async with Silence(sidecar) as silence:
        ...
        await silence.longest()     # since the last time, in seconds

A process of its own asks the admin listener's `/livez` every two milliseconds, over one connection. What it measures
is not how long an answer took: on a busy machine that says how long the sidecar, or who asks, waited for a processor.
It is the processor time that the sidecar's process itself used between the question and the answer: as long as the loop
works on something else, that time runs, and nothing is answered. The shorter of the two counts. The time of children is
their own.
"""

import asyncio
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.support.sidecar_process import SidecarProcess

PROGRAM = r"""
import select, socket, sys, time
port, pid = map(int, sys.argv[1:])
clock = (~pid << 3) | 2     # the kernel's clock of the processor time of this process (clock_getcpuclockid)
ask = b'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'
peer = socket.create_connection(('127.0.0.1', port), 30)
longest = 0.0
while True:
    used, asked = time.clock_gettime(clock), time.monotonic()
    peer.sendall(ask)
    answer = b''
    while not answer.endswith(b'}'):
        more = peer.recv(65536)
        if not more:
            sys.exit('the sidecar closed the connection')
        answer += more
    longest = max(longest, min(time.clock_gettime(clock) - used, time.monotonic() - asked))
    if select.select([sys.stdin], [], [], 0.002)[0]:
        if not sys.stdin.readline():
            break
        print(longest, flush=True)
        longest = 0.0
"""


class Silence:
    """Measures one sidecar for the length of a context."""

    def __init__(self, sidecar: SidecarProcess) -> None:
        self._arguments = [str(sidecar.admin_port), str(sidecar.pid)]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *self._arguments, stdin=pipe, stdout=pipe
        )
        return self

    async def longest(self) -> float:
        """The longest silence since the last time that this was asked."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        async with asyncio.timeout(60):
            return float(await process.stdout.readline())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
