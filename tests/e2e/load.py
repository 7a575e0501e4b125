"""Live clients all the time: raw HTTP and the vendor's SDK, over kept and fresh connections, none of which retries."""

import asyncio
import json
import random
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anthropic
import httpx2  # what the SDK stands on

from tests.e2e.verdict import Outcome, Verdict, judge_body, judge_text
from tests.support.raw_client import End, NoAnswerError, RawClient

#: More than any stream here goes without a byte.
SILENCE_SECONDS = 30.0
_HEADERS = [("x-api-key", "a-client"), ("anthropic-version", "2023-06-01"), ("content-type", "application/json")]


@dataclass(frozen=True)
class Ask:
    """One request: a stream of about `seconds`, or a plain JSON answer after them."""

    number: int
    seconds: float
    stream: bool
    noise: bool

    @property
    def prompt(self) -> str:
        """The user's message, which tells the fake LLM what to answer."""
        events = max(8, int(self.seconds * 4))
        noise = " noise=1" if self.noise else ""
        kind = ("text", "mixed", "thinking")[self.number % 3]
        return f"[fake seconds={self.seconds:.2f} events={events} seed={self.number} kind={kind}{noise}]"

    @property
    def body(self) -> bytes:
        """The request as JSON."""
        return json.dumps(
            {
                "model": "fake-llm-1",
                "max_tokens": 4096,
                "stream": self.stream,
                "messages": [{"role": "user", "content": self.prompt}],
            }
        ).encode()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How the load looks: so many clients, streams of that length, pauses between them of up to so much."""

    clients: int = 60
    shortest_seconds: float = 2.0
    longest_seconds: float = 60.0
    longest_pause_seconds: float = 1.0
    plain_share: float = 0.1
    seed: int = 1


class Load:
    """`async with Load(url, shape) as load:` starts the clients; `await load.finish()` lets them end their streams."""

    def __init__(self, url: str, shape: Shape) -> None:
        self.url, self.shape = url, shape
        self.outcomes: list[Outcome] = []
        self.live = 0
        self.started = 0
        self._random = random.Random(shape.seed)
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start all clients, spread over a second."""
        for index in range(self.shape.clients):
            kept = index % 2 == 0
            worker = self._sdk(kept=kept) if index % 3 == 0 else self._raw(kept=kept)
            self._tasks.append(asyncio.create_task(worker))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing running: what is still under way is abandoned."""
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def broken(self) -> list[Outcome]:
        """All that did not end whole."""
        return [outcome for outcome in self.outcomes if outcome.verdict is not Verdict.WHOLE]

    async def saturated(self, within_seconds: float = 30.0) -> None:
        """Wait until nine tenths of the clients have a request under way (the others pause between two)."""
        async with asyncio.timeout(within_seconds):
            while self.live < self.shape.clients * 0.9:
                self._raise_a_client_s_own_error()
                await asyncio.sleep(0.1)

    async def finish(self) -> list[Outcome]:
        """Begin nothing new, wait for all that is under way, and tell how everything ended."""
        self._closing.set()
        async with asyncio.timeout(self.shape.longest_seconds + SILENCE_SECONDS + 10):
            await asyncio.gather(*self._tasks)
        return self.outcomes

    def _raise_a_client_s_own_error(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    def _ask(self) -> Ask:
        """Choose the next request: many short streams, few long ones, as people's are."""
        shape = self.shape
        self.started += 1
        stream = self._random.random() >= shape.plain_share
        longest = shape.longest_seconds if stream else min(shape.longest_seconds, 10.0)
        low, high = self._random.choices(((0.0, 0.15), (0.15, 0.5), (0.5, 1.0)), weights=(6, 3, 1))[0]
        seconds = shape.shortest_seconds + self._random.uniform(low, high) * (longest - shape.shortest_seconds)
        return Ask(self.started, seconds, stream, noise=self._random.random() < 0.3)

    async def _pause(self) -> None:
        """Wait as people do between two requests, or until the load ends."""
        try:
            async with asyncio.timeout(self._random.uniform(0.0, self.shape.longest_pause_seconds)):
                await self._closing.wait()
        except TimeoutError:
            return

    def _note(
        self, ask: Ask, started: float, client: str, *, kept: bool, verdict: Verdict, detail: str, request_id: str
    ) -> None:
        connection = "kept" if kept else "fresh"
        ended = time.monotonic()
        self.outcomes.append(Outcome(client, connection, ask.stream, started, ended, verdict, detail, request_id))

    async def _raw(self, *, kept: bool) -> None:
        """Speak plain HTTP/1.1: one client, one request after the other."""
        await self._pause()
        client: RawClient | None = None
        try:
            while not self._closing.is_set():
                ask, started, headers = self._ask(), time.monotonic(), {}
                self.live += 1
                try:
                    if client is not None and client.ended is not None:
                        await client.close()  # as every pool does: the server closed it while nothing was under way
                        client = None
                    if client is None:
                        client = await RawClient.connect(self.url, timeout_seconds=SILENCE_SECONDS)
                    sent = [*_HEADERS] if kept else [*_HEADERS, ("connection", "close")]
                    await client.request("POST", "/v1/messages", sent, ask.body)
                    answer = await client.answer()
                    headers = {name.lower(): value for name, value in answer.head.headers}
                    clean = answer.end is End.COMPLETE and answer.framing != "close"
                    verdict, detail = judge_body(
                        answer.head.status, headers, bytes(answer.body), stream=ask.stream, clean=clean
                    )
                except (NoAnswerError, OSError) as error:
                    verdict, detail = Verdict.REFUSED, f"{type(error).__name__}: {error}"
                except TimeoutError:
                    verdict, detail = Verdict.DROPPED, f"nothing for {SILENCE_SECONDS:g} s"
                finally:
                    self.live -= 1
                self._note(
                    ask, started, "raw", kept=kept, verdict=verdict, detail=detail,
                    request_id=headers.get("x-lastcall-request-id", ""),
                )  # fmt: skip
                if client is not None and (
                    not kept or verdict is not Verdict.WHOLE or headers.get("connection", "").lower() == "close"
                ):
                    await client.close()
                    client = None
                await self._pause()
        finally:  # also when the load is left: an open socket would be some other test's warning
            if client is not None:
                await client.close()

    async def _sdk(self, *, kept: bool) -> None:
        """Use the vendor's SDK as an application does, with its retries off."""
        await self._pause()
        transport = anthropic.DefaultAsyncHttpxClient(
            trust_env=False, verify=False
        )  # plain HTTP: no certificates to load
        async with anthropic.AsyncAnthropic(
            api_key="a-client",
            base_url=self.url,
            max_retries=0,
            timeout=SILENCE_SECONDS,
            default_headers={} if kept else {"connection": "close"},
            http_client=transport,
        ) as sdk:
            while not self._closing.is_set():
                ask, started, headers = self._ask(), time.monotonic(), httpx2.Headers()
                self.live += 1
                try:
                    if ask.stream:
                        headers, verdict, detail = await _sdk_stream(sdk, ask)
                    else:
                        headers, verdict, detail = await _sdk_plain(sdk, ask)
                except anthropic.APIStatusError as error:
                    verdict = Verdict.REFUSED if error.response.status_code >= 300 else Verdict.DROPPED
                    detail, headers = f"{type(error).__name__}: {error}", error.response.headers
                except anthropic.APIConnectionError as error:
                    verdict, detail = Verdict.REFUSED, f"{type(error).__name__}: {error!r} {error.__cause__!r}"
                except (httpx2.HTTPError, anthropic.AnthropicError) as error:
                    verdict, detail = Verdict.DROPPED, f"{type(error).__name__}: {error!r}"
                finally:
                    self.live -= 1
                self._note(
                    ask, started, "sdk", kept=kept, verdict=verdict, detail=detail,
                    request_id=headers.get("x-lastcall-request-id", ""),
                )  # fmt: skip
                await self._pause()


async def _sdk_stream(sdk: anthropic.AsyncAnthropic, ask: Ask) -> tuple[httpx2.Headers, Verdict, str]:
    stopped, text = False, []
    async with sdk.messages.stream(
        model="fake-llm-1", max_tokens=4096, messages=[{"role": "user", "content": ask.prompt.replace(" noise=1", "")}]
    ) as stream:
        headers = stream.response.headers
        async for event in stream:
            if event.type == "text":
                text.append(event.text)
            stopped = event.type == "message_stop"
    return headers, *judge_text(headers, "".join(text), stopped=stopped)


async def _sdk_plain(sdk: anthropic.AsyncAnthropic, ask: Ask) -> tuple[httpx2.Headers, Verdict, str]:
    answer = await sdk.messages.with_raw_response.create(
        model="fake-llm-1", max_tokens=4096, messages=[{"role": "user", "content": ask.prompt.replace(" noise=1", "")}]
    )
    message = await answer.parse()
    text = "".join(block.text for block in message.content if block.type == "text")
    return answer.headers, *judge_text(answer.headers, text, stopped=message.stop_reason is not None)
