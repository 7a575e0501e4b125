"""Admission: never more than the slots, fair between keys, first come first served within one, nobody lost."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lastcall_sidecar.core.admission import Admission, Place, PlaceState

ADMITTED, QUEUED, REFUSED, LEFT = PlaceState.ADMITTED, PlaceState.QUEUED, PlaceState.REFUSED, PlaceState.LEFT


def states(places):
    return [place.state for place in places]


def test_slots_first_then_the_queue_then_refusal():
    admission = Admission(2, 1)
    assert states(admission.ask("a") for _ in range(4)) == [ADMITTED, ADMITTED, QUEUED, REFUSED]
    assert (admission.running, admission.queued) == (2, 1)


def test_without_a_limit_everybody_is_admitted():
    admission = Admission(0, 0)
    assert set(states(admission.ask("a") for _ in range(1000))) == {ADMITTED}
    assert admission.running == 1000


def test_without_a_queue_nobody_waits():
    admission = Admission(1, 0)
    assert states([admission.ask("a"), admission.ask("a")]) == [ADMITTED, REFUSED]


def test_who_leaves_makes_room_for_the_first_that_waits():
    admission = Admission(1, 10)
    running, first, second = (admission.ask("a") for _ in range(3))
    assert admission.leave(running) == [first]
    assert states([running, first, second]) == [LEFT, ADMITTED, QUEUED]
    assert (admission.running, admission.queued) == (1, 1)


def test_who_leaves_the_queue_frees_its_place_and_no_slot():
    admission = Admission(1, 2)
    _running, first, second = (admission.ask("a") for _ in range(3))
    assert admission.leave(first) == []
    assert (admission.running, admission.queued) == (1, 1)
    assert admission.ask("a").state is QUEUED
    assert second.state is QUEUED


def test_the_keys_take_turns():
    admission = Admission(1, 100)
    running = admission.ask("flood")
    flood = [admission.ask("flood") for _ in range(5)]
    single = admission.ask("single")
    pair = [admission.ask("pair") for _ in range(2)]
    served = []
    while running is not None:
        admitted = admission.leave(running)
        served += admitted
        running = admitted[0] if admitted else None
    assert served == [flood[0], single, pair[0], flood[1], pair[1], flood[2], flood[3], flood[4]]


def test_a_key_whose_places_all_left_has_no_turn():
    admission = Admission(1, 100)
    running, gone, waiting = admission.ask("x"), admission.ask("a"), admission.ask("b")
    admission.leave(gone)
    assert admission.leave(running) == [waiting]


def test_a_slot_that_was_offered_to_who_just_gave_up_goes_on():
    admission = Admission(1, 10)
    running, first, second = (admission.ask("a") for _ in range(3))
    assert admission.leave(running) == [first]
    assert admission.leave(first) == [second]


@pytest.mark.parametrize("wait", [0, 1, 2], ids=["admitted", "queued", "refused"])
def test_to_leave_again_changes_nothing(wait):
    admission = Admission(1, 1)
    place = [admission.ask("a") for _ in range(3)][wait]
    admission.leave(place)
    before = (admission.running, admission.queued, place.state)
    assert admission.leave(place) == []
    assert (admission.running, admission.queued, place.state) == before


@pytest.mark.parametrize("state", [ADMITTED, QUEUED], ids=lambda state: state.value)
def test_a_place_of_another_admission_gives_back_nothing(state):
    admission, other = Admission(1, 1), Admission(1, 1)
    for each in (admission, other):
        each.ask("a")
        each.ask("a")
    foreign = Place("a", state)
    assert admission.leave(foreign) == []
    assert (admission.running, admission.queued, foreign.state) == (1, 1, state)


def test_more_slots_admit_who_waits_at_once():
    admission = Admission(1, 10)
    _running, first, second, third = (admission.ask("a") for _ in range(4))
    assert admission.reconfigure(3, 10) == [first, second]
    assert admission.reconfigure(0, 0) == [third]


def test_fewer_slots_take_nothing_away():
    admission = Admission(3, 10)
    running = [admission.ask("a") for _ in range(3)]
    waiting = [admission.ask("a") for _ in range(2)]
    assert admission.reconfigure(1, 0) == []
    assert (admission.running, admission.queued) == (3, 2)
    assert admission.ask("a").state is REFUSED
    assert [admission.leave(place) for place in running] == [[], [], [waiting[0]]]


@pytest.mark.parametrize("limits", [(-1, 0), (0, -1)], ids=["concurrent", "queued"])
def test_negative_limits_are_refused_and_change_nothing(limits):
    with pytest.raises(ValueError, match="not negative"):
        Admission(*limits)
    admission = Admission(1, 1)
    waiting = [admission.ask("a") for _ in range(2)][1]
    with pytest.raises(ValueError, match="not negative"):
        admission.reconfigure(*limits)
    assert waiting.state is QUEUED
    assert repr(admission) == "<Admission 1 of 1 running, 1 of 1 queued>"


def test_a_thousand_at_once_on_fifty_slots_are_served_once_or_refused():
    admission = Admission(50, 700)
    places = [admission.ask(f"key{n % 7}") for n in range(1000)]
    assert Counter(states(places)) == {ADMITTED: 50, QUEUED: 700, REFUSED: 250}
    running = [place for place in places if place.state is ADMITTED]
    served = Counter(running)
    while running:
        admitted = admission.leave(running.pop())
        served.update(admitted)
        running += admitted
        assert admission.running == len(running) <= 50
    assert served == dict.fromkeys((place for place in places if place.state is LEFT), 1)
    assert Counter(states(places)) == {LEFT: 750, REFUSED: 250}


def test_reprs_tell_the_state_and_no_key():
    admission = Admission(1, 5)
    assert [repr(admission.ask("sk-secret")) for _ in range(2)] == ["<Place admitted>", "<Place queued>"]
    assert repr(admission) == "<Admission 1 of 1 running, 1 of 5 queued>"
    assert repr(Admission(0, 5)) == "<Admission 0 of unlimited running, 0 of 5 queued>"


class AnyCrowd(RuleBasedStateMachine):
    """Requests of a few keys that come, finish and give up in any order, while the limits change."""

    def __init__(self):
        super().__init__()
        self.admission = Admission(0, 0)
        self.max_concurrent = self.max_queued = 0
        self.running = []
        self.waiting = []
        self.over = []
        # For each key that waits: the keys that were admitted from the queue since it began to, or was last itself.
        self.passed_by = {}

    @initialize(max_concurrent=st.integers(1, 4), max_queued=st.integers(0, 12))
    def configure(self, max_concurrent, max_queued):
        self.admission = Admission(max_concurrent, max_queued)
        self.max_concurrent, self.max_queued = max_concurrent, max_queued

    def keys_waiting(self):
        return {place.key for place in self.waiting}

    def admit(self, admitted):
        for place in admitted:
            assert place.state is ADMITTED
            first_of_key = next(waiting for waiting in self.waiting if waiting.key == place.key)
            assert place is first_of_key, "first come, first served within a key"
            self.waiting.remove(place)
            self.running.append(place)
            del self.passed_by[place.key]
            for key in self.keys_waiting() - {place.key}:
                assert place.key not in self.passed_by[key], "nobody has two turns while another waits for one"
                self.passed_by[key].add(place.key)
            if place.key in self.keys_waiting():
                self.passed_by[place.key] = set()

    @rule(key=st.sampled_from("abc"))
    def ask(self, key):
        slots_full = 0 < self.max_concurrent <= len(self.running)
        queue_full = self.max_queued <= len(self.waiting)
        place = self.admission.ask(key)
        if not slots_full:
            assert place.state is ADMITTED
            self.running.append(place)
        elif queue_full:
            assert place.state is REFUSED
            self.over.append(place)
        else:
            assert place.state is QUEUED
            self.waiting.append(place)
            self.passed_by.setdefault(key, set())

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data):
        place = data.draw(st.sampled_from(self.running))
        self.running.remove(place)
        self.over.append(place)
        self.admit(self.admission.leave(place))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        place = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(place)
        self.over.append(place)
        if place.key not in self.keys_waiting():
            del self.passed_by[place.key]
        self.admit(self.admission.leave(place))

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def leave_again(self, data):
        place = data.draw(st.sampled_from(self.over))
        before = place.state
        assert self.admission.leave(place) == []
        assert place.state is before

    @rule(max_concurrent=st.integers(0, 4), max_queued=st.integers(0, 12))
    def reconfigure(self, max_concurrent, max_queued):
        self.max_concurrent, self.max_queued = max_concurrent, max_queued
        before = len(self.running)
        self.admit(self.admission.reconfigure(max_concurrent, max_queued))
        assert max_concurrent == 0 or len(self.running) <= max(before, max_concurrent)

    @invariant()
    def nobody_is_lost_or_served_twice(self):
        assert self.admission.running == len(self.running)
        assert self.admission.queued == len(self.waiting)
        assert set(states(self.running)) <= {ADMITTED}
        assert set(states(self.waiting)) <= {QUEUED}
        assert set(states(self.over)) <= {LEFT, REFUSED}

    @invariant()
    def nobody_waits_beside_a_free_slot(self):
        assert not self.waiting or 0 < self.max_concurrent <= len(self.running)


AnyCrowd.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
TestAnyCrowd = AnyCrowd.TestCase
