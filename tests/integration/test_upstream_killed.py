"""SIGKILL of the upstream under its streams: each client is told at once, in its own protocol, and nothing stays."""

import asyncio
import json
import time

import pytest
from tests.support.calls import call, error_event, is_whole
from tests.support.fake import FakeProcess
from tests.support.metrics import scrape
from tests.support.raw_client import Answer, End
from tests.support.running import running, together
from tests.support.sidecar_process import SidecarProcess

STREAMS, PLAIN = 50, 5
SLACK_SECONDS = 3


async def scenario() -> dict:
    with FakeProcess() as fake:
        async with running(SidecarProcess({"upstream": {"url": fake.url}, "drain": {"settleSeconds": 0}})) as sidecar:
            assert is_whole(await call(sidecar.url))  # leaves an idle connection in the pool
            streams = [asyncio.create_task(call(sidecar.url, f"[fake seconds=60 seed={n}]")) for n in range(STREAMS)]
            plain = [
                asyncio.create_task(call(sidecar.url, f"[fake seconds=60 seed={n}]", stream=False))
                for n in range(PLAIN)
            ]
            await asyncio.to_thread(sidecar.wait_for, in_flight=STREAMS + PLAIN, streams=STREAMS)
            killed = time.monotonic()
            fake.kill()
            answers = {"streams": await asyncio.gather(*streams), "plain": await asyncio.gather(*plain)}
            told = time.monotonic() - killed
            afterwards = await call(sidecar.url)
            livez = await asyncio.to_thread(sidecar.wait_for, in_flight=0)
            return {
                **answers,
                "seconds": told,
                "afterwards": afterwards,
                "livez": livez,
                "metrics": await scrape(sidecar),
                "upstream": sidecar.connections_to(int(fake.url.rsplit(":", 1)[1])),
            }


@pytest.fixture(scope="module")
def seen():
    return together(scenario)["scenario"]


def test_every_stream_ends_with_an_error_event_behind_its_last_whole_event(seen):
    for answer in seen["streams"]:
        assert answer.head.status == 200
        assert answer.events()[0][1].startswith(b"event: message_start")
        error = error_event(answer)
        assert error is not None
        assert error["error"]["type"] == "api_error"
        assert "upstream" in error["error"]["message"]


def test_no_stream_looks_as_if_it_had_ended_well(seen):
    assert not any(b"\nevent: message_stop" in answer.body for answer in seen["streams"])


def test_every_plain_request_gets_a_502(seen):
    for answer in seen["plain"]:
        told_by_status(answer)


def test_they_are_told_at_once(seen):
    assert seen["seconds"] < SLACK_SECONDS


def told_by_status(answer: Answer) -> None:
    assert answer.head.status == 502
    assert answer.end is End.COMPLETE
    error = json.loads(answer.body)
    assert error["type"] == "error"
    assert "upstream" in error["error"]["message"]


def test_who_comes_afterwards_is_told_that_there_is_no_connection(seen):
    told_by_status(seen["afterwards"])
    assert "cannot connect" in json.loads(seen["afterwards"].body)["error"]["message"]


def test_each_counts_as_failed_and_nothing_is_left(seen):
    totals = seen["livez"]["totals"]
    assert totals["accepted"] == STREAMS + PLAIN + 2
    assert totals["failed"] == STREAMS + PLAIN + 1
    assert totals["completed"] == 1
    assert totals["dropped"] == totals["disconnected"] == totals["refused"] == 0
    assert seen["livez"]["streams"] == 0
    assert seen["upstream"] == 0


def test_the_metrics_tell_broken_connections_from_none(seen):
    metrics = seen["metrics"]
    assert metrics["lastcall_requests_total", "failed", "anthropic"] == STREAMS + PLAIN + 1
    assert metrics["lastcall_upstream_errors_total", "connect"] == 1
    broken = sum(
        metrics["lastcall_upstream_errors_total", kind]
        for kind in ("reset", "protocol", "truncated")
        if metrics.has("lastcall_upstream_errors_total", kind)
    )
    assert broken == STREAMS + PLAIN
