"""Whatever is broken, removals are allowed, in time, what is slow after a while; two webhooks keep to maxDraining."""

import asyncio
import time
from http import HTTPStatus

import pytest

from lastcall_operator.cluster.resources import DEPLOYMENTS, STREAM_PROXIES
from lastcall_operator.testing import eviction_review, pod_deletion_review
from lastcall_operator.webhook import removals

from .stage import staged

#: What the API server waits for us is 3 s, and a decision ends before 2.
IN_TIME_SECONDS = 2.5


async def faults(stage):
    _, text = await stage.probe("/metrics")
    return [
        line for line in text.splitlines() if line.startswith("lastcall_webhook_faults_total") and line[-3:] != "0.0"
    ]


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda stage: setattr(stage.cluster, "failing", 500), id="the API server fails"),
        pytest.param(lambda stage: setattr(stage.cluster, "failing", 403), id="RBAC forbids"),
        pytest.param(lambda stage: setattr(stage.cluster, "delay_seconds", 5), id="the API server hangs"),
        pytest.param(lambda stage: stage.cluster.remove(DEPLOYMENTS, "default", "chat"), id="no target any more"),
    ],
)
async def test_every_fault_allows_in_time(break_it):
    async with staged() as stage:
        stage.policy()
        stage.workload(a=5, b=0)
        review = pod_deletion_review(stage.get_pod("a"))
        break_it(stage)
        started = time.perf_counter()
        answer = await stage.removal(review)
        assert answer["allowed"]
        assert time.perf_counter() - started < IN_TIME_SECONDS
        stage.cluster.failing, stage.cluster.delay_seconds = None, 0
        assert len(await faults(stage)) == 1


BUDGETS = ("GET", "poddisruptionbudgets")


@pytest.fixture
async def stage(monkeypatch):
    """A stage with two busy pods, on which nobody waits longer than half a second for a decision."""
    monkeypatch.setattr(removals, "UNDECIDED_SECONDS", 0.5)
    async with staged() as made:
        made.policy()
        made.workload(a=5, b=5)
        yield made


async def test_a_busy_moment_cuts_nothing_and_holds_nothing_for_long(stage):
    review = eviction_review(stage.get_pod("a"), grace_seconds=1)
    stage.cluster.slow[BUDGETS] = 30.0
    started = time.perf_counter()
    answer = await stage.removal(review)
    assert time.perf_counter() - started < IN_TIME_SECONDS
    assert not answer["allowed"]
    assert answer["status"]["message"] == removals.UNDECIDED
    assert len(await faults(stage)) == 1
    assert (await stage.removal(review))["allowed"]  # which took longer than the half second


async def test_each_busy_moment_is_one_of_its_own_and_a_dry_run_is_none(stage):
    review = eviction_review(stage.get_pod("a"), grace_seconds=1)
    for answers in (removals.UNDECIDED, "5 streams in flight", removals.UNDECIDED):
        busy = answers is removals.UNDECIDED
        stage.cluster.refused = {BUDGETS: HTTPStatus.SERVICE_UNAVAILABLE} if busy else {}
        for asked in (eviction_review(stage.get_pod("a"), grace_seconds=1, dry_run=True), review):
            answer = await stage.removal(asked)
            assert not answer["allowed"]
            assert answers in answer["status"]["message"]
        await asyncio.sleep(0.6)
    stage.cluster.refused = {BUDGETS: HTTPStatus.SERVICE_UNAVAILABLE}
    assert (await stage.removal(review))["allowed"]


async def test_a_busy_moment_long_ago_is_forgotten_whoever_decided_meanwhile(stage, monkeypatch):
    review = eviction_review(stage.get_pod("a"), grace_seconds=1)
    stage.cluster.refused = {BUDGETS: HTTPStatus.SERVICE_UNAVAILABLE}
    for allowed in (False, True):
        assert (await stage.removal(review))["allowed"] is allowed
        await asyncio.sleep(0.6)
    monkeypatch.setattr(removals, "FORGOTTEN_SECONDS", 0.5)
    assert not (await stage.removal(review))["allowed"]


async def test_with_more_undecided_pods_than_are_remembered_whoever_asks_again_is_not_forgotten(stage, monkeypatch):
    monkeypatch.setattr(removals, "_REMEMBERED", 2)
    stage.workload(a=5, b=5, c=5)
    stage.cluster.refused = {BUDGETS: HTTPStatus.SERVICE_UNAVAILABLE}
    reviews = {name: eviction_review(stage.get_pod(name), grace_seconds=1) for name in "abc"}
    answers = [await stage.removal(reviews[name]) for name in "abac"]
    assert answers[0]["status"]["message"] == removals.UNDECIDED
    await asyncio.sleep(0.6)
    assert (await stage.removal(reviews["a"]))["allowed"]
    assert not (await stage.removal(reviews["b"]))["allowed"]


@pytest.mark.parametrize(
    "review",
    [pod_deletion_review, lambda pod: eviction_review(pod, grace_seconds=1)],
    ids=["its controller", "an eviction"],
)
async def test_a_pod_that_cannot_be_marked_is_not_held_for_ever(review):
    async with staged() as stage:
        stage.policy(holdDeadlineSeconds=1)
        stage.workload(a=5, b=0)
        stage.cluster.refused["PATCH", "pods"] = HTTPStatus.FORBIDDEN
        assert not (await stage.removal(review(stage.get_pod("a"))))["allowed"]
        assert "lastcall.dev/held-since" not in stage.annotations("a")
        await asyncio.sleep(1.1)
        assert (await stage.removal(review(stage.get_pod("a"))))["allowed"]


@pytest.mark.parametrize(
    ("annotations", "allowed"), [({}, False), ({"lastcall.dev/allow-removal": "true"}, True)], ids=["busy", "owed"]
)
async def test_a_policy_that_keeps_changing_neither_hides_a_refusal_nor_keeps_what_is_owed(annotations, allowed):
    async with staged() as stage:
        stage.policy()
        stage.workload(a=5)
        stage.pod("b", 0, annotations=annotations)
        stage.pod("c", 7, annotations=annotations)
        stage.cluster.conflicts = True
        answer = await stage.removal(pod_deletion_review(stage.get_pod("c")))
        assert answer["allowed"] is allowed
        if not allowed:
            assert "b goes first" in answer["status"]["message"]
            assert "lastcall.dev/held-since" in stage.annotations("c")


async def test_sidecars_that_hang_are_busy_and_the_answer_is_in_time():
    async with staged() as stage:
        stage.policy(maxDraining=1)
        stage.workload(a=0, b=0)
        for sidecar in stage.loads.values():
            sidecar.hangs = True
        started = time.perf_counter()
        answer = await stage.removal(eviction_review(stage.get_pod("a"), grace_seconds=1))
        assert time.perf_counter() - started < IN_TIME_SECONDS
        assert not answer["allowed"]
        assert "does not answer" in answer["status"]["message"]


async def test_a_refusal_stands_however_slow_its_effects_are():
    async with staged() as stage:
        stage.policy()
        stage.workload(a=5, b=0, c=0)
        stage.loads["c"].hangs = True  # a second for the look
        stage.cluster.slow = {("GET", "deployments"): 0.4, ("PATCH", "pods"): 5.0}
        started = time.perf_counter()
        answer = await stage.removal(pod_deletion_review(stage.get_pod("a")))
        assert not answer["allowed"]
        assert time.perf_counter() - started < IN_TIME_SECONDS
        assert not await faults(stage)


async def test_what_is_no_review_is_no_answer():
    async with staged() as stage:
        port = stage.webhooks[0][1].webhook_port
        for body in (b"{}", b"[]", b"?", b'{"request": {}}'):
            for path in ("/validate/removals", "/mutate/pods"):
                url = f"https://127.0.0.1:{port}{path}"
                host = "f-webhook.lastcall.svc"
                async with stage.http.post(url, data=body, ssl=stage.trusted, server_hostname=host) as answer:
                    assert answer.status == 400


async def test_two_webhooks_that_race_do_not_exceed_max_draining():
    async with staged(replicas=2) as stage:
        stage.policy(maxDraining=2)
        stage.workload(**{f"p{number}": 1 for number in range(12)})
        reviews = [pod_deletion_review(stage.get_pod(f"p{number}")) for number in range(12)]
        stage.cluster.delay_seconds = 0.01  # both have read before either has written
        answers = await asyncio.gather(*(stage.removal(review, n % 2) for n, review in enumerate(reviews)))
        assert sum(answer["allowed"] for answer in answers) == 2


async def test_a_policy_that_keeps_changing_refuses_for_the_moment():
    async with staged() as stage:
        stage.policy(maxDraining=2)
        stage.workload(a=1, b=1)
        stage.cluster.conflicts = True
        answer = await stage.removal(pod_deletion_review(stage.get_pod("a")))
        assert not answer["allowed"]
        assert "another removal" in answer["status"]["message"]
        stage.cluster.conflicts = False
        assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]


async def test_a_streamproxy_that_cannot_be_read_does_not_matter():
    async with staged() as stage:
        stage.policy()
        stage.workload(a=5, b=0)
        stage.cluster.put(STREAM_PROXIES, {"metadata": {"name": "p", "namespace": "default"}, "spec": {"mode": 7}})
        assert not (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
