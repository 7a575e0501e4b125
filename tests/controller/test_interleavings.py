"""Evictions and a rollout with `OnDelete` at the same time, in every order of their looks, writes and drains."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lastcall_operator import removal
from lastcall_operator.controller.rollouts import view
from lastcall_operator.removal.reservations import (
    LEASE_SECONDS,
    LEASE_WITHIN_SECONDS,
    Reserved,
    after,
    leased,
    of_kind,
    parse,
    render,
)
from lastcall_operator.rollout import DrainPod, DrainPolicy, ReplacePod, Snapshot, leases, plan
from lastcall_operator.status.readings import Reading
from lastcall_operator.status.records import Pod
from tests.removal import views
from tests.status.scenes import NOW, gauge, pod, workload

SET = workload(revision="new", on_delete=True)
#: Who takes longer between a look and what comes of it has been given up by the API server, or by itself.
PATIENCE_SECONDS = 5.0


@dataclass
class Cluster:
    """Pods by UID, until when each is leased, and the policy's annotation with its version."""

    pods: dict[str, Pod]
    loads: dict[str, int]
    policy: DrainPolicy
    leases: dict[str, float] = field(default_factory=dict)
    text: str = ""
    version: int = 0
    now: float = NOW

    def state(self, uid: str) -> str:
        if self.leases.get(uid, 0.0) <= self.now:
            return "serving"
        return "draining" if self.loads[uid] else "drained"

    def write(self, text: str, version: int) -> bool:
        if version != self.version:
            return False
        self.text, self.version = text, self.version + 1
        return True

    def lease(self, uid: str) -> None:
        if uid in self.pods:
            self.leases[uid] = self.now + LEASE_SECONDS

    def replace(self, uid: str) -> None:
        if uid in self.pods:
            self.pods[uid] = replace(self.pods[uid], revision="new", rollout_since=None)
            self.leases.pop(uid, None)

    def check(self) -> None:
        drained = [uid for uid in self.pods if self.state(uid) != "serving"]
        assert len(drained) <= self.policy.max_draining, drained


def evictor(it: Cluster, uid: str, ahead: float) -> Iterator[None]:
    """The webhook, asked for the eviction of a pod again and again, with too little grace for its streams.

    `ahead`: by how many seconds the clock of its node is.
    """
    while True:
        began = it.now
        text, version = it.text, it.version
        states = {each: (it.state(each), it.loads[each]) for each in it.pods}
        yield
        now = it.now + ahead
        known = parse(text, now)
        gone, drains = of_kind(known, Reserved.REMOVAL), of_kind(known, Reserved.LEASE)
        seen = [
            views.pod(
                each.removeprefix("uid-"),
                load,
                state=state,
                leased=state != "serving" or each in drains,
                reserved=each in drains,
                terminating=each in gone,
            )
            for each, (state, load) in states.items()
        ]
        asked = removal.Removal(removal.Kind.EVICTION, uid, grace_seconds=30.0)
        decision = removal.decide(asked, removal.Snapshot(tuple(seen)), removal.Policy(), now)
        wanted = after(known, asked, decision, now)
        if it.now - began > PATIENCE_SECONDS or (wanted != known and not it.write(render(wanted), version)):
            continue
        decided = it.now
        yield
        if it.now - decided > PATIENCE_SECONDS:
            continue
        if isinstance(decision, removal.Allow):
            it.replace(uid)
        elif decision.lease is not None:
            it.lease(decision.lease)
        yield


def rollout(it: Cluster) -> Iterator[None]:
    """The controller's steps."""
    while True:
        began, pods = it.now, dict(it.pods)
        gauges = {
            uid: gauge(it.loads[uid], state=it.state(uid), lease_expires=it.leases.get(uid), final=False)
            for uid in pods
        }
        yield
        known, version = parse(it.text, it.now), it.version
        seen = [view(each, Reading(gauges[uid], 0, began), SET, known) for uid, each in pods.items()]
        snapshot = Snapshot("new", len(pods), tuple(seen))
        actions = plan(snapshot, it.policy, it.now)
        drains = [f"uid-{each.pod}" for each in actions if isinstance(each, DrainPod)]
        kept = [f"uid-{name}" for name in leases(snapshot, it.policy)]
        wanted = leased(known, [*drains, *kept], it.now)
        yield
        if it.now - began > PATIENCE_SECONDS or (wanted != known and not it.write(render(wanted), version)):
            continue
        for each in actions:
            if isinstance(each, ReplacePod):
                it.replace(f"uid-{each.pod}")
        for uid in [*drains, *kept]:
            yield
            if it.now - began > LEASE_WITHIN_SECONDS:
                break
            if uid in drains:
                it.pods[uid] = replace(it.pods[uid], rollout_since=it.now)
            it.lease(uid)


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=3),
    st.integers(1, 2),
    st.lists(st.sampled_from([0.0, -3.0, 3.0]), min_size=3, max_size=3),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from([0.0, 0.0, 0.0, 1.0, 20.0, 59.0])), max_size=40
    ),
)
@example(  # a renewal, after its reservation had run out, beside a drain that was granted since
    [2, 1],
    1,
    [0.0, 0.0, 0.0],
    [(0, 1, 0.0), (0, 1, 0.0), (0, 1, 0.0), (0, 1, 0.0), (0, 1, 0.0), (0, 1, 59.0), (1, 3, 1.0), (0, 3, 0.0)],
)
@example(
    [1, 1, 2], 1, [0.0, 0.0, 0.0], [(2, 3, 0.0), (2, 2, 59.0), (3, 3, 0.0)]
)  # beside one that may go, and is there
def test_together_they_never_drain_more_than_may_be(
    loads: list[int], max_draining: int, ahead: list[float], events: list[tuple[int, int, float]]
) -> None:
    pods = {f"uid-chat-{number}": pod(f"chat-{number}") for number in range(len(loads))}
    it = Cluster(pods, dict(zip(pods, loads, strict=True)), DrainPolicy(max_draining=max_draining))
    actors = [rollout(it), *(evictor(it, uid, seconds) for uid, seconds in zip(pods, ahead, strict=False))]
    for who, steps, seconds in events:
        if seconds == 59.0:  # meanwhile some streams end
            it.loads = {uid: max(0, load - 1) for uid, load in it.loads.items()}
        it.now += seconds
        for _ in range(steps):
            next(actors[who % len(actors)])
            it.check()
