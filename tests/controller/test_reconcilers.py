"""One look at a time: what is written, what is left alone, and what a controller that has just started does."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest

from lastcall_operator.api import names
from lastcall_operator.cluster.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DRAIN_POLICIES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    STREAM_PROXIES,
)
from lastcall_operator.controller.agreement import newest, write
from lastcall_operator.controller.registry import handlers, registry
from lastcall_operator.removal.reservations import Reserved, Span
from lastcall_operator.status.rollouts import stamp
from lastcall_operator.testing import deployment, drain_policy, replica_set, stateful_set
from tests.controller.test_process import stream_proxy
from tests.controller.world import World, condition, world

CREATING = "ContainerCreating"


def put_deployment(it: World, *, current: int = 2, **spec: Any) -> None:
    made = deployment(replicas=2)
    made["status"] = {"replicas": current, "readyReplicas": 2}
    it.cluster.put(DEPLOYMENTS, made)
    it.cluster.put(REPLICA_SETS, replica_set())
    it.cluster.put(DRAIN_POLICIES, drain_policy(**spec))


def put_on_delete(it: World) -> None:
    made = stateful_set(replicas=3)
    made["spec"]["updateStrategy"] = {"type": "OnDelete"}
    made["status"] = {"replicas": 3, "readyReplicas": 3, "updateRevision": "new"}
    it.cluster.put(STATEFUL_SETS, made)
    it.cluster.put(DRAIN_POLICIES, drain_policy(target=("StatefulSet", "chat")))


def test_nothing_but_events_and_indexes_is_registered() -> None:
    found = registry(lambda *_: None, lambda _: None, lambda _: None, lambda: None, lambda **_: None)
    kinds = {kind for kind, _ in handlers(found)}
    assert kinds == {"activities", "indexing", "watching"}
    watched = {handler.selector.any_name for kind, handler in handlers(found) if kind == "watching"}
    assert watched >= {"pods", "replicasets", "deployments", "statefulsets", "services", "streamproxies"}


async def test_at_rest_nothing_is_written() -> None:
    async with world() as it:
        put_deployment(it)
        it.add_pod("chat-a")
        it.add_pod("chat-b")
        assert await it.policy() == 5.0
        written = it.writes()
        assert written > 0
        for _ in range(3):
            await it.policy()
        assert it.writes() == written


@pytest.mark.parametrize(
    ("kind", "stays"),
    [(None, False), (Reserved.WANTED, False), (Reserved.HELD, True)],
    ids=["nobody asks", "its controller did", "an evictor may"],
)
async def test_at_rest_a_hold_lasts_only_as_long_as_somebody_may_ask(kind: Any, stays: bool) -> None:
    async with world() as it:
        put_deployment(it)
        it.add_pod("chat-a", 3, annotations={names.HELD_SINCE: stamp(it.now() - 5)})
        it.add_pod("chat-b", 3)
        if kind is not None:
            it.reserve({("uid-chat-a", kind): Span(it.now() - 5, it.now() + 1000)})
        assert await it.policy() == 5.0, "nothing moves"
        it.ahead_seconds += 11
        await it.policy()
        assert (names.HELD_SINCE in it.annotations("chat-a")) is stays
        await it.policy()
        assert it.reserved() == ({("uid-chat-a", kind)} if stays else set())
        assert "Held" not in it.said()


@pytest.mark.parametrize("ready", [2, 1], ids=["one drains", "and one is never Ready"])
async def test_a_hold_that_nobody_wants_any_more_ends_although_the_workload_is_never_quiet(ready: int) -> None:
    async with world() as it:
        put_deployment(it)
        made = it.cluster.get(DEPLOYMENTS, "default", "chat")
        it.cluster.put(DEPLOYMENTS, {**made, "status": {"replicas": 2, "readyReplicas": ready}})
        it.add_pod("chat-a", 3, annotations={names.HELD_SINCE: stamp(it.now() - 3000)})
        it.add_pod("chat-b", 3)
        it.add_pod("chat-c", 9)  # it was to go instead, and takes half an hour
        found = it.cluster.get(PODS, "default", "chat-c")
        found["metadata"]["deletionTimestamp"] = stamp(it.now() + 1800)
        it.cluster.put(PODS, found)
        await it.policy()
        it.ahead_seconds += 11
        await it.policy()
        assert names.HELD_SINCE not in it.annotations("chat-a"), "an hour after it, a busy pod would go first"


async def test_a_controller_that_may_not_write_reservations_goes_on() -> None:
    async with world() as it:
        put_deployment(it)
        it.add_pod("chat-a")
        it.reserve({("uid-chat-a", Reserved.WANTED): Span(it.now(), it.now() + 1000)})
        it.cluster.refused["PATCH", "drainpolicies"] = HTTPStatus.FORBIDDEN
        agreement = await newest(it.controller.writes.api, it.cluster.get(DRAIN_POLICIES, "default", "chat"), it.now())
        assert await write(it.controller.writes.api, agreement, {})
        it.cluster.refused.clear()
        it.reserve({})
        assert not await write(it.controller.writes.api, agreement, {}), "somebody else has written meanwhile"
        assert await write(it.controller.writes.api, agreement, agreement.reservations), "nothing to write"


@pytest.mark.parametrize(
    ("name", "target", "kind", "words"),
    [
        ("lost", ("Deployment", "nowhere"), "Accepted", "nowhere"),
        ("wrong", ("StatefulSet", "chat"), "Accepted", "StatefulSet chat"),
        ("younger", ("Deployment", "chat"), "Accepted", "chat"),
    ],
    ids=["not-found", "wrong-kind", "two-for-one"],
)
async def test_a_policy_that_cannot_work_says_so(name: str, target: Any, kind: str, words: str) -> None:
    async with world() as it:
        put_deployment(it)
        it.cluster.put(DRAIN_POLICIES, drain_policy(name, target))
        await it.policy(name)
        found = condition(it.cluster.get(DRAIN_POLICIES, "default", name)["status"], kind)
        assert found["status"] == "False"
        assert words in found["message"]
        assert [words in message for message in it.said()[found["reason"]]] == [True]


async def test_a_policy_that_nobody_can_read_is_told_of_once() -> None:
    async with world() as it:
        it.cluster.put(DRAIN_POLICIES, drain_policy(order="BusiestFirst"))
        for _ in range(2):
            await it.policy()
        assert [message.startswith("spec.order") for message in it.said()["Invalid"]] == [True]


@pytest.mark.parametrize(
    ("age", "wins"), [("2026-11-22T09", "set"), ("2026-11-22T11", "chat")], ids=["older", "younger"]
)
async def test_a_policy_for_a_replicaset_and_one_for_its_deployment_are_rivals(age: str, wins: str) -> None:
    async with world() as it:
        put_deployment(it)
        it.add_pod("chat-a")
        other = drain_policy("set", ("ReplicaSet", "chat-old"))
        other["metadata"]["creationTimestamp"] = age + ":00:00Z"
        it.cluster.put(DRAIN_POLICIES, other)
        for name in ("chat", "set"):
            await it.policy(name)
            found = condition(it.cluster.get(DRAIN_POLICIES, "default", name)["status"], "Conflicted")
            assert found["status"] == ("False" if name == wins else "True")


@pytest.mark.parametrize("gone", [True, False], ids=["removed", "another target"])
async def test_what_a_policy_left_on_pods_goes_with_it(gone: bool) -> None:
    async with world() as it:
        put_deployment(it, current=3)  # not at rest
        marks = {names.DELETION_COST: "3", names.COST_WRITTEN: "3", names.HELD_SINCE: stamp(it.now())}
        it.add_pod("chat-a", 3, annotations=marks)
        await it.marks()
        assert marks.items() <= it.annotations("chat-a").items()
        if gone:
            it.cluster.remove(DRAIN_POLICIES, "default", "chat")
        else:
            it.cluster.put(DRAIN_POLICIES, drain_policy(target=("Deployment", "other")))
        await it.marks()
        assert not marks.keys() & it.annotations("chat-a").keys()


async def test_a_bad_change_leaves_the_configuration_as_it_was() -> None:
    async with world() as it:
        it.cluster.put(STREAM_PROXIES, stream_proxy())
        await it.proxy()
        before = it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat")
        it.cluster.put(STREAM_PROXIES, stream_proxy(limits={"maxQueued": -1}))
        await it.proxy()
        assert it.cluster.get(CONFIG_MAPS, "default", "lastcall-chat") == before
        accepted = condition(it.cluster.get(STREAM_PROXIES, "default", "chat")["status"], "Accepted")
        assert accepted["status"] == "False"
        assert "maxQueued" in accepted["message"]
        assert "maxQueued" in it.said()["ConfigRejected"][0]


async def test_a_pod_that_waits_for_its_volumes_tells_which_secrets_it_needs() -> None:
    named = {"provider": "OpenAI", "models": ["*"]}
    upstreams = [
        {"name": "a", "apiKeySecretRef": {"name": "vendor"}, **named},
        {"name": "b", "apiKeySecretRef": {"name": "other"}, **named},
        {"name": "c", **named},
    ]
    async with world() as it:
        spec = {
            "mode": "Egress",
            "appPort": None,
            "upstreams": upstreams,
            "auth": {"apiKeysSecretRef": {"name": "vendor"}},
        }
        it.cluster.put(STREAM_PROXIES, stream_proxy(**spec))
        it.add_pod("chat-a", ready=False, annotations={names.STREAM_PROXY: "chat"})
        waiting = it.cluster.get(PODS, "default", "chat-a")
        waiting["status"] |= {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": CREATING}}}]}
        it.cluster.put(PODS, waiting)
        await it.proxy()
        ready = condition(it.cluster.get(STREAM_PROXIES, "default", "chat")["status"], "Ready")
        assert ready["message"].endswith("is there a Secret vendor and other?")


@pytest.mark.parametrize(("current", "asked"), [(3, True), (2, False)], ids=["it shrinks", "an eviction was held"])
async def test_when_a_leaving_pod_is_gone_a_shrinking_workload_asks_again(current: int, asked: bool) -> None:
    async with world() as it:
        put_deployment(it, current=current, maxDraining=1)
        it.add_pod(
            "chat-a", 3, annotations={names.HELD_SINCE: "2026-11-22T10:00:00Z", names.ASK_AGAIN: "2099-01-01T00:00:00Z"}
        )
        it.add_pod("chat-b", 3)
        leaving = it.cluster.get(PODS, "default", "chat-b")
        leaving["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
        it.cluster.put(PODS, leaving)
        await it.policy()
        assert it.cluster.get(PODS, "default", "chat-a")["metadata"]["annotations"][names.ASK_AGAIN].startswith("2099")
        it.cluster.remove(PODS, "default", "chat-b")
        await it.policy()
        stamp = it.cluster.get(PODS, "default", "chat-a")["metadata"]["annotations"][names.ASK_AGAIN]
        assert stamp.startswith("2099") is not asked


async def test_on_delete_goes_by_what_pods_carry_and_a_new_controller_carries_on() -> None:
    async with world() as it:
        put_on_delete(it)
        owner, old = ("StatefulSet", "chat"), {"controller-revision-hash": "old"}
        sidecars = {
            number: it.add_pod(f"chat-{number}", load, owner=owner, labels=old) for number, load in enumerate((5, 1, 2))
        }
        assert await it.policy() == 1.0
        assert [number for number, each in sidecars.items() if each.leases] == [1]
        held = it.cluster.get(PODS, "default", "chat-1")["metadata"]["annotations"]
        assert names.ROLLOUT_SINCE in held
        assert it.reserved() == {("uid-chat-1", Reserved.LEASE)}
        sidecars[1].state, sidecars[1].in_flight = "drained", 0
    async with world() as it:  # another controller: all that it knows is in the cluster
        put_on_delete(it)
        for number, load in enumerate((5, 0, 2)):
            sidecar = it.add_pod(f"chat-{number}", load, owner=owner, labels=old)
            sidecar.state = "drained" if number == 1 else "serving"
        await it.policy()
        assert {each["metadata"]["name"] for each in it.cluster.all(PODS)} == {"chat-0", "chat-2"}
        assert [each.pod for each in it.sidecars._by_ip.values() if each.leases] == ["chat-1"] or not any(
            each.leases for each in it.sidecars._by_ip.values()
        )
        await it.policy()  # its successor is not there yet: nobody else drains
        assert len(it.cluster.all(PODS)) == 2


OLD: dict[str, Any] = {"owner": ("StatefulSet", "chat"), "labels": {"controller-revision-hash": "old"}}


def leased_pods(it: World) -> list[str]:
    return sorted(each.pod for each in it.sidecars._by_ip.values() if each.leases)


@pytest.mark.parametrize("seconds", [5, 4000], ids=["now", "long ago"])
async def test_what_evictions_left_on_pods_is_no_rollouts_business(seconds: float) -> None:
    async with world() as it:
        put_on_delete(it)
        for number in range(3):
            marks = {names.HELD_SINCE: stamp(it.now() - seconds)}
            it.add_pod(f"chat-{number}", number + 1, annotations=marks, **OLD)
        for _ in range(3):
            await it.policy()
        assert leased_pods(it) == ["chat-0"]
        assert len(it.cluster.all(PODS)) == 3


async def test_while_an_eviction_drains_a_pod_the_rollout_waits() -> None:
    async with world() as it:
        put_on_delete(it)
        for number in range(3):
            it.add_pod(f"chat-{number}", number + 1, **OLD)
        it.reserve({("uid-chat-2", Reserved.LEASE): Span(it.now(), it.now() + 50)})
        await it.policy()
        assert leased_pods(it) == []
        it.ahead_seconds += 51  # it was given up
        await it.policy()
        assert leased_pods(it) == ["chat-0"]


async def test_a_rollout_that_loses_the_race_begins_no_drain() -> None:
    async with world() as it:
        put_on_delete(it)
        it.add_pod("chat-0", 1, **OLD)
        it.cluster.conflicts = True
        assert await it.policy() == 1.0
        assert leased_pods(it) == []
        assert names.ROLLOUT_SINCE not in it.annotations("chat-0")


async def test_a_rollout_that_is_taken_back_leaves_no_mark_and_holds_up_nobody() -> None:
    async with world() as it:
        put_on_delete(it)
        it.add_pod("chat-0", 1, **OLD)
        it.add_pod("chat-1", 2, **OLD)
        it.add_pod("chat-2", 3, **OLD)
        await it.policy()
        assert leased_pods(it) == ["chat-0"]
        back = it.cluster.get(STATEFUL_SETS, "default", "chat")
        back["status"]["updateRevision"] = "old"
        it.cluster.put(STATEFUL_SETS, back)
        new = it.cluster.get(PODS, "default", "chat-1")
        new["metadata"]["labels"]["controller-revision-hash"] = "new"
        it.cluster.put(PODS, new)
        next(each for each in it.sidecars._by_ip.values() if each.pod == "chat-0").state = "serving"
        it.ahead_seconds += 91
        await it.policy()
        assert names.ROLLOUT_SINCE not in it.annotations("chat-0")
        await it.policy()
        assert names.ROLLOUT_SINCE in it.annotations("chat-1")


async def test_a_pod_that_a_person_lets_go_is_replaced_at_once() -> None:
    async with world() as it:
        put_on_delete(it)
        it.add_pod("chat-0", 1, **OLD)
        it.add_pod("chat-1", 9, annotations={names.ALLOW_REMOVAL: "true"}, **OLD)
        await it.policy()
        assert [each["metadata"]["name"] for each in it.cluster.all(PODS)] == ["chat-0"]


async def test_an_api_server_that_fails_ends_no_loop() -> None:
    async with world() as it:
        put_deployment(it)
        it.add_pod("chat-a")
        it.look()
        it.cluster.failing = 500
        it.controller.wake("DrainPolicy", ("default", "chat"))
        for _ in range(200):
            if it.controller.policies.finished is not None:
                break
            await asyncio.sleep(0.01)
        it.cluster.failing = None
        assert len(it.controller.policies) == 1
        await it.controller.close()


async def test_what_ended_before_a_policy_was_in_force_is_not_of_its_rollout() -> None:
    async with world() as it:
        made = stateful_set(replicas=2)
        made["status"] = {"replicas": 2, "readyReplicas": 2, "updateRevision": "new"}
        it.cluster.put(STATEFUL_SETS, made)
        it.cluster.put(DRAIN_POLICIES, drain_policy(target=("StatefulSet", "chat")))
        late = drain_policy("late", ("StatefulSet", "chat"))
        late["metadata"]["creationTimestamp"] = "2026-11-22T11:00:00Z"
        it.cluster.put(DRAIN_POLICIES, late)
        for name, deleted in (("chat-0", {}), ("chat-1", {"deletionTimestamp": stamp(it.now())})):
            it.add_pod(name, 3, owner=("StatefulSet", "chat"), labels={"controller-revision-hash": "old"})
            found = it.cluster.get(PODS, "default", name)
            it.cluster.put(PODS, {**found, "metadata": {**found["metadata"], **deleted}})
        it.look()
        await it.controller.drains.step(("default", "chat-1", "uid-chat-1"))
        it.cluster.remove(PODS, "default", "chat-1")
        it.look()
        await it.controller.drains.step(("default", "chat-1", "uid-chat-1"))  # killed: its three are lost
        await it.controller.policies.close()  # which are woken by it
        for name, dropped in (("chat", 3), ("late", None)):
            await it.policy(name)
            rollout = it.cluster.get(DRAIN_POLICIES, "default", name)["status"].get("rollout") or {}
            assert rollout.get("dropped") == dropped
        it.cluster.remove(DRAIN_POLICIES, "default", "chat")
        await it.policy("late")
        assert it.cluster.get(DRAIN_POLICIES, "default", "late")["status"]["rollout"]["dropped"] == 0


async def test_nothing_is_kept_of_what_is_gone() -> None:
    async with world() as it:
        for resource, made in ((DRAIN_POLICIES, drain_policy()), (STREAM_PROXIES, stream_proxy())):
            look = it.policy if resource is DRAIN_POLICIES else it.proxy
            it.cluster.put(resource, made)
            await look()
            obj = it.cluster.get(resource, "default", "chat")
            obj.pop("status")
            assert it.controller.writes.status_of(obj) != {}
            it.cluster.remove(resource, "default", "chat")
            await look()
            assert it.controller.writes.status_of(obj) == {}


async def test_a_drained_pod_whose_app_does_not_end_is_deleted_again_with_its_apps_own_grace() -> None:
    async with world() as it:
        put_deployment(it)
        sidecar = it.add_pod("chat-a", annotations={names.ORIGINAL: '{"terminationGracePeriodSeconds": 5}'})
        leaving = it.cluster.get(PODS, "default", "chat-a")
        ends = stamp(it.now() + 1985)
        leaving["metadata"] |= {"deletionTimestamp": ends, "deletionGracePeriodSeconds": 1985}
        it.cluster.put(PODS, leaving)
        going = ("default", "chat-a", "uid-chat-a")

        async def step() -> Any:
            it.look()
            await it.controller.drains.step(going)
            return it.cluster.get(PODS, "default", "chat-a")["metadata"]["deletionGracePeriodSeconds"]

        sidecar.state, sidecar.final, sidecar.in_flight = "draining", True, 1
        assert await step() == 1985
        sidecar.state, sidecar.in_flight = "drained", 0
        it.ahead_seconds += 1
        assert await step() == 1985  # its app may end by itself
        it.ahead_seconds += 6
        shorter = await step()
        assert 12 <= shorter < 60
        asked = it.cluster.requests["DELETE", "pods"]
        it.ahead_seconds += 6
        assert await step() == shorter
        assert it.cluster.requests["DELETE", "pods"] == asked == 1
        [said] = it.said_of("Pod", "chat-a")["AppDoesNotEnd"]
        assert said.startswith(
            "chat-a is drained, and its app does not end on SIGTERM: deleted again with its own grace"
        )
        await it.policy()
        draining = condition(it.cluster.get(DRAIN_POLICIES, "default", "chat")["status"], "Draining")
        assert draining["reason"] == "AppDoesNotEnd"
        assert draining["message"].startswith("chat-a: drained since 20")


async def test_a_drain_is_followed_though_somebody_forbids_to_delete_its_pod_again() -> None:
    async with world() as it:
        put_deployment(it)
        sidecar = it.add_pod("chat-a", annotations={names.ORIGINAL: '{"terminationGracePeriodSeconds": 5}'})
        leaving = it.cluster.get(PODS, "default", "chat-a")
        leaving["metadata"] |= {"deletionTimestamp": stamp(it.now() + 1985), "deletionGracePeriodSeconds": 1985}
        it.cluster.put(PODS, leaving)
        it.cluster.refused["DELETE", "pods"] = HTTPStatus.FORBIDDEN
        for _ in range(4):
            it.look()
            sidecar.state, sidecar.final = "drained", True
            assert await it.controller.drains.step(("default", "chat-a", "uid-chat-a")) == 1
            it.ahead_seconds += 6
        assert it.cluster.requests["DELETE", "pods"] > 0
        assert "AppDoesNotEnd" not in it.said_of("Pod", "chat-a")


async def test_a_policy_for_another_owner_of_replicasets_knows_its_pods_and_its_newest_revision() -> None:
    async with world() as it:
        reference = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat"}
        for revision, name in ((1, "old"), (2, "new")):
            made = replica_set(f"chat-{name}")
            made["metadata"] |= {
                "uid": f"uid-{name}",
                "ownerReferences": [{**reference, "uid": "uid-rollout", "controller": True}],
                "annotations": {"rollout.argoproj.io/revision": str(revision)},
            }
            made["spec"] |= {"replicas": 1, "template": {"metadata": {"labels": {"rollouts-pod-template-hash": name}}}}
            made["status"] = {"replicas": 1}
            it.cluster.put(REPLICA_SETS, made)
            it.add_pod(f"chat-{name}-a", 3, labels={"rollouts-pod-template-hash": name})
            owned = it.cluster.get(PODS, "default", f"chat-{name}-a")
            owned["metadata"]["ownerReferences"][0] |= {"name": f"chat-{name}", "uid": f"uid-{name}"}
            it.cluster.put(PODS, owned)
        policy = drain_policy()
        policy["spec"]["targetRef"] = reference
        it.cluster.put(DRAIN_POLICIES, policy)
        await it.policy()
        status = it.cluster.get(DRAIN_POLICIES, "default", "chat")["status"]
        assert condition(status, "Accepted")["message"] == "Rollout chat: 2 pods with a sidecar"
        assert condition(status, "Progressing")["message"] == "1 pod of an older revision left"
        assert {row["name"]: row["revision"] for row in status["pods"]} == {"chat-old-a": "old", "chat-new-a": "new"}
        assert status["inFlight"] == 6
