"""One request's own clockwork, where no test over the wire could hit the moment."""

import asyncio
import time

import pytest

from lastcall_sidecar.core.inflight import InFlight
from lastcall_sidecar.core.timers import Clock
from lastcall_sidecar.exchange import Exchange
from lastcall_sidecar.settings import Settings
from lastcall_sidecar.wire.anthropic import ANTHROPIC
from lastcall_sidecar.wire.routes import route

HEARTBEAT_SECONDS = 0.001


@pytest.fixture
async def exchange():
    gauge = InFlight()

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        exchange.got.append(message)

    exchange = Exchange(
        {"headers": [], "extensions": {}},
        {},
        receive,
        send,
        request_id="req_1",
        route=route("POST", "/v1/messages"),
        gauge=gauge,
        ticket=gauge.take(0.0),
        settings=Settings(),
        limits={Clock.HEARTBEAT: HEARTBEAT_SECONDS},
        draining=lambda: False,
    )
    exchange.got = []
    exchange.account = ANTHROPIC.account()
    exchange.insertable = True
    yield exchange
    exchange.close()


async def heartbeat_is_due(at_the_same_time):
    """Let a heartbeat become due, and something else with it, right behind it in the loop's order."""
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + 2 * HEARTBEAT_SECONDS, at_the_same_time)
    time.sleep(4 * HEARTBEAT_SECONDS)  # noqa: ASYNC251 - the loop stands still meanwhile: that is the point
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_heartbeat_is_sent_when_it_is_due(exchange):
    exchange.start(Clock.HEARTBEAT)
    await heartbeat_is_due(lambda: None)
    assert [message["body"][:2] for message in exchange.got] == [b": "]


async def test_a_heartbeat_gives_way_to_an_event_that_begins_to_leave_at_the_same_moment(exchange):
    """Behind the first part of an event larger than 64 KiB it would be read as a part of it."""
    exchange.start(Clock.HEARTBEAT)
    await heartbeat_is_due(lambda: setattr(exchange, "insertable", False))
    assert exchange.got == []


async def test_a_heartbeat_gives_way_to_the_end(exchange):
    exchange.start(Clock.HEARTBEAT)
    await heartbeat_is_due(exchange.over)
    assert exchange.got == []
