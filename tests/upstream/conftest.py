"""The transport itself against an upstream that plays a script; on the event loop that `LASTCALL_TEST_LOOP` names."""

import asyncio
import contextlib
import os

import httpx
import pytest
import uvloop
from tests.support.scripted_upstream import ScriptedUpstream

from lastcall_sidecar.upstream import UpstreamRequest, make_transport


def pytest_asyncio_loop_factories(config, item):
    if os.environ.get("LASTCALL_TEST_LOOP") == "asyncio":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


class Client:
    """A transport in front of a scripted upstream."""

    def __init__(self, transport, upstream):
        self.transport, self.upstream = transport, upstream

    async def begin(self, method="POST", headers=(), body=None, target=b"/v1/x", *, upgrade=False):
        """The answer, from its head on."""
        stream = body if isinstance(body, httpx.AsyncByteStream) else httpx.ByteStream(body or b"")
        request = UpstreamRequest(
            method, self.transport.origin, [(b"Host", b"up"), *headers], stream, target, upgrade=upgrade
        )
        async with asyncio.timeout(10):
            return await self.transport.handle_async_request(request)

    async def ask(self, *args, **options):
        """The answer and its body."""
        answer = await self.begin(*args, **options)
        async with asyncio.timeout(10):
            try:
                body = b"".join([piece async for piece in answer.stream])
            finally:
                await answer.aclose()
        return answer, body

    async def left(self, open_=0, idle=0):
        """Wait until so many connections are left."""
        async with asyncio.timeout(5):
            while (len(self.transport._open), len(self.transport._idle)) != (open_, idle):  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def client_of(*scripts, host="127.0.0.1", idle_seconds=4, proxy=None, **options):
    """With `proxy`, a `monkeypatch`: the upstream is the proxy that the environment names."""
    async with ScriptedUpstream(*scripts, **options) as upstream:
        origin = httpx.URL(upstream.url).copy_with(host=host)
        if proxy is not None:
            proxy.setenv("http_proxy", upstream.url)
            proxy.setenv("no_proxy", "")
            origin = httpx.URL("http://up.example")
        transport = make_transport(
            origin,
            connect_timeout_seconds=5,
            stall_seconds=5,
            idle_seconds=idle_seconds,
            trust_env=proxy is not None,
        )
        try:
            yield Client(transport, upstream)
        finally:
            await transport.aclose()


@pytest.fixture
def client():
    """`async with client(script, …) as client:`."""
    return client_of
