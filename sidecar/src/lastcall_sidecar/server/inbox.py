"""What a client sends, on its way from the socket's reader to the application that serves the request.

Hypercorn's own queue parks the reader for ever when an application answers without reading the body to its end, and a
parked reader never sees the client leave. This one lets the reader go when the application is done.
"""

import asyncio
from collections import deque

from hypercorn.typing import ASGIReceiveEvent

#: Body messages (64 KiB each at most) that wait here before the reader pauses and TCP pushes back.
MAX_WAITING_MESSAGES = 1


class Inbox:
    """ASGI messages of one request: `put` by the connection's reader, `get` by the application."""

    __slots__ = ("_closed", "_getter", "_gone", "_messages", "_putter")

    def __init__(self) -> None:
        self._messages: deque[ASGIReceiveEvent] = deque()
        self._getter: asyncio.Future[None] | None = None
        self._putter: asyncio.Future[None] | None = None
        self._closed = False
        self._gone: ASGIReceiveEvent | None = None

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Hand one message over; waits while the application is behind, unless it is done or the client is gone."""
        if message["type"] == "http.disconnect":
            self._gone = message
            _wake(self._getter)
            _wake(self._putter)
            return
        while len(self._messages) >= MAX_WAITING_MESSAGES and not self._closed and self._gone is None:
            self._putter = asyncio.get_running_loop().create_future()
            await self._putter
        if not self._closed:
            self._messages.append(message)
            _wake(self._getter)

    async def get(self) -> ASGIReceiveEvent:
        """The next message; a disconnect overtakes a body that nobody will answer any more, and repeats."""
        while True:
            if self._gone is not None:
                return self._gone
            if self._messages:
                message = self._messages.popleft()
                _wake(self._putter)
                return message
            self._getter = asyncio.get_running_loop().create_future()
            await self._getter

    def close(self) -> None:
        """The application is done: whatever else the client sends is thrown away."""
        self._closed = True
        self._messages.clear()
        _wake(self._putter)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
