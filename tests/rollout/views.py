"""Pods for the planner's tests: short constructors, and the strategies of the property tests."""

from hypothesis import strategies as st

from lastcall_operator.rollout import DrainPolicy, Order, PodState, PodView, Snapshot

OLD, NEW = "1", "2"


def pod(name, in_flight=0, **more):
    """An outdated pod that serves, unless told otherwise; a silent one when `in_flight` is None."""
    state = PodState.SERVING if in_flight is not None else None
    return PodView(
        **{"name": name, "revision": OLD, "ready": True, "started": 0.0, "state": state} | more, in_flight=in_flight
    )


def successor(name, **more):
    """A pod of the wanted revision."""
    return pod(name, revision=NEW, **more)


def draining(name, in_flight, **more):
    """An outdated pod that finishes its streams since the time 0."""
    return pod(name, in_flight, **{"state": PodState.DRAINING, "ready": False, "removal_since": 0.0} | more)


def snapshot(*views, replicas=None):
    return Snapshot(revision=NEW, replicas=len(views) if replicas is None else replicas, pods=views)


@st.composite
def pod_views(draw, name="p-0"):
    """Any pod that an observer may report, and some that none should."""
    state = draw(st.sampled_from([None, *PodState, PodState.SERVING, PodState.SERVING]))
    in_flight = None if state is None else draw(st.integers(0, 5))
    if state in {PodState.DRAINED, PodState.GONE}:
        in_flight = 0
    return PodView(
        name=name,
        revision=draw(st.sampled_from([OLD, OLD, NEW])),
        ready=state in {PodState.SERVING, None} and draw(st.booleans()),
        in_flight=in_flight,
        state=state,
        started=draw(st.floats(0, 100)),
        oldest_request_seconds=draw(st.none() | st.floats(0, 100)) if in_flight else None,
        removal_since=draw(st.none() | st.floats(0, 100)) if state is not PodState.SERVING else None,
        terminating=draw(st.booleans()) and draw(st.booleans()),
        unreachable=state is None and draw(st.booleans()),
        reserved=draw(st.sampled_from([False, False, True])),
        allow_removal=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def pods(draw, max_size=6):
    """Some pods with different names."""
    return [draw(pod_views(f"p-{number}")) for number in range(draw(st.integers(0, max_size)))]


@st.composite
def snapshots(draw):
    """A workload in any condition, with pods missing or too many."""
    views = draw(pods())
    return Snapshot(revision=NEW, replicas=max(0, len(views) + draw(st.integers(-1, 2))), pods=tuple(views))


def policies():
    """Any policy that is allowed."""
    return st.builds(
        DrainPolicy,
        order=st.sampled_from(Order),
        max_draining=st.integers(1, 4),
        hold_deadline_seconds=st.floats(0, 200),
    )
