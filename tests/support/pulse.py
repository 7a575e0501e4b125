"""Streams whose events say when they were sent, and how late each of them arrived."""

import asyncio
import random
import time
from collections.abc import Callable

from tests.support.raw_client import Answer, RawClient
from tests.support.scripted_upstream import LAST_CHUNK, Connection, Script, chunk, sse_head
from tests.support.stage import QUESTION, STOP, Part

INTERVAL_SECONDS = 0.025


def pulse(lasts: Callable[[float], bool]) -> Script:
    """A stream that sends the time each 25 ms; many of them do not do so at the same moment.

    `lasts` is asked each time whether it goes on, with the seconds since it began.
    """

    async def play(connection: Connection) -> None:
        await connection.read_request()
        await connection.send(sse_head())
        await asyncio.sleep(random.random() * INTERVAL_SECONDS)
        started = time.monotonic()
        while lasts((now := time.monotonic()) - started):
            await connection.send(chunk(b"event: content_block_delta\ndata: %.6f\n\n" % now))
            await asyncio.sleep(INTERVAL_SECONDS)
        await connection.send(chunk(STOP) + LAST_CHUNK)

    return play


def delays(answer: Answer) -> list[float]:
    """How many seconds each event took."""
    found = [(arrived, event) for arrived, event in answer.events() if event != STOP]
    return [arrived - float(event.partition(b"data: ")[2]) for arrived, event in found]


async def listen(url: str, part: Part, count: int) -> list[float]:
    """The delays of all events of so many streams at once, from the sidecar or from the upstream itself."""

    async def one() -> list[float]:
        async with await RawClient.connect(url) as client:
            await client.request("POST", "/v1/messages", [part.header], QUESTION)
            return delays(await client.answer())

    return [delay for stream in await asyncio.gather(*(one() for _ in range(count))) for delay in stream]


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
