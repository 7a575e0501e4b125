"""An upstream that has Claude Code work: so many calls of a tool, one a turn, and then an answer that names them all.

    async with ToolUpstream("Anthropic", turns=3) as upstream:
        ...  # upstream.url; each answer is a stream that takes `seconds`

What comes next follows from the conversation alone, so that any number of clients may ask. Requests are checked as the
real API checks them.
"""

import asyncio
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from aiohttp import web
from tests.wire import sequences

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai import vendors
from lastcall_sidecar.testing.openai.chat_request import chat_request
from lastcall_sidecar.testing.openai.vllm_request import vllm_request
from lastcall_sidecar.testing.serving import Api
from lastcall_sidecar.testing.validate import load, message_request

#: Pieces that a stream is sent in.
PIECES = 12


def step(number: int) -> str:
    """What the tool prints at its call with this number."""
    return f"lastcall-step-{number}"


class ToolUpstream:
    """One upstream, in the test's event loop; with `fails` it refuses everything."""

    def __init__(self, api: Api, *, turns: int, seconds: float = 0.0, fails: bool = False) -> None:
        self.api, self.turns, self.seconds, self.fails = api, turns, seconds, fails
        self.url = ""
        #: Requests that were served, and why others were not.
        self.served = 0
        self.refused: list[str] = []
        app = web.Application(client_max_size=64 * 1024 * 1024)
        path = "/v1/messages" if api == "Anthropic" else "/v1/chat/completions"
        app.add_routes([web.post(path, self._serve)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, keepalive_timeout=75)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _check(self, asked: dict[str, Any]) -> None:
        if self.fails:
            raise FakeError(400, "the upstream is on strike")
        _CHECKS[self.api](asked)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        asked = load(await request.read())
        try:
            self._check(asked)
        except FakeError as error:
            self.refused.append(str(error))
            told = {"type": "invalid_request_error", "message": str(error)}
            return web.json_response({"type": "error", "error": told}, status=error.status)
        self.served += 1
        done = _results(asked["messages"])
        if self.api == "Anthropic":
            events = list(_message(self.served, done, self.turns))
        else:
            events = list(_completion(self.served, done, self.turns, self.api))
        response = web.StreamResponse(headers={"cache-control": "no-cache"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        for event in events:
            await response.write(event)
            await asyncio.sleep(self.seconds / len(events))
        await response.write_eof()
        return response


_CHECKS: Mapping[Api, Callable[[Any], object]] = {
    "Anthropic": message_request,
    "OpenAI": chat_request,
    "vLLM": vllm_request,
    **{api: functools.partial(vendors.vendor_request, api) for api in vendors.VENDORS},
}


def _results(messages: list[dict[str, Any]]) -> int:
    """How many results of tools a conversation has, in either protocol."""
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    return sum(message["role"] == "tool" for message in messages) + sum(it["type"] == "tool_result" for it in blocks)


def _call(number: int) -> str:
    return json.dumps({"command": f"echo {step(number)}", "description": "Take a step"})


def _cut(text: str) -> list[str]:
    size = -(-len(text) // PIECES)
    return [text[at : at + size] for at in range(0, len(text), size)]


def _answer(turns: int) -> str:
    return "Done: " + " ".join(step(number) for number in range(turns))


def _message(number: int, done: int, turns: int) -> Iterator[bytes]:
    yield sequences.message_start().replace(b'"msg_01"', b'"msg_%d"' % number)
    if done < turns:
        tool = {"type": "tool_use", "id": f"toolu_{done}", "name": "Bash", "input": {}}
        yield sequences.block_start(0, tool)
        for piece in _cut(_call(done)):
            yield sequences.block_delta(0, {"type": "input_json_delta", "partial_json": piece})
    else:
        yield sequences.block_start(0, {"type": "text", "text": ""})
        for piece in _cut(_answer(turns)):
            yield sequences.text_delta(piece)
    yield sequences.block_stop(0)
    yield sequences.message_delta("tool_use" if done < turns else "end_turn")
    yield sequences.MESSAGE_STOP


def _completion(number: int, done: int, turns: int, api: Api) -> Iterator[bytes]:
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sequences.chunk({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    if done < turns:
        function = {"name": "Bash", "arguments": ""}
        call = {"id": f"call_{done}", "type": "function", "function": function}
        for vendor in vendors.VENDORS:
            if vendor == api:
                call["id"] = vendors.VENDORS[vendor].call_id("Bash", done)
                call |= vendors.of_call(vendor, call["id"])
                for told in vendors.deltas(vendor, call["id"]):
                    yield chunk(told)
        yield chunk({"tool_calls": [{"index": 0, **call}]})
        for piece in _cut(_call(done)):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    else:
        for piece in _cut(_answer(turns)):
            yield chunk({"content": piece})
    yield chunk({}, "tool_calls" if done < turns else "stop")
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    yield sequences.chunk(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [],
            "usage": usage,
        }
    )
    yield b"data: [DONE]\n\n"
