"""A connection without a socket, and an application that reads each request and answers it when it is told to."""

import asyncio
import re
from dataclasses import dataclass, field

from lastcall_sidecar.server.http1 import HTTP1


@dataclass
class Seen:
    """A request as the application got it."""

    scope: dict
    body: bytes = b""
    whole: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def target(self):
        return self.scope["extensions"]["lastcall.target"]

    def meaning(self):
        extensions = self.scope["extensions"]
        return (self.scope["method"], self.target, extensions["lastcall.headers"], self.body, self.whole)


class FakeConnection:
    """What `HTTP1` asks of its connection."""

    def __init__(self, app=None):
        self.loop = asyncio.get_running_loop()
        self.client, self.server = ("192.0.2.1", 1), ("192.0.2.2", 2)
        self.asgi = app or self._app
        self.requests = []
        self.under_way = 0
        self.written = bytearray()
        self.writes = []
        self.closing = self.was_reset = self.paused = False
        self.http = HTTP1(self)

    async def _app(self, scope, receive, send):
        seen = Seen(scope)
        self.requests.append(seen)
        self.under_way += 1
        try:
            while not seen.whole:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                seen.body += message["body"]
                seen.whole = not message["more_body"]
            gone = asyncio.ensure_future(receive())
            told = asyncio.ensure_future(seen.go_on.wait())
            await asyncio.wait([gone, told], return_when=asyncio.FIRST_COMPLETED)
            for task in (gone, told):
                task.cancel()
            if seen.go_on.is_set():
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
                await send({"type": "http.response.body", "body": b"ok"})
        finally:
            self.under_way -= 1

    async def answer(self):
        """Let the application answer the last request."""
        self.requests[-1].go_on.set()
        await self.settle()

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)

    def statuses(self):
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", bytes(self.written))]

    def status(self):
        """The status of the only answer; None without one."""
        found = self.statuses()
        assert len(found) <= 1
        return found[0] if found else None

    # `Connection`'s.

    def take(self, data):
        if not self.closing:
            self.http.feed(data)

    def write(self, data):
        if not self.closing:
            self.written += data
            self.writes.append(data)

    def is_behind(self):
        return False

    async def drained(self):
        raise AssertionError

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def is_busy(self):
        pass

    def is_idle(self):
        pass

    def begin_close(self):
        self.closing = True

    def reset(self):
        self.was_reset = self.closing = True
