"""Pods for the tests of removals: short constructors, and the strategies of the property tests."""

from hypothesis import strategies as st

from lastcall_operator.removal import Evictions, Kind, Load, Pod, Policy, Removal, Snapshot
from lastcall_operator.rollout import Order

NOW = 10_000.0
OLD, NEW = "rs-old", "rs-new"
NEEDED = 1955.0


def pod(name, in_flight=0, **more):
    """A pod that is ready, of the old ReplicaSet unless told otherwise; one that is silent when `in_flight` is None."""
    load = {"load": Load.SILENT} if in_flight is None else {"load": Load.KNOWN, "in_flight": in_flight}
    values = {"owner": OLD, "created": 0.0, "scheduled": True, "running": True, "ready": True, "state": "serving"}
    return Pod(name=name, uid=f"uid-{name}", **(values | load | more))


def terminating(name, in_flight, **more):
    """A pod that finishes its streams."""
    return pod(name, in_flight, **({"terminating": True, "ready": False, "state": "draining", "final": True} | more))


def unknown(name, **more):
    """A pod that has not answered for long."""
    return pod(name, None, **({"load": Load.UNKNOWN, "state": None} | more))


def snapshot(*pods, **more):
    return Snapshot(pods=pods, **more)


def replica_set(name, **more):
    return Removal(Kind.REPLICA_SET, f"uid-{name}", **more)


def stateful_set(name, **more):
    return Removal(Kind.STATEFUL_SET, f"uid-{name}", **more)


def eviction(name, grace_seconds=30.0, **more):
    return Removal(Kind.EVICTION, f"uid-{name}", grace_seconds=grace_seconds, **more)


@st.composite
def any_pods(draw, name="p-0"):
    """Any pod that an observer may report, and some that none should."""
    load = draw(st.sampled_from([Load.KNOWN, Load.KNOWN, Load.KNOWN, *Load]))
    cost = draw(st.none() | st.integers(-5, 5))
    return pod(
        name,
        in_flight=draw(st.integers(0, 40)),
        load=load,
        owner=draw(st.sampled_from([OLD, OLD, NEW])),
        created=draw(st.floats(0, NOW)),
        scheduled=draw(st.sampled_from([True, True, True, False])),
        running=draw(st.sampled_from([True, True, True, False])),
        ready=draw(st.sampled_from([True, True, True, False])),
        state=draw(st.sampled_from([None, "serving", "draining", "drained"])),
        final=draw(st.sampled_from([False, False, False, True])),
        terminating=(terminating := draw(st.sampled_from([False, False, True]))),
        ends=draw(st.none() | st.floats(NOW - 10, NOW + 10)) if terminating else None,
        leased=(leased := draw(st.sampled_from([False, False, False, True]))),
        reserved=leased and draw(st.booleans()),
        sidecar=draw(st.sampled_from([True, True, True, False])),
        grace_seconds=draw(st.sampled_from([30.0, NEEDED])),
        held_since=draw(st.none() | st.floats(NOW - 200, NOW + 10)),
        reserved_since=draw(st.none() | st.none() | st.floats(NOW - 200, NOW + 10)),
        evictable=draw(st.sampled_from([True, True, False])),
        allow_removal=draw(st.sampled_from([False, False, False, True])),
        cost=cost,
        cost_written=cost if draw(st.booleans()) else draw(st.none() | st.integers(-5, 5)),
        asked_again=draw(st.none() | st.floats(NOW - 20, NOW + 5)),
    )


@st.composite
def snapshots(draw, min_size=1):
    """A workload in any condition."""
    count = draw(st.integers(min_size, 6))
    return Snapshot(tuple(draw(any_pods(f"p-{number}")) for number in range(count)), draw(st.integers(0, 4)))


def policies():
    """Any policy that is allowed."""
    return st.builds(
        Policy,
        order=st.sampled_from(Order),
        max_draining=st.none() | st.integers(1, 3),
        hold_deadline_seconds=st.floats(0, 300),
        evictions=st.sampled_from(Evictions),
    )


@st.composite
def removals(draw, snap):
    """Anybody's wish to remove one of the pods."""
    return Removal(
        draw(st.sampled_from(Kind)),
        draw(st.sampled_from([view.uid for view in snap.pods])),
        draw(st.sampled_from([None, 0.0, 30.0, NEEDED])),
        draw(st.booleans()),
    )
