"""Removals, from an AdmissionReview over TLS to the answer and what follows: the table's main rows."""

import asyncio
import base64
import json
from http import HTTPStatus

import pytest

from lastcall_operator.api.streamproxy import parse_stream_proxy
from lastcall_operator.cluster.resources import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    DRAIN_POLICIES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SECRETS,
    STATEFUL_SETS,
    STREAM_PROXIES,
)
from lastcall_operator.injection import InjectionDefaults, inject
from lastcall_operator.removal.model import Kind
from lastcall_operator.testing import (
    deployment,
    drain_policy,
    eviction_review,
    pod_deletion_review,
    replica_set,
    stateful_set,
)
from lastcall_operator.webhook.effects import PATCHES
from lastcall_sidecar.auth import check_drain_token

from .stage import staged

COST = "controller.kubernetes.io/pod-deletion-cost"
WRITTEN = "lastcall.dev/deletion-cost-written"
HELD = "lastcall.dev/held-since"
RESERVATIONS = "lastcall.dev/reservations"


@pytest.fixture
async def stage():
    async with staged() as found:
        yield found


def refused(answer, code):
    return not answer["allowed"] and answer["status"]["code"] == code


def reservations(stage):
    annotations = stage.cluster.get(DRAIN_POLICIES, "default", "chat")["metadata"].get("annotations") or {}
    return {uid: set(what) for uid, what in json.loads(annotations.get(RESERVATIONS, "{}")).items()}


def writes(stage):
    return sum(number for (method, _), number in stage.cluster.requests.items() if method in {"PATCH", "POST", "PUT"})


async def test_a_busier_victim_is_refused_with_costs_and_the_idlest_may_go(stage):
    stage.policy()
    stage.workload(a=5, b=1, c=20)
    answer = await stage.removal(pod_deletion_review(stage.get_pod("a")))
    assert refused(answer, 409)
    assert "b goes first" in answer["status"]["message"]
    assert {name: stage.annotations(name)[COST] for name in "abc"} == {"a": "5", "b": "1", "c": "32"}
    assert {name: stage.annotations(name)[WRITTEN] for name in "abc"} == {"a": "5", "b": "1", "c": "32"}
    assert HELD in stage.annotations("a")
    assert HELD not in stage.annotations("b")
    assert stage.events() == {("Pod", "a", "RemovalRefused"), ("DrainPolicy", "chat", "RemovalRefused")}
    answer = await stage.removal(pod_deletion_review(stage.get_pod("b")))
    assert answer["allowed"]
    assert reservations(stage) == {"uid-a": {"wanted"}, "uid-b": {"removal"}}


async def test_while_enough_are_finishing_a_busy_one_waits(stage):
    stage.policy(maxDraining=1)
    stage.workload(a=1, b=1)
    assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
    answer = await stage.removal(pod_deletion_review(stage.get_pod("b")))
    assert refused(answer, 409)
    assert "a must finish first" in answer["status"]["message"]


@pytest.mark.parametrize(
    ("owner", "paced"), [("chat-5d9f", True), ("other-5d9f", False)], ids=["of the deployment", "of another"]
)
async def test_a_pod_whose_replicaset_is_gone_already_still_finishes_its_streams(stage, owner, paced):
    stage.policy(maxDraining=1)
    stage.workload(a=1)
    leaving = stage.pod("leaving", 4, owner=("ReplicaSet", owner))  # revisionHistoryLimit: 0
    leaving["metadata"] |= {"deletionTimestamp": "2999-11-22T10:00:00Z"}
    leaving["metadata"]["labels"]["pod-template-hash"] = "5d9f"
    stage.cluster.put(PODS, leaving)
    answer = await stage.removal(pod_deletion_review(stage.get_pod("a")))
    assert answer["allowed"] is not paced
    assert not paced or "leaving must finish first" in answer["status"]["message"]


async def test_a_statefulsets_victim_is_only_paced(stage):
    stage.cluster.put(STATEFUL_SETS, stateful_set())
    stage.policy(target=("StatefulSet", "chat"), maxDraining=1)
    owner = ("StatefulSet", "chat")
    for name, load in (("chat-0", 0), ("chat-1", 3), ("chat-2", 9)):
        stage.pod(name, load, owner=owner)
    review = pod_deletion_review(stage.get_pod("chat-2"), user=Kind.STATEFUL_SET)
    assert (await stage.removal(review))["allowed"]
    review = pod_deletion_review(stage.get_pod("chat-1"), user=Kind.STATEFUL_SET)
    assert refused(await stage.removal(review), 409)
    assert COST not in stage.annotations("chat-1")


async def test_an_eviction_with_enough_grace_may_go(stage):
    stage.policy()
    stage.workload(a=3, b=0)
    assert (await stage.removal(eviction_review(stage.get_pod("a"))))["allowed"]


@pytest.mark.parametrize(
    ("ready", "status", "reserved"),
    [
        pytest.param(True, {"disruptionsAllowed": 1}, True, id="it lets one go"),
        pytest.param(
            True, {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2}, False, id="it lets none"
        ),
        pytest.param(False, {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2}, True, id="unready"),
        pytest.param(False, {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2}, False, id="too few"),
        pytest.param(False, {}, False, id="unready, and nothing known"),
    ],
)
async def test_an_eviction_that_a_budget_is_about_to_refuse_holds_up_nobody(stage, ready, status, reserved):
    stage.policy(maxDraining=1)
    stage.workload(b=3)
    stage.pod("a", 3, ready=ready)
    budget = {"spec": {"selector": {"matchLabels": {"app": "chat"}}}, "status": status}
    stage.cluster.put(DISRUPTION_BUDGETS, {"metadata": {"name": "b", "namespace": "default"}, **budget})
    for _ in range(2):
        assert (await stage.removal(eviction_review(stage.get_pod("a"))))["allowed"]
    assert reservations(stage) == ({"uid-a": {"removal"}} if reserved else {})
    assert (await stage.removal(pod_deletion_review(stage.get_pod("b"))))["allowed"] is not reserved


async def test_an_unready_pod_whose_budget_always_lets_it_go_counts(stage):
    stage.policy(maxDraining=1)
    stage.workload(b=3)
    stage.pod("a", 3, ready=False)
    spec = {"selector": {"matchLabels": {"app": "chat"}}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    stage.cluster.put(DISRUPTION_BUDGETS, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec})
    assert (await stage.removal(eviction_review(stage.get_pod("a"))))["allowed"]
    assert reservations(stage) == {"uid-a": {"removal"}}


async def test_an_eviction_that_would_cut_streams_is_refused_and_leased(stage):
    stage.policy()
    stage.workload(a=3, b=0)
    answer = await stage.removal(eviction_review(stage.get_pod("a"), grace_seconds=30))
    assert refused(answer, 429)
    assert "3 streams in flight" in answer["status"]["message"]
    sidecar = stage.loads["a"]
    assert sidecar.leases[0]["leaseSeconds"] == 60
    secret = stage.cluster.get(SECRETS, "lastcall", "f-drain-key")
    public = base64.b64decode(secret["data"]["public.pem"]).decode()
    check_drain_token(sidecar.headers[0]["Authorization"], public_key=public, pod_uid="uid-a")
    assert reservations(stage) == {"uid-a": {"lease", "held"}}
    sidecar.in_flight, sidecar.state = 0, "drained"
    await asyncio.sleep(0.3)  # a look is shared for a quarter of a second
    answer = await stage.removal(eviction_review(stage.get_pod("a"), grace_seconds=30))
    assert answer["allowed"]
    assert ("Pod", "a", "RemovalAllowed") in stage.events()


async def test_one_leased_drain_at_a_time(stage):
    stage.policy()
    stage.workload(a=3, b=3, c=3)
    for name in "ab":
        assert refused(await stage.removal(eviction_review(stage.get_pod(name), grace_seconds=30)), 429)
    assert [len(stage.loads[name].leases) for name in "abc"] == [1, 0, 0]


async def test_no_lease_below_what_a_budget_demands(stage):
    stage.policy()
    stage.workload(a=3, b=3)
    budget = {"spec": {"selector": {"matchLabels": {"app": "chat"}}}, "status": {"desiredHealthy": 2}}
    stage.cluster.put(DISRUPTION_BUDGETS, {"metadata": {"name": "b", "namespace": "default"}, **budget})
    answer = await stage.removal(eviction_review(stage.get_pod("a"), grace_seconds=30))
    assert "of 2 that must be" in answer["status"]["message"]
    assert stage.loads["a"].leases == []


async def test_a_silent_sidecar_is_busy_and_no_idler_one(stage):
    stage.policy()
    stage.workload(a=0, b=0)
    stage.loads["a"].status = 500
    assert refused(await stage.removal(pod_deletion_review(stage.get_pod("a"))), 409)
    assert (await stage.removal(pod_deletion_review(stage.get_pod("b"))))["allowed"]


@pytest.mark.parametrize(
    "annotations",
    [
        pytest.param({HELD: "2026-01-01T00:00:00Z"}, id="past the deadline"),
        pytest.param({"lastcall.dev/allow-removal": "true"}, id="a person's word"),
    ],
)
async def test_nothing_is_held_for_ever(stage, annotations):
    stage.policy()
    stage.workload(a=9, b=0)
    victim = stage.get_pod("a")
    victim["metadata"]["annotations"] |= annotations
    stage.cluster.put(PODS, victim)
    assert (await stage.removal(pod_deletion_review(victim)))["allowed"]
    assert ("Pod", "a", "RemovalAllowed") in stage.events()


async def test_what_a_pod_needs_is_what_its_streamproxy_says(stage):
    stage.policy()
    stage.workload(a=3, b=0)
    victim = stage.get_pod("a")
    victim["metadata"]["annotations"]["lastcall.dev/stream-proxy"] = "p"
    stage.cluster.put(PODS, victim)
    spec = {
        "mode": "Ingress",
        "appPort": "http",
        "selector": {"matchLabels": {"app": "chat"}},
        "drain": {"ceilingSeconds": 60, "settleSeconds": 5},
        "limits": {"maxDurationSeconds": 50},
    }
    stage.cluster.put(STREAM_PROXIES, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    assert refused(await stage.removal(eviction_review(victim, grace_seconds=94)), 429)
    assert (await stage.removal(eviction_review(victim, grace_seconds=95)))["allowed"]


@pytest.mark.parametrize(
    ("wait", "evictions", "allowed"),
    [
        pytest.param("None", "Hold", False, id="the app's own grace covers no drain: held"),
        pytest.param("UntilIdle", "Hold", True, id="the app waits, so the grace covers the drain"),
        pytest.param("None", "Allow", True, id="the policy says so"),
    ],
)
async def test_a_plain_eviction_of_a_busy_egress_pod_is_judged_by_the_grace_that_it_was_injected_with(
    stage, wait, evictions, allowed
):
    stage.policy(evictions=evictions)
    stage.workload(a=3, b=0)
    spec = {"mode": "Egress", "selector": {"matchLabels": {"app": "chat"}}, "drain": {"egressWait": wait}}
    raw = {"metadata": {"name": "p", "namespace": "default"}, "spec": spec}
    stage.cluster.put(STREAM_PROXIES, raw)
    victim = stage.get_pod("a")
    victim["metadata"]["annotations"]["lastcall.dev/stream-proxy"] = "p"
    bare = {"metadata": {}, "spec": {"containers": [{"name": "app"}]}}
    made = inject(bare, parse_stream_proxy(raw), InjectionDefaults("i")).pod
    victim["spec"]["terminationGracePeriodSeconds"] = made["spec"]["terminationGracePeriodSeconds"]
    stage.cluster.put(PODS, victim)
    assert (await stage.removal(eviction_review(victim)))["allowed"] is allowed


@pytest.mark.parametrize(
    "review",
    [
        pytest.param(lambda pod: pod_deletion_review(pod, dry_run=True), id="delete"),
        pytest.param(lambda pod: eviction_review(pod, grace_seconds=1, dry_run=True), id="eviction"),
        pytest.param(lambda pod: eviction_review(pod, grace_seconds=1, nested_dry_run=True), id="inside the eviction"),
    ],
)
async def test_a_dry_run_has_the_answer_and_no_effect(stage, review):
    stage.policy(maxDraining=1)
    stage.workload(a=5, b=1)
    before = writes(stage)
    assert not (await stage.removal(review(stage.get_pod("a"))))["allowed"]
    assert writes(stage) == before
    assert stage.loads["a"].leases == []


@pytest.mark.parametrize(
    "user",
    ["kubernetes-admin", "system:serviceaccount:kube-system:generic-garbage-collector", "system:node:n"],
)
async def test_nobody_elses_delete_is_touched(stage, user):
    stage.policy()
    stage.workload(a=5, b=0)
    asked = stage.cluster.requests.total()
    assert (await stage.removal(pod_deletion_review(stage.get_pod("a"), user=user)))["allowed"]
    assert stage.cluster.requests.total() == asked


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param([], id="none"),
        pytest.param([{"name": "other", "target": ("Deployment", "other")}], id="of another workload"),
    ],
)
async def test_without_a_policy_everything_may_go(stage, policies):
    for policy in policies:
        stage.policy(**policy)
    stage.workload(a=5, b=0)
    before = writes(stage)
    assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
    assert writes(stage) == before
    assert stage.loads["a"].asked == 0


async def test_of_two_policies_the_oldest_wins(stage):
    stage.policy(name="chat", evictions="Allow")
    stage.policy(name="aaa", evictions="Hold")
    newer = stage.cluster.get(DRAIN_POLICIES, "default", "aaa")
    newer["metadata"]["creationTimestamp"] = "2026-11-22T11:00:00Z"
    stage.cluster.put(DRAIN_POLICIES, newer)
    stage.workload(a=5, b=0)
    assert (await stage.removal(eviction_review(stage.get_pod("a"), grace_seconds=1)))["allowed"]


async def test_a_policy_for_a_bare_replicaset(stage):
    stage.policy(target=("ReplicaSet", "chat-old"))
    stage.workload(a=5, b=0)
    assert refused(await stage.removal(pod_deletion_review(stage.get_pod("a"))), 409)


async def test_a_pod_that_is_gone_or_another_may_go(stage):
    stage.policy()
    stage.workload(a=5, b=0)
    victim = stage.get_pod("a")
    stage.cluster.remove(PODS, "default", "a")
    assert (await stage.removal(eviction_review(victim, grace_seconds=1)))["allowed"]


async def test_fifty_removals_at_once_make_one_list_and_one_poll(stage):
    stage.policy(maxDraining=1)
    stage.workload(**{f"p{number}": 2 for number in range(50)})
    reviews = [pod_deletion_review(stage.get_pod(f"p{number}")) for number in range(50)]
    stage.cluster.requests.clear()
    answers = await asyncio.gather(*(stage.removal(review) for review in reviews))
    assert sum(answer["allowed"] for answer in answers) == 1
    assert stage.cluster.requests["GET", "pods"] <= 8  # one for each quarter of a second that this machine takes
    assert max(sidecar.asked for sidecar in stage.loads.values()) <= 8


async def test_victims_refused_at_once_have_each_cost_written_once(stage):
    stage.policy()
    stage.workload(**{f"p{number}": min(number, 16) for number in range(40)})
    names = [f"p{number}" for number in range(20, 40)]
    reviews = [pod_deletion_review(stage.get_pod(name)) for name in names]
    stage.cluster.slow["PATCH", "pods"] = 0.02
    answers = await asyncio.gather(*(stage.removal(review) for review in reviews))
    assert not any(answer["allowed"] for answer in answers)
    async with asyncio.timeout(10):
        while any(HELD not in stage.annotations(name) for name in names):  # noqa: ASYNC110 - done behind the answers
            await asyncio.sleep(0.05)
    assert stage.cluster.requests["PATCH", "pods"] <= 40 + len(names) + 2 * PATCHES


ROLLOUT = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat"}


def put_rollout(stage, **loads):
    """An Argo Rollout `chat` with the ReplicaSet and the pods of a Deployment."""
    stage.workload(**loads)
    stage.cluster.remove(DEPLOYMENTS, "default", "chat")
    made = deployment(replicas=len(loads))
    made["metadata"]["uid"] = "uid-rollout"
    stage.cluster.put(ROLLOUTS, made)
    owned = replica_set()
    owned["metadata"]["ownerReferences"] = [{**ROLLOUT, "uid": "uid-rollout", "controller": True}]
    stage.cluster.put(REPLICA_SETS, owned)
    policy = drain_policy(maxDraining="50%")
    policy["spec"]["targetRef"] = ROLLOUT
    stage.cluster.put(DRAIN_POLICIES, policy)


@pytest.mark.parametrize("denied", [False, True], ids=["by its scale", "by its ReplicaSets alone"])
async def test_the_pods_of_another_owner_of_replicasets_are_ordered_and_paced(stage, denied):
    put_rollout(stage, a=5, b=1, c=20)
    if denied:
        stage.cluster.refused["GET", "rollouts"] = HTTPStatus.FORBIDDEN
        owned = stage.cluster.get(REPLICA_SETS, "default", "chat-old")
        owned["spec"]["replicas"] = 3
        stage.cluster.put(REPLICA_SETS, owned)
    answer = await stage.removal(pod_deletion_review(stage.get_pod("a")))
    assert refused(answer, 409)
    assert "b goes first" in answer["status"]["message"]
    assert (await stage.removal(pod_deletion_review(stage.get_pod("b"))))["allowed"]
    assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]  # half of three, rounded up
    answer = await stage.removal(pod_deletion_review(stage.get_pod("c")))
    assert "a, b must finish first" in answer["status"]["message"]


async def test_a_policy_for_a_kind_of_another_group_is_not_meant_for_ours(stage):
    stage.workload(a=5, b=1)
    policy = drain_policy()
    policy["spec"]["targetRef"] = ROLLOUT  # of the same name
    stage.cluster.put(DRAIN_POLICIES, policy)
    assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
