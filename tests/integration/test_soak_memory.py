"""Memory under clients that do not read, and under streams that do nothing: bounded, small, nobody else's trouble."""

import asyncio
import json
import time

import pytest
from tests.support.calls import HEADERS, get, question
from tests.support.figures import tell_figures
from tests.support.gated import GatedUpstream
from tests.support.raw_client import End, RawClient
from tests.support.running import gated_sidecar, running
from tests.support.scripted_upstream import Connection, Request, chunk, sse_head
from tests.support.sidecar_process import SidecarProcess

pytestmark = pytest.mark.soak

MIB = 1024 * 1024
#: What a fast upstream has for a slow reader.
FAST_BYTES = 200 * MIB
BYTES_PER_SECOND = 1024
SLOW_SECONDS = 12
#: Short, so that a timer which ran while the client is waited for would strike.
LIMITS = {
    "upstream": {"responseHeaderTimeoutSeconds": 2},
    "limits": {"firstEventTimeoutSeconds": 2, "stallTimeoutSeconds": 2},
    "drain": {"settleSeconds": 0},
}
OTHERS = 20
EVENT_SECONDS = 0.05
IDLE_STREAMS = 2000
IDLE_STREAM_BYTES = 48 * 1024


class Fast(GatedUpstream):
    """As fast as it can for whom asks for much; an event each 50 ms for everybody else."""

    def __init__(self) -> None:
        super().__init__()
        self.fast_sent = 0
        self.fast_gone = asyncio.Event()

    async def _answer(self, connection: Connection, request: Request) -> None:
        await connection.send(sse_head())
        if b"much" in request.body:
            await self._much(connection)
        while not self.gate.is_set():
            event = b'event: ping\ndata: {"type": "ping"}\n\n'
            await connection.send(chunk(event))
            await asyncio.sleep(EVENT_SECONDS)

    async def _much(self, connection: Connection) -> None:
        piece = chunk(b'event: content_block_delta\ndata: {"text": "' + b"x" * 16_000 + b'"}\n\n')
        try:
            while self.fast_sent < FAST_BYTES:
                await connection.send(piece)
                self.fast_sent += len(piece)
        finally:
            self.fast_gone.set()


async def watch_events(url: str, until: asyncio.Event) -> float:
    """The longest pause between two events of a stream, in seconds."""
    async with await RawClient.connect(url) as client:
        await client.request("POST", "/v1/messages", HEADERS, question("little"))
        answer = await client.begin()
        longest, last = 0.0, time.monotonic()
        async for _ in client.chunks(answer):
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            if until.is_set():
                break
        return longest


async def others(url: str, seconds: float) -> float:
    done = asyncio.Event()
    watching = [asyncio.create_task(watch_events(url, done)) for _ in range(OTHERS)]
    await asyncio.sleep(seconds)
    done.set()
    return max(await asyncio.gather(*watching))


def in_front_of(upstream: Fast) -> SidecarProcess:
    return SidecarProcess({**LIMITS, "upstream": {**LIMITS["upstream"], "url": upstream.url}})


async def slow_reader() -> dict:
    async with Fast() as upstream, running(in_front_of(upstream)) as sidecar:
        # Buffers and code paths are there before: a fast reader of some of it, and the other streams alone.
        async with await RawClient.connect(sidecar.url) as quick:
            await quick.request("POST", "/v1/messages", HEADERS, question("much"))
            answer = await quick.begin()
            async for _ in quick.chunks(answer):
                if len(answer.body) > 10 * MIB:
                    break
        await upstream.fast_gone.wait()
        alone = await others(sidecar.url, 3)
        upstream.fast_sent = 0
        watching = asyncio.create_task(others(sidecar.url, SLOW_SECONDS))
        await asyncio.to_thread(sidecar.wait_for, streams=OTHERS)
        before = sidecar.rss_bytes()
        async with await RawClient.connect(sidecar.url, receive_buffer_bytes=4096, limit_bytes=4096) as client:
            await client.request("POST", "/v1/messages", HEADERS, question("much"))
            reading = asyncio.create_task(client.read_slowly(BYTES_PER_SECOND, SLOW_SECONDS - 1))
            highest = before
            while not reading.done():
                highest = max(highest, sidecar.rss_bytes())
                await asyncio.sleep(0.2)
            got = await reading
            livez = json.loads((await get(sidecar.admin_url, "/livez")).body)
            ended = client.ended
        beside = await watching
        left = await asyncio.to_thread(sidecar.wait_for, in_flight=0)
        return {
            "growth": highest - before,
            "got": len(got),
            "ended": ended,
            "sent": upstream.fast_sent,
            "livez": livez,
            "left": left,
            "alone": alone,
            "beside": beside,
        }


@pytest.fixture(scope="module")
def slow(request):
    seen = asyncio.run(slow_reader())
    pauses = f"{seen['alone']:.3f} s alone, {seen['beside']:.3f} s beside it"
    tell_figures(request, f"slow reader: RSS {seen['growth'] / MIB:+.2f} MiB; longest pauses of others {pauses}")
    return seen


def test_a_slow_reader_costs_next_to_no_memory(slow):
    assert slow["growth"] < 2 * MIB


def test_a_slow_reader_gets_its_stream_as_slowly_as_it_reads(slow):
    assert slow["got"] >= BYTES_PER_SECOND * (SLOW_SECONDS - 2)
    assert slow["ended"] is None
    assert slow["livez"]["streams"] == OTHERS + 1


def test_the_upstream_is_held_back_and_not_blamed(slow):
    assert slow["sent"] < 8 * MIB
    assert slow["livez"]["totals"]["failed"] == 0
    assert slow["left"]["totals"]["failed"] == 0


def test_other_streams_do_not_notice_a_slow_reader(slow):
    assert slow["beside"] < max(0.25, 4 * slow["alone"])


def test_when_the_slow_reader_leaves_nothing_stays(slow):
    assert slow["left"]["in_flight"] == 0
    assert slow["left"]["totals"]["disconnected"] == 2 + 2 * OTHERS


async def idle_streams() -> dict:
    async with gated_sidecar({"drain": {"settleSeconds": 0}}) as (upstream, sidecar):
        clients = []
        try:
            clients += [await begun(sidecar) for _ in range(50)]
            await asyncio.sleep(1)
            before, counted = sidecar.rss_bytes(), len(clients)
            while len(clients) < counted + IDLE_STREAMS:
                clients += await asyncio.gather(*(begun(sidecar) for _ in range(50)))
            livez = await asyncio.to_thread(sidecar.wait_for, streams=len(clients))
            await asyncio.sleep(1)
            each = (sidecar.rss_bytes() - before) / IDLE_STREAMS
            cpu = await cpu_share(sidecar, 3)
            upstream.gate.set()
            answers = await asyncio.gather(*(client.finish(answer) for client, answer in clients))
        finally:
            for client, _ in clients:
                await client.close()
        left = await asyncio.to_thread(sidecar.wait_for, in_flight=0)
        return {"each": each, "cpu": cpu, "streams": livez["streams"], "ends": {a.end for a in answers}, "left": left}


async def begun(sidecar: SidecarProcess) -> tuple:
    client = await RawClient.connect(sidecar.url)
    await client.request("POST", "/v1/messages", HEADERS, question("[fake seed=1 events=2]"))
    return client, await client.begin()


async def cpu_share(sidecar: SidecarProcess, seconds: float) -> float:
    before = sidecar.cpu_seconds()
    await asyncio.sleep(seconds)
    return (sidecar.cpu_seconds() - before) / seconds


@pytest.fixture(scope="module")
def idle(request):
    seen = asyncio.run(idle_streams())
    each, cpu = f"{seen['each'] / 1024:.1f} KiB each", f"{seen['cpu']:.3f} of a core for all"
    tell_figures(request, f"{IDLE_STREAMS} idle streams: {each}, {cpu}")
    return seen


def test_an_idle_stream_is_small(idle):
    assert idle["streams"] == IDLE_STREAMS + 50
    assert idle["each"] <= IDLE_STREAM_BYTES


def test_idle_streams_are_idle(idle):
    assert idle["cpu"] <= 0.2


def test_idle_streams_end_whole(idle):
    assert idle["ends"] == {End.COMPLETE}
    assert idle["left"]["totals"]["completed"] == IDLE_STREAMS + 50
