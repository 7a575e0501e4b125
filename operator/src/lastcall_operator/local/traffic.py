"""Live streams, all the time: each seat at the bar asks for one stream after another until last call.

Seats go round the six kinds of clients: SDK sync (in threads), SDK async and raw HTTP, half of them on connections
that are kept alive and half on a fresh one for each stream. All seats start together, with streams of 1 to 20 s, so
that the rollout begins in the middle of the long ones; the rounds after that are short, or it would take minutes.
"""

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass

from lastcall_operator.local.clients import Ask, RawHttp, SdkAsync, SdkSync
from lastcall_operator.local.judgement import judge
from lastcall_operator.local.ledger import Kind, Ledger

SDK_SYNC, SDK_ASYNC, RAW_HTTP = "anthropic SDK, sync", "anthropic SDK, async", "raw HTTP"
#: All kinds, in the order in which they are shown.
KINDS = tuple(Kind(library, kept) for library in (SDK_SYNC, SDK_ASYNC, RAW_HTTP) for kept in (True, False))
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 20.0
#: A client that keeps its connection asks once more on it after a drain has begun: its first stream is a little
#: shorter, so that the drain of its pod still waits for a stream of `LONGEST_SECONDS`, and not for one and a round.
_LONGEST_KEPT_SECONDS = 15.0
_LATER_SECONDS = (1.0, 4.0)
_PAUSE_SECONDS = (0.05, 0.4)
#: After last call nobody asks again; longer than this past the longest stream, something hangs.
_CLOSING_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Seat:
    """One place at the bar: what kind of client sits there, and how long its first stream takes."""

    number: int
    kind: Kind
    first_seconds: float
    rng: random.Random


class _Asks:
    """What a seat orders: the first is given, the others come as they come."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._round = 0

    def next(self) -> Ask:
        seconds = self._seat.first_seconds if self._round == 0 else self._seat.rng.uniform(*_LATER_SECONDS)
        self._round += 1
        return Ask(seconds, seed=self._seat.number * 10_000 + self._round)


class Traffic:
    """Runs `seats` streams at once against `url`, and writes each one's fate into `ledger`."""

    def __init__(self, url: str, seats: int, ledger: Ledger, rng: random.Random) -> None:
        self._ledger = ledger
        self._last_call = threading.Event()
        self._seats = seat_clients(seats, rng)
        self._sync = {kept: SdkSync(url, keep_alive=kept) for kept in (True, False)}
        self._async = {
            (library, kept): made(url, keep_alive=kept)
            for library, made in ((SDK_ASYNC, SdkAsync), (RAW_HTTP, RawHttp))
            for kept in (True, False)
        }
        self._sitting: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Start all seats, within a second."""
        for seat in self._seats:
            sync = seat.kind.library == SDK_SYNC
            self._sitting.append(self._in_a_thread(seat) if sync else asyncio.create_task(self._sit_async(seat)))

    async def last_call(self) -> bool:
        """Let nobody ask again, and wait for the streams under way; False when some never end."""
        self._last_call.set()
        _, left = await asyncio.wait(self._sitting, timeout=LONGEST_SECONDS + _CLOSING_SECONDS)
        return not left

    async def close(self) -> None:
        """Leave at once, whatever is under way. Streams in threads end when the cluster does."""
        self._last_call.set()
        for seat in self._sitting:
            seat.cancel()
        await asyncio.gather(*self._sitting, return_exceptions=True)
        for client in self._async.values():
            await client.close()

    def check(self) -> None:
        """Raise what a seat stumbled over that is no fate of a stream: a mistake of ours."""
        for seat in self._sitting:
            if seat.done() and not seat.cancelled():
                seat.result()

    def _in_a_thread(self, seat: Seat) -> asyncio.Future[None]:
        """Sit in a thread of its own: a daemon, because a Ctrl-C must not wait for a stream."""
        loop = asyncio.get_running_loop()
        left: asyncio.Future[None] = loop.create_future()

        def leave(error: BaseException | None) -> None:
            if not left.done():
                left.set_result(None) if error is None else left.set_exception(error)

        def sit() -> None:
            error: BaseException | None = None
            try:
                self._sit_sync(seat)
            except BaseException as caught:  # noqa: BLE001  # `check` raises it where somebody looks
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for us
                loop.call_soon_threadsafe(leave, error)

        threading.Thread(target=sit, name=f"seat-{seat.number}", daemon=True).start()
        return left

    def _sit_sync(self, seat: Seat) -> None:
        client, asks = self._sync[seat.kind.keep_alive], _Asks(seat)
        while not self._last_call.wait(seat.rng.uniform(*_PAUSE_SECONDS)):
            self._ledger.start(seat.kind)
            self._ledger.finish(seat.kind, judge(client.stream(asks.next())))

    async def _sit_async(self, seat: Seat) -> None:
        client, asks = self._async[seat.kind.library, seat.kind.keep_alive], _Asks(seat)
        while True:
            await asyncio.sleep(seat.rng.uniform(*_PAUSE_SECONDS))
            if self._last_call.is_set():
                return
            self._ledger.start(seat.kind)
            self._ledger.finish(seat.kind, judge(await client.stream(asks.next())))


def seat_clients(count: int, rng: random.Random) -> list[Seat]:
    """Fill the seats: kinds in turn, and for each way of connecting first streams from the shortest to the longest."""
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    seats = []
    for kept, longest in ((True, _LONGEST_KEPT_SECONDS), (False, LONGEST_SECONDS)):
        numbers = [number for number, kind in enumerate(kinds) if kind.keep_alive is kept]
        steps = max(1, len(numbers) - 1)
        lengths = [SHORTEST_SECONDS + (longest - SHORTEST_SECONDS) * step / steps for step in range(len(numbers))]
        rng.shuffle(lengths)
        seats += [
            Seat(number, kinds[number], length, random.Random(rng.random()))
            for number, length in zip(numbers, lengths, strict=True)
        ]
    return seats
