"""Conditions change their time with their status, and with nothing else."""

import pytest

from lastcall_operator.api.conditions import MAX_MESSAGE_CHARS, Status, set_condition


def put(conditions, status, now, *, kind="Ready", message="it is"):
    return set_condition(conditions, kind, status, reason="Because", message=message, generation=2, now=now)


def test_a_new_condition_is_added_behind_the_others():
    found = put(put([], Status.TRUE, "t1"), Status.FALSE, "t2", kind="Other")
    assert [(item["type"], item["status"], item["lastTransitionTime"]) for item in found] == [
        ("Ready", "True", "t1"),
        ("Other", "False", "t2"),
    ]


@pytest.mark.parametrize(("after", "time"), [(Status.TRUE, "t1"), (Status.FALSE, "t2"), (Status.UNKNOWN, "t2")])
def test_the_time_moves_only_with_the_status(after, time):
    before = put(put([], Status.FALSE, "t0", kind="Other"), Status.TRUE, "t1")
    (other, ready) = put(before, after, "t2", message="said anew")
    assert (ready["lastTransitionTime"], ready["message"], ready["observedGeneration"]) == (time, "said anew", 2)
    assert other == before[0]


def test_a_message_fits_what_the_api_server_takes():
    (found,) = put([], Status.TRUE, "t", message="x" * 100_000)
    assert len(found["message"]) == MAX_MESSAGE_CHARS
