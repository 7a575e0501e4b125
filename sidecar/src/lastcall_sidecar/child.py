"""The process of `workers.py`: it does nothing but fork a child for each job, which ends with it.

A child is there within a few milliseconds, and all the memory that it took goes back. Started on the first large body.
On standard input, a socket, each job comes as three descriptors: the body, the file for what is made of it (in which
the job stands as JSON), and a pipe. Into the pipe go the id of a process group, then what the child says, as JSON.
"""

import gc
import json
import mmap
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from lastcall_sidecar.wire.body import BodyError, scan
from lastcall_sidecar.wire.messages_on_chat import tokens
from lastcall_sidecar.wire.translate import REWRITINGS, TRANSLATIONS
from lastcall_sidecar.wire.translation import Asked, Options, TranslationError

#: The loop that serves everybody comes first, also where there is one CPU.
NICENESS = 10
#: Without a job for so long, its 25 MiB go back as well.
IDLE_SECONDS = 300.0
#: What a job may map beside what its request is charged with: the allocator maps more than it uses.
SPARE_BYTES = 8 * 1024 * 1024
Told = tuple[Any, bytes]


def _scan(body: mmap.mmap, _: Mapping[str, Any]) -> Told:
    return scan(body), b""


def _translate(body: mmap.mmap, job: Mapping[str, Any]) -> Told:
    made = REWRITINGS[tuple(job["pair"])].request(body[:], Options(**job["options"]))
    return made.asked, made.body


def _count(body: mmap.mmap, job: Mapping[str, Any]) -> Told:
    about, question = tokens.count(body[:], job["model"])
    return {"about": about}, question


def _answer(body: mmap.mmap, job: Mapping[str, Any]) -> Told:
    asked = msgspec.convert(job["asked"], Asked)
    return {}, TRANSLATIONS[tuple(job["pair"])].answer(body[:], asked)


JOBS: Mapping[str, Callable[[mmap.mmap, Mapping[str, Any]], Told]] = {
    "scan": _scan,
    "translate": _translate,
    "count": _count,
    "answer": _answer,
}


def main() -> None:
    """Fork for each job until nobody can send one any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children's ends need no waiting for
    gc.disable()  # what a child builds lives as long as it does
    with socket.socket(fileno=0) as jobs:
        jobs.settimeout(IDLE_SECONDS)
        while True:
            try:
                mark, files, _, _ = socket.recv_fds(jobs, 1, 3)
            except TimeoutError:
                return
            if not mark:
                return
            if os.fork() == 0:
                jobs.close()
                try:
                    _watch(*files)
                finally:
                    os._exit(0)
            for file in files:
                os.close(file)


def _watch(given: int, made: int, told: int) -> None:
    """Have the job done in a process of its own, and tell if that is killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    _write(told, b"%d\n" % os.getpid())
    worker = os.fork()
    if worker == 0:
        try:
            _do(given, made, told)
        finally:
            os._exit(0)
    _, status = os.waitpid(worker, 0)
    if os.WIFSIGNALED(status):
        _write(told, b'{"signal":%d}' % os.WTERMSIG(status))


def _do(given: int, made: int, told: int) -> None:
    try:
        job = json.loads(os.pread(made, os.fstat(made).st_size, 0))
        os.truncate(made, 0)
        os.lseek(made, 0, os.SEEK_SET)
        _limit(job)
        with mmap.mmap(given, 0, access=mmap.ACCESS_READ) as body:
            says, data = JOBS[job["do"]](body, job)
        _write(made, data)
        _write(told, msgspec.json.encode({"says": says}))
    except (BodyError, TranslationError) as error:
        _write(told, msgspec.json.encode({"error": str(error)}))
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        _write(told, b'{"memory":true}')
    except BaseException:  # noqa: BLE001 - whoever gave the job raises it
        _write(told, msgspec.json.encode({"bug": traceback.format_exc()}))


def _limit(job: Mapping[str, Any]) -> None:
    """Have the kernel hold us to what was asked for: memory beyond what is mapped already, and seconds."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(job["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with suppress(FileNotFoundError):  # Linux has it
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE
        most = mapped + job["bytes"] + job["memory"] + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


if __name__ == "__main__":
    main()
