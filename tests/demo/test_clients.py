"""Each kind of client tells a whole stream from a broken one: against the real fake LLM."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import pytest
from tests.support.fake import fake_in_loop, get_json
from tests.support.waiting import soon

from lastcall_operator.local.clients import Ask, RawHttp, SdkAsync, SdkSync
from lastcall_operator.local.judgement import Fate, judge
from lastcall_operator.local.ledger import Ledger
from lastcall_operator.local.traffic import KINDS, LONGEST_SECONDS, SHORTEST_SECONDS, Traffic, seat_clients


@dataclass(frozen=True, slots=True)
class Special(Ask):
    """A request with directives of its own."""

    words: str = ""

    def body(self):
        content = f"[fake seconds={self.seconds} seed={self.seed} {self.words}]"
        return {"model": "claude-sonnet-4-6", "max_tokens": 99, "messages": [{"role": "user", "content": content}]}


@contextlib.asynccontextmanager
async def client(made, url, *, keep_alive=True):
    """Give `ask -> judgement`, whichever way the client works."""
    one = made(url, keep_alive=keep_alive)

    async def judged(ask):
        seen = await (asyncio.to_thread(one.stream, ask) if isinstance(one, SdkSync) else one.stream(ask))
        return judge(seen)

    try:
        yield judged
    finally:
        if isinstance(one, SdkSync):
            one.close()
        else:
            await one.close()


EACH_CLIENT = pytest.mark.parametrize("made", [SdkSync, SdkAsync, RawHttp], ids=["SDK sync", "SDK async", "raw HTTP"])


@EACH_CLIENT
@pytest.mark.parametrize(
    ("words", "fate"),
    [
        pytest.param("events=5", Fate.VERBATIM, id="whole"),
        pytest.param("kind=mixed", Fate.VERBATIM, id="whole, with tools and thinking"),
        pytest.param("misbehave=truncate", Fate.DROPPED, id="truncated"),
        pytest.param("misbehave=reset", Fate.DROPPED, id="reset"),
        pytest.param("misbehave=no_message_stop", Fate.DROPPED, id="a clean end without the terminal event"),
        pytest.param("misbehave=error_event", Fate.DROPPED, id="an error event, then a clean end"),
        pytest.param("error=529", Fate.REFUSED, id="overloaded"),
        pytest.param("error=500", Fate.REFUSED, id="failing"),
        pytest.param("error=429", Fate.REFUSED, id="limited"),
    ],
)
async def test_a_client_tells_what_became_of_its_stream(made, words, fate):
    async with fake_in_loop() as url, client(made, url) as judged:
        judgement = await judged(Special(0.0, 1, words))
    assert judgement.fate is fate, judgement
    assert bool(judgement.why) == (fate is not Fate.VERBATIM)


@EACH_CLIENT
async def test_a_client_that_cannot_connect_is_refused(made):
    async with fake_in_loop() as url:
        pass
    async with client(made, url) as judged:
        assert (await judged(Ask(0.0, 1))).fate is Fate.REFUSED


@EACH_CLIENT
async def test_no_client_asks_twice(made):
    async with fake_in_loop() as url, client(made, url) as judged:
        await judged(Special(0.0, 1, "error=529"))
        stats = await asyncio.to_thread(get_json, f"{url}/__stats")
        requests = await asyncio.to_thread(get_json, f"{url}/__requests")
    assert [request["target"] for request in requests].count("/v1/messages") == 1, stats


@EACH_CLIENT
@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 3)], ids=["kept alive", "fresh"])
async def test_connections_are_kept_alive_or_fresh(made, keep_alive, connections):
    accepted = 0

    async with fake_in_loop() as url:
        host, port = url.removeprefix("http://").split(":")

        async def relay(reader, writer):
            nonlocal accepted
            accepted += 1
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(move(reader, far_writer), move(far_reader, writer))

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with (
            server,
            client(made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", keep_alive=keep_alive) as judged,
        ):
            for seed in range(3):
                assert (await judged(Ask(0.0, seed))).fate is Fate.VERBATIM
    assert accepted == connections


async def move(reader, writer):
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def test_the_first_round_reaches_from_the_shortest_to_the_longest_stream():
    seats = seat_clients(60, random.Random(3))
    assert [seat.kind for seat in sorted(seats, key=lambda seat: seat.number)] == [*KINDS] * 10
    lengths = [seat.first_seconds for seat in seats]
    assert (min(lengths), max(lengths)) == (SHORTEST_SECONDS, LONGEST_SECONDS) == (1.0, 20.0)


async def test_traffic_is_of_all_kinds_and_ends_at_last_call():
    ledger = Ledger()
    async with fake_in_loop() as url:
        traffic = Traffic(url, 6, ledger, random.Random(4))
        traffic.start()
        await soon(lambda: len(ledger.scores()) == len(KINDS), "every kind has started a stream")
        await traffic.close()
        traffic.check()
    assert set(ledger.scores()) == set(KINDS)
