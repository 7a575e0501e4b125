"""The gauge: each request is counted once and released once, whatever happens to it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lastcall_sidecar.core.inflight import AlreadyReleased, InFlight, Outcome, Totals


def snapshot(gauge):
    return (gauge.count, gauge.streams, gauge.queued, gauge.last_request, gauge.totals, gauge.oldest_seconds(100.0))


def test_a_new_gauge_holds_nothing():
    assert snapshot(InFlight()) == (0, 0, 0, None, Totals(), None)


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: outcome.value)
def test_a_request_is_counted_from_its_head_to_its_end(outcome):
    gauge = InFlight()
    ticket = gauge.take(10.0)
    assert (gauge.count, gauge.last_request, gauge.totals) == (1, 10.0, Totals(accepted=1))
    assert gauge.release(ticket, 12.5, outcome) == 2.5
    assert (gauge.count, gauge.totals) == (0, Totals(accepted=1, **{outcome.value: 1}))
    assert ticket.outcome is outcome


def test_a_second_release_raises_and_leaves_every_count_as_it_was():
    gauge = InFlight()
    gauge.take(1.0)
    ticket = gauge.take(2.0)
    gauge.mark_stream(ticket)
    gauge.release(ticket, 3.0, Outcome.COMPLETED)
    before = snapshot(gauge)
    with pytest.raises(AlreadyReleased, match="<Ticket 2 completed, stream> is not held") as caught:
        gauge.release(ticket, 4.0, Outcome.FAILED)
    assert caught.value.ticket is ticket
    assert ticket.outcome is Outcome.COMPLETED
    assert snapshot(gauge) == before


def test_a_ticket_of_another_gauge_is_none_of_ours():
    gauge, other = InFlight(), InFlight()
    gauge.take(1.0)
    foreign = other.take(1.0)
    with pytest.raises(AlreadyReleased):
        gauge.release(foreign, 2.0, Outcome.COMPLETED)
    assert (gauge.count, other.count, foreign.outcome) == (1, 1, None)


@pytest.mark.parametrize(
    "mark",
    [
        lambda gauge, ticket: gauge.mark_stream(ticket),
        lambda gauge, ticket: gauge.mark_queued(ticket, True),
        lambda gauge, ticket: gauge.mark_queued(ticket, False),
    ],
    ids=["stream", "queued", "not-queued"],
)
def test_a_released_ticket_cannot_be_marked(mark):
    gauge = InFlight()
    ticket = gauge.take(1.0)
    gauge.release(ticket, 2.0, Outcome.COMPLETED)
    before = snapshot(gauge)
    with pytest.raises(AlreadyReleased):
        mark(gauge, ticket)
    assert snapshot(gauge) == before
    assert (ticket.stream, ticket.queued) == (False, False)


def test_marks_count_once_and_end_with_the_request():
    gauge = InFlight()
    ticket = gauge.take(1.0)
    for _ in range(2):
        gauge.mark_stream(ticket)
        gauge.mark_queued(ticket, True)
    assert (gauge.streams, gauge.queued) == (1, 1)
    gauge.release(ticket, 2.0, Outcome.DISCONNECTED)
    assert (gauge.streams, gauge.queued) == (0, 0)


def test_a_request_that_leaves_the_queue_is_still_in_flight():
    gauge = InFlight()
    ticket = gauge.take(1.0)
    gauge.mark_queued(ticket, True)
    gauge.mark_queued(ticket, False)
    gauge.mark_queued(ticket, False)
    assert (gauge.count, gauge.queued) == (1, 0)


def test_the_last_request_is_the_last_to_arrive_and_not_to_end():
    gauge = InFlight()
    first, second = gauge.take(1.0), gauge.take(2.0)
    gauge.release(second, 3.0, Outcome.COMPLETED)
    gauge.release(first, 4.0, Outcome.COMPLETED)
    assert gauge.last_request == 2.0


def test_the_oldest_request_is_the_first_of_those_that_are_left():
    gauge = InFlight()
    first, second, _third = gauge.take(1.0), gauge.take(2.0), gauge.take(3.0)
    assert gauge.oldest_seconds(10.0) == 9.0
    gauge.release(second, 10.0, Outcome.COMPLETED)
    assert gauge.oldest_seconds(10.0) == 9.0
    gauge.release(first, 10.0, Outcome.COMPLETED)
    assert gauge.oldest_seconds(10.0) == 7.0


def test_reprs_tell_the_state():
    gauge = InFlight()
    ticket = gauge.take(1.0)
    assert repr(ticket) == "<Ticket 1 in flight>"
    gauge.mark_stream(ticket)
    gauge.mark_queued(ticket, True)
    assert repr(ticket) == "<Ticket 1 in flight, stream, queued>"
    assert repr(gauge) == "<InFlight 1, 1 streams, 1 queued>"
    gauge.release(ticket, 2.0, Outcome.DROPPED)
    assert repr(ticket) == "<Ticket 1 dropped, stream>"


class AnyTraffic(RuleBasedStateMachine):
    """Requests that come, change and end in any order; some are released again, which must change nothing."""

    def __init__(self):
        super().__init__()
        self.gauge = InFlight()
        self.now = 0.0
        self.held = []
        self.released = []

    def pick(self, data, tickets):
        return data.draw(st.sampled_from(tickets))

    @rule(seconds=st.floats(min_value=0.0, max_value=10.0))
    def take(self, seconds):
        self.now += seconds
        ticket = self.gauge.take(self.now)
        assert all(ticket.id != other.id for other in self.held + self.released)
        self.held.append(ticket)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), queued=st.booleans())
    def mark_queued(self, data, queued):
        ticket = self.pick(data, self.held)
        self.gauge.mark_queued(ticket, queued)
        assert ticket.queued is queued

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def mark_stream(self, data):
        ticket = self.pick(data, self.held)
        self.gauge.mark_stream(ticket)
        assert ticket.stream

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def release(self, data, outcome):
        ticket = self.pick(data, self.held)
        self.gauge.release(ticket, self.now, outcome)
        self.held.remove(ticket)
        self.released.append(ticket)

    @precondition(lambda self: self.released)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def release_again(self, data, outcome):
        ticket = self.pick(data, self.released)
        before = snapshot(self.gauge), ticket.outcome
        with pytest.raises(AlreadyReleased):
            self.gauge.release(ticket, self.now, outcome)
        assert before == (snapshot(self.gauge), ticket.outcome)

    @invariant()
    def the_counts_are_those_of_the_tickets(self):
        assert self.gauge.count == len(self.held)
        assert self.gauge.streams == sum(ticket.stream for ticket in self.held)
        assert self.gauge.queued == sum(ticket.queued for ticket in self.held)

    @invariant()
    def the_totals_add_up(self):
        totals = self.gauge.totals
        ended = {outcome: sum(ticket.outcome is outcome for ticket in self.released) for outcome in Outcome}
        assert {outcome: getattr(totals, outcome.value) for outcome in Outcome} == ended
        assert totals.accepted == self.gauge.count + sum(ended.values())

    @invariant()
    def the_oldest_is_the_oldest(self):
        ages = [self.now - ticket.started for ticket in self.held]
        assert self.gauge.oldest_seconds(self.now) == (max(ages) if ages else None)


AnyTraffic.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
TestAnyTraffic = AnyTraffic.TestCase
