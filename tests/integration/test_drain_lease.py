"""The operator's drains over HTTP: signed for this pod, leased, renewed, ended; never final, never cutting a stream."""

import asyncio
import time
from datetime import datetime

import httpx
import pytest
from tests.support.calls import call, get, is_whole
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess
from tests.support.tokens import POD_UID, Signer, bearer
from tests.support.waiting import eventually

SIGNER = Signer()
POD = {"LASTCALL_POD__UID": POD_UID, "LASTCALL_POD__NAME": "chat-7c"}
LEASABLE = {"drain": {"settleSeconds": 0, "publicKey": SIGNER.public_key}}
LEASE = {"reason": "rollout", "leaseSeconds": 60}
SLACK_SECONDS = 3


@pytest.fixture(scope="module")
def sidecar():
    with SidecarProcess(LEASABLE, env=POD) as found:
        yield found


@pytest.fixture
def operator(sidecar):
    """The operator's client; whatever drain it leaves behind is ended."""
    with httpx.Client(base_url=sidecar.admin_url, headers=bearer(SIGNER.token()), trust_env=False) as client:
        yield client
        client.delete("/drain", headers=bearer(SIGNER.token()))


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


# Who may.

#: Made when they are used, since they age; and why each is refused.
REFUSED = {
    "no header": (dict, "a bearer token is required"),
    "no token": (lambda: {"authorization": "Bearer"}, "a bearer token is required"),
    "another scheme": (lambda: {"authorization": f"Basic {SIGNER.token()}"}, "a bearer token is required"),
    "no JWT": (lambda: bearer("x"), "Not enough segments"),
    "too old": (lambda: bearer(SIGNER.token(age_seconds=70)), "s old"),
    "from the future": (lambda: bearer(SIGNER.token(age_seconds=-70)), "not yet valid"),
    "run out": (lambda: bearer(SIGNER.token(exp=int(time.time()) - 30)), "expired"),
    "not good yet": (lambda: bearer(SIGNER.token(nbf=int(time.time()) + 600)), "not yet valid"),
    "another pod's": (lambda: bearer(SIGNER.token(aud="another")), "Audience"),
    "nobody's": (lambda: bearer(SIGNER.token(without="aud")), "aud"),
    "empty audience": (lambda: bearer(SIGNER.token(aud="")), "aud"),
    "ageless": (lambda: bearer(SIGNER.token(without="iat")), "iat"),
    "another key": (lambda: bearer(Signer().token()), "Signature"),
    "algorithm none": (lambda: bearer(SIGNER.unsigned_token()), "alg"),
    "unsigned": (lambda: bearer(SIGNER.unsigned_token("EdDSA")), "Signature"),
    "public key as secret": (lambda: bearer(SIGNER.confused_token()), "alg"),
    "a good one beside another": (
        lambda: [*bearer(SIGNER.token()).items(), ("authorization", "Bearer x")],
        "drain token refused",
    ),
    "changed": (lambda: bearer(SIGNER.token()[:-6] + "AAAAAA"), "Signature"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_without_a_good_token_nothing_happens(sidecar, name):
    make, why = REFUSED[name]
    with httpx.Client(base_url=sidecar.admin_url, headers=make(), trust_env=False) as nobody:
        for answer in (nobody.post("/drain", json=LEASE), nobody.delete("/drain")):
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authentication_error"
            assert why.lower() in answer.json()["error"]["message"].lower()
    assert sidecar.livez()["draining"] is False


def test_without_a_public_key_the_routes_are_not_there():
    with SidecarProcess({"drain": {"settleSeconds": 0}}, env=POD) as plain:
        for headers in ({}, bearer(SIGNER.token())):
            with httpx.Client(base_url=plain.admin_url, headers=headers, trust_env=False) as client:
                assert client.post("/drain", json=LEASE).status_code == 404
                assert client.delete("/drain").status_code == 404
        assert plain.livez()["draining"] is False


@pytest.mark.parametrize(
    "claims", [{"age_seconds": 50}, {"aud": ["others", POD_UID]}], ids=["50 s old", "for several pods"]
)
def test_a_good_token_is_taken(operator, claims):
    answer = operator.post("/drain", json=LEASE, headers=bearer(SIGNER.token(**claims)))
    assert answer.status_code == 200


# What is asked.


@pytest.mark.parametrize("seconds", [1, 600])
def test_a_lease_may_be_as_short_or_long_as_this(operator, seconds):
    told = operator.post("/drain", json={**LEASE, "leaseSeconds": seconds}).json()
    assert seconds_between(told["timestamp"], told["drain"]["lease_expires"]) == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"leaseSeconds": 0}',
        b'{"leaseSeconds": 601}',
        b'{"leaseSeconds": -1}',
        b'{"leaseSeconds": 1.5}',
        b'{"leaseSeconds": "60"}',
        b'{"leaseSeconds": true}',
        b'{"leaseSeconds": null}',
        b'{"leaseSeconds": 60, "reason": 5}',
        b'{"leaseSeconds": 60, "reason": "\\ud800"}',
        b'{"leaseSeconds": 60, "reason": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"leaseSeconds": ' + b"9" * 5000 + b"}",
        b'{"leaseSeconds": 60, "reason": "\xff"}',
        b'{"leaseSeconds": 60, "reason": "%s"}' % (b"x" * 201),
        b"[]",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 60_000,
    ],
    ids=lambda content: content[:40].decode("latin-1") or "nothing",
)
def test_what_is_no_lease_is_refused_with_a_sentence(sidecar, operator, content):
    answer = operator.post("/drain", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"]
    assert sidecar.livez()["draining"] is False


def test_a_body_that_is_too_large_is_refused(sidecar, operator):
    assert operator.post("/drain", content=b" " * 100_000).status_code == 413
    assert sidecar.livez()["draining"] is False


def test_other_methods_are_refused_as_errors_are_here(operator):
    answer = operator.get("/drain")
    assert answer.status_code == 405
    assert answer.json()["type"] == "error"


# What happens.


def test_a_lease_drains_at_once_and_is_told_in_the_answer(sidecar, operator):
    answer = operator.post("/drain", json=LEASE)
    told = answer.json()
    assert answer.status_code == 200
    assert told["draining"] is True
    assert told["drain"]["state"] == "draining"
    assert told["drain"]["reason"] == "rollout"
    assert told["drain"]["final"] is False
    assert told["drain"]["deadline"] is None
    assert told["pod_uid"] == POD_UID
    assert told["pod"] == "chat-7c"
    assert sidecar.health() == 503


def test_a_lease_is_renewed_and_keeps_its_beginning(operator):
    first = operator.post("/drain", json=LEASE).json()["drain"]
    second = operator.post("/drain", json={**LEASE, "leaseSeconds": 120}).json()["drain"]
    assert seconds_between(first["lease_expires"], second["lease_expires"]) == pytest.approx(60, abs=SLACK_SECONDS)
    assert second["since"] == first["since"]


def test_a_lease_may_be_ended_and_ending_none_is_fine(sidecar, operator):
    operator.post("/drain", json=LEASE)
    for _ in range(2):
        answer = operator.delete("/drain")
        assert answer.status_code == 200
        assert answer.json()["drain"] == {
            "state": "serving",
            "reason": None,
            "final": False,
            "since": None,
            "deadline": None,
            "lease_expires": None,
        }
    assert sidecar.health() == 200


def test_a_lease_runs_out_by_itself(sidecar, operator):
    started = time.monotonic()
    operator.post("/drain", json={**LEASE, "leaseSeconds": 1})
    assert sidecar.health() == 503
    eventually(lambda: sidecar.health() == 200, "it serves again")
    assert 1 <= time.monotonic() - started < 1 + SLACK_SECONDS
    assert sidecar.livez()["drain"]["state"] == "serving"
    assert sidecar.returncode is None


def test_an_idle_sidecar_is_drained_and_serves_who_comes_all_the_same(sidecar, operator):
    operator.post("/drain", json=LEASE)
    before = sidecar.wait_for(state="drained")["drain"]
    answer = httpx.get(f"{sidecar.url}/v1/files", trust_env=False)  # no upstream: an honest 502
    assert answer.status_code == 502
    assert answer.headers["connection"] == "close"
    after = sidecar.wait_for(state="drained")
    assert after["totals"]["accepted"] == 1
    assert after["drain"]["since"] == before["since"]


# With streams, and up to the end.


async def outlives_the_ceiling():
    """A lease never cuts a stream, however short the ceiling is."""
    settings = {"drain": {**LEASABLE["drain"], "ceilingSeconds": 1}}
    async with gated_sidecar(settings, env=POD) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        async with httpx.AsyncClient(
            base_url=sidecar.admin_url, headers=bearer(SIGNER.token()), trust_env=False
        ) as operator:
            for _ in range(5):  # renewed over and over, as an operator does
                renewed = await operator.post("/drain", json={**LEASE, "leaseSeconds": 2})
                await asyncio.sleep(0.5)
            upstream.gate.set()
            answer = await stream
            await asyncio.to_thread(sidecar.wait_for, state="serving")
        return {"renewed": renewed.json(), "answer": answer}


async def made_final():
    """SIGTERM into a leased drain: final from then on, and the ceiling counts from then on."""
    settings = {"drain": {**LEASABLE["drain"], "ceilingSeconds": 60}}
    async with gated_sidecar(settings, env=POD) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        async with httpx.AsyncClient(
            base_url=sidecar.admin_url, headers=bearer(SIGNER.token()), trust_env=False
        ) as operator:
            leased = (await operator.post("/drain", json={**LEASE, "leaseSeconds": 3})).json()
            await asyncio.sleep(2)
            sidecar.terminate()
            final = await asyncio.to_thread(lambda: _final(sidecar))
            deleted = await operator.delete("/drain")
            renewed = await operator.post("/drain", json={**LEASE, "leaseSeconds": 1})
            await asyncio.sleep(2)  # both leases would have run out
            health = await get(sidecar.url, "/health")
        upstream.gate.set()
        answer = await stream
        code = await asyncio.to_thread(sidecar.wait, 20)
        return {
            "leased": leased,
            "final": final,
            "deleted": deleted,
            "renewed": renewed,
            "health": health.head.status,
            "answer": answer,
            "code": code,
        }


def _final(sidecar: SidecarProcess) -> dict:
    eventually(lambda: sidecar.livez()["drain"]["final"], "the drain is final")
    return sidecar.livez()


async def key_given_later():
    """The public key comes with a new configuration: the routes are there from then on."""
    async with gated_sidecar({"drain": {"settleSeconds": 0}}, env=POD) as (_, sidecar):
        async with httpx.AsyncClient(
            base_url=sidecar.admin_url, headers=bearer(SIGNER.token()), trust_env=False
        ) as operator:
            before = await operator.post("/drain", json=LEASE)
            known = (await asyncio.to_thread(sidecar.livez))["config"]["hash"]
            sidecar.write_config(LEASABLE)
            await asyncio.to_thread(eventually, lambda: sidecar.livez()["config"]["hash"] != known, "it is in force")
            after = await operator.post("/drain", json=LEASE)
        return [before.status_code, after.status_code]


@pytest.fixture(scope="module")
def outcomes():
    return together(outlives_the_ceiling, made_final, key_given_later)


def test_a_lease_never_costs_a_stream(outcomes):
    seen = outcomes["outlives_the_ceiling"]
    assert is_whole(seen["answer"])
    assert seen["renewed"]["drain"]["state"] == "draining"
    assert seen["renewed"]["totals"]["dropped"] == 0


def test_sigterm_makes_a_lease_final_and_the_ceiling_begins_then(outcomes):
    seen = outcomes["made_final"]
    drain = seen["final"]["drain"]
    assert drain["state"] == "draining"
    assert drain["reason"] == "SIGTERM"
    assert drain["lease_expires"] is None
    assert drain["since"] == seen["leased"]["drain"]["since"]
    assert 62 <= seconds_between(drain["since"], drain["deadline"]) < 62 + SLACK_SECONDS


def test_a_final_drain_is_neither_ended_nor_leased(outcomes):
    seen = outcomes["made_final"]
    assert seen["deleted"].status_code == 409
    assert "cannot happen" in seen["deleted"].json()["error"]["message"]
    assert seen["renewed"].status_code == 200
    assert seen["renewed"].json()["drain"]["final"] is True
    assert seen["health"] == 503


def test_after_a_lease_that_became_final_the_stream_is_whole_and_the_process_leaves(outcomes):
    assert is_whole(outcomes["made_final"]["answer"])
    assert outcomes["made_final"]["code"] == 0


def test_a_public_key_may_come_while_it_runs(outcomes):
    assert outcomes["key_given_later"] == [404, 200]
