"""Slots for generations, and the queue for them: nobody is lost, served twice, or made to wait for another's crowd."""

import asyncio
import contextlib
import json
import time

import pytest
import pytest_asyncio
from tests.support.hurried import SPEED, HurriedSidecar
from tests.support.raw_client import End
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    chunk,
    hang,
    head,
    json_response,
    read_request,
    reset,
    send,
    sleep,
    sse_head,
    wait,
)
from tests.support.stage import PLAIN_QUESTION, QUESTION, START, STOP, error_of, on_stage
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")
BUSY = "Server busy — all request slots are occupied"
SLOTS, PLACES = 50, 450
KEYS = {"alice": "sk-alice", "bob": "sk-bob", "carol": "sk-carol"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowded():
    async with on_stage({"limits": {"maxConcurrent": SLOTS, "maxQueued": PLACES}}) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def one(tmp_path_factory):
    """One slot and 20 places, callers with keys, and a clock that runs 20 times as fast."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("\n".join(f"{name}: {key}" for name, key in KEYS.items()))
    given = {
        "limits": {"maxConcurrent": 1, "maxQueued": 20, "maxDurationSeconds": 60},
        "upstream": {"responseHeaderTimeoutSeconds": 20},
        "auth": {"apiKeysFile": str(keys)},
    }
    async with on_stage(given, sidecar=HurriedSidecar) as found:
        yield found


def key(name="alice"):
    return "x-api-key", KEYS[name]


async def test_of_1000_at_once_on_50_slots_each_is_served_once_or_refused_once(crowded):
    go_on = asyncio.Event()
    running, most = 0, 0

    async def play(connection):
        nonlocal running, most
        await connection.read_request()
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1  # before the answer: the next one may come as soon as this one's client has it
        await connection.send(OK)

    part = crowded.part(play)

    async def ask(number):
        answer = await crowded.ask(part, PLAIN_QUESTION, [("x-number", str(number))], timeout_seconds=60)
        assert answer.end is End.COMPLETE
        return number, answer

    asking = [asyncio.create_task(ask(number)) for number in range(1000)]
    seen = await crowded.wait_for(30, in_flight=SLOTS + PLACES, queued=PLACES)
    assert seen["totals"]["accepted"] == 1000
    await soon(lambda: running == SLOTS, "all slots are in use")
    go_on.set()
    answers = dict(await asyncio.gather(*asking))
    served = {number for number, answer in answers.items() if answer.head.status == 200}
    refused = [answer for answer in answers.values() if answer.head.status == 529]
    assert (len(served), len(refused)) == (SLOTS + PLACES, 1000 - SLOTS - PLACES)
    assert most == SLOTS
    assert sorted(int(request.header("x-number")) for request in part.requests) == sorted(served)
    for answer in refused:
        assert error_of(answer) == {"type": "overloaded_error", "message": BUSY}
        assert answer.head.get("retry-after") == "5"
    totals = (await crowded.wait_for(in_flight=0, queued=0))["totals"]
    assert (totals["completed"], totals["refused"]) == (SLOTS + PLACES, 1000 - SLOTS - PLACES)


@contextlib.asynccontextmanager
async def occupied(wire):
    """The one slot is taken, until the event is set."""
    done = asyncio.Event()
    part = wire.part(read_request(), send(sse_head(), chunk(START)), wait(done), send(chunk(STOP), LAST_CHUNK))
    holding = asyncio.create_task(wire.ask(part, headers=[key("carol")]))
    await part.connection()
    try:
        yield done
        done.set()
        answer = await holding
        assert (bytes(answer.body).startswith(START), answer.end) == (True, End.COMPLETE)
    finally:
        holding.cancel()
    await wire.wait_for(in_flight=0)


async def test_a_slot_that_becomes_free_goes_to_the_callers_in_turn(one):
    """Alice's ten came first; Bob's two wait for one of hers each, and not for all of them."""
    order = []

    async def play(connection):
        request = await connection.read_request()
        order.append(request.header("x-number"))
        await connection.send(OK)

    part = one.part(play)
    async with occupied(one) as done:
        asking = []
        for number, name in enumerate(["alice"] * 10 + ["bob"] * 2):
            headers = [key(name), ("x-number", f"{name}-{number}")]
            asking.append(asyncio.create_task(one.ask(part, PLAIN_QUESTION, headers)))
            await one.wait_for(queued=number + 1)
        done.set()
        assert [answer.head.status for answer in await asyncio.gather(*asking)] == [200] * 12
    assert order == ["alice-0", "bob-10", "alice-1", "bob-11", *(f"alice-{number}" for number in range(2, 10))]


async def test_who_leaves_the_queue_frees_the_place(one):
    part, after = one.part(read_request(), send(OK)), one.part(read_request(), send(OK))
    async with contextlib.AsyncExitStack() as stack, occupied(one) as done:
        clients = [await stack.enter_async_context(await one.connect()) for _ in range(20)]
        for client in clients:
            await client.request("POST", "/v1/messages", [part.header, key()], QUESTION)
        await one.wait_for(queued=20)
        assert (await one.ask(part, headers=[key("bob")])).head.status == 529
        for number, client in enumerate(clients[:15]):
            [client.reset, client.half_close][number % 2]()
        await one.wait_for(queued=5, in_flight=6)
        asking = [asyncio.create_task(one.ask(after, headers=[key("bob")])) for _ in range(15)]
        await one.wait_for(queued=20)
        done.set()
        assert [answer.head.status for answer in await asyncio.gather(*asking)] == [200] * 15
        for client in clients[15:]:
            assert (await client.answer()).head.status == 200
    assert (len(part.requests), len(after.requests)) == (5, 15)


async def test_who_waits_for_30_s_is_told_that_the_server_is_busy(one):
    part = one.part(read_request(), send(OK))
    async with occupied(one):
        started = time.monotonic()
        answers = await asyncio.gather(*(one.ask(part, headers=[key(name)]) for name in ("alice", "bob")))
        assert 30 / SPEED - 0.05 < time.monotonic() - started < 30 / SPEED + 5
    for answer in answers:
        assert (answer.head.status, answer.head.get("retry-after"), answer.end) == (529, "5", End.COMPLETE)
        assert error_of(answer) == {"type": "overloaded_error", "message": BUSY}
    assert part.connections == []


async def test_waiting_counts_against_no_limit_of_the_upstream(one):
    """25 s in the queue, 14 s to the head, 38 s to the end: with the wait that is more than 20 s and 60 s."""
    part = one.part(
        read_request(),
        sleep(14 / SPEED),
        send(head("200 OK", "content-length: 4"), b"sl"),
        sleep(24 / SPEED),
        send(b"ow"),
    )
    async with occupied(one) as done:
        asyncio.get_running_loop().call_later(25 / SPEED, done.set)
        started = time.monotonic()
        answer = await one.ask(part, PLAIN_QUESTION, [key()])
    assert (answer.head.status, bytes(answer.body), answer.end) == (200, b"slow", End.COMPLETE)
    assert time.monotonic() - started > 62 / SPEED


async def test_what_generates_nothing_takes_no_slot(one):
    part = one.part(read_request(), send(OK))
    async with occupied(one):
        for method, path, body in (
            ("GET", "/v1/files", None),
            ("POST", "/v1/messages/count_tokens", PLAIN_QUESTION),
            ("POST", "/v1/messages/batches", b"{}"),
            ("POST", "/v1/files", b"data"),
        ):
            assert (await one.ask(part, body, [key()], method=method, path=path)).head.status == 200
        assert (await one.livez())["queued"] == 0


async def test_every_end_of_a_request_gives_its_slot_back(one):
    """One after the other through the one slot: if one of them kept it, the next would wait."""
    whole = one.streams(START, STOP)
    bad = {
        "reset": one.part(read_request(), reset()),
        "cut short": one.part(read_request(), send(sse_head(), chunk(START), LAST_CHUNK)),
        "garbage": one.part(read_request(), send(b"garbage")),
        "refused upstream": one.part(read_request(), send(json_response(b"{}", "429 Too Many"))),
        "an error event": one.streams(START, b'event: error\ndata: {"type":"error"}\n\n'),
        "no answer": one.part(read_request(), hang()),
    }
    for part in bad.values():
        await one.ask(part, headers=[key()])
        assert (await one.ask(whole, headers=[key("bob")])).head.status == 200
    for body, headers in ((b"no json", [key()]), (QUESTION, []), (QUESTION, [key(), ("content-encoding", "gzip")])):
        assert (await one.ask(whole, body, headers)).head.status in {400, 401, 415}
    left = one.part(read_request(), hang())
    async with await one.connect() as client:
        await client.request("POST", "/v1/messages", [left.header, key()], QUESTION)
        await left.connection()
    assert (await one.ask(whole, headers=[key()])).head.status == 200
    await one.wait_for(in_flight=0, queued=0)


async def test_to_a_caller_of_openai_it_is_a_503_in_their_words(openai):
    done = asyncio.Event()
    part = openai.part(read_request(), wait(done), send(OK))
    holding = asyncio.create_task(openai.ask(part, PLAIN_QUESTION, path="/v1/chat/completions"))
    await part.connection()
    answers = [
        await openai.ask(openai.part(), PLAIN_QUESTION, path=path) for path in ("/v1/chat/completions", "/v1/responses")
    ]
    done.set()
    assert (await holding).head.status == 200
    for answer in answers:
        assert (answer.head.status, answer.head.get("retry-after")) == (503, "5")
        assert json.loads(answer.body)["error"]["message"] == BUSY
