"""A fake LLM API: strict, deterministic, cheap, and badly behaved only where it is asked to be.

`lastcall-sidecar fake-llm --listen 127.0.0.1:9000`, `lastcall demo`, the tests and the kind cluster run it as an
upstream. It knows nothing of the proxy. It plays one of them (`--api`, `Options.api`):

    Anthropic  `POST /v1/messages`, `POST /v1/messages/count_tokens`, `/v1/messages/batches…`, `GET /v1/models[/{id}]`
    OpenAI     `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `GET /v1/models[/{id}]`
    vLLM       as OpenAI, but lenient with unknown fields, with the shapes of vLLM's own answers and errors, and with
               `POST /tokenize`
    DeepSeek, Kimi, Gemini, OpenRouter
               as OpenAI, but lenient with fields of a request; state of a turn with calls must come back with it
               (`openai.vendors`)

and has besides: `POST /v1/fake/echo` (sends the body back as it comes), `GET /healthz`, `GET /__stats` (counts, see
`tally`), `GET /__requests` (the last 256 requests: method, target, headers as they came, size and SHA-256 of the body;
with `?bodies=1` also what the body said, where it was JSON of 64 KiB at most).

What an answer is follows from the request alone: the same conversation gets the same text, streamed or not. So every
answer can say in its headers what the client must end up with:

    x-fake-body-sha256   of all bytes of the body (the event stream or the JSON), before a cut or an omission
    x-fake-text-sha256   of the text of all text blocks together
    request-id           unique for each request (OpenAI: x-request-id)

A directive in the last user message, or the same words in the header `x-fake`, asks for more:

    [fake seconds=12 events=100 seed=7 kind=mixed]

    seconds=S        the stream takes S seconds, evenly spread over its events; a JSON answer comes after S (0)
    events=N         number of content deltas (24)
    event_bytes=N    each delta carries about N bytes of text (0: a few words)
    seed=N           chooses the text; without it `metadata.user_id`, else the last user message does
    kind=K           text | tools (and text) | calls (and nothing else) | thinking (and text) | mixed (all three) |
                     everything (mixed, redacted thinking, a server's tool, citations) | none (empty) |
                     auto: as the request's `thinking` and `tool_choice` say (auto)
    calls=N          so many tool calls at once, of all tools in turn, where there are any (1)
    cache_read=N     tokens that the usage counts as read from the cache (0)
    cache_write=N    … and as written to it (0)
    stop=REASON      the `stop_reason` or `finish_reason` in the vendor's own word (what fits the blocks). OpenAI also:
                     refusal (the text is one, and `finish_reason` stop), stop_sequence (stop, and vLLM says at which);
                     length with a tool call cuts its arguments short
    error=STATUS     answer with this error in the vendor's shape: 400, 401, 429, 500, 529, …; 502 is a page of HTML
    retry_after=N    … with `retry-after: N`
    chunk=N          cut the body at every N bytes instead of at events
    eol=E            lf | cr | crlf: the stream's line endings (lf)
    noise=1          add comments, `id:`, `retry:` and unknown events to the stream
    misbehave=M      truncate: half an event, then the connection is closed without the body's end
                     reset: the connection is reset · stall: silence for `hold` seconds, then as truncate
                     no_message_stop: a clean end without the stream's last event (`[DONE]`, too)
                     linger: the end of the body comes `hold` seconds late
                     slow_headers: the head comes `hold` seconds late · encoded: gzip, whatever the client accepts
                     error_event: an error within the stream, then a clean end
                     (a JSON answer knows truncate, reset, stall, slow_headers and encoded)
    after=N          … once N events are sent (half of them; no_message_stop: all but the last)
    hold=S           … for so many seconds (3600)
    discard=1        in the header only: read the body without looking at it; `stream=1` then asks for a stream

An unknown word is a 400. A request that asks for an answer by a schema (`output_config`, `response_format`) gets one.
Requests are checked as the real API checks them: key (401), `anthropic-version`, shape, order of roles, tool results,
signatures of thinking (the fake knows its own), what the model can do, model (404), size (413 beyond 32 MB).
"""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from lastcall_sidecar.testing.api import FakeLLM
from lastcall_sidecar.testing.openai.api import FakeOpenAI
from lastcall_sidecar.testing.serving import Api, FakeAPI, Options

__all__ = ["APIS", "Options", "Ready", "run", "serve"]

#: By the names that the command line has for them.
APIS: Mapping[str, Api] = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "vllm": "vLLM",
    "deepseek": "DeepSeek",
    "kimi": "Kimi",
    "gemini": "Gemini",
    "openrouter": "OpenRouter",
}

_BACKLOG = 4096


class Ready(Protocol):
    """Called once with the base URL, when connections are accepted."""

    def __call__(self, url: str, /) -> object:
        """Note that the fake can be used."""


async def serve(listen: str, ready: Ready | None, stop: asyncio.Event, options: Options | None = None) -> None:
    """Serve on `HOST:PORT` (port 0: any free one) until `stop` is set; answers under way are then cut."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    fake = _fake(options or Options())
    runner = web.AppRunner(
        fake.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1, keepalive_timeout=75
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, None if host in {"", "::"} else host, int(port), backlog=_BACKLOG)
        await site.start()
        if ready is not None:
            bound = runner.addresses[0]
            ready(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def _fake(options: Options) -> FakeAPI:
    return FakeLLM(options) if options.api == "Anthropic" else FakeOpenAI(options)


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
