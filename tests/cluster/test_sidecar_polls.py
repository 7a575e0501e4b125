"""Sidecars over real sockets: what counts as an answer, and what silence leads to."""

import asyncio
import time

import pytest
from aiohttp import web

from lastcall_operator.cluster.sidecars import MISSES, Sidecars, Target, target_of
from lastcall_operator.errors import SidecarError
from lastcall_operator.testing import FakeSidecars, pod


@pytest.fixture
async def fakes():
    async with FakeSidecars() as found:
        yield found


@pytest.fixture
async def sidecars():
    async with Sidecars() as found:
        yield found


def target(fakes, sidecar):
    return Target(sidecar.pod, sidecar.uid, sidecar.ip, fakes.port)


async def test_each_answers_for_itself(fakes, sidecars):
    busy, idle = fakes.add("a", "uid-a", in_flight=7), fakes.add("b", "uid-b", state="drained")
    found = await sidecars.poll([target(fakes, busy), target(fakes, idle)])
    assert (found["uid-a"].in_flight, found["uid-a"].state) == (7, "serving")
    assert (found["uid-b"].in_flight, found["uid-b"].state) == (0, "drained")
    assert await sidecars.poll([]) == {}


async def test_500_are_polled_in_well_under_a_second(fakes, sidecars):
    everybody = [target(fakes, fakes.add(f"p{n}", f"uid-{n}", in_flight=n)) for n in range(500)]
    started = time.perf_counter()
    found = await sidecars.poll(everybody, 5.0)
    assert [found[f"uid-{n}"].in_flight for n in range(500)] == list(range(500))
    assert time.perf_counter() - started < 3.0  # with the sidecars on the same core, and neighbors on it, too


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param({"uid": "somebody-else"}, id="another pod has the address now"),
        pytest.param({"status": 500}, id="a status"),
        pytest.param({"status": 302}, id="a redirect"),
        pytest.param({"hangs": True}, id="no answer in time"),
        pytest.param({"says": {"in_flight": 0}}, id="not an answer"),
        pytest.param({"in_flight": float("inf")}, id="no number"),
        pytest.param({"state": "bogus"}, id="a state that there is not"),
    ],
)
async def test_what_is_no_answer_is_silence(fakes, sidecars, spoil):
    sidecar, other = fakes.add("a", "uid-a"), fakes.add("b", "uid-b", in_flight=1)
    asked = [target(fakes, sidecar), target(fakes, other)]
    for name, value in spoil.items():
        setattr(sidecar, name, value)
    found = await sidecars.poll(asked, 0.3)
    assert found["uid-a"] is None
    assert found["uid-b"].in_flight == 1
    assert sidecars.misses("uid-a") == 1
    assert sidecars.misses("uid-b") == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 mail ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\x00\r\nX" + b"y" * 20_000 + b": z\r\n\r\n",
    ],
    ids=["nothing", "mail", "negative", "two lengths", "chunks", "short", "encoded", "status", "upgrade", "head"],
)
async def test_what_is_no_http_is_silence(sidecars, answer):
    async def odd(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(odd, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await sidecars.poll([Target("a", "uid-a", "127.0.0.1", port)], 1.0) == {"uid-a": None}


async def test_nobody_listens(fakes, sidecars):
    assert await sidecars.poll([Target("a", "uid-a", "127.1.0.1", 1)]) == {"uid-a": None}


async def test_more_than_64_kib_is_silence(sidecars):
    async def endless(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 8192)

    app = web.Application()
    app.router.add_get("/livez", endless)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    asked = Target("a", "uid-a", "127.0.0.1", runner.addresses[0][1])
    started = time.perf_counter()
    assert await sidecars.poll([asked], 5.0) == {"uid-a": None}
    assert time.perf_counter() - started < 1.5
    await runner.cleanup()


async def test_misses_count_once_a_second_and_an_answer_forgets_them(fakes, sidecars):
    sidecar = fakes.add("a", "uid-a")
    sidecar.status = 503
    asked = [target(fakes, sidecar)]
    for _ in range(2 * MISSES):
        await sidecars.poll(asked)
    assert sidecars.misses("uid-a") == 1
    sidecar.status = 200
    await sidecars.poll(asked)
    assert sidecars.misses("uid-a") == 0


async def test_the_silent_are_asked_last_and_hold_nobody_up(fakes, sidecars):
    silent = [fakes.add(f"s{n}", f"uid-s{n}") for n in range(64)]
    good = [fakes.add(f"g{n}", f"uid-g{n}") for n in range(10)]
    for sidecar in silent:
        sidecar.hangs = True
    asked = [target(fakes, sidecar) for sidecar in [*silent, *good]]
    await sidecars.poll(asked, 0.3)
    found = await sidecars.poll(asked, 0.3)
    assert all(found[sidecar.uid] is not None for sidecar in good)


async def test_who_was_never_asked_has_not_been_silent(fakes, sidecars):
    silent = [fakes.add(f"s{n}", f"uid-s{n}") for n in range(70)]
    for sidecar in silent:
        sidecar.hangs = True
    await sidecars.poll([target(fakes, sidecar) for sidecar in silent], 0.3)
    assert sum(sidecars.misses(sidecar.uid) for sidecar in silent) == 64


async def test_a_lease_and_its_end(fakes, sidecars):
    sidecar = fakes.add("a", "uid-a", in_flight=2)
    gauge = await sidecars.lease(target(fakes, sidecar), 60, "x" * 500, {"Authorization": "Bearer t"})
    assert (gauge.state, gauge.in_flight) == ("draining", 2)
    assert sidecar.leases == [{"reason": "x" * 200, "leaseSeconds": 60}]
    assert sidecar.headers[0]["Authorization"] == "Bearer t"
    assert (await sidecars.cancel(target(fakes, sidecar), {})).state == "serving"
    sidecar.final = True
    with pytest.raises(SidecarError, match="refused") as caught:
        await sidecars.cancel(target(fakes, sidecar), {})
    assert caught.value.status == 409
    with pytest.raises(SidecarError, match="a: no answer") as caught:
        await sidecars.lease(Target("a", "uid-a", "127.1.0.1", 1), 60, "why", {})
    assert caught.value.status == 0


async def test_a_poll_that_is_given_up_leaves_no_task(fakes, sidecars):
    sidecar = fakes.add("a", "uid-a")
    sidecar.hangs = True
    before = asyncio.all_tasks()
    task = asyncio.create_task(sidecars.poll([target(fakes, sidecar)]))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {each for each in asyncio.all_tasks() - before if "_ask" in repr(each) or "ask(" in repr(each)} == set()


@pytest.mark.parametrize(
    ("change", "port"),
    [
        pytest.param({}, 8081, id="as injected"),
        pytest.param({"annotations": {}}, 8081, id="without the annotation the default"),
        pytest.param({"annotations": {"lastcall.dev/admin-port": "18081"}}, 18081, id="another port"),
        pytest.param({"annotations": {"lastcall.dev/admin-port": "0"}}, 8081, id="no port"),
        pytest.param({"annotations": {"lastcall.dev/admin-port": "9/x"}}, 8081, id="not a number"),
        pytest.param({"labels": {}}, None, id="no sidecar"),
        pytest.param({"hostNetwork": True}, None, id="the node's own network"),
        pytest.param({"podIP": None}, None, id="no address yet"),
    ],
)
async def test_whom_to_ask(fakes, change, port):
    found = pod("a", fakes.add("a", "uid-a"))
    for name, value in change.items():
        part = {"hostNetwork": "spec", "podIP": "status"}.get(name, "metadata")
        found[part][name] = value
    target = target_of(found)
    assert (None if target is None else target.port) == port


def test_an_ipv6_address_is_bracketed():
    assert Target("a", "u", "fd00::1", 8081).url == "http://[fd00::1]:8081"
