"""A sidecar and its upstream for many tests at once, which may all run together.

    async with on_stage({"limits": {"maxConcurrent": 2}}) as wire:
        part = wire.part(answer_with(json_response(b"{}")))
        async with await wire.connect() as client:
            await client.request("POST", "/v1/messages", [part.header], QUESTION)
            answer = await client.answer()
        part.connections[0].requests            # what the upstream got for this part

The upstream is one `Stage`: each request plays the part that its `x-part` header names, so that tests that share a
sidecar (and its pool of connections) cannot take each other's requests. A part must take its request (`read_request`)
or not return before its peer is gone (`hang`). Starting a sidecar takes a second or ten: share one per module, or more.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.support.raw_client import Answer, RawClient
from tests.support.scripted_upstream import (
    LAST_CHUNK,
    Connection,
    Request,
    Script,
    ScriptedUpstream,
    chunk,
    read_request,
    send,
    sse_head,
    steps,
)
from tests.support.sidecar_process import SidecarProcess, merged

#: A drain that ends at once: tests that are over need not settle.
QUICK_END: Mapping[str, Any] = {"drain": {"settleSeconds": 0}}
PART_HEADER = "x-part"
PATH = "/v1/messages"

START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3}}}\n\n'
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}\n\n'
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def question(*, stream: bool = True, padding: int = 0, **fields: Any) -> bytes:
    """The body of a request for a message, `padding` bytes longer than need be."""
    content = [{"role": "user", "content": "hi" + "x" * padding}]
    return json.dumps({"model": "m", "stream": stream, "messages": content, **fields}).encode()


QUESTION = question()
PLAIN_QUESTION = question(stream=False)


@dataclass
class Part:
    """What the upstream does for the requests that name this part, and what it saw of them."""

    name: str
    script: Script
    #: The connection of each time that it was played: its length says how often the upstream got the request.
    connections: list[Connection] = field(default_factory=list)
    _played: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def header(self) -> tuple[str, str]:
        return PART_HEADER, self.name

    @property
    def request(self) -> Request:
        """The one request, as the upstream got it."""
        (request,) = self.requests
        return request

    @property
    def requests(self) -> list[Request]:
        """All requests that named this part and were taken, in the order of their connections."""
        connections = {id(connection): connection for connection in self.connections}.values()
        return [
            request
            for connection in connections
            for request in connection.requests
            if request.header(PART_HEADER) == self.name
        ]

    async def connection(self, timeout_seconds: float = 20.0) -> Connection:
        """Wait until it is played."""
        async with asyncio.timeout(timeout_seconds):
            await self._played.wait()
        return self.connections[-1]

    async def play(self, connection: Connection) -> None:
        self.connections.append(connection)
        self._played.set()
        await self.script(connection)


class Stage(ScriptedUpstream):
    """An upstream on which many parts are played."""

    def __init__(self, receive_buffer_bytes: int | None = None) -> None:
        super().__init__(self._direct, receive_buffer_bytes=receive_buffer_bytes)
        self._parts: dict[str, Part] = {}
        #: What is played for a request that names no part; without it, such a request fails the test.
        self.otherwise: Script | None = None

    def part(self, script: Script) -> Part:
        """Add a part."""
        part = Part(f"part-{len(self._parts)}", script)
        self._parts[part.name] = part
        return part

    async def _direct(self, connection: Connection) -> None:
        try:
            while _is_open(connection):
                head, taken = await connection.read_head(3600), len(connection.requests)
                lines = head.decode("latin-1").lower().split("\r\n")
                names = [line.partition(":")[2].strip() for line in lines if line.startswith(PART_HEADER + ":")]
                if len(names) == 1 and names[0] in self._parts:
                    await self._parts[names[0]].play(connection)
                elif self.otherwise is not None:
                    await self.otherwise(connection)
                else:
                    raise LookupError(f"a request without a part of its own: {head[:500]!r}")
                if len(connection.requests) == taken and _is_open(connection):
                    raise LookupError(f"a part that did not take its request: {head[:500]!r}")
        finally:
            connection.close()


def _is_open(connection: Connection) -> bool:
    return connection.disconnected_at is None and not connection.transport.is_closing()


@dataclass(frozen=True)
class Wire:
    """A sidecar in front of a stage."""

    stage: Stage
    sidecar: SidecarProcess

    def part(self, *script: Script) -> Part:
        """Add a part of these steps."""
        return self.stage.part(steps(*script))

    def streams(self, *pieces: bytes, ended: bool = True) -> Part:
        """A part that answers with a stream: each piece is one chunk in one write."""
        return self.part(read_request(), send(sse_head(), *(chunk(p) for p in pieces), *([LAST_CHUNK] * ended)))

    async def connect(self, **options: Any) -> RawClient:
        return await RawClient.connect(self.sidecar.url, **options)

    async def ask(
        self,
        part: Part,
        body: bytes | None = QUESTION,
        headers: Sequence[tuple[str, str]] = (),
        *,
        method: str = "POST",
        path: str = PATH,
        timeout_seconds: float = 30.0,
    ) -> Answer:
        """Send one request over a connection of its own and read the whole answer."""
        async with await self.connect(timeout_seconds=timeout_seconds) as client:
            await client.request(method, path, [part.header, *headers], body)
            return await client.answer(method)

    async def livez(self) -> dict[str, Any]:
        """The whole gauge, from the admin listener."""
        async with await RawClient.connect(self.sidecar.admin_url) as client:
            await client.request("GET", "/livez")
            found: dict[str, Any] = json.loads((await client.answer("GET")).body)
            return found

    async def totals(self) -> dict[str, int]:
        return dict((await self.livez())["totals"])

    async def wait_for(self, timeout_seconds: float = 10.0, **wanted: Any) -> dict[str, Any]:
        """Wait until `/livez` shows these values; `totals_x=…` means `totals.x`."""
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    found = await self.livez()
                    seen = {**found, **{f"totals_{name}": value for name, value in found["totals"].items()}}
                    if all(seen[name] == value for name, value in wanted.items()):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            error.add_note(f"wanted {wanted}, /livez: {seen}\n{self.sidecar.report()}")
            raise


class OpenSidecar(SidecarProcess):
    """A sidecar whose listeners are bound to every address, as in a pod."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        ports = {"traffic": self.traffic_port, "admin": self.admin_port}
        self.write_config({"listen": {name: f"0.0.0.0:{port}" for name, port in ports.items()}})


@contextlib.asynccontextmanager
async def on_stage(
    settings: Mapping[str, Any] | Callable[[str], Mapping[str, Any]] | None = None,
    *,
    sidecar: type[SidecarProcess] = SidecarProcess,
    receive_buffer_bytes: int | None = None,
) -> AsyncIterator[Wire]:
    """Start a stage and a sidecar in front of it.

    `settings` may be made from the stage's URL. With a small receive buffer, an upstream's not reading is felt soon.
    """
    async with Stage(receive_buffer_bytes) as stage:
        above = settings(stage.url) if callable(settings) else settings or {}
        given = merged(merged({"upstream": {"url": stage.url}}, QUICK_END), above)
        process = sidecar(given)
        async with _Running(process):
            yield Wire(stage, process)
            # Whatever the tests did to it, nothing went wrong that it does not know of.
            output = process.output()
            assert "Traceback" not in output, output[output.index("Traceback") - 500 :][:5000]


class _Running:
    """A process for the length of a context, started and ended without blocking the loop that its upstream is in."""

    def __init__(self, process: SidecarProcess) -> None:
        self._process = process

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._process.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._process.__exit__, kind, error, trace)


def error_of(answer: Answer) -> dict[str, Any]:
    """The error of an answer in Anthropic's shape: `{"type": …, "message": …}`."""
    told = json.loads(answer.body)
    assert told["type"] == "error", told
    error: dict[str, Any] = told["error"]
    return error


def last_event(answer: Answer) -> tuple[str, dict[str, Any]]:
    """Name and data of a stream's last event."""
    block = answer.events()[-1][1].decode()
    fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
    return fields["event"], json.loads(fields["data"])
