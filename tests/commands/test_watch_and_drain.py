"""`lastcall watch` and `drain` against an API server that changes, and fails, while they run."""

import asyncio
import json

import pytest
from tests.support.waiting import soon

from lastcall_operator import cli
from lastcall_operator.cluster.resources import DEPLOYMENTS, DRAIN_POLICIES, PODS, REPLICA_SETS, STATEFUL_SETS
from lastcall_operator.commands.drain import drain
from lastcall_operator.commands.progress import Pace
from lastcall_operator.commands.watch import watch
from lastcall_operator.errors import ApiUnavailableError, NotFoundError
from lastcall_operator.testing import drain_policy, pod
from lastcall_operator.testing.sidecars import FakeSidecar

PACE = Pace(period_seconds=0.01, verdict_seconds=1.0, unanswered_seconds=1.0)
FINISHED = {"revision": "new", "streamsFinished": 7, "dropped": 0, "finishedAt": "2026-11-22T10:00:00Z"}


@pytest.fixture
def parsed(kubeconfig):
    """A command's arguments, aimed at the fake."""
    return lambda *words: cli._parser().parse_args([*words, "--namespace", "default", "--kubeconfig", kubeconfig])


async def looked(cluster, times=2):
    """Until it has been looked so many times more: the first look is over then, and the second has begun."""
    wanted = cluster.requests["GET", "deployments"] + times
    await soon(lambda: cluster.requests["GET", "deployments"] >= wanted, f"{wanted} looks")


def put_deployment(cluster, *, updated=3, ready=3):
    cluster.put(
        DEPLOYMENTS,
        {
            "metadata": {"name": "chat", "namespace": "default", "generation": 2},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "chat"}}},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "readyReplicas": ready, "replicas": 3},
        },
    )
    for number, template in ((1, "old"), (2, "new")):
        cluster.put(
            REPLICA_SETS,
            {
                "metadata": {
                    "name": f"chat-{template}",
                    "namespace": "default",
                    "labels": {"app": "chat", "pod-template-hash": template},
                    "annotations": {"deployment.kubernetes.io/revision": str(number)},
                    "ownerReferences": [{"uid": "uid-deployments-chat"}],
                }
            },
        )


def put_pod(cluster, name, template, *, in_flight=0, state="serving"):
    sidecar = cluster.sidecars.setdefault(name, FakeSidecar(name, f"uid-{name}", "127.0.0.1"))
    sidecar.in_flight, sidecar.state = in_flight, state
    made = pod(name, sidecar)
    made["metadata"]["labels"]["pod-template-hash"] = template
    cluster.put(PODS, made)
    return sidecar


def put_policy(cluster, rollout=None):
    cluster.put(DRAIN_POLICIES, {**drain_policy(), "status": {"rollout": rollout} if rollout else {}})


async def test_a_verdict_is_waited_for_and_counts(cluster, parsed, capsys):
    put_deployment(cluster)
    put_pod(cluster, "chat-1", "new")
    put_policy(cluster, {**FINISHED, "finishedAt": None})
    watching = asyncio.create_task(watch(parsed("watch", "deploy/chat"), PACE))
    await looked(cluster)
    assert not watching.done()
    put_policy(cluster, {**FINISHED, "dropped": 1})
    assert await watching == 1
    said = capsys.readouterr()
    assert "7 finished, 0 dropped (the controller closes its account)" in said.out
    assert "7 finished, 1 dropped" in said.out
    assert said.err == ""


async def test_a_verdict_that_does_not_come_is_no_good_one(cluster, parsed, capsys):
    put_deployment(cluster)
    put_pod(cluster, "chat-1", "new")
    put_policy(cluster, {**FINISHED, "revision": "old"})
    assert await watch(parsed("watch", "deploy/chat"), PACE) == 1
    assert "no account of this rollout" in capsys.readouterr().err


async def test_nobody_is_waited_for_where_nobody_counts(cluster, parsed):
    put_deployment(cluster)
    put_pod(cluster, "chat-1", "new")
    assert await watch(parsed("watch", "deploy/chat"), Pace(verdict_seconds=3600)) == 0
    put_policy(cluster)  # and where there was no rollout
    assert await watch(parsed("watch", "deploy/chat"), Pace(verdict_seconds=3600)) == 0


async def test_json_is_the_end_as_one_document_with_the_same_exit_code(cluster, parsed, capsys):
    put_deployment(cluster, updated=2)
    put_pod(cluster, "chat-1", "old", in_flight=2)
    put_policy(cluster, {**FINISHED, "finishedAt": None})
    watching = asyncio.create_task(watch(parsed("watch", "deploy/chat", "--output", "json"), PACE))
    await looked(cluster)
    assert not watching.done()
    put_deployment(cluster)
    put_pod(cluster, "chat-1", "new")
    put_policy(cluster, FINISHED)
    assert await watching == 0
    end = json.loads(capsys.readouterr().out)
    assert (end["done"], end["account"], end["dropped"], end["older"]) == (True, "closed", 0, 0)
    assert [row["pod"] for row in end["pods"]] == ["chat-1"]


async def test_a_stateful_set_s_account_is_told_by_its_update_revision(cluster, parsed):
    cluster.put(
        STATEFUL_SETS,
        {
            "metadata": {"name": "gate", "namespace": "default", "generation": 1},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "gate"}}},
            "status": {"observedGeneration": 1, "updateRevision": "gate-2"},
        },
    )
    policy = drain_policy(target=("StatefulSet", "gate"))
    cluster.put(DRAIN_POLICIES, {**policy, "status": {"rollout": {**FINISHED, "revision": "gate-2", "dropped": 3}}})
    assert await watch(parsed("watch", "sts/gate"), PACE) == 1


async def test_a_moment_without_an_answer_is_no_reason_to_stop_looking(cluster, parsed):
    put_deployment(cluster, updated=2)
    watching = asyncio.create_task(watch(parsed("watch", "deploy/chat"), PACE))
    await looked(cluster)
    cluster.failing = 503
    await looked(cluster)
    assert not watching.done()
    put_deployment(cluster)
    cluster.failing = None
    assert await watching == 0


async def test_silence_for_long_is_told_and_so_is_a_workload_that_is_gone(cluster, parsed):
    put_deployment(cluster, updated=2)
    watching = asyncio.create_task(watch(parsed("watch", "deploy/chat"), PACE))
    await looked(cluster)
    cluster.failing = 503
    with pytest.raises(ApiUnavailableError):
        await watching
    cluster.failing = None
    watching = asyncio.create_task(watch(parsed("watch", "deploy/chat"), PACE))
    await looked(cluster)
    cluster.remove(DEPLOYMENTS, "default", "chat")
    with pytest.raises(NotFoundError):
        await watching


@pytest.mark.parametrize(
    ("state", "code"),
    [pytest.param("drained", 0, id="drained"), pytest.param("expired", 1, id="expired: it still carries something")],
)
async def test_waiting_for_a_drain_says_whether_the_pod_is_drained(cluster, parsed, capsys, state, code):
    sidecar = put_pod(cluster, "chat-1", "new", in_flight=1, state="draining")
    waiting = asyncio.create_task(drain(parsed("drain", "pod/chat-1", "--lease", "60s", "--wait")))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    sidecar.state = state
    assert await waiting == code
    assert f"pod/chat-1: {state}" in capsys.readouterr().out
    assert cluster.executed[0] == ("chat-1", ["lastcall-sidecar", "drain", "--lease", "60"])


async def test_a_drain_that_does_not_end_in_time_is_a_no(cluster, parsed):
    put_pod(cluster, "chat-1", "new", in_flight=1, state="draining")
    assert await drain(parsed("drain", "pod/chat-1", "--wait", "--timeout", "0")) == 1
