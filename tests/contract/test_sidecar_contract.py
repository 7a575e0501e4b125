"""The sidecar's side of the contract: a live one, in each state, answers what the golden files say."""

import asyncio
import json

import jsonschema
import pytest
from tests.support.calls import HEADERS, call, get, question
from tests.support.contract import GOLDEN, golden, normal, normal_text
from tests.support.raw_client import Answer, RawClient
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess
from tests.support.waiting import eventually

from lastcall_sidecar.routes.openapi import openapi

POD = golden("livez_serving")["pod"]
POD_UID = golden("livez_serving")["pod_uid"]
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))


async def told(sidecar: SidecarProcess, path: str, *, admin: bool = True) -> Answer:
    return await get(sidecar.admin_url if admin else sidecar.url, path)


async def busy():
    """From serving to a final drain, with two streams and one request in the queue all the way."""
    settings = {"generation": 4, "limits": {"maxConcurrent": 2}, "drain": {"settleSeconds": 0}}
    env = {"LASTCALL_POD__NAME": POD, "LASTCALL_POD__UID": POD_UID}
    found = {}
    async with gated_sidecar(settings, env=env) as (upstream, sidecar):
        await get(sidecar.url, "/v1/files")  # completed
        left = await RawClient.connect(sidecar.url)
        await left.request("POST", "/v1/messages", HEADERS, question())
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        await left.close()  # disconnected
        await asyncio.to_thread(sidecar.wait_for, totals_disconnected=1)
        clients = []
        for number in range(3):
            clients.append(asyncio.create_task(call(sidecar.url, f"[fake seed={number}]")))
            await asyncio.to_thread(sidecar.wait_for, in_flight=number + 1, streams=min(number + 1, 2))
        found["livez_serving"] = await told(sidecar, "/livez")
        found["health_serving"] = await told(sidecar, "/health")
        await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "60", "--reason", "rollout")
        found["livez_draining_leased"] = await told(sidecar, "/livez")
        found["livez_traffic"] = await told(sidecar, "/livez", admin=False)
        found["health_draining"] = await told(sidecar, "/health")
        found["health_draining_traffic"] = await told(sidecar, "/health", admin=False)
        sidecar.write_config({"limits": {"maxConcurrent": -1}})
        await asyncio.to_thread(eventually, lambda: sidecar.livez()["config"]["error"], "the error shows")
        found["livez_config_rejected"] = await told(sidecar, "/livez")
        sidecar.terminate()
        await asyncio.to_thread(eventually, lambda: sidecar.livez()["drain"]["final"], "the drain is final")
        found["livez_draining_final"] = await told(sidecar, "/livez")
        upstream.gate.set()
        await asyncio.gather(*clients)
    return found


async def idle():
    async with gated_sidecar({"drain": {"settleSeconds": 0}}) as (_, sidecar):
        found = {"livez_idle": await told(sidecar, "/livez")}
        found["health_serving_traffic"] = await told(sidecar, "/health", admin=False)
        await asyncio.to_thread(sidecar.command_line, "drain", "--wait")
        found["livez_drained"] = await told(sidecar, "/livez")
    return found


@pytest.fixture(scope="module")
def answers():
    outcomes = together(busy, idle)
    return {**outcomes["busy"], **outcomes["idle"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_live_answer_is_the_golden_one(answers, name):
    assert normal_text(json.loads(answers[name].body)) == normal_text(golden(name))


@pytest.mark.parametrize("name", ["health_serving", "health_draining"])
def test_both_listeners_tell_the_same_readiness(answers, name):
    assert answers[name].body == answers[f"{name}_traffic"].body


def test_only_unreadiness_is_an_error_status(answers):
    statuses = {name: answer.head.status for name, answer in answers.items()}
    assert {name for name, status in statuses.items() if status == 503} == {
        "health_draining",
        "health_draining_traffic",
    }
    assert set(statuses.values()) == {200, 503}


def test_the_answers_are_json_that_nobody_caches(answers):
    for answer in answers.values():
        assert answer.head.get("content-type") == "application/json"
        assert answer.head.get("cache-control") == "no-store"


def test_an_answer_is_far_below_what_the_operator_reads(answers):
    assert all(len(answer.body) < 4096 for answer in answers.values())


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("livez")])
def test_the_golden_files_are_what_the_description_says(name):
    """The admin listener's gauge is the described one and more."""
    schemas = openapi()["components"]["schemas"]
    jsonschema.validate(golden(name), schemas["Livez"], format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    ("field", "value"),
    [("timestamp", "2026-11-22 10:00:00"), ("hash", "sha256:abc"), ("oldest_request_seconds", 3), ("version", "1")],
)
def test_the_comparison_refuses_another_form(field, value):
    with pytest.raises(ValueError, match=field):
        normal({field: value})
