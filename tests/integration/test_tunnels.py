"""WebSockets and other protocols through a sidecar in front of an app: passed on, counted, drained, told of the end."""

import asyncio
import contextlib
import socket
import struct

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from tests.support.raw_client import RawClient
from tests.support.scripted_upstream import json_response, read_request, send
from tests.support.sidecar_process import SidecarProcess
from tests.support.stage import on_stage
from tests.support.waiting import soon

pytestmark = pytest.mark.asyncio(loop_scope="session")

OK = json_response(b"{}")


class App:
    """Says back what it hears, as a chat's page would have it; `bye` ends it, `cut` breaks it."""

    def __init__(self):
        self.heard, self.closed = [], []

    async def chat(self, request):
        if request.headers.get("x-refuse"):
            return web.json_response({"no": "entry"}, status=401)
        ws = web.WebSocketResponse(protocols=("chat.v1",), max_msg_size=0)
        await ws.prepare(request)
        self.heard.append(request.headers)
        async for message in ws:
            if message.data == "bye":
                await ws.close(code=4000, message=b"bye")
            elif message.data == "cut":
                linger = struct.pack("ii", 1, 0)  # a reset, not a FIN
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                request.transport.abort()
            elif message.type is aiohttp.WSMsgType.BINARY:
                await ws.send_bytes(message.data)
            else:
                await ws.send_str(f"heard {message.data}")
        self.closed.append(ws.close_code)
        return ws


@contextlib.asynccontextmanager
async def an_app():
    app, application = App(), web.Application()
    application.router.add_get("/ws", app.chat)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield app, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def in_front(url, **settings):
    given = {"mode": "Ingress", "upstream": {"provider": "Any", "url": url}, "drain": {"settleSeconds": 0}, **settings}
    sidecar = SidecarProcess(given)
    await asyncio.to_thread(sidecar.__enter__)
    try:
        yield sidecar
    finally:
        await asyncio.to_thread(sidecar.__exit__, None, None, None)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ingress():
    async with an_app() as (app, url), in_front(url) as sidecar:
        yield app, sidecar


@pytest_asyncio.fixture(loop_scope="session")
async def client():
    async with aiohttp.ClientSession() as session:
        yield session


async def ends(sidecar, **wanted):
    await asyncio.to_thread(sidecar.wait_for, **wanted)


async def test_a_websocket_is_passed_on_and_counted_as_a_stream_until_it_ends(ingress, client):
    app, sidecar = ingress
    before = (await asyncio.to_thread(sidecar.livez))["totals"]
    async with client.ws_connect(f"{sidecar.url}/ws?a=b", protocols=("chat.v1",), headers={"cookie": "c=d"}) as ws:
        assert ws.protocol == "chat.v1"
        await ws.send_str("hi")
        assert await ws.receive_str(timeout=10) == "heard hi"
        await ends(sidecar, in_flight=1, streams=1)
        large = bytes(range(256)) * 8000
        await ws.send_bytes(large)
        assert await ws.receive_bytes(timeout=30) == large
        await ws.send_str("bye")
        assert (await ws.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 4000
    await ends(sidecar, in_flight=0, streams=0, totals_completed=before["completed"] + 1)
    assert app.heard[-1]["cookie"] == "c=d"
    assert app.heard[-1]["X-Forwarded-For"] == "127.0.0.1"


async def test_a_client_that_says_goodbye_has_had_all_of_it(ingress, client):
    app, sidecar = ingress
    before = (await asyncio.to_thread(sidecar.livez))["totals"]
    async with client.ws_connect(f"{sidecar.url}/ws") as ws:
        await ws.send_str("hi")
        await ws.receive_str(timeout=10)
        await ws.close(code=1000)
    await ends(sidecar, in_flight=0, totals_completed=before["completed"] + 1)
    assert app.closed[-1] == 1000


async def test_a_client_that_vanishes_is_gone_for_the_app_as_well(ingress):
    app, sidecar = ingress
    before = (await asyncio.to_thread(sidecar.livez))["totals"]
    closed = len(app.closed)
    async with aiohttp.ClientSession() as session:
        ws = await session.ws_connect(f"{sidecar.url}/ws")
        ws._response.connection.transport.abort()
    await ends(sidecar, in_flight=0, totals_disconnected=before["disconnected"] + 1)
    await soon(lambda: len(app.closed) > closed, "the app has heard of it")


async def test_an_app_that_breaks_the_connection_is_told_by_a_close_frame(ingress, client):
    _, sidecar = ingress
    async with client.ws_connect(f"{sidecar.url}/ws") as ws:
        await ws.send_str("cut")
        await ws.receive(timeout=10)
        assert ws.close_code == 1011
    await ends(sidecar, in_flight=0)


async def test_an_app_that_does_not_change_the_protocol_answers_as_ever(ingress, client):
    _, sidecar = ingress
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(f"{sidecar.url}/ws", headers={"x-refuse": "1"})
    assert refused.value.status == 401
    async with client.get(
        f"{sidecar.url}/elsewhere", headers={"connection": "upgrade", "upgrade": "websocket"}
    ) as told:
        assert told.status == 404
    await ends(sidecar, in_flight=0)


async def test_a_drain_waits_for_a_websocket(client):
    async with an_app() as (_, url), in_front(url) as sidecar:
        async with client.ws_connect(f"{sidecar.url}/ws") as ws:
            sidecar.terminate()
            await ends(sidecar, draining=True, streams=1)
            await ws.send_str("still there?")
            assert await ws.receive_str(timeout=10) == "heard still there?"
            await ws.send_str("bye")
            await ws.receive(timeout=10)
        assert await asyncio.to_thread(sidecar.wait, 20) == 0


async def test_at_the_ceiling_a_websocket_is_told_by_a_close_frame(client):
    async with an_app() as (_, url), in_front(url, drain={"settleSeconds": 0, "ceilingSeconds": 2}) as sidecar:
        async with client.ws_connect(f"{sidecar.url}/ws") as ws:
            await ws.send_str("hi")
            await ws.receive_str(timeout=10)
            sidecar.terminate()
            told = await ws.receive(timeout=20)
            assert (told.type, told.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            assert "drain.ceilingSeconds" in told.extra
        assert await asyncio.to_thread(sidecar.wait, 20) == 0
        assert '"dropped":1' in sidecar.output().replace(" ", "")


# Other protocols.


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\nX-A: 1\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def staged():
    async with on_stage({"mode": "Ingress", "upstream": {"provider": "Any"}}) as found:
        yield found


async def test_any_protocol_is_passed_on_byte_for_byte():
    heads = []

    async def app(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n"))
        writer.write(SWITCH + b"early")
        while data := await reader.read(65536):
            writer.write(data)
            if b"end" in data:
                break
        writer.close()

    server = await asyncio.start_server(app, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with in_front(url) as sidecar:
            reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.traffic_port)
            writer.write(
                b"GET /any HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
                b"Upgrade: h2c, echo/1\r\n\r\n\0first"
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            assert head[0] == b"http/1.1 101 switching protocols"
            assert [line for line in head if line.startswith(b"connection:")] == [b"connection: upgrade"]
            assert {b"upgrade: echo/1", b"x-a: 1"} <= set(head)
            assert not [line for line in head if line.startswith((b"content-length", b"transfer-encoding"))]
            assert await reader.readexactly(11) == b"early\0first"
            writer.write(b"GET / HTTP/1.1\r\n\r\nend")
            assert await reader.read() == b"GET / HTTP/1.1\r\n\r\nend"
            writer.close()
            await ends(sidecar, in_flight=0, streams=0, totals_completed=1)
    assert {"connection: upgrade", "upgrade: echo/1"} <= set(heads[0])


async def test_an_offer_that_is_not_for_this_connection_is_not_passed_on(staged):
    part = staged.part(read_request(), send(OK))
    async with await RawClient.connect(staged.sidecar.url) as client:
        await client.send(
            f"GET /any HTTP/1.1\r\nHost: localhost\r\nUpgrade: x\r\n{part.header[0]}: {part.name}\r\n\r\n".encode()
        )
        assert (await client.answer("GET")).head.status == 200
    assert part.request.header("upgrade") is None


async def test_a_101_that_nobody_asked_for_is_a_502_still(staged):
    part = staged.part(read_request(), send(SWITCH))
    assert (await staged.ask(part, None, method="GET", path="/any")).head.status == 502
