"""Who goes so that another connection may come, and when none may."""

import pytest

from lastcall_sidecar.server.room import Room


class Guest:
    def __init__(self, owes=0):
        self.owes, self.gone = owes, False

    def is_quiet(self):
        return not self.owes

    def make_room(self):
        self.gone = True


@pytest.fixture
def room():
    return Room(2, lambda: None)


def entered(room, *guests):
    for guest in guests:
        room.enter(9)
        room.idle(guest, 1)
    return guests


def test_who_has_been_idle_for_longest_goes(room):
    first, second = entered(room, Guest(), Guest())
    room.busy(first)
    room.idle(first, 2)
    room.enter(9)
    assert (first.gone, second.gone) == (False, True)
    assert repr(room) == "<Room 3 of 2 taken, 1 idle>"
    room.leave()
    assert not room.is_full(9)
    room.enter(9)
    assert first.gone


def test_nobody_goes_while_there_is_room(room):
    (first,) = entered(room, Guest())
    room.enter(9)
    assert not first.gone


def test_who_has_a_request_or_owes_bytes_stays_and_others_wait(room):
    busy, owing = entered(room, Guest(), Guest(owes=1))
    room.busy(busy)
    assert room.is_full(9)
    owing.owes = 0
    assert not room.is_full(9)
    room.enter(9)
    assert (busy.gone, owing.gone) == (False, True)


def test_it_is_told_when_more_may_come():
    told = []
    room = Room(1, lambda: told.append(room.is_full(9)))
    guest = Guest()
    room.enter(9)
    assert room.is_full(9)
    room.idle(guest, 1)
    room.busy(guest)
    room.busy(guest)  # ends, too
    assert room.is_full(9)
    room.leave()
    assert told == [False, False]


def test_who_has_just_come_stays_long_enough_to_ask(room):
    first, second = entered(room, Guest(), Guest())
    room.idle(first, 8.7)
    room.idle(second, 8.9)
    assert room.is_full(9)
    assert not room.is_full(9.3)
    room.enter(9.3)
    assert (first.gone, second.gone) == (True, False)
