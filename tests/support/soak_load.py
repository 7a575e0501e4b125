"""Clients of every bad manner, and a few of good ones, as a program: `python -m tests.support.soak_load`.

It runs its own upstream (`soak_upstream`) and tells its port in the first line of its output. Each line of its input,
`{"url": …, "requests": N, "workers": N, "seed": N}`, is one run, whose result is one line of output: how many requests
each kind of client made, and what went wrong that may not go wrong. Raw sockets, no HTTP library: what a client does is
what stands here.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from typing import Any

from tests.support.soak_upstream import DOCUMENT, STREAM, SoakUpstream, reset

_SMALL = b'{"model":"claude-soak","max_tokens":64,"messages":[{"role":"user","content":"Hello"}],"stream":%s}'
_LARGE = b'{"model":"claude-soak","max_tokens":64,"messages":[{"role":"user","content":"' + b"y" * 100_000 + b'"}]}'
#: Between a refusal and the next request of the same client: the vendors' SDKs begin with half a second.
BACK_OFF_SECONDS = (0.5, 2.0)
#: Longest wait for anything, in seconds: longer than any limit of the sidecar under test.
PATIENCE_SECONDS = 30


class WrongError(Exception):
    """The sidecar did what it may not do."""


class LeftError(Exception):
    """The sidecar ended the connection."""


class Client:
    """One connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self) -> tuple[int, bytes]:
        """Status and lower-case head of the next answer."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise LeftError from error
        return int(head[9:12]), head.lower()

    async def body(self, head: bytes) -> bytes:
        """The whole body, by its framing."""
        try:
            if b"\r\ntransfer-encoding: chunked\r\n" not in head:
                length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
                return await self.reader.readexactly(int(length))
            parts = []
            while size := int(await self.reader.readline() or b"", 16):
                parts.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readexactly(2)
            return b"".join(parts)
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise LeftError from error

    async def answer(self) -> tuple[int, bytes, bytes]:
        status, head = await self.head()
        return status, head, await self.body(head)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        try:
            await self.writer.drain()
        except OSError as error:
            raise LeftError from error


def request(plan: str, body: bytes = _SMALL % b"true", path: str = "/v1/messages", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
    return (
        f"{head}content-type: application/json\r\nx-plan: {plan}\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    )


class Soak:
    """One run: workers that take the next request until there are none left."""

    def __init__(self, url: str, requests: int, seed: int) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)
        self._left = requests
        self._chance = random.Random(seed)
        #: Requests by kind of client; what they were answered; what is not allowed.
        self.kinds: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        #: Heads that the sidecar certainly read, and those that it may have read before the client was gone.
        self.heads, self.maybe_heads = 0, 0
        self._actions = {
            self.good: 40,
            self.leave_in_head: 6,
            self.leave_in_upload: 6,
            self.leave_before_answer: 6,
            self.leave_in_stream: 10,
            self.half_close: 6,
            self.pipeline: 5,
            self.stop_reading: 3,
            self.bad_request: 4,
            self.own_route: 3,
            self.pass_through: 4,
            self.broken_upstream: 12,
        }

    async def run(self, workers: int) -> None:
        await asyncio.gather(*(self._work() for _ in range(workers)))

    async def _work(self) -> None:
        actions, weights = list(self._actions), list(self._actions.values())
        while self._left > 0:
            self._left -= 1
            (action,) = self._chance.choices(actions, weights)
            self.kinds[action.__name__] += 1
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._on_connection(action)
            except TimeoutError:
                self.wrong[f"{action.__name__}: nothing for {PATIENCE_SECONDS} s"] += 1
            except WrongError as error:
                self.wrong[f"{action.__name__}: {error}"] += 1
            except LeftError:
                self.wrong[f"{action.__name__}: left without an answer"] += 1

    async def _on_connection(self, action: Any) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=1 << 17)
        try:
            await action(Client(reader, writer))
        finally:
            reset(writer)

    # Those who behave.

    async def good(self, client: Client) -> None:
        """Several requests on one connection, each whole or honestly refused."""
        for turn in range(self._chance.randint(1, 4)):
            if turn:
                self._left -= 1
                self.kinds["good"] += 1
            streams = self._chance.random() < 0.6
            large = not streams and self._chance.random() < 0.05
            body = _LARGE if large else _SMALL % (b"true" if streams else b"false")
            self.heads += 1
            await client.send(request("stream" if streams else "plain", body))
            status, head, got = await client.answer()
            self.answers[f"good {status}"] += 1
            if status == 200 and got != (STREAM if streams else DOCUMENT):
                raise WrongError("the bytes are not the upstream's")
            if status not in {200, 529}:
                raise WrongError(f"{status} {got[:200]!r}")
            if status == 529:
                await self._back_off()
            if b"\r\nconnection: close\r\n" in head:
                return

    async def _back_off(self) -> None:
        """Whoever is told that the server is busy waits, as clients do: a refusal is answered faster than anything."""
        await asyncio.sleep(self._chance.uniform(*BACK_OFF_SECONDS))

    async def own_route(self, client: Client) -> None:
        path, wanted = self._chance.choice((("/livez", 200), ("/health", 200), ("/nowhere", 404)))
        await client.send(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
        status, _, _ = await client.answer()
        if status != wanted:
            raise WrongError(f"{path}: {status}")

    async def pass_through(self, client: Client) -> None:
        """A body in chunks, which nobody buffers; half of them left in its middle."""
        head = "POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: k\r\nx-plan: plain\r\n"
        self.heads += 1
        await client.send(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(self._chance.randint(1, 5)):
            await client.send(b"3e8\r\n" + b"z" * 1000 + b"\r\n")
            await asyncio.sleep(0)
        if self._chance.random() < 0.5:
            await asyncio.sleep(0.01)
            return
        await client.send(b"0\r\n\r\n")
        status, _, got = await client.answer()
        if status != 200 or got != DOCUMENT:
            raise WrongError(f"{status}")

    # Those who leave.

    async def leave_in_head(self, client: Client) -> None:
        whole = request("plain")
        await client.send(whole[: self._chance.randrange(1, 100)])
        await asyncio.sleep(self._chance.choice((0, 0.002)))

    async def leave_in_upload(self, client: Client) -> None:
        large = self._chance.random() < 0.3
        whole = request("plain", _LARGE if large else _SMALL % b"true")
        self.maybe_heads += 1
        await client.send(whole[: len(whole) - self._chance.randrange(1, 50)])
        await asyncio.sleep(self._chance.choice((0, 0.002, 0.02)))

    async def leave_before_answer(self, client: Client) -> None:
        """In the queue, or while the upstream thinks."""
        self.maybe_heads += 1
        await client.send(request(self._chance.choice(("slow", "stall before head"))))
        await asyncio.sleep(self._chance.choice((0, 0.005, 0.05)))

    async def leave_in_stream(self, client: Client) -> None:
        self.heads += 1
        await client.send(request(self._chance.choice(("stream", "stall in stream", "big"))))
        status, _ = await client.head()
        self.answers[f"left {status}"] += 1
        if self._chance.random() < 0.5:
            await client.reader.read(1000)
        if self._chance.random() < 0.3:  # in order: FIN
            client.writer.close()
            await asyncio.sleep(0.01)

    async def half_close(self, client: Client) -> None:
        """FIN behind the request: the client counts as gone; whatever it gets, it gets an end."""
        self.maybe_heads += 1
        await client.send(request(self._chance.choice(("stream", "slow", "stall in stream"))))
        client.writer.write_eof()
        try:
            while await client.reader.read(65536):
                pass
        except OSError:
            return

    async def stop_reading(self, client: Client) -> None:
        self.heads += 1
        await client.send(request("big"))
        status, _ = await client.head()
        self.answers[f"stopped {status}"] += 1
        await asyncio.sleep(self._chance.choice((0.05, 0.2)))

    # Those who ask wrongly.

    async def pipeline(self, client: Client) -> None:
        """The first is answered, the second never looked at, and the connection closed."""
        self.heads += 1
        await client.send(request("stream") + request("plain"))
        status, _, got = await client.answer()
        if status == 200 and got != STREAM:
            raise WrongError("the first answer is not whole")
        if status not in {200, 529}:
            raise WrongError(f"{status}")
        if status == 529:
            await self._back_off()
        try:
            rest = await client.reader.read()
        except OSError:
            rest = b""
        if rest:
            raise WrongError(f"a second answer: {rest[:100]!r}")

    async def bad_request(self, client: Client) -> None:
        body, wanted, more = self._chance.choice(
            (
                (b"{", 400, ""),
                (b'{"messages":[]}', 400, ""),
                (b"[" * 10_000, 400, ""),
                (_SMALL % b"true", 415, "content-encoding: gzip\r\n"),
                (b" " * 300_000, 413, ""),
            )
        )
        self.heads += 1
        await client.send(request("plain", body, more=more))
        status, _, _ = await client.answer()
        if status != wanted:
            raise WrongError(f"{status} instead of {wanted}")

    # Those whose upstream fails them.

    async def broken_upstream(self, client: Client) -> None:
        plans = {
            "reset before head": 502,
            "close before head": 502,
            "die in head": 502,
            "garbage": 502,
            "die in body": 200,
            "die in chunk": 200,
            "end without terminal": 200,
            "stall before head": 504,
            "stall in stream": 200,
            "linger": 200,
            "early": 400,
        }
        weights = [4, 4, 4, 4, 4, 4, 4, 1, 1, 0.2, 4]
        ((plan, wanted),) = self._chance.choices(list(plans.items()), weights)
        self.kinds[f"broken_upstream: {plan}"] += 1
        self.heads += 1
        await client.send(request(plan))
        status, head = await client.head()
        if status == 529:
            await self._back_off()
            return
        if status != wanted:
            # A connection that broke before the head had been read whole is no head.
            if not (wanted == 200 and status == 502) and not (plan == "early" and status == 502):
                raise WrongError(f"{plan}: {status} instead of {wanted}")
            return
        try:
            got = await client.body(head)
        except LeftError:
            if plan != "die in body":
                raise
            return
        if plan == "die in body":
            raise WrongError("a truncated answer looks whole")
        if plan in {"die in chunk", "end without terminal", "stall in stream"}:
            if b"\nevent: error\n" not in got or b"\nevent: message_stop\n" in got:
                raise WrongError(f"{plan}: no error event: {got[-200:]!r}")
        elif plan == "linger" and got != STREAM:
            raise WrongError("the bytes are not the upstream's")


def tell(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main() -> None:
    upstream = SoakUpstream(seed=1)
    tell(await upstream.serve())
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        asked = json.loads(line)
        soak = Soak(asked["url"], asked["requests"], asked["seed"])
        started = asyncio.get_running_loop().time()
        await soak.run(asked["workers"])
        result = {
            "seconds": round(asyncio.get_running_loop().time() - started, 1),
            "kinds": soak.kinds,
            "answers": soak.answers,
            "wrong": soak.wrong,
            "heads": soak.heads,
            "maybe_heads": soak.maybe_heads,
            "upstream_requests": upstream.requests,
        }
        tell(result)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
