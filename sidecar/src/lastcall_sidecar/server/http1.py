"""Hypercorn's HTTP/1.1 protocol, made strict.

Called by `connection.py` with the bytes of one client connection; calls the application through Hypercorn's
`HTTPStream`. What it adds, and why:

- `Content-Length` twice, or beside `Transfer-Encoding`, is a 400: two readers that disagree about where a request ends
  are how requests get smuggled (RFC 9112, 6.3). h11 lets both pass.
- HTTP/2 without TLS is refused: a drain needs GOAWAY there. An offer to upgrade to it is ignored, as RFC 9110, 7.8
  allows; any other upgrade gets a 501.
- A second request before the first is answered closes the connection after that answer. Hypercorn would park the
  reader, and then nobody sees the client leave.
- `100 Continue` goes out when the application first asks for the body, not before it had a chance to refuse.
- Chunks are framed here: h11 and a lock for each event cost a third of the time that an event takes.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from wsgiref.handlers import format_date_time

import h11
import structlog
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, ConnectionState, HTTPScope, Scope
from hypercorn.typing import TaskGroup as TaskGroupLike

from .inbox import Inbox
from .refusals import refusal

if TYPE_CHECKING:
    from .connection import Connection

REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
HEAD_END = re.compile(rb"\r?\n\r?\n")
FRAMING_LINE = re.compile(rb"^(content-length|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
OURS_TO_CLOSE = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)


log = structlog.get_logger(__name__)


class Requests(TaskGroup):
    """The tasks of one connection; spawns the application with an `Inbox` instead of Hypercorn's queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: "Connection") -> None:
        super().__init__(loop)
        self._connection = connection

    async def spawn_app(
        self,
        app: AppWrapper,  # noqa: ARG002 - Hypercorn's wrapper; the connection calls the application itself
        config: Config,  # noqa: ARG002 - Hypercorn's, too
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application on one request; returns where its messages are put."""
        inbox = Inbox()
        protocol = self._connection.protocol
        extensions: dict[str, Any] = cast("HTTPScope", scope)["extensions"]
        extensions["lastcall.connection"] = self._connection
        extensions["lastcall.target"] = protocol.target
        extensions["lastcall.headers"] = protocol.raw_headers

        async def receive() -> ASGIReceiveEvent:
            if protocol.connection.they_are_waiting_for_100_continue:
                await protocol.send_continue()
            return await inbox.get()

        async def run() -> None:
            try:
                await self._connection.asgi(scope, receive, send)
            except Exception:
                log.exception("the application raised while it served a request")
            finally:
                inbox.close()
                await send(None)

        self.spawn(run)
        return inbox.put


class StrictHTTP1(H11Protocol):
    """One connection's HTTP/1.1: requests one after another, framing checked, never a second one at a time."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        task_group: TaskGroup,
        state: ConnectionState,
        addresses: tuple[tuple[str, int] | None, tuple[str, int] | None],
        connection: "Connection",
    ) -> None:
        client, server = addresses
        super().__init__(
            app,
            config,
            connection.context,
            cast("TaskGroupLike", task_group),
            state,
            False,
            client,
            server,
            connection.protocol_send,
        )
        self._owner = connection
        self._reading = asyncio.Lock()
        self._head = bytearray()
        self._close_after = False
        self._refused = False
        self._chunked = False
        self._body_left: int | None = None
        #: The request's target as it came: ASGI's path and query lose a `?` with nothing behind it.
        self.target = b""
        #: Its headers in the client's own spelling.
        self.raw_headers: list[tuple[bytes, bytes]] = []

    # What comes in.

    async def handle(self, event: Event) -> None:
        """Take bytes, or the news that the client is gone."""
        if isinstance(event, Closed):
            await self._close_stream()
        elif isinstance(event, RawData) and not self._discards():
            async with self._reading:
                if self.connection.their_state is h11.IDLE:
                    self._head += event.data
                self.connection.receive_data(event.data)
                await self._handle_events()

    def _discards(self) -> bool:
        """Whether what arrives now is a second request before the first is answered; it is never looked at."""
        if self.connection.their_state in OURS_TO_CLOSE and not self._answered():
            self._close_after = True
            return True
        return self._close_after

    def _answered(self) -> bool:
        """Whether the client has all of the answer, so that its next request is no pipelining."""
        return self.connection.our_state in OURS_TO_CLOSE or self._body_left == 0

    async def _handle_events(self) -> None:
        while True:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                # h11's own words quote what was sent, credentials included.
                status = error.error_status_hint
                await self.refuse(
                    status, "the request's head is too large" if status == 431 else "this is not HTTP/1.1"
                )
                return
            if isinstance(event, h11.Request):
                why = self._objection(event)
                if why is not None:
                    await self.refuse(*why)
                    return
                await self.send(Updated(idle=False))
                await self._create_stream(event)
            elif self.stream is None or not isinstance(event, (h11.Data, h11.EndOfMessage)):
                return
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
            else:
                await self.stream.handle(EndBody(stream_id=STREAM_ID))
                if self.connection.trailing_data[0] and not self._answered():
                    self._close_after = True

    def _objection(self, request: h11.Request) -> tuple[int, str] | None:
        """Why this head is refused: (status, message), or None."""
        end = HEAD_END.search(self._head)
        framing = FRAMING_LINE.findall(self._head, 0, end.start() if end else len(self._head))
        self._head.clear()
        if len(framing) > 1 or any(b"," in value for _, value in framing):
            return 400, "Content-Length and Transfer-Encoding: one of them, once"
        if request.http_version not in {b"1.0", b"1.1"}:
            return 505, "HTTP/1.1 only: HTTP/2 needs TLS, which is the mesh's or the ingress' business"
        if request.method == b"CONNECT":
            return 501, "CONNECT is not served here"
        for name, value in request.headers:
            if CONTROL.search(value):
                return 400, "a header's value holds a control character"
            if name == b"upgrade" and value.strip().lower() != b"h2c":
                return 501, "websockets and other upgrades are not served here"
        return None

    async def _create_stream(self, request: h11.Request) -> None:
        self._body_left = None
        self.target = request.target
        self.raw_headers = request.headers.raw_items()
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    # What goes out.

    async def stream_send(self, event: StreamEvent) -> None:
        """Frame and send what the application answers; nothing behind a refusal, which was the answer."""
        if self._refused and not isinstance(event, StreamClosed):
            return
        if isinstance(event, Body) and self._chunked:
            await self.send(RawData(data=b"%x\r\n%b\r\n" % (len(event.data), event.data)))
        elif isinstance(event, Body):
            if self._body_left is not None:
                self._body_left -= len(event.data)
            await super().stream_send(event)
        elif isinstance(event, Response):
            await self._send_head(event)
        elif isinstance(event, StreamClosed):
            await self._maybe_recycle()
        else:
            await super().stream_send(event)

    async def _send_head(self, event: Response) -> None:
        """Send the head. h11 sees, and decides by, the headers that frame the answer; the others are only joined."""
        framing, others, dated = [], [], False
        for name, value in event.headers:
            lower = name.lower()
            if lower in FRAMING:
                framing.append((lower, value))
                if lower == b"content-length":
                    self._body_left = int(value)
            else:
                dated = dated or lower == b"date"
                others.append(b"%b: %b\r\n" % (name, value))
        if not dated:
            others.append(b"date: %b\r\n" % http_date())
        unread = self.connection.their_state is h11.SEND_BODY and event.status_code >= 400
        if (self._close_after or unread) and not any(name == b"connection" for name, _ in framing):
            framing.append((b"connection", b"close"))
        joined = b"".join(others)
        if joined.count(b"\n") != len(others) or joined.count(b"\r") != len(others) or b"\0" in joined:
            raise h11.LocalProtocolError("a header of the answer holds a line end")
        reason = REASONS.get(event.status_code, b"")
        head = self.connection.send(h11.Response(headers=framing, status_code=event.status_code, reason=reason))
        self._chunked = b"\r\ntransfer-encoding: chunked\r\n" in head.lower()
        self._owner.hold(head[:-2] + joined + b"\r\n")

    async def send_continue(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
        await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    async def refuse_late_head(self) -> None:
        """Answer a head that takes too long, unless it has come in this very turn of the loop."""
        if self.connection.their_state is h11.IDLE:
            await self.refuse(408, "the request's head took too long")

    async def refuse(self, status: int, message: str) -> None:
        """Answer what is no proper request, and close."""
        self._refused = True
        if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers, body = refusal(status, message)
            await self._send_h11_event(
                h11.Response(
                    status_code=status,
                    headers=[*headers, (b"date", http_date()), (b"connection", b"close")],
                    reason=REASONS.get(status, b""),
                )
            )
            await self._send_h11_event(h11.Data(data=body))
            await self._send_h11_event(h11.EndOfMessage())
        self._close_after = True
        await self.send(Closed())

    async def _maybe_recycle(self) -> None:
        await self._close_stream()
        if self.connection.our_state is h11.SEND_BODY and not self._chunked and self._body_left is None:
            # Nothing but the end of the connection ends this body: only a reset can say that it is not whole.
            self._owner.reset()
        elif (
            self._close_after
            or self.connection.our_state is not h11.DONE
            or self.connection.their_state is not h11.DONE
        ):
            await self.send(Closed())
        else:
            early = self.connection.trailing_data[0]
            self.connection.start_next_cycle()
            await self.send(Updated(idle=True))
            if early:
                self._head += early
                self.task_group.spawn(self._next_request)

    async def _next_request(self) -> None:
        async with self._reading:
            await self._handle_events()


def http_date() -> bytes:
    """Now, as HTTP writes it (RFC 9110, 5.6.7)."""
    return format_date_time(time.time()).encode("ascii")
