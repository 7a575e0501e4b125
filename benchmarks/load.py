"""The clients: raw connections that send a prepared request, read its stream to the end, and judge it.

Prints one JSON object: what was completed, what failed or was not verbatim, delays of events, and the rate.
"""

import argparse
import asyncio
import json
import re
import statistics
import time
from dataclasses import dataclass, field

import uvloop

SENT_AT = re.compile(rb"sent at ([0-9.]+)")
END = b"0\r\n\r\n"


@dataclass
class Tally:
    """What the clients saw."""

    completed: int = 0
    failed: int = 0
    delays_ms: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection; one request after another."""

    def __init__(self, request: bytes, events: int, tally: Tally) -> None:
        self._request, self._events, self._tally = request, events, tally
        self._done: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    async def ask(self) -> bool:
        """Send one request and read its answer; whether it was whole."""
        self._seen, self._tail, self._stopped = 0, b"", False
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(self._request)
        return await self._done

    def data_received(self, data: bytes) -> None:
        """Count events and their delays; the end is the last chunk."""
        now = time.monotonic()
        data = self._tail + data
        for match in SENT_AT.finditer(data):
            self._seen += 1
            self._tally.delays_ms.append((now - float(match[1])) * 1000)
        self._stopped = self._stopped or b'"message_stop"' in data
        cut = data.rfind(b"sent at ")
        self._tail = data[-len(b'"message_stop"') :] if cut < 0 or b"\n\n" in data[cut:] else data[cut:]
        if data.endswith(END) and self._done is not None and not self._done.done():
            self._done.set_result(self._stopped and self._seen == self._events)

    def connection_lost(self, _exc: Exception | None) -> None:
        """An answer under way is not whole."""
        if self._done is not None and not self._done.done():
            self._done.set_result(False)


async def client(port: int, request: bytes, options: argparse.Namespace, tally: Tally, delay: float) -> None:
    """One client: a stream, or streams until the time is over."""
    await asyncio.sleep(delay)
    loop = asyncio.get_running_loop()
    ends = loop.time() + options.seconds
    connection: Client | None = None
    while True:
        if connection is None or connection.transport.is_closing():
            _, connection = await loop.create_connection(
                lambda: Client(request, options.events, tally), "127.0.0.1", port
            )
        if await connection.ask():
            tally.completed += 1
        else:
            tally.failed += 1
        if options.once or loop.time() >= ends:
            connection.transport.close()
            return


async def run(options: argparse.Namespace) -> None:
    """All clients, then the verdict."""
    body = json.dumps({"model": "m", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "x"}]})
    target = f"/v1/messages?events={options.events}&interval_ms={options.interval_ms}"
    request = (
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1:{options.port}\r\nx-api-key: k\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    tally = Tally()
    started = time.monotonic()
    spread = options.ramp_seconds / options.clients
    await asyncio.gather(*(client(options.port, request, options, tally, n * spread) for n in range(options.clients)))
    elapsed = time.monotonic() - started
    delays = statistics.quantiles(tally.delays_ms, n=100) if len(tally.delays_ms) > 1 else [0.0] * 99
    print(
        json.dumps(
            {
                "completed": tally.completed,
                "failed": tally.failed,
                "events": len(tally.delays_ms),
                "per_second": tally.completed / elapsed,
                "delay_p50_ms": delays[49],
                "delay_p99_ms": delays[98],
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--interval-ms", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--ramp-seconds", type=float, default=0.0)
    parser.add_argument("--once", action="store_true")
    uvloop.run(run(parser.parse_args()))
