"""Every way in which a request can end, seen by its client, in `/livez` and in `/metrics`: the three must agree."""

import asyncio
import json

import pytest
from tests.support.calls import HEADERS, call, get, is_whole, question
from tests.support.gated import GatedUpstream
from tests.support.metrics import Scraped, scrape
from tests.support.raw_client import RawClient
from tests.support.running import running, together
from tests.support.scripted_upstream import Connection, Request, chunk, json_response, sse_head
from tests.support.sidecar_process import SidecarProcess

#: What telemetry.md names, as far as this version has what it counts; histograms by their count.
LABELS = {
    "lastcall_in_flight": set(),
    "lastcall_streams": set(),
    "lastcall_queued": set(),
    "lastcall_draining": set(),
    "lastcall_tasks": set(),
    "lastcall_config_errors_total": set(),
    "lastcall_requests_total": {"protocol", "outcome"},
    "lastcall_streams_dropped_total": {"reason"},
    "lastcall_upstream_errors_total": {"kind"},
    "lastcall_time_to_first_event_seconds_count": {"protocol"},
    "lastcall_drain_duration_seconds_count": {"outcome"},
}
#: Present before anything has happened, so that an alert on them is evaluated.
FROM_THE_START = {name for name, labels in LABELS.items() if not labels} | {"lastcall_streams_dropped_total"}
CEILING_SECONDS = 1
SETTINGS = {
    "drain": {"settleSeconds": 0, "ceilingSeconds": CEILING_SECONDS},
    "limits": {"maxConcurrent": 2, "maxBodyBytes": 4096},
}


class Failing(GatedUpstream):
    """Breaks its connection, or its protocol, where a text asks for it; and knows a plain stream of no vendor's."""

    async def _answer(self, connection: Connection, request: Request) -> None:
        if b"reset" in request.body:
            await connection.send(sse_head())
            connection.reset()
        elif b"truncate" in request.body:
            await connection.send(sse_head() + chunk(b"event: ping\ndata: {}\n\n") + b"0\r\n\r\n")
        elif b"overloaded" in request.body:
            await connection.send(json_response(b"{}", "529 Overloaded"))
        else:
            await super()._answer(connection, request)


def in_front_of(upstream: GatedUpstream) -> SidecarProcess:
    return SidecarProcess({"upstream": {"url": upstream.url}, **SETTINGS})


async def streaming(sidecar: SidecarProcess, **wanted: int) -> RawClient:
    """A stream that has begun."""
    client = await RawClient.connect(sidecar.url)
    await client.request("POST", "/v1/messages", HEADERS, question())
    await asyncio.to_thread(sidecar.wait_for, **wanted)
    return client


async def scenario() -> dict:
    seen = {}
    async with Failing() as upstream, running(in_front_of(upstream)) as sidecar:
        seen["elsewhere"] = await get(sidecar.url, "/metrics")
        seen["idle"] = await scrape(sidecar)
        first = await streaming(sidecar, streams=1)
        second = await streaming(sidecar, streams=2)
        waiting = asyncio.create_task(call(sidecar.url, stream=False))
        await asyncio.to_thread(sidecar.wait_for, queued=1)
        seen["busy"] = await scrape(sidecar)
        seen["busy_livez"] = await asyncio.to_thread(sidecar.livez)
        await first.close()  # disconnected
        await asyncio.to_thread(sidecar.wait_for, totals_disconnected=1, queued=0)
        upstream.gate.set()
        assert is_whole(await waiting)  # completed
        await second.answer()  # completed
        await second.close()
        for text in ("reset", "truncate", "overloaded"):  # failed, failed, completed
            await call(sidecar.url, text)
        # The first two are counted.
        for path in ("/v1/messages/batches", "/v1/anything", "/nowhere", "/livez", "/health", "/"):
            await get(sidecar.url, path)
        async with await RawClient.connect(sidecar.url) as client:
            for body in (b"{", b" " * 5000):  # refused
                await client.request("POST", "/v1/messages", HEADERS, body)
                assert (await client.answer()).head.status in {400, 413}
        upstream.gate.clear()
        dropped = await streaming(sidecar, streams=1)
        await asyncio.to_thread(sidecar.command_line, "drain")
        seen["draining"] = await scrape(sidecar)
        await asyncio.to_thread(sidecar.wait_for, state="expired", in_flight=0)
        await dropped.close()
        seen["end"] = await scrape(sidecar)
        seen["livez"] = await asyncio.to_thread(sidecar.livez)
    return seen


@pytest.fixture(scope="module")
def seen():
    return together(scenario)["scenario"]


def test_every_metric_has_its_name_and_its_labels(seen):
    for name, labels in LABELS.items():
        assert seen["end"].labels(name) == {frozenset(labels)}, name


def test_there_are_no_others_of_ours(seen):
    ours = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in seen["end"].names}
    documented = {name.removesuffix("_count") for name in LABELS}
    assert {name for name in ours if name.startswith("lastcall")} == documented


@pytest.mark.parametrize("name", sorted(FROM_THE_START))
def test_what_an_alert_needs_is_there_before_anything_has_happened(seen, name):
    assert name in seen["idle"].names


def test_nothing_is_counted_before_anything_has_happened(seen):
    idle: Scraped = seen["idle"]
    for name in ("lastcall_in_flight", "lastcall_streams", "lastcall_queued", "lastcall_draining"):
        assert idle[name] == 0
    assert idle["lastcall_streams_dropped_total", "ceiling"] == 0
    assert "lastcall_requests_total" not in idle.names


def test_the_gauges_follow_what_is_in_flight(seen):
    busy: Scraped = seen["busy"]
    assert (busy["lastcall_in_flight"], busy["lastcall_streams"], busy["lastcall_queued"]) == (3, 2, 1)
    livez = seen["busy_livez"]
    assert (livez["in_flight"], livez["streams"], livez["queued"]) == (3, 2, 1)
    assert livez["oldest_request_seconds"] > 0
    assert busy["lastcall_tasks"] > seen["idle"]["lastcall_tasks"]


def test_draining_is_told(seen):
    assert seen["draining"]["lastcall_draining"] == 1


def test_each_request_is_counted_once_by_how_it_ended(seen):
    end: Scraped = seen["end"]
    assert end["lastcall_requests_total", "completed", "anthropic"] == 4
    assert end["lastcall_requests_total", "completed", "none"] == 1
    assert end["lastcall_requests_total", "failed", "anthropic"] == 2
    assert end["lastcall_requests_total", "disconnected", "anthropic"] == 1
    assert end["lastcall_requests_total", "refused", "anthropic"] == 2
    assert end["lastcall_requests_total", "dropped", "anthropic"] == 1


def test_livez_counts_the_same(seen):
    expected = {"accepted": 11, "completed": 5, "failed": 2, "disconnected": 1, "dropped": 1, "refused": 2}
    assert seen["livez"]["totals"] == expected
    assert seen["livez"]["in_flight"] == seen["livez"]["streams"] == seen["livez"]["queued"] == 0
    assert seen["livez"]["oldest_request_seconds"] is None


def test_failures_of_the_upstream_are_told_apart(seen):
    end: Scraped = seen["end"]
    assert end["lastcall_upstream_errors_total", "reset"] == 1
    assert end["lastcall_upstream_errors_total", "truncated"] == 1


def test_the_drop_and_the_drain_have_their_reasons(seen):
    end: Scraped = seen["end"]
    assert end["lastcall_streams_dropped_total", "ceiling"] == 1
    assert end["lastcall_drain_duration_seconds_count", "expired"] == 1
    assert end["lastcall_drain_duration_seconds_sum", "expired"] == pytest.approx(CEILING_SECONDS, abs=2)


def test_streams_have_a_time_to_their_first_event(seen):
    """Those that had one: two that ended early, one that was whole, one that was truncated."""
    assert seen["end"]["lastcall_time_to_first_event_seconds_count", "anthropic"] == 4


def test_metrics_are_nowhere_but_on_the_admin_listener(seen):
    assert seen["elsewhere"].head.status == 404
    assert json.loads(seen["elsewhere"].body)["type"] == "error"
