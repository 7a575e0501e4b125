"""Work on a large body in a child process, through files that both see.

Called by `bodies.py`. What parses JSON holds the interpreter, and no other client's stream may wait for that long.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import msgspec

from .wire.body import BodyError, RequestBody
from .wire.translation import Asked, Options

#: Seconds that the child may take for the largest body on a busy machine.
CHILD_SECONDS = 30.0
#: Bytes that are copied at a time, before others have their turn.
PIECE_BYTES = 1024 * 1024


async def scan_apart(chunks: Sequence[bytes]) -> RequestBody:
    """What a large body's top level says.

    Errors: BodyError, as `scan`; those of `_run`.
    """
    told, _ = await _run({"do": "scan"}, chunks)
    return msgspec.convert(told, RequestBody)


async def translate_apart(
    pair: tuple[str, str], options: Options, chunks: Sequence[bytes]
) -> tuple[Asked, list[bytes]]:
    """A large body in the other protocol; `pair` is the client's and the upstream's, as in `wire/translate.py`.

    Errors: BodyError, as `Translation.request`; those of `_run`.
    """
    told, made = await _run({"do": "translate", "pair": pair, "options": asdict(options)}, chunks)
    return msgspec.convert(told, Asked), made


async def count_apart(model: str, chunks: Sequence[bytes]) -> tuple[int, bytes]:
    """About how many tokens a large request has, and the question that a tokenizer is asked about it.

    Errors: BodyError; those of `_run`.
    """
    told, made = await _run({"do": "count", "model": model}, chunks)
    return told["about"], b"".join(made)


async def _run(job: Mapping[str, Any], chunks: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Have `child.py` do a job with a body; returns what it says, and the bytes that it made.

    Errors: BodyError, TimeoutError; ChildProcessError where it was killed, or failed: it may have made half of a body.
    """
    given, made = _file(), _file()
    try:
        for chunk in chunks:
            os.write(given, chunk)
            await asyncio.sleep(0)  # 64 MiB take 20 ms to copy: others go first
        os.lseek(given, 0, os.SEEK_SET)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "lastcall_sidecar.child",
            json.dumps(job),
            stdin=given,
            stdout=made,
            start_new_session=True,  # a Ctrl-C is for us, not for it
        )
        try:
            async with asyncio.timeout(CHILD_SECONDS):
                status = await child.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                child.kill()
            raise
        if status:
            raise ChildProcessError(f"the child that was to {job['do']} a large body ended with status {status}")
        os.lseek(made, 0, os.SEEK_SET)
        return await _read(made)
    finally:
        os.close(given)
        os.close(made)


def _file() -> int:
    """A file without a name, in memory where the system has that (Linux; a pod's root may be read-only)."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lastcall-body")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


async def _read(made: int) -> tuple[dict[str, Any], list[bytes]]:
    head, _, begin = os.read(made, PIECE_BYTES).partition(b"\n")
    told: dict[str, Any] = json.loads(head)
    if "error" in told:
        raise BodyError(told["error"])
    pieces = [begin] if begin else []
    while piece := os.read(made, PIECE_BYTES):
        pieces.append(piece)
        await asyncio.sleep(0)
    return told, pieces
