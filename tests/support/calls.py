"""Calls to the fake LLM over raw HTTP, and the judgement whether an answer is whole: by its bytes, not by a counter."""

import asyncio
import hashlib
import json
from typing import Any

from tests.support.raw_client import Answer, End, RawClient
from tests.support.sdk import VERSION_HEADERS, asked

HEADERS = list(VERSION_HEADERS.items())


def question(text: str = "Hello", *, stream: bool = True, **fields: Any) -> bytes:
    """The body of a request for a message; `text` may hold directives of the fake LLM."""
    return json.dumps(asked(text, stream=stream, **fields)).encode()


async def call(
    url: str, text: str = "Hello", *, stream: bool = True, client: RawClient | None = None, path: str = "/v1/messages"
) -> Answer:
    """Ask for a message and read the whole answer, over a connection of its own unless one is given."""
    if client is not None:
        await client.request("POST", path, HEADERS, question(text, stream=stream))
        return await client.answer()
    async with await RawClient.connect(url) as fresh:
        return await call(url, text, stream=stream, client=fresh, path=path)


async def get(url: str, path: str) -> Answer:
    """GET over a connection of its own."""
    async with await RawClient.connect(url) as client:
        await client.request("GET", path, HEADERS)
        return await client.answer("GET")


def is_whole(answer: Answer) -> bool:
    """Whether this is, to the byte, what the fake LLM promised in its head, with a proper end."""
    promised = answer.head.get("x-fake-body-sha256")
    return (
        answer.head.status == 200
        and answer.end is End.COMPLETE
        and promised is not None
        and hashlib.sha256(answer.body).hexdigest() == promised
    )


def all_whole(answers: list[Answer]) -> bool:
    """Whether each is, with a word on those that are not."""
    broken = [(a.head.status, str(a.end), bytes(a.body[-300:])) for a in answers if not is_whole(a)]
    assert not broken, f"{len(broken)} of {len(answers)} are not whole: {broken[:3]}"
    return True


def error_event(answer: Answer) -> dict[str, Any] | None:
    """The data of the stream's last event where that is an `error`, which an Anthropic client raises."""
    events = answer.events()
    if not events:
        return None
    lines = events[-1][1].decode().splitlines()
    if "event: error" not in lines:
        return None
    data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    found: dict[str, Any] = json.loads(data)
    return found


async def closes(client: RawClient, within_seconds: float = 2.0) -> bool:
    """Whether the server ends the connection in order, by a FIN, and soon."""
    try:
        async with asyncio.timeout(within_seconds):
            return await client.wait_end() is End.EOF
    except TimeoutError:
        return False
