"""Many who ask at once share one fetch."""

import asyncio

import pytest

from lastcall_operator.cluster.flights import Flights


class Source:
    def __init__(self):
        self.fetched = 0
        self.gate = asyncio.Event()
        self.error = None

    async def fetch(self):
        self.fetched += 1
        number = self.fetched
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


async def test_fifty_who_ask_at_once_share_one_fetch():
    flights, source = Flights(10), Source()
    asking = [asyncio.create_task(flights.get("a", source.fetch)) for _ in range(50)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*asking) == [1] * 50
    assert await flights.get("a", source.fetch) == 1
    assert await flights.get("b", source.fetch) == 2


async def test_what_is_no_longer_fresh_is_fetched_again():
    flights, source = Flights(-1), Source()
    source.gate.set()
    assert [await flights.get("a", source.fetch) for _ in range(3)] == [1, 2, 3]


async def test_an_error_reaches_all_and_is_not_kept():
    flights, source = Flights(10), Source()
    source.error = ValueError("no")
    source.gate.set()
    outcomes = await asyncio.gather(*(flights.get("a", source.fetch) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in outcomes] == ["no"] * 3
    assert source.fetched == 1
    source.error = None
    assert await flights.get("a", source.fetch) == 2


async def test_one_who_gives_up_takes_nothing_from_the_others():
    flights, source = Flights(10), Source()
    impatient = asyncio.create_task(flights.get("a", source.fetch))
    patient = asyncio.create_task(flights.get("a", source.fetch))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    source.gate.set()
    assert await patient == 1
