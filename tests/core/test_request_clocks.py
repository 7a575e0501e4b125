"""The clocks of one request: which runs out first, and that nobody is measured who is not waited for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.core.timers import Clock, Timers

LIMITS = {Clock.STALL: 300.0, Clock.HEARTBEAT: 15.0, Clock.MAX_DURATION: 1800.0, Clock.FIRST_EVENT: 0.0}


def test_nothing_runs_at_first():
    timers = Timers(LIMITS)
    assert timers.next() is None
    assert repr(timers) == "<Timers idle>"


def test_a_clock_runs_out_its_limit_after_it_was_started():
    timers = Timers(LIMITS)
    assert timers.start(Clock.STALL, 10.0) == 310.0
    assert timers.next() == (310.0, Clock.STALL)
    assert timers.running(Clock.STALL)
    assert repr(timers) == "<Timers stall since 10.000>"


def test_a_restarted_clock_runs_out_later():
    timers = Timers(LIMITS)
    timers.start(Clock.STALL, 10.0)
    assert timers.start(Clock.STALL, 50.0) == 350.0
    assert timers.next() == (350.0, Clock.STALL)


def test_a_stopped_clock_never_runs_out():
    timers = Timers(LIMITS)
    timers.start(Clock.STALL, 0.0)
    timers.stop(Clock.STALL)
    timers.stop(Clock.STALL)
    assert timers.next() is None
    assert not timers.running(Clock.STALL)


@pytest.mark.parametrize("clock", [Clock.FIRST_EVENT, Clock.UPLOAD], ids=["limit 0", "no limit"])
def test_a_clock_without_a_limit_never_runs_out(clock):
    timers = Timers(LIMITS)
    assert timers.start(clock, 5.0) == math.inf
    assert timers.next() is None
    assert timers.limit(clock) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from([*LIMITS, Clock.UPLOAD]), st.booleans(), st.floats(min_value=0, max_value=1e6)),
        max_size=30,
    )
)
def test_the_next_deadline_is_the_earliest_of_those_that_run(steps):
    timers, running = Timers(LIMITS), {}
    for clock, starts, now in steps:
        if starts:
            timers.start(clock, now)
            if LIMITS.get(clock):
                running[clock] = now + LIMITS[clock]
        else:
            timers.stop(clock)
            running.pop(clock, None)
        found = timers.next()
        assert (found is None) == (not running)
        if found is not None:
            assert found[0] == min(running.values())
            assert running[found[1]] == found[0]
