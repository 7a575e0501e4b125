"""The control socket: whoever may exec into the container may drain it, finally too; nobody else can.

A unix socket with mode 0600. One JSON object a line, both ways: `{"command": "drain", "wait": true, "leaseSeconds":
null, "reason": "…"}`, `undrain`, `status`. Each answer is the state; the last one of a command has `"done": true` and
`"ok"`.
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from .core.drain import IllegalTransition, InvalidLease, State
from .drain_loop import DrainLoop

#: How often a waiting drain reports, in seconds.
REPORT_SECONDS = 1.0
#: The longest command, in bytes.
MAX_LINE_BYTES = 4096

log = structlog.get_logger(__name__)


class ControlSocket:
    """Serves the control socket. `status` gives what `/livez` says."""

    def __init__(self, path: Path, drains: DrainLoop, status: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._drains = drains
        self._status = status
        self._server: asyncio.Server | None = None
        #: Commands that are being obeyed; some of them wait for the drain's end.
        self.under_way = 0

    async def start(self) -> None:
        """Listen.

        Errors: OSError when the path cannot be bound, or another sidecar listens there.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_ours(self._path.parent)
        if await _answers(self._path):
            raise FileExistsError(f"another sidecar listens on {self._path}")
        if self._path.exists() and not self._path.is_socket():
            raise FileExistsError(f"{self._path} is there already, and no socket (admin.controlSocket)")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=self._path, limit=MAX_LINE_BYTES)
        self._path.chmod(0o600)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                await self._obey(line, writer)
        except (OSError, ValueError) as error:
            log.warning("control connection failed", error=str(error))
        finally:
            writer.close()

    async def _obey(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        try:
            await self._do(line, writer)
        finally:
            self.under_way -= 1

    async def _do(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            command = json.loads(line)
            name = command["command"]
            wait, lease = bool(command.get("wait")), command.get("leaseSeconds")
            reason = str(command.get("reason") or "control socket")
            f"{name}{reason}".encode()  # JSON can hold half a surrogate pair, which is no text that could be logged
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            await self._say(writer, done=True, ok=False, error=f"not a command: {error}")
            return
        match name:
            case "status":
                await self._say(writer, done=True, ok=True)
            case "drain":
                await self._drain(writer, reason, lease, wait=wait)
            case "undrain":
                try:
                    self._drains.cancel()
                except IllegalTransition as error:
                    await self._say(writer, done=True, ok=False, error=str(error))
                else:
                    await self._say(writer, done=True, ok=True)
            case _:
                await self._say(writer, done=True, ok=False, error=f"no such command: {name}")

    async def _drain(self, writer: asyncio.StreamWriter, reason: str, lease: Any, *, wait: bool) -> None:
        try:
            self._drains.request(reason, None if lease is None else float(lease))
        except (InvalidLease, OverflowError, TypeError, ValueError) as error:
            await self._say(writer, done=True, ok=False, error=str(error))
            return
        if not wait:
            await self._say(writer, done=True, ok=True)
            return
        while not await self._drains.wait_for(lambda drains: drains.ended or not drains.draining, REPORT_SECONDS):
            await self._say(writer, done=False, ok=True)
        # EXPIRED, or SERVING because the lease was over first: that is not what was waited for.
        await self._say(writer, done=True, ok=self._drains.drain.state not in {State.EXPIRED, State.SERVING})

    async def _say(self, writer: asyncio.StreamWriter, **more: Any) -> None:
        told = {**self._status(), "state": self._drains.drain.state.value, **more}
        writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()


def _require_ours(folder: Path) -> None:
    """Refuse another user's folder: its owner could put a socket in the place of ours.

    The folder's mode says nothing: an emptyDir may be written by everybody, and everybody there is this container.
    """
    found = folder.stat()
    if found.st_uid not in {0, os.geteuid()}:
        raise PermissionError(f"{folder} belongs to another user: no place for a control socket")


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
