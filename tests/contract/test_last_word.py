"""What a sidecar leaves when it leaves is what the controller reads from its pod."""

from dataclasses import asdict

import pytest

from lastcall_operator.api.gauge import LastWord, parse_last_word
from lastcall_operator.status.records import pod_record
from lastcall_sidecar.core.inflight import Totals
from lastcall_sidecar.process import leave_word


def pod(*messages):
    metadata = {"name": "chat-1", "namespace": "llm", "uid": "u"}
    statuses = [
        {"name": str(number), "state": {"terminated": {"message": text}}} for number, text in enumerate(messages)
    ]
    return pod_record({"metadata": metadata, "spec": {}, "status": {"containerStatuses": statuses}})


def test_the_account_reaches_the_controller(tmp_path):
    place = tmp_path / "termination-log"
    place.touch()
    leave_word(asdict(Totals(accepted=9, completed=7, dropped=2)), place)
    assert pod("the app says something else", place.read_text()).last_word == LastWord(completed=7, dropped=2)


def test_nothing_is_made_where_there_is_no_kubelet(tmp_path):
    leave_word(asdict(Totals()), tmp_path / "termination-log")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "message", [None, "", "bye", "[]", "{}", '{"lastcall": 1}', '{"lastcall": {"completed": "x"}}', "[" * 100_000]
)
def test_another_s_last_word_is_none(message):
    assert parse_last_word(message) is None
    assert pod(message).last_word is None
