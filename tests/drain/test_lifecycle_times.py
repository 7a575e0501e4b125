"""When things happen in the lifecycle: leases, settling, the ceiling and the moment to leave, each by its own clock."""

import pytest

from lastcall_sidecar.core import drain as lifecycle
from lastcall_sidecar.core.drain import Drain, DrainLimits, State

LIMITS = DrainLimits(settle_seconds=5.0, ceiling_seconds=100.0)


def leased(now=0.0, lease_seconds=60.0):
    return lifecycle.request(Drain(), now, reason="rollout", lease_seconds=lease_seconds)


def final(now=0.0):
    return lifecycle.request(Drain(), now, reason="SIGTERM", lease_seconds=None)


def advance(drain, now, *, in_flight=0, last_request=None):
    return lifecycle.advance(drain, now, in_flight=in_flight, last_request=last_request, limits=LIMITS)


def next_change(drain, now, *, in_flight=0, last_request=None):
    return lifecycle.next_change(drain, now, in_flight=in_flight, last_request=last_request, limits=LIMITS)


def exit_due(drain, now, *, terminating, in_flight=0):
    return lifecycle.exit_due(drain, now, terminating=terminating, in_flight=in_flight, limits=LIMITS)


class TestAskingForADrain:
    def test_a_lease_begins_a_drain_that_ends_by_itself(self):
        assert leased(10.0) == Drain(State.DRAINING, reason="rollout", since=10.0, lease_expires=70.0)

    def test_a_final_request_begins_a_drain_and_its_ceiling(self):
        assert final(10.0) == Drain(State.DRAINING, reason="SIGTERM", since=10.0, final_since=10.0)

    @pytest.mark.parametrize("lease_seconds", [10.0, 300.0], ids=["shorter", "longer"])
    def test_renewing_a_lease_counts_from_now_and_does_not_restart_the_drain(self, lease_seconds):
        renewed = lifecycle.request(leased(), 30.0, reason="still", lease_seconds=lease_seconds)
        assert renewed == Drain(State.DRAINING, reason="still", since=0.0, lease_expires=30.0 + lease_seconds)

    def test_a_lease_made_final_starts_the_ceiling_at_that_moment(self):
        made_final = lifecycle.request(leased(), 30.0, reason="SIGTERM", lease_seconds=None)
        assert made_final == Drain(State.DRAINING, reason="SIGTERM", since=0.0, final_since=30.0)
        assert lifecycle.deadline(made_final, LIMITS) == 130.0

    def test_a_drained_lease_made_final_stays_drained(self):
        drained = advance(leased(), 5.0)
        made_final = lifecycle.request(drained, 30.0, reason="preStop", lease_seconds=None)
        assert made_final == Drain(State.DRAINED, reason="preStop", since=0.0, final_since=30.0, ended_since=5.0)

    @pytest.mark.parametrize("lease_seconds", [1.0, None], ids=["lease", "final"])
    @pytest.mark.parametrize(
        "drain",
        [final(), advance(final(), 5.0), advance(final(), 100.0, in_flight=1)],
        ids=["draining", "drained", "expired"],
    )
    def test_nothing_that_is_asked_of_a_final_drain_changes_it(self, drain, lease_seconds):
        assert lifecycle.request(drain, 200.0, reason="rollout", lease_seconds=lease_seconds) is drain

    def test_only_a_final_drain_has_a_deadline(self):
        assert lifecycle.deadline(Drain(), LIMITS) is None
        assert lifecycle.deadline(leased(), LIMITS) is None
        assert lifecycle.deadline(final(10.0), LIMITS) == 110.0


class TestTheEndOfALease:
    @pytest.mark.parametrize("drain", [leased(), advance(leased(), 5.0)], ids=["draining", "drained"])
    def test_it_serves_again_when_the_lease_runs_out_and_not_before(self, drain):
        assert advance(drain, 59.999, in_flight=1) is drain
        assert advance(drain, 60.0, in_flight=1) == Drain()

    def test_a_lease_that_ran_out_does_not_settle_any_more(self):
        assert advance(leased(), 61.0) == Drain()

    def test_a_lease_never_expires_streams(self):
        drain = leased()
        for now in range(30, 3000, 30):
            drain = lifecycle.request(drain, float(now), reason="rollout", lease_seconds=60.0)
            drain = advance(drain, float(now), in_flight=1)
            assert drain.state is State.DRAINING


class TestSettling:
    def test_an_idle_sidecar_is_drained_when_the_drain_is_as_old_as_the_settle_time(self):
        assert advance(final(10.0), 14.999, last_request=1.0).state is State.DRAINING
        assert advance(final(10.0), 15.0, last_request=1.0).state is State.DRAINED

    def test_it_is_drained_only_when_no_request_has_come_for_the_settle_time(self):
        assert advance(final(10.0), 16.999, last_request=12.0).state is State.DRAINING
        assert advance(final(10.0), 17.0, last_request=12.0).state is State.DRAINED

    def test_it_is_drained_as_soon_as_a_long_request_ends(self):
        drain = final(10.0)
        assert advance(drain, 50.0, in_flight=1, last_request=9.0) is drain
        assert advance(drain, 50.0, in_flight=0, last_request=9.0).ended_since == 50.0

    def test_a_request_after_that_is_served_and_it_settles_anew(self):
        drained = advance(final(), 5.0)
        again = lifecycle.arrive(drained, 8.0)
        assert again == Drain(State.DRAINING, reason="SIGTERM", since=0.0, final_since=0.0)
        assert advance(again, 12.999, last_request=8.0) is again
        assert advance(again, 13.0, last_request=8.0).ended_since == 13.0

    @pytest.mark.parametrize("drain", [Drain(), leased(), final()], ids=["serving", "leased", "final"])
    def test_a_request_that_interrupts_nothing_changes_nothing(self, drain):
        assert lifecycle.arrive(drain, 3.0) is drain


class TestTheCeiling:
    def test_it_expires_when_the_ceiling_comes_first_and_not_before(self):
        drain = final(10.0)
        assert advance(drain, 109.999, in_flight=1) is drain
        assert advance(drain, 110.0, in_flight=1).state is State.EXPIRED

    def test_the_time_as_a_lease_does_not_count(self):
        drain = lifecycle.request(leased(), 50.0, reason="SIGTERM", lease_seconds=None)
        assert advance(drain, 149.999, in_flight=1).state is State.DRAINING
        assert advance(drain, 150.0, in_flight=1).state is State.EXPIRED

    def test_a_request_does_not_move_it(self):
        drain = lifecycle.arrive(advance(final(), 99.0), 99.5)
        assert advance(drain, 100.0, in_flight=1, last_request=99.5).state is State.EXPIRED

    def test_it_expires_without_settling_even_when_nothing_is_in_flight(self):
        assert advance(final(), 100.0, last_request=99.5).state is State.EXPIRED

    def test_settling_wins_when_both_are_due(self):
        assert advance(final(), 100.0, last_request=95.0).state is State.DRAINED

    def test_it_stays_expired_whatever_comes(self):
        expired = advance(final(), 100.0, in_flight=1)
        assert lifecycle.arrive(expired, 101.0) is expired
        assert advance(expired, 5000.0) is expired

    def test_a_drained_sidecar_does_not_expire(self):
        drained = advance(final(), 5.0)
        assert advance(drained, 5000.0) is drained


class TestTheNextChange:
    @pytest.mark.parametrize(
        ("drain", "in_flight", "last_request", "expected"),
        [
            (Drain(), 0, 1.0, None),
            (leased(), 1, 1.0, 60.0),
            (leased(), 0, 1.0, 6.0),
            (leased(), 0, 57.0, 60.0),
            (advance(leased(), 5.0), 0, None, 60.0),
            (final(), 1, 1.0, 100.0),
            (final(), 0, None, 5.0),
            (final(), 0, 97.0, 100.0),
            (advance(final(), 5.0), 0, None, None),
            (advance(final(), 100.0, in_flight=1), 1, None, None),
        ],
        ids=[
            "serving-never",
            "leased-busy-lease-runs-out",
            "leased-idle-settles",
            "leased-disturbed-lease-runs-out",
            "leased-drained-lease-runs-out",
            "final-busy-ceiling",
            "final-idle-settles",
            "final-disturbed-ceiling",
            "final-drained-never",
            "expired-never",
        ],
    )
    def test_it_is_the_first_of_what_time_will_bring(self, drain, in_flight, last_request, expected):
        assert next_change(drain, 3.0, in_flight=in_flight, last_request=last_request) == expected

    def test_what_is_overdue_is_due_now(self):
        assert next_change(final(), 7.0) == 7.0


class TestLeaving:
    @pytest.mark.parametrize(
        "drain",
        [advance(leased(), 5.0), advance(final(), 5.0), advance(final(), 100.0, in_flight=1)],
        ids=["leased-drained", "final-drained", "expired"],
    )
    def test_after_a_signal_it_leaves_as_soon_as_the_drain_is_over_and_nothing_is_in_flight(self, drain):
        assert exit_due(drain, 100.0, terminating=True)
        assert not exit_due(drain, 100.0, terminating=True, in_flight=1)

    @pytest.mark.parametrize("terminating", [True, False], ids=["signalled", "not-signalled"])
    @pytest.mark.parametrize("drain", [Drain(), leased(), final()], ids=["serving", "leased", "final"])
    def test_it_never_leaves_before_the_drain_is_over(self, drain, terminating):
        assert not exit_due(drain, 10_000.0, terminating=terminating)

    def test_after_pre_stop_alone_it_stays_up_for_the_ceiling_and_then_leaves(self):
        drained = advance(final(), 5.0)
        assert not exit_due(drained, 104.999, terminating=False)
        assert exit_due(drained, 105.0, terminating=False)
        assert not exit_due(drained, 105.0, terminating=False, in_flight=1)

    def test_that_time_starts_anew_when_a_request_came(self):
        drained = advance(lifecycle.arrive(advance(final(), 5.0), 50.0), 55.0, last_request=50.0)
        assert not exit_due(drained, 105.0, terminating=False)
        assert exit_due(drained, 155.0, terminating=False)

    def test_an_expired_drain_without_a_signal_leaves_a_ceiling_later(self):
        expired = advance(final(), 100.0, in_flight=1)
        assert not exit_due(expired, 199.999, terminating=False)
        assert exit_due(expired, 200.0, terminating=False)

    def test_a_drained_lease_without_a_signal_never_leaves(self):
        assert not exit_due(advance(leased(), 5.0), 10_000.0, terminating=False)

    def test_the_time_that_it_was_drained_as_a_lease_does_not_count(self):
        drained = advance(leased(lease_seconds=600.0), 5.0)
        made_final = lifecycle.request(drained, 400.0, reason="preStop", lease_seconds=None)
        assert not exit_due(made_final, 499.999, terminating=False)
        assert exit_due(made_final, 500.0, terminating=False)


class TestReady:
    """What the pod's readiness probe is told."""

    @pytest.mark.parametrize(
        ("drain", "terminating", "until_drained", "at_once"),
        [
            pytest.param(Drain(), False, True, True, id="serving"),
            pytest.param(leased(), False, False, False, id="a leased drain: its probe alone takes it out"),
            pytest.param(advance(leased(), 5.0), False, False, False, id="drained on a lease"),
            pytest.param(final(), False, True, False, id="preStop: it serves"),
            pytest.param(final(), True, True, False, id="SIGTERM, with streams: it serves"),
            pytest.param(advance(final(), 5.0), False, True, False, id="drained, and the app is only now stopped"),
            pytest.param(advance(final(), 5.0), True, False, False, id="drained, and it leaves"),
            pytest.param(advance(final(), 100.0, in_flight=1), False, False, False, id="past the ceiling"),
            pytest.param(
                lifecycle.request(leased(), 1.0, reason="SIGTERM", lease_seconds=None),
                False,
                True,
                False,
                id="made final",
            ),
        ],
    )
    def test_a_final_drain_keeps_it_up_to_its_end_and_a_lease_does_not(
        self, drain, terminating, until_drained, at_once
    ):
        assert lifecycle.ready(drain, terminating=terminating, until_drained=True) is until_drained
        assert lifecycle.ready(drain, terminating=terminating, until_drained=False) is at_once
