"""Child processes: started in their own session, written to a log file, and never left behind.

`sidecars.py` and `cluster.py` start them. A terminal's Ctrl-C reaches only us: we decide how our children end.
"""

import asyncio
import contextlib
import random
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lastcall_operator.errors import MissingExtraError, ProcessError

#: Settings of the person's own shell that would change what a demo sidecar does.
_FOREIGN_PREFIXES = ("LASTCALL_", "ANTHROPIC_", "CLAUDE_", "OPENAI_", "OTEL_")
_PROXY_SUFFIX = "_PROXY"
_PORT_TRIES = 200


def sidecar_program(python: str = sys.executable) -> Path:
    """Find `lastcall-sidecar`, which stands beside the Python that runs us; MissingExtraError when it does not."""
    program = Path(python).with_name("lastcall-sidecar")
    if not program.is_file():
        raise MissingExtraError(
            f"There is no lastcall-sidecar beside {Path(python).name} ({program}): the demo runs the real sidecar. "
            "Install it with: pip install 'lastcall-operator[demo]'"
        )
    return program


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Copy the environment without anything that would configure a sidecar or send its traffic elsewhere."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_FOREIGN_PREFIXES) and not name.upper().endswith(_PROXY_SUFFIX)
    }


def free_ports(count: int, rng: random.Random) -> list[int]:
    """Find different ports of 127.0.0.1 that nobody listens on; ProcessError when there seem to be too few.

    They lie below the range from which kernels take the ports of outgoing connections: the demo opens many, and one of
    them might have the port before the sidecar does.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for _ in range(_PORT_TRIES):
            if len(found) == count:
                return found
            port, probe = rng.randrange(15_000, 32_000), held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    raise ProcessError("No free ports were found on 127.0.0.1.")


class Child:
    """One running program. `log` holds what it says, on either stream."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    def __repr__(self) -> str:
        return f"<Child {self.name} pid={self.pid} exit_code={self.exit_code}>"

    @classmethod
    async def start(cls, name: str, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> "Child":
        """Start a program; ProcessError when the system refuses."""
        with log.open("ab") as sink:
            starting = asyncio.create_task(
                asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=sink,
                    stderr=asyncio.subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,
                )
            )
            try:
                process = await asyncio.shield(starting)
            except OSError as error:
                raise ProcessError(f"{name} could not be started: {error.strerror} ({argv[0]}).") from error
            except asyncio.CancelledError:  # it may run by now, and nobody else knows of it
                process = await starting
                process.kill()
                await process.wait()
                raise
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.returncode

    def terminate(self) -> None:
        """Send SIGTERM; nothing happens to a process that has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL; nothing happens to a process that has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self, timeout_seconds: float | None = None) -> int | None:
        """Wait for the end, at most so long; gives the exit code, or None when it still runs."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), timeout_seconds)
        return self.exit_code

    def last_words(self) -> str:
        """Read the last line of the log: most often why it ended."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "it said nothing")
