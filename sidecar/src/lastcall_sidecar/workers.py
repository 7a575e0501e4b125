"""Children that work on large bodies: what parses JSON holds the interpreter, and nobody else may wait for that long.

Called by `apart.py`. `child.py` is the process that forks one for each job. Bodies go to and fro in files that both
see, so that they are not copied.
"""

import asyncio
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .wire.body import BodyError
from .wire.splice import Piece

#: Bytes that are copied, or given to a socket, at a time: others have their turn between two.
PIECE_BYTES = 256 * 1024
#: A process may have ended for lack of jobs at the very moment that it is given one.
TRIES = 2
#: How libraries end that do not look whether they got the memory that they asked for.
_OUT_OF_MEMORY = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT})


class OutOfMemoryError(Exception):
    """A job needed more than it was allowed."""


class KilledError(Exception):
    """A child was killed, by a system without memory as a rule."""


class File:
    """Bytes in a file without a name, in memory where the system has that (Linux; a pod's root may be read-only)."""

    def __init__(self) -> None:
        self.number = _file()

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self.number).st_size

    async def take(self, pieces: list[Piece]) -> None:
        """Move the pieces here, and put in their place what of it is mapped: in memory they are there once."""
        for index, piece in enumerate(pieces):
            view = memoryview(piece)
            while view:
                view = view[os.write(self.number, view[:PIECE_BYTES]) :]
                await asyncio.sleep(0)  # 64 MiB take 20 ms to copy
            pieces[index] = b""
        pieces[:] = self.pieces()

    def pieces(self) -> list[Piece]:
        """What is here."""
        size = self.size
        if not size:
            return []
        whole = memoryview(mmap.mmap(self.number, size, access=mmap.ACCESS_READ))
        return [whole[begin : begin + PIECE_BYTES] for begin in range(0, size, PIECE_BYTES)]

    def close(self) -> None:
        """Let go of it; what is mapped stays as long as its pieces do. Idempotent."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


class Workers:
    """Gives jobs to children. The process that forks them is there from the first job on."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs: socket.socket | None = None

    async def run(self, job: Mapping[str, Any], given: File, seconds: float) -> tuple[Any, File]:
        """Have a child do a job with a body; returns what it says, and the file that it made, which is the caller's.

        Errors: BodyError with the message of what was wrong with the body; TimeoutError, OutOfMemoryError, KilledError;
        ChildProcessError for a bug.
        """
        made = File()
        try:
            # It is as long as the names of tools, or the stop sequences, that an answer's translation must know.
            os.write(made.number, json.dumps({**job, "seconds": seconds, "bytes": given.size}).encode())
            for _ in range(TRIES):
                group, _, told = (await self._told(given, made, seconds)).partition(b"\n")
                if group:
                    break
            return _understood(told, str(job["do"])), made
        except BaseException:
            made.close()
            raise

    async def _told(self, given: File, made: File, seconds: float) -> bytes:
        """All that a child has to say until it ends; empty where none was made."""
        ours, its = os.pipe()
        os.set_blocking(ours, False)
        heard = bytearray()
        try:
            try:
                self._send([given.number, made.number, its])
            finally:
                os.close(its)
            async with asyncio.timeout(seconds):
                await _read_all(ours, heard)
        except BaseException:
            group = heard.partition(b"\n")[0]
            if group:
                with suppress(ProcessLookupError):
                    os.killpg(int(group), signal.SIGKILL)
            raise
        finally:
            os.close(ours)
        return bytes(heard)

    def _send(self, files: list[int]) -> None:
        if self._jobs is None:
            self._start()
        for _ in range(TRIES):
            with suppress(BrokenPipeError, ConnectionResetError):
                assert self._jobs is not None  # noqa: S101 - for mypy: `_start` has made it
                socket.send_fds(self._jobs, [b"."], files)
                return
            self.close()
            self._start()

    def _start(self) -> None:
        self._jobs, its = socket.socketpair()
        self._jobs.setblocking(False)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "lastcall_sidecar.child"],
                stdin=its.fileno(),
                start_new_session=True,  # a Ctrl-C is for us, not for it
            )

    def close(self) -> None:
        """End the process. Children that are at work end their jobs; nobody hears of it."""
        if self._jobs is not None:
            self._jobs.close()
            self._jobs = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _understood(told: bytes, what: str) -> Any:
    found = json.loads(told or b'{"signal":0}')
    if "error" in found:
        raise BodyError(found["error"])
    if found.get("signal", 0) in _OUT_OF_MEMORY or "memory" in found:
        raise OutOfMemoryError
    if "signal" in found:
        raise KilledError(what)
    if "bug" in found:
        raise ChildProcessError(f"the child that was to {what} a large body failed: {found['bug']}")
    return found["says"]


async def _read_all(pipe: int, heard: bytearray) -> None:
    """Read to the end, into `heard`."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def readable() -> None:
        data = os.read(pipe, PIECE_BYTES)
        heard.extend(data)
        if not data and not ended.done():
            loop.remove_reader(pipe)
            ended.set_result(None)

    loop.add_reader(pipe, readable)
    try:
        await ended
    finally:
        loop.remove_reader(pipe)


def _file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lastcall-body")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
