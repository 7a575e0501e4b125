"""The memory of all bodies together: bounded by the limit and one body, and never a deadlock."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lastcall_sidecar.core.budget import Budget


def test_what_fits_is_charged_and_given_back():
    budget = Budget(100)
    account = budget.open()
    assert account.take(60)
    assert account.take(40)
    assert (account.used, budget.used) == (100, 100)
    assert account.close() == []
    assert (account.used, budget.used) == (0, 0)


def test_one_body_may_go_past_the_limit_and_the_others_wait():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    assert big.take(80)
    assert other.take(20)
    assert big.take(50)
    assert not other.take(1)
    assert big.take(50)
    assert (budget.used, other.granted, other.wanted, other.used) == (200, False, 1, 20)


def test_who_waits_goes_on_when_there_is_room_and_is_charged_then():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    big.take(150)
    other.take(30)
    assert big.close() == [other]
    assert (budget.used, other.granted, other.used) == (30, True, 30)
    assert other.take(1)


def test_the_oldest_that_waits_is_next_past_the_limit_whoever_asked_first():
    budget = Budget(100)
    old, young, big = budget.open(), budget.open(), budget.open()
    big.take(150)
    young.take(120)
    old.take(120)
    assert big.close() == [old]
    assert (old.granted, young.granted) == (True, False)


def test_all_that_fit_go_on_and_then_one_past_the_limit():
    budget = Budget(100)
    big, first, second, third, last = (budget.open() for _ in range(5))
    big.take(150)
    for account in (first, second, third, last):
        account.take(45)
    assert big.close() == [first, second, third]
    assert budget.used == 135
    assert not last.granted


def test_the_way_past_the_limit_is_free_again_once_the_total_is_below_it():
    budget = Budget(100)
    big, other, filler = budget.open(), budget.open(), budget.open()
    filler.take(70)
    big.take(60)
    filler.close()
    assert other.take(90)
    assert not big.take(1)


def test_filled_to_the_brim_nobody_is_past_the_limit_yet():
    budget = Budget(100)
    account, other = budget.open(), budget.open()
    assert account.take(100)
    assert other.take(1)
    assert not account.take(1)


def test_back_at_the_brim_nobody_is_past_the_limit_any_more():
    budget = Budget(100)
    filler, account, other = budget.open(), budget.open(), budget.open()
    filler.take(30)
    account.take(100)
    filler.close()
    assert other.take(1)
    assert not account.take(1)


def test_who_goes_away_while_it_waits_gets_nothing_and_keeps_nothing():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    other.take(10)
    big.take(100)
    other.take(30)
    assert other.close() == []
    assert (budget.used, other.wanted, other.used) == (100, 0, 0)
    assert big.close() == []
    assert budget.used == 0


def test_to_close_again_changes_nothing():
    budget = Budget(100)
    account, other = budget.open(), budget.open()
    account.take(10)
    other.take(20)
    account.close()
    assert account.close() == []
    assert budget.used == 20


def test_an_empty_piece_never_waits():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    big.take(150)
    assert other.take(0)
    assert not other.take(1)
    assert big.take(1)


@pytest.mark.parametrize(
    ("prepare", "n", "told"),
    [
        (lambda account: None, -1, "open"),
        (lambda account: account.close(), 1, "closed"),
        (lambda account: account.take(1), 1, "waiting for 1"),
    ],
    ids=["a-negative-number", "a-closed-account", "one-that-waits"],
)
def test_what_cannot_be_taken_raises_and_changes_nothing(prepare, n, told):
    budget = Budget(100)
    budget.open().take(150)
    account = budget.open()
    prepare(account)
    before = (account.used, account.wanted, account.closed, repr(budget))
    with pytest.raises(ValueError, match=f"Account 2 {told}, 0 used"):
        account.take(n)
    assert (account.used, account.wanted, account.closed, repr(budget)) == before


def test_a_higher_limit_lets_go_on_who_fits_now():
    budget = Budget(100)
    big, first, second, third = (budget.open() for _ in range(4))
    big.take(150)
    for account in (first, second, third):
        account.take(30)
    assert budget.resize(149) == []
    assert budget.resize(180) == [first, second]
    assert budget.resize(240) == [third]
    assert budget.used == 240


def test_a_lower_limit_takes_nothing_back_and_still_lets_somebody_go_on():
    budget = Budget(100)
    account, other = budget.open(), budget.open()
    account.take(50)
    other.take(50)
    assert budget.resize(10) == []
    assert budget.used == 100
    assert account.take(5)
    assert not other.take(5)


def test_above_a_lowered_limit_the_way_past_it_is_passed_on():
    budget = Budget(100)
    account, other, last = budget.open(), budget.open(), budget.open()
    account.take(40)
    other.take(40)
    budget.resize(10)
    assert last.take(5)
    assert not account.take(5)
    assert last.close() == [account]
    assert account.take(5)
    assert not other.take(5)


@pytest.mark.parametrize("limit_bytes", [0, -1], ids=str)
def test_a_limit_that_lets_nobody_in_is_refused_and_changes_nothing(limit_bytes):
    with pytest.raises(ValueError, match="at least 1 byte"):
        Budget(limit_bytes)
    budget = Budget(100)
    with pytest.raises(ValueError, match="at least 1 byte"):
        budget.resize(limit_bytes)
    assert repr(budget) == "<Budget 0 of 100 used, 0 waiting>"


def test_reprs_tell_the_state():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    big.take(150)
    other.take(30)
    assert repr(budget) == "<Budget 150 of 100 used, 1 waiting>"
    assert repr(big) == "<Account 1 open, 150 used>"
    assert repr(other) == "<Account 2 waiting for 30, 0 used>"
    big.close()
    assert repr(big) == "<Account 1 closed, 0 used>"


BODIES = st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=8), min_size=1, max_size=12)


@settings(deadline=None, max_examples=300)
@given(limit_bytes=st.integers(1, 200), bodies=BODIES, data=st.data())
def test_all_bodies_are_read_in_the_end_in_whatever_order_their_pieces_come(limit_bytes, bodies, data):
    budget = Budget(limit_bytes)
    unread = {budget.open(): list(pieces) for pieces in bodies}
    largest = max(sum(pieces) for pieces in bodies)
    while unread:
        runnable = [account for account in unread if account.granted]
        assert runnable, "somebody can always go on"
        account = data.draw(st.sampled_from(runnable))
        if unread[account]:
            account.take(unread[account].pop())
        else:
            account.close()
            del unread[account]
        assert budget.used <= limit_bytes + largest
    assert budget.used == 0


class AnyBodies(RuleBasedStateMachine):
    """Bodies that grow, wait and go away in any order; each may be of any size."""

    def __init__(self):
        super().__init__()
        self.limit_bytes = self.highest_limit_bytes = 1
        self.budget = Budget(1)
        self.open_accounts = []
        self.closed_accounts = []
        self.taken = {}

    @initialize(limit_bytes=st.integers(1, 300))
    def configure(self, limit_bytes):
        self.budget = Budget(limit_bytes)
        self.limit_bytes = self.highest_limit_bytes = limit_bytes

    def waiting(self):
        return [account for account in self.open_accounts if not account.granted]

    def grant(self, granted, wanted):
        for account in granted:
            assert account.granted
            self.taken[account] += wanted[account]
        assert set(granted) == {account for account in wanted if account.granted and not account.closed}

    @rule()
    def open(self):
        account = self.budget.open()
        self.open_accounts.append(account)
        self.taken[account] = 0

    @precondition(lambda self: len(self.waiting()) < len(self.open_accounts))
    @rule(data=st.data(), n=st.integers(0, 100))
    def take(self, data, n):
        account = data.draw(st.sampled_from([account for account in self.open_accounts if account.granted]))
        fits = self.budget.used + n <= self.limit_bytes
        if account.take(n):
            self.taken[account] += n
        else:
            assert not fits, "nobody waits for what fits"
            assert account.wanted == n

    @precondition(lambda self: self.open_accounts)
    @rule(data=st.data())
    def close(self, data):
        account = data.draw(st.sampled_from(self.open_accounts))
        wanted = {account: account.wanted for account in self.waiting()}
        granted = account.close()
        assert account not in granted
        self.open_accounts.remove(account)
        self.closed_accounts.append(account)
        del self.taken[account]
        self.grant(granted, wanted)

    @precondition(lambda self: self.closed_accounts)
    @rule(data=st.data())
    def close_again(self, data):
        assert data.draw(st.sampled_from(self.closed_accounts)).close() == []

    @rule(limit_bytes=st.integers(1, 300))
    def resize(self, limit_bytes):
        self.limit_bytes = limit_bytes
        self.highest_limit_bytes = max(limit_bytes, self.highest_limit_bytes)
        wanted = {account: account.wanted for account in self.waiting()}
        self.grant(self.budget.resize(limit_bytes), wanted)

    @invariant()
    def the_sum_is_the_sum(self):
        assert {account: account.used for account in self.open_accounts} == self.taken
        assert self.budget.used == sum(self.taken.values())
        assert all(account.used == 0 for account in self.closed_accounts)

    @invariant()
    def it_is_bounded_by_the_limit_and_one_body(self):
        assert self.budget.used - max(self.taken.values(), default=0) <= self.highest_limit_bytes

    @invariant()
    def not_everybody_waits(self):
        assert not self.waiting() or len(self.waiting()) < len(self.open_accounts)

    @invariant()
    def nobody_waits_for_what_fits(self):
        assert all(self.budget.used + account.wanted > self.limit_bytes for account in self.waiting())


AnyBodies.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
TestAnyBodies = AnyBodies.TestCase


def test_what_is_given_back_lets_others_go_on_before_the_end():
    budget = Budget(100)
    big, other = budget.open(), budget.open()
    assert big.take(80)
    assert big.take(70)
    assert big.is_past_limit
    assert not other.take(40)
    assert big.give(0) == []
    assert big.give(70) == [other]
    assert (big.used, big.is_past_limit, other.used, other.is_past_limit, budget.used) == (80, False, 40, True, 120)
    assert budget.past_limit is other


@pytest.mark.parametrize("n", [-1, 11])
def test_what_is_not_held_cannot_be_given(n):
    budget = Budget(100)
    account = budget.open()
    account.take(10)
    with pytest.raises(ValueError, match=f"cannot give {n} bytes"):
        account.give(n)
    assert (account.used, budget.used, budget.limit_bytes) == (10, 10, 100)
