"""What was decided when a request came holds for it to its end, whatever is configured meanwhile."""

import asyncio
import json

from tests.support.raw_client import RawClient
from tests.support.scripted_upstream import (
    ScriptedUpstream,
    chunk,
    json_response,
    read_request,
    repeat,
    send,
    sse_head,
    steps,
    wait,
)
from tests.support.sidecar_process import SidecarProcess
from tests.support.waiting import soon

BODY = json.dumps(
    {"model": "claude-sonnet-4-6", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
).encode()
START = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
HEADERS = [("content-type", "application/json")]


def streaming_until(event: asyncio.Event):
    return steps(read_request(), send(sse_head(), chunk(START)), wait(event), send(chunk(STOP), b"0\r\n\r\n"))


async def test_a_queued_request_goes_to_the_upstream_that_it_was_meant_for():
    let_go = asyncio.Event()
    async with (
        ScriptedUpstream(repeat(streaming_until(let_go))) as old,
        ScriptedUpstream(repeat(steps(read_request(), send(json_response(b"{}"))))) as new,
    ):
        settings = {"upstream": {"url": f"{old.url}/old"}, "limits": {"maxConcurrent": 1}}
        sidecar = await asyncio.to_thread(SidecarProcess(settings, env={"LASTCALL_UPSTREAM__API_KEY": "sk-old"}).start)
        try:
            async with await RawClient.connect(sidecar.url) as first, await RawClient.connect(sidecar.url) as second:
                await first.request("POST", "/v1/messages", HEADERS, BODY)
                await soon(lambda: old.requests, "the first request upstream")
                await second.request("POST", "/v1/messages", HEADERS, BODY)
                await asyncio.to_thread(sidecar.wait_for, queued=1)
                before = (await asyncio.to_thread(sidecar.livez))["config"]["hash"]
                sidecar.write_config({"upstream": {"url": new.url}})
                await soon(lambda: sidecar.livez()["config"]["hash"] != before, "the new configuration")
                let_go.set()
                await first.answer()
                await second.answer()
                async with await RawClient.connect(sidecar.url) as third:
                    await third.request("POST", "/v1/messages", HEADERS, BODY)
                    await third.answer()
        finally:
            await asyncio.to_thread(sidecar.stop)
        assert [request.target for request in old.requests] == ["/old/v1/messages"] * 2
        assert [request.target for request in new.requests] == ["/v1/messages"]


async def test_a_final_drain_keeps_the_ceiling_that_it_began_with():
    let_go = asyncio.Event()
    async with ScriptedUpstream(streaming_until(let_go)) as upstream:
        settings = {"upstream": {"url": upstream.url}, "drain": {"ceilingSeconds": 600, "settleSeconds": 0}}
        sidecar = await asyncio.to_thread(SidecarProcess(settings).start)
        try:
            async with await RawClient.connect(sidecar.url) as client:
                await client.request("POST", "/v1/messages", HEADERS, BODY)
                await soon(lambda: upstream.requests, "the request upstream")
                await asyncio.to_thread(sidecar.command_line, "drain")
                before = await asyncio.to_thread(sidecar.livez)
                sidecar.write_config({"drain": {"ceilingSeconds": 1}})
                await soon(lambda: sidecar.livez()["config"]["hash"] != before["config"]["hash"], "the change")
                await asyncio.sleep(1.5)  # past the new ceiling
                after = await asyncio.to_thread(sidecar.livez)
                assert after["drain"]["state"] == "draining"
                assert after["drain"]["deadline"] == before["drain"]["deadline"]
                let_go.set()
                assert (await client.answer()).body.endswith(STOP)
        finally:
            await asyncio.to_thread(sidecar.stop)


async def test_no_key_of_ours_goes_upstream_in_whichever_header_it_came():
    async with ScriptedUpstream(repeat(steps(read_request(), send(json_response(b"{}"))))) as upstream:
        sidecar = await asyncio.to_thread(
            SidecarProcess({"upstream": {"url": upstream.url}}, env={"LASTCALL_AUTH__API_KEYS": "ours-1,ours-2"}).start
        )
        try:
            for credentials in (
                [("x-api-key", "ours-1"), ("authorization", "Bearer ours-1")],
                [("x-api-key", "ours-1"), ("authorization", "Bearer ours-2")],
                [("x-api-key", "theirs"), ("authorization", "Bearer ours-2")],
            ):
                async with await RawClient.connect(sidecar.url) as client:
                    await client.request("POST", "/v1/messages", [*HEADERS, *credentials], BODY)
                    assert (await client.answer()).head.status == 200
            async with await RawClient.connect(sidecar.url) as client:
                await client.request("POST", "/v1/messages", [*HEADERS, ("x-api-key", "theirs")], BODY)
                refused = await client.answer()
        finally:
            await asyncio.to_thread(sidecar.stop)
        assert refused.head.status == 401
        assert json.loads(refused.body)["error"]["type"] == "authentication_error"
        sent = [(request.header("x-api-key"), request.header("authorization")) for request in upstream.requests]
        assert sent == [(None, None), (None, None), ("theirs", None)]


async def test_an_origin_that_is_no_url_is_refused_like_any_foreign_one():
    sidecar = await asyncio.to_thread(SidecarProcess({"upstream": {"url": "http://127.0.0.1:9"}}).start)
    try:
        for origin in ("http://[", "null", "https://elsewhere.example"):
            async with await RawClient.connect(sidecar.url) as client:
                await client.request("GET", "/livez", [("origin", origin)])
                assert (await client.answer("GET")).head.status == 403
        async with await RawClient.connect(sidecar.url) as client:
            await client.request("GET", "/livez", [("origin", sidecar.url)])
            assert (await client.answer("GET")).head.status == 200
    finally:
        await asyncio.to_thread(sidecar.stop)
