"""The lifecycle under any sequence of events: what must never happen, and what must always be true."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lastcall_sidecar.core import drain as lifecycle
from lastcall_sidecar.core.drain import TRANSITIONS, Drain, DrainLimits, IllegalTransition, State

SECONDS = st.floats(min_value=0.0, max_value=200.0, allow_nan=False)
POSITIVE_SECONDS = st.floats(min_value=0.01, max_value=200.0, allow_nan=False)


class AnyLife(RuleBasedStateMachine):
    """A sidecar to which anything happens at any time; the model remembers only when what was asked for."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.drain = Drain()
        self.in_flight = 0
        self.last_request = None
        self.limits = DrainLimits(settle_seconds=5.0, ceiling_seconds=100.0)
        # What must hold is said in terms of these, which the code under test does not see.
        self.began_at = None
        self.final_at = None
        self.lease_until = None

    @initialize(settle_seconds=SECONDS, ceiling_seconds=SECONDS)
    def configure(self, settle_seconds, ceiling_seconds):
        self.limits = DrainLimits(settle_seconds=settle_seconds, ceiling_seconds=ceiling_seconds)

    def become(self, drain):
        before, self.drain = self.drain, drain
        if before.state is not drain.state:
            ways = {target for (state, _), target in TRANSITIONS.items() if state is before.state}
            assert drain.state in ways
        if drain.state is State.SERVING:
            self.began_at = self.lease_until = None

    def advanced(self, now):
        return lifecycle.advance(
            self.drain, now, in_flight=self.in_flight, last_request=self.last_request, limits=self.limits
        )

    def next_change(self):
        return lifecycle.next_change(
            self.drain, self.now, in_flight=self.in_flight, last_request=self.last_request, limits=self.limits
        )

    @rule(seconds=SECONDS)
    def time_goes_by(self, seconds):
        self.now += seconds

    @rule(lease_seconds=POSITIVE_SECONDS)
    def lease_requested(self, lease_seconds):
        before = self.drain
        self.become(lifecycle.request(self.drain, self.now, reason="rollout", lease_seconds=lease_seconds))
        if self.final_at is not None:
            assert self.drain is before
            return
        self.began_at = self.now if self.began_at is None else self.began_at
        self.lease_until = self.now + lease_seconds
        assert not self.drain.final

    @rule()
    def final_requested(self):
        self.become(lifecycle.request(self.drain, self.now, reason="SIGTERM", lease_seconds=None))
        self.began_at = self.now if self.began_at is None else self.began_at
        self.final_at = self.now if self.final_at is None else self.final_at
        self.lease_until = None

    @rule()
    def lease_cancelled(self):
        before = self.drain
        try:
            self.become(lifecycle.cancel(self.drain, self.now))
        except IllegalTransition:
            assert self.lease_until is None
            assert self.drain is before
        else:
            assert before.lease_expires is not None
            assert self.drain == Drain()

    @rule()
    def request_arrives(self):
        self.in_flight += 1
        self.last_request = self.now
        before = self.drain
        self.become(lifecycle.arrive(self.drain, self.now))
        assert (self.drain.since, self.drain.final_since) == (before.since, before.final_since)
        assert self.drain.state is not State.DRAINED

    @precondition(lambda self: self.in_flight)
    @rule()
    def request_ends(self):
        self.in_flight -= 1

    @rule()
    def the_loop_ticks(self):
        before = self.drain
        after = self.advanced(self.now)
        quiet = self.in_flight == 0 and (
            self.last_request is None or self.last_request + self.limits.settle_seconds <= self.now
        )
        if before.state is not after.state:
            match after.state:
                case State.SERVING:
                    assert self.lease_until <= self.now
                case State.DRAINED:
                    assert quiet
                    assert self.began_at + self.limits.settle_seconds <= self.now
                case State.EXPIRED:
                    assert self.final_at is not None
                    assert self.final_at + self.limits.ceiling_seconds <= self.now
        self.become(after)
        assert self.advanced(self.now) is after
        if after.state is State.DRAINING:
            assert not (quiet and self.began_at + self.limits.settle_seconds <= self.now)
            assert self.final_at is None or self.now < self.final_at + self.limits.ceiling_seconds

    @rule()
    def the_next_change_is_when_advance_changes_something(self):
        change_at = self.next_change()
        if change_at is None:
            assert self.advanced(self.now + 1e6) is self.drain
            return
        assert change_at >= self.now
        assert self.advanced(change_at).state is not self.drain.state
        if change_at > self.now:
            assert self.advanced(math.nextafter(change_at, -math.inf)) is self.drain

    @rule(terminating=st.booleans())
    def nobody_leaves_who_still_carries_something(self, terminating):
        due = lifecycle.exit_due(
            self.drain, self.now, terminating=terminating, in_flight=self.in_flight, limits=self.limits
        )
        over = self.drain.state in {State.DRAINED, State.EXPIRED}
        if terminating:
            assert due == (over and self.in_flight == 0)
        elif due:
            assert over
            assert self.in_flight == 0
            assert self.final_at + self.limits.ceiling_seconds <= self.now

    @invariant()
    def a_final_drain_stays_final(self):
        if self.final_at is not None:
            assert self.drain.final
            assert self.drain.state is not State.SERVING
        assert self.drain.final_since == self.final_at

    @invariant()
    def only_a_final_drain_has_expired(self):
        assert self.drain.state is not State.EXPIRED or self.final_at is not None

    @invariant()
    def the_value_is_whole(self):
        drain = self.drain
        assert drain.since == self.began_at
        assert drain.lease_expires == self.lease_until
        assert (drain.ended_since is not None) == (drain.state in {State.DRAINED, State.EXPIRED})
        assert (drain.state is State.SERVING) == (drain == Drain())
        if drain.state is not State.SERVING:
            assert (drain.final_since is None) != (drain.lease_expires is None)


AnyLife.TestCase.settings = settings(deadline=None, max_examples=200, stateful_step_count=40)
TestAnyLife = AnyLife.TestCase
