"""What the work on bodies takes, in all processes and files, stays within a pod's limit; small work is not late."""

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from tests.integration.test_silence import ANTHROPICS, ASSISTANT, CHAT, MESSAGES, OPENAIS, USER, many, said, taken
from tests.support.stage import on_stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024 * 1024
#: The operator's default for an injected sidecar.
POD_BYTES = 512 * MIB
IMAGE = b'[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%b"}}]'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both():
    def upstreams(url):
        return {"upstreams": [{"name": "vendor", "provider": "OpenAI", "url": url, "models": ["gpt-*"]}]}

    async with on_stage(upstreams) as wire:
        yield wire


def held_bytes(pid):
    """Memory of a process and its children, each page counted once, and of the files that are in memory alone."""
    total, files = 0, {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
            for link in Path(f"/proc/{process.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if "lastcall-body" in str(link.readlink()):
                        found = link.stat()
                        files[found.st_ino] = found.st_blocks * 512
    return total + sum(files.values())


def ask(wire, path, model, shape):
    body = b'{"model":"%b",%b}' % (model.encode(), shape)
    return wire.ask(wire.part(taken), body, path=path, timeout_seconds=120)


@pytest.mark.parametrize(
    ("path", "model", "shape", "statuses"),
    [
        (MESSAGES, OPENAIS, lambda: b'"messages":' + many(USER, size=17 * MIB), {413}),
        (CHAT, ANTHROPICS, lambda: b'"messages":' + many(USER, ASSISTANT, size=2 * MIB), {200}),
        (MESSAGES, OPENAIS, lambda: said(IMAGE % (b"A" * 16 * MIB)), {200}),
        (MESSAGES, ANTHROPICS, lambda: b'"messages":' + many(USER, size=32 * MIB), {200}),
    ],
    ids=["17 MiB of messages", "2 MiB of turns", "an image of 16 MiB", "32 MiB verbatim"],
)
async def test_four_at_a_time_fit_into_a_pod(both, path, model, shape, statuses):
    asked = [asyncio.create_task(ask(both, path, model, shape())) for _ in range(4)]
    most = 0
    while not all(task.done() for task in asked):
        most = max(most, await asyncio.to_thread(held_bytes, both.sidecar.pid))
        await asyncio.sleep(0.05)
    assert {(await task).head.status for task in asked} == statuses
    assert most < POD_BYTES


async def test_a_photo_does_not_wait_for_what_is_large(both):
    large = [asyncio.create_task(ask(both, CHAT, ANTHROPICS, b'"messages":' + many(USER, size=2 * MIB)))]
    large += [asyncio.create_task(ask(both, CHAT, ANTHROPICS, b'"messages":' + many(USER, size=2 * MIB)))]
    large += [asyncio.create_task(ask(both, CHAT, ANTHROPICS, b'"messages":' + many(USER, size=2 * MIB)))]
    await both.wait_for(in_flight=3)
    assert (await ask(both, MESSAGES, OPENAIS, said(IMAGE % (b"A" * 1_200_000)))).head.status == 200
    assert not all(task.done() for task in large)
    assert {(await task).head.status for task in large} == {200}
