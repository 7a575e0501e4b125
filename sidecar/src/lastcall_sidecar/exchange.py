"""One request under way: what was read, what was sent, and who may end it.

Made by `pipeline.py` for each request. Three parties may end a request before its own end: the client by leaving, a
clock, and the drain's ceiling. All of them come through `stop`: the first reason wins, the request's task is cancelled
once, and `pipeline.py` answers for it. One `call_at` handle serves all clocks; it is re-armed only when it fires or
when a nearer deadline appears, never for each event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

import structlog

from .core.inflight import InFlight, Ticket
from .core.pace import Pace
from .core.timers import Clock, Timers
from .server import ClientConnection
from .settings import Mode, Settings
from .wire.body import RequestBody
from .wire.headers import echoable
from .wire.protocol import Account, Route
from .wire.websocket import Frames, Opaque

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: How often, in seconds, a paused upload looks whether its client is still there.
PEER_CHECK_SECONDS = 1.0
#: Seconds that an upstream may linger after the terminal event before we end the answer cleanly.
LINGER_SECONDS = 5.0
#: Checks for progress toward a client that does not read, per write-stall limit.
WRITE_CHECKS = 4

log = structlog.get_logger(__name__)


class Stop(StrEnum):
    """Why a request ended before its own end."""

    CLIENT_GONE = "client_gone"
    CEILING = "ceiling"
    #: The answer went on past `limits.maxOutputChars`.
    OUTPUT = "output"
    CLIENT_BODY = Clock.CLIENT_BODY.value
    UPLOAD = Clock.UPLOAD.value
    RESPONSE_HEADER = Clock.RESPONSE_HEADER.value
    FIRST_EVENT = Clock.FIRST_EVENT.value
    STALL = Clock.STALL.value
    LINGER = Clock.LINGER.value
    WRITE_STALL = Clock.WRITE_STALL.value
    MAX_DURATION = Clock.MAX_DURATION.value


def clock_limits(settings: Settings) -> Mapping[Clock, float]:
    """The limits of a request's clocks, in seconds."""
    limits = settings.limits
    return {
        Clock.CLIENT_BODY: limits.body_grace_seconds,
        Clock.UPLOAD: limits.stall_timeout_seconds,
        Clock.RESPONSE_HEADER: settings.upstream.response_header_timeout_seconds,
        Clock.FIRST_EVENT: limits.first_event_timeout_seconds,
        Clock.STALL: limits.stall_timeout_seconds,
        Clock.WRITE_STALL: limits.write_stall_seconds,
        Clock.MAX_DURATION: limits.max_duration_seconds,
        Clock.HEARTBEAT: settings.streaming.heartbeat_seconds,
        Clock.LINGER: LINGER_SECONDS,
        Clock.PEER_CHECK: PEER_CHECK_SECONDS,
    }


class Exchange:
    """A request and its answer. Owned by the task that serves it; `stop` may be called from anywhere in the loop."""

    #: Whose request it is, as far as fairness goes: the name of the key, or empty.
    caller = ""

    def __init__(
        self,
        scope: Mapping[str, Any],
        header: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        *,
        request_id: str,
        route: Route,
        gauge: InFlight,
        ticket: Ticket,
        settings: Settings,
        limits: Mapping[Clock, float],
        draining: Callable[[], bool],
    ) -> None:
        self.scope = scope
        #: As they came, and by lower-case name, several lines of one name as one list.
        self.headers: Headers = scope["extensions"].get("lastcall.headers", scope["headers"])
        self.header = header
        self.request_id = request_id
        self.route = route
        self.ticket = ticket
        self.settings = settings
        self._gauge = gauge
        self._draining = draining
        self.timers = Timers(limits)
        self.stopped: Stop | None = None
        #: The protocols to which the client would change, where that is the app's business.
        self.upgrade: bytes = b""
        if settings.mode is Mode.INGRESS and scope["extensions"].get("lastcall.may_switch"):
            self.upgrade = scope["extensions"]["lastcall.upgrade"]
        #: What follows the app's bytes, once it has changed the protocol.
        self.tunnelled: Frames | Opaque | None = None
        #: Headers for the answer that are ours: CORS.
        self.extra_headers: Headers = []
        # What was sent.
        self.status: int | None = None
        #: The answer's head tells the client to take its next request elsewhere.
        self.parts = False
        self.finished = False
        self.sent_bytes = 0
        self.heartbeats = 0
        # What is known about a stream, for insertions.
        self.account: Account | None = None
        self.insertable = False
        # What was read, and how slowly it came.
        self._pace = Pace(settings.limits.min_body_bytes_per_second)
        self.body_bytes = 0
        #: The whole request has come.
        self.asked = False
        self.model: str | None = None
        #: The name of the upstream that was chosen; empty for the one without a name.
        self.upstream_name = ""
        self.has_thinking = False
        #: By the `Accept` header, or `stream` in the body.
        self.wants_stream = b"text/event-stream" in self.header.get(b"accept", b"")
        self.first_event_seconds: float | None = None
        # How it ended.
        self.upstream_status: int | None = None
        self.failure: str | None = None
        #: What is known of an answer that was a stream for us, and is none for the client.
        self.accumulated: Account | None = None
        #: The kind of an upstream's failure, for the metrics.
        self.cause: str | None = None

        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._receive = receive
        self._send = send
        self._sending = False
        self._over = False
        self._connection: ClientConnection | None = scope["extensions"].get("lastcall.connection")
        self._pump: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._chunk: tuple[bytes, bool] | None = None
        self._chunk_there = asyncio.Event()
        self._chunk_taken = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = float("inf")
        self._delivered_bytes = -1

    # Ends.

    def stop(self, why: Stop) -> None:
        """End the request, unless it is over, ending already, or only its tidying up is left."""
        if self.stopped is None and not self._over and not self.finished and self._task is not None:
            self.stopped = why
            self._task.cancel()

    def over(self) -> None:
        """Nothing may end this request any more: its task answers for it now."""
        self._over = True

    def close(self) -> None:
        """Let go of everything that runs beside the request."""
        self._over = True
        for task in (self._pump, self._heartbeat):
            if task is not None:
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def reset_client(self) -> None:
        """End the client's connection at once."""
        if self._connection is not None:
            self._connection.reset()

    # What becomes known on the way.

    @property
    def keeps_cookies(self) -> bool:
        """Whether cookies pass: between an app and its own clients they do, to and from a remote upstream never."""
        return self.settings.mode is Mode.INGRESS

    def understood(self, content: RequestBody) -> None:
        """The body's top level has been read."""
        self.model, self.has_thinking = content.model, content.has_thinking
        self.wants_stream = self.wants_stream or content.stream

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream or, where it failed, whether the client asked for one."""
        return self.ticket.stream or (self.failure is not None and self.wants_stream)

    @property
    def protocol_over(self) -> bool:
        """Whether the stream's terminal event has gone by, or the last frame of the app's WebSocket."""
        if self.tunnelled is not None:
            return self.tunnelled.closed
        return self.account is not None and self.account.terminal

    @property
    def ended_well(self) -> bool:
        """Whether a relayed answer is whole, and not a stream that ended in the upstream's own error event."""
        return self.account is None or self.account.error is None

    def mark_queued(self, queued: bool) -> None:
        """The request waits for a slot, or no longer."""
        self._gauge.mark_queued(self.ticket, queued)

    def uploaded(self) -> None:
        """All of the request has been handed to the upstream's connection: its answer is waited for."""
        self.timers.stop(Clock.UPLOAD)
        if self.upstream_status is None:
            self.start(Clock.RESPONSE_HEADER)

    def uploading(self) -> None:
        """The upstream is to take the next bytes. Once it has answered, only its answer is waited for."""
        if self.upstream_status is None:
            self.start(Clock.UPLOAD)

    def answered(self, status: int) -> None:
        """The head of the upstream's answer is there; what is still to upload holds nobody up."""
        self.upstream_status = status
        for clock in (Clock.RESPONSE_HEADER, Clock.UPLOAD, Clock.CLIENT_BODY):
            self.timers.stop(clock)

    def mark_stream(self) -> None:
        """The answer is a stream of events."""
        self._gauge.mark_stream(self.ticket)

    def watch_output(self, account: Account) -> None:
        """Look at what a stream has come to; one that is too long ends before more of it is sent."""
        limit = self.settings.limits.max_output_chars
        if limit and account.output_chars > limit:
            self.stop(Stop.OUTPUT)

    def saw_event(self) -> None:
        """The upstream sent an event (the first one counts)."""
        if self.first_event_seconds is None:
            self.first_event_seconds = self._loop.time() - self.ticket.started
            self.timers.stop(Clock.FIRST_EVENT)

    # Clocks.

    def start(self, clock: Clock, *, used_seconds: float = 0.0) -> None:
        """Start or restart a clock, of which so much is used up already."""
        deadline = self.timers.start(clock, self._loop.time() - used_seconds)
        if clock is Clock.WRITE_STALL:
            deadline -= self.timers.limit(clock) * (1 - 1 / WRITE_CHECKS)
        if deadline < self._armed_at:
            self._arm(deadline)

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = deadline
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer, self._armed_at = None, float("inf")
        if self._over:
            return
        if self.timers.running(Clock.WRITE_STALL):
            self._look_for_progress(now)
        while (due := self.timers.next()) is not None and due[0] <= now:
            self._run_out(due[1], now)
            if self.stopped is not None:
                return
        if due is not None:
            self._arm(due[0])
        if self.timers.running(Clock.WRITE_STALL):
            check_at = now + self.timers.limit(Clock.WRITE_STALL) / WRITE_CHECKS
            if check_at < self._armed_at:
                self._arm(check_at)

    def _look_for_progress(self, now: float) -> None:
        delivered = self._connection.delivered_bytes() if self._connection is not None else 0
        if delivered != self._delivered_bytes:
            self._delivered_bytes = delivered
            self.timers.start(Clock.WRITE_STALL, now)

    def _run_out(self, clock: Clock, now: float) -> None:
        if clock is Clock.HEARTBEAT:
            self.timers.start(clock, now)
            if self.insertable and not self._sending and (self._heartbeat is None or self._heartbeat.done()):
                self._heartbeat = self._loop.create_task(self._send_heartbeat())
        elif clock is Clock.PEER_CHECK:
            self.timers.start(clock, now)
            if self._connection is not None and self._connection.peer_closed():
                self.stop(Stop.CLIENT_GONE)
        else:
            self.stop(Stop(clock.value))

    # From the client.

    def watch_client(self) -> None:
        """Begin to read from the client: its body, and that it left."""
        self._pump = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.stop(Stop.CLIENT_GONE)
                return
            self._chunk = (message.get("body", b""), message.get("more_body", False))
            self.asked = self.asked or not self._chunk[1]
            self._chunk_there.set()
            if self._chunk[1]:
                self.start(Clock.PEER_CHECK)
                await self._chunk_taken.wait()
                self._chunk_taken.clear()
                self.timers.stop(Clock.PEER_CHECK)

    async def next_chunk(self) -> tuple[bytes, bool]:
        """The next bytes of the client's body, and whether more may follow. Not to be called after its end."""
        if self.upstream_status is None:
            self.start(Clock.CLIENT_BODY, used_seconds=self._pace.used_seconds)
        began = self._loop.time()
        await self._chunk_there.wait()
        self._chunk_there.clear()
        self.timers.stop(Clock.CLIENT_BODY)
        chunk = self._chunk or (b"", False)
        self._pace.came(len(chunk[0]), self._loop.time() - began)
        self._chunk = None
        self._chunk_taken.set()
        self.body_bytes += len(chunk[0])
        return chunk

    # To the client.

    async def send_head(self, status: int, headers: Headers) -> None:
        """Send the answer's head; while draining it asks the client to take its next request elsewhere."""
        if self.extra_headers:
            # Whether a page may read the answer is told once: two values, and its browser takes neither.
            headers = [pair for pair in headers if not pair[0].lower().startswith(b"access-control-")]
        headers = [*headers, *self.extra_headers, *self._ids(headers)]
        self.parts = self._draining()
        if self.parts:
            headers.append((b"connection", b"close"))
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _ids(self, headers: Headers) -> Headers:
        """Our id, always; the names that clients look for as the upstream sent them, else the client's own or ours."""
        ours = self.request_id.encode("ascii")
        ids: Headers = [(b"x-lastcall-request-id", ours)]
        if self.settings.mode is not Mode.INGRESS:
            present = {name.lower() for name, _ in headers}
            if b"request-id" not in present:
                ids.append((b"request-id", ours))
            if b"x-request-id" not in present:
                asked = echoable(self.header.get(b"x-request-id", b""))
                ids.append((b"x-request-id", asked.encode("ascii") if asked else ours))
        return ids

    async def send_body(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the answer's body; waits while the client is behind. Without `more` the answer is whole."""
        self._sending = True
        self.start(Clock.WRITE_STALL)
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        finally:
            self._sending = False
            self.timers.stop(Clock.WRITE_STALL)
        self.sent_bytes += len(data)
        self.finished = not more
        if more:
            self.start(Clock.HEARTBEAT)

    async def send_json(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Send a whole answer in JSON, with these headers beside those that every answer of that kind has."""
        about = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self.send_head(status, [*about, *headers])
        await self.send_body(body, more=False)

    async def _send_heartbeat(self) -> None:
        # Asked again: since it fell due, an event may have begun to leave.
        fits = self.insertable and not self._sending and not self._over
        if fits and self.account is not None and not self.account.terminal:
            self.heartbeats += 1
            with suppress(OSError):
                await self.send_body(self.route.protocol.heartbeat(self.account))
