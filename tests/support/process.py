"""Programs under test as real processes: started, waited for, ended, and their output kept for the failure report."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

#: Generous: tests start several programs at once, on machines that do other things besides.
START_SECONDS = 90.0
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
#: Names in our own environment that would change what a program under test does.
_FOREIGN = (
    "LASTCALL_",
    "ANTHROPIC_",
    "OPENAI_",
    "CLAUDE_",
    "OTEL_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)
#: What `free_port` has not given yet, in random order: another run on this machine takes others.
_PORTS = random.sample(range(15000, 32000), 17000)
_PORTS_LOCK = threading.Lock()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has, below the range from which the kernel picks for outgoing connections.

    No port is given twice in this process: a scenario that runs beside may not have begun to listen on its own yet.
    """
    with _PORTS_LOCK:
        while _PORTS:
            port = _PORTS.pop()
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError("no free port")


class Program:
    """One process; a context manager that ends it. All waiting blocks: in a coroutine use `asyncio.to_thread`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        self.env = {**kept, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.folder = Path(tempfile.mkdtemp(prefix="lc-"))  # short: a unix socket's path has 107 bytes
        self.log = self.folder / "output.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._last_output = ""

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return None if self.process is None else self.process.poll()

    def output(self) -> str:
        """All that it has printed so far, both streams."""
        return self.log.read_text(errors="replace") if self.log.exists() else self._last_output

    def launch(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    def is_ready(self) -> bool:
        """Tell whether it can be used; what `start` waits for."""
        return True

    def start(self, timeout_seconds: float = START_SECONDS) -> Self:
        """Start it and wait until it is ready; with its output in the error if it is not."""
        self.launch()
        until = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if self.returncode is not None or time.monotonic() > until:
                state = "still runs" if self.returncode is None else f"ended with {self.returncode}"
                report = self.report()
                self.stop()
                raise RuntimeError(f"not ready ({state})\n{report}")
            time.sleep(_POLL_SECONDS)
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to our own process, if it still runs."""
        assert self.process is not None
        self.process.send_signal(number)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def wait(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """Wait until it has ended; returns its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"still runs after {timeout_seconds:g} s\n{self.report()}") from error

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> int:
        """End it: SIGTERM, and SIGKILL if that is not enough. Returns the exit code (-9 if it had to be killed)."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.terminate()
            try:
                return self.process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait(STOP_SECONDS)

    def rss_bytes(self) -> int:
        """Resident memory of the process itself."""
        rss: int = psutil.Process(self.pid).memory_info().rss
        return rss

    def cpu_seconds(self) -> float:
        """Seconds of CPU that it has used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def open_sockets(self) -> int:
        """How many TCP sockets it has open, listeners included."""
        return len(psutil.Process(self.pid).net_connections("tcp"))

    def connections_to(self, port: int) -> int:
        """How many TCP connections it has open to a port."""
        found = psutil.Process(self.pid).net_connections("tcp")
        return sum(bool(connection.raddr) and connection.raddr.port == port for connection in found)

    def open_descriptors(self) -> int:
        """How many file descriptors it has open: sockets of all kinds, files, pipes."""
        return psutil.Process(self.pid).num_fds()

    def report(self) -> str:
        """Command and the end of the output, for a failure message."""
        return f"$ {' '.join(self.command)}\n{self.output()[-8000:]}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(self.report())
        self._last_output = self.output()
        shutil.rmtree(self.folder, ignore_errors=True)
