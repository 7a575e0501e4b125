"""The lifecycle's table, row by row: every legal pair leads where the specification says, every other one raises."""

from itertools import product

import pytest

from lastcall_sidecar.core import drain as lifecycle
from lastcall_sidecar.core.drain import (
    LEASE_MAX_SECONDS,
    ONLY_FINAL,
    TRANSITIONS,
    Drain,
    DrainLimits,
    Event,
    IllegalTransition,
    InvalidLease,
    State,
)

LIMITS = DrainLimits(settle_seconds=5.0, ceiling_seconds=100.0)

SERVING = Drain()
LEASED = Drain(State.DRAINING, reason="rollout", since=0.0, lease_expires=60.0)
LEASED_DRAINED = Drain(State.DRAINED, reason="rollout", since=0.0, lease_expires=60.0, ended_since=5.0)
FINAL = Drain(State.DRAINING, reason="SIGTERM", since=0.0, final_since=0.0)
FINAL_DRAINED = Drain(State.DRAINED, reason="SIGTERM", since=0.0, final_since=0.0, ended_since=5.0)
EXPIRED = Drain(State.EXPIRED, reason="SIGTERM", since=0.0, final_since=0.0, ended_since=100.0)
DRAINS = {
    "serving": SERVING,
    "leased": LEASED,
    "leased-drained": LEASED_DRAINED,
    "final": FINAL,
    "final-drained": FINAL_DRAINED,
    "expired": EXPIRED,
}

# The table of the specification, written down a second time: which event leads which drain to which state.
REACHED = {
    ("serving", Event.DRAIN_REQUESTED): State.DRAINING,
    ("leased", Event.DRAIN_REQUESTED): State.DRAINING,
    ("leased-drained", Event.DRAIN_REQUESTED): State.DRAINED,
    ("final", Event.DRAIN_REQUESTED): State.DRAINING,
    ("final-drained", Event.DRAIN_REQUESTED): State.DRAINED,
    ("expired", Event.DRAIN_REQUESTED): State.EXPIRED,
    ("leased", Event.LEASE_ENDED): State.SERVING,
    ("leased-drained", Event.LEASE_ENDED): State.SERVING,
    ("serving", Event.REQUEST_ARRIVED): State.SERVING,
    ("leased", Event.REQUEST_ARRIVED): State.DRAINING,
    ("leased-drained", Event.REQUEST_ARRIVED): State.DRAINING,
    ("final", Event.REQUEST_ARRIVED): State.DRAINING,
    ("final-drained", Event.REQUEST_ARRIVED): State.DRAINING,
    ("expired", Event.REQUEST_ARRIVED): State.EXPIRED,
    ("leased", Event.SETTLED): State.DRAINED,
    ("final", Event.SETTLED): State.DRAINED,
    ("final", Event.CEILING_REACHED): State.EXPIRED,
}
ILLEGAL = sorted(set(product(DRAINS, Event)) - set(REACHED))

NOW = 200.0


def happen(drain: Drain, event: Event) -> Drain:
    """Let the event happen, by the function that callers have for it."""
    match event:
        case Event.DRAIN_REQUESTED:
            return lifecycle.request(drain, NOW, reason="again", lease_seconds=30.0)
        case Event.LEASE_ENDED:
            return lifecycle.cancel(drain, NOW)
        case Event.REQUEST_ARRIVED:
            return lifecycle.arrive(drain, NOW)
        case Event.SETTLED:
            return lifecycle.advance(drain, 59.0, in_flight=0, last_request=None, limits=LIMITS)
        case Event.CEILING_REACHED:
            return lifecycle.advance(drain, NOW, in_flight=1, last_request=None, limits=LIMITS)


@pytest.mark.parametrize(("name", "event"), REACHED, ids=[f"{name}-{event.name}" for name, event in REACHED])
def test_each_row_leads_where_the_specification_says(name, event):
    assert happen(DRAINS[name], event).state is REACHED[name, event]


@pytest.mark.parametrize(("name", "event"), REACHED, ids=[f"{name}-{event.name}" for name, event in REACHED])
def test_each_row_leaves_a_value_that_is_whole(name, event):
    drain = happen(DRAINS[name], event)
    if drain.state is State.SERVING:
        assert drain == Drain()
        return
    assert drain.since is not None
    assert (drain.final_since is None) != (drain.lease_expires is None)
    assert (drain.ended_since is None) == (drain.state is State.DRAINING)


@pytest.mark.parametrize(("name", "event"), ILLEGAL, ids=[f"{name}-{event.name}" for name, event in ILLEGAL])
def test_every_other_pair_raises_naming_state_and_event_and_changes_nothing(name, event):
    drain = DRAINS[name]
    before = (drain.state, drain.reason, drain.since, drain.final_since, drain.lease_expires, drain.ended_since)
    with pytest.raises(IllegalTransition) as caught:
        lifecycle._apply(drain, event, NOW)
    assert caught.value.drain is drain
    assert caught.value.event is event
    assert str(caught.value) == f"'{event.value}' cannot happen to {drain!r}"
    assert before == (
        drain.state,
        drain.reason,
        drain.since,
        drain.final_since,
        drain.lease_expires,
        drain.ended_since,
    )


def test_the_table_has_no_row_that_no_drain_can_reach():
    rows = {(DRAINS[name].state, event): state for (name, event), state in REACHED.items()}
    assert dict(TRANSITIONS) == rows
    assert dict(ONLY_FINAL) == {Event.LEASE_ENDED: False, Event.CEILING_REACHED: True}


@pytest.mark.parametrize("table", [TRANSITIONS, ONLY_FINAL], ids=["TRANSITIONS", "ONLY_FINAL"])
def test_the_tables_cannot_be_changed(table):
    with pytest.raises(TypeError):
        table[State.SERVING, Event.SETTLED] = State.EXPIRED


@pytest.mark.parametrize("drain", [SERVING, FINAL, FINAL_DRAINED, EXPIRED], ids=repr)
def test_only_a_lease_can_be_cancelled(drain):
    with pytest.raises(IllegalTransition, match="lease ended"):
        lifecycle.cancel(drain, NOW)


@pytest.mark.parametrize("drain", [LEASED, LEASED_DRAINED], ids=repr)
def test_a_cancelled_lease_leaves_nothing_behind(drain):
    assert lifecycle.cancel(drain, NOW) == Drain()


@pytest.mark.parametrize("lease_seconds", [0.0, -1.0, LEASE_MAX_SECONDS + 0.001, float("nan"), float("inf")], ids=str)
@pytest.mark.parametrize("drain", DRAINS.values(), ids=DRAINS)
def test_a_lease_of_no_sensible_length_is_refused(drain, lease_seconds):
    with pytest.raises(InvalidLease, match="at most 600 seconds"):
        lifecycle.request(drain, NOW, reason="rollout", lease_seconds=lease_seconds)


def test_the_longest_lease_is_granted():
    drain = lifecycle.request(SERVING, NOW, reason="rollout", lease_seconds=LEASE_MAX_SECONDS)
    assert drain.lease_expires == NOW + LEASE_MAX_SECONDS


@pytest.mark.parametrize(
    ("drain", "told"),
    [
        (SERVING, "<Drain serving>"),
        (LEASED, "<Drain draining, lease until 60.0, since 0.0, 'rollout'>"),
        (LEASED_DRAINED, "<Drain drained, lease until 60.0, since 0.0, 'rollout'>"),
        (FINAL, "<Drain draining, final since 0.0, since 0.0, 'SIGTERM'>"),
        (EXPIRED, "<Drain expired, final since 0.0, since 0.0, 'SIGTERM'>"),
    ],
    ids=["serving", "leased", "leased-drained", "final", "expired"],
)
def test_the_repr_tells_the_state(drain, told):
    assert repr(drain) == told
