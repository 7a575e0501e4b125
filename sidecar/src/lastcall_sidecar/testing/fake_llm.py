"""A fake Anthropic Messages API: strict, deterministic, cheap, and badly behaved only where it is asked to be.

`lastcall-sidecar fake-llm --listen 127.0.0.1:9000`, `lastcall demo`, the tests and the kind cluster run it as an
upstream. It knows nothing of the proxy.

Routes: `POST /v1/messages`, `POST /v1/messages/count_tokens`, `/v1/messages/batches…`, `GET /v1/models[/{id}]`,
`POST /v1/fake/echo` (sends the body back as it comes), `GET /healthz`, `GET /__stats` (counts, see `tally`),
`GET /__requests` (the last 256 requests: method, target, headers as they came, size and SHA-256 of the body).

What an answer is follows from the request alone: the same conversation gets the same text, streamed or not. So every
answer can say in its headers what the client must end up with:

    x-fake-body-sha256   of all bytes of the body (the event stream or the JSON), before a cut or an omission
    x-fake-text-sha256   of the text of all text blocks together
    request-id           unique for each request

A directive in the last user message, or the same words in the header `x-fake`, asks for more:

    [fake seconds=12 events=100 seed=7 kind=mixed]

    seconds=S        the stream takes S seconds, evenly spread over its events; a JSON answer comes after S (0)
    events=N         number of content deltas (24)
    event_bytes=N    each delta carries about N bytes of text (0: a few words)
    seed=N           chooses the text; without it `metadata.user_id`, else the last user message does
    kind=K           text | tools | thinking | mixed (all three) | auto: as the request's `thinking` and
                     `tool_choice` say (auto)
    stop=REASON      the `stop_reason` (end_turn, or tool_use with a tool call)
    error=STATUS     answer with this error in the vendor's shape: 400, 401, 429, 500, 529, …; 502 is a page of HTML
    retry_after=N    … with `retry-after: N`
    chunk=N          cut the body at every N bytes instead of at events
    eol=E            lf | cr | crlf: the stream's line endings (lf)
    noise=1          add comments, `id:`, `retry:` and unknown events to the stream
    misbehave=M      truncate: half an event, then the connection is closed without the body's end
                     reset: the connection is reset · stall: silence for `hold` seconds, then as truncate
                     no_message_stop: a clean end without it · linger: the end of the body comes `hold` seconds late
                     slow_headers: the head comes `hold` seconds late · encoded: gzip, whatever the client accepts
                     error_event: an `error` event, then a clean end
                     (a JSON answer knows truncate, reset, stall, slow_headers and encoded)
    after=N          … once N events are sent (half of them; no_message_stop: all but the last)
    hold=S           … for so many seconds (3600)
    discard=1        in the header only: read the body without looking at it; `stream=1` then asks for a stream

An unknown word is a 400. Requests are checked as the real API checks them: key (401), `anthropic-version`, shape,
order of roles, tool results, model (404), size (413 beyond 32 MB).
"""

import asyncio
import contextlib
import resource
import signal
from typing import Protocol

from aiohttp import web

from lastcall_sidecar.testing.api import FakeLLM, Options

__all__ = ["Options", "Ready", "run", "serve"]

_BACKLOG = 4096


class Ready(Protocol):
    """Called once with the base URL, when connections are accepted."""

    def __call__(self, url: str, /) -> object:
        """Note that the fake can be used."""


async def serve(listen: str, ready: Ready | None, stop: asyncio.Event, options: Options | None = None) -> None:
    """Serve on `HOST:PORT` (port 0: any free one) until `stop` is set; answers under way are then cut."""
    host, _, port = listen.rpartition(":")
    fake = FakeLLM(options or Options())
    runner = web.AppRunner(
        fake.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1, keepalive_timeout=75
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]") or None, int(port), backlog=_BACKLOG)
        await site.start()
        if ready is not None:
            bound = runner.addresses[0]
            ready(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def run(listen: str, ready: Ready | None = None, options: Options | None = None) -> None:
    """Serve until SIGTERM or SIGINT: the program behind `lastcall-sidecar fake-llm`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # an unlimited hard limit is refused by some kernels
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def until_signal() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(listen, ready, stop, options)

    asyncio.run(until_signal())
