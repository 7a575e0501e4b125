"""What the tables say of a pod."""

import dataclasses
import json
from pathlib import Path

import pytest

from lastcall_operator.api.gauge import parse_livez
from lastcall_operator.commands import tables
from lastcall_operator.commands.rows import busiest_first, row_of, seconds

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"


def gauge(name):
    return parse_livez((GOLDEN / f"livez_{name}.json").read_bytes())


def pod(name="chat-1", *, ready=True, deleted=False, annotations=None, labels=None):
    metadata = {"name": name, "namespace": "llm", "annotations": annotations or {}, "labels": labels or {}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-22T10:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": "worker"},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


@pytest.mark.parametrize(
    ("made", "account", "state", "carried"),
    [
        pytest.param(pod(), "serving", "serving", 3, id="it serves"),
        pytest.param(pod(), "draining_leased", "draining", 3, id="it drains"),
        pytest.param(pod(ready=False), None, "silent, not ready", None, id="it does not answer"),
        pytest.param(pod(deleted=True), "draining_final", "draining, ending", 3, id="it was deleted"),
        pytest.param(
            pod(annotations={"lastcall.dev/held-since": "2026-11-22T10:00:00Z"}),
            "serving",
            "serving, held",
            3,
            id="its removal is refused",
        ),
    ],
)
def test_a_row_says_what_the_pod_carries_and_where_it_stands(made, account, state, carried):
    row = row_of(made, None if account is None else gauge(account))
    assert (row.shown_state, row.in_flight) == (state, carried)


def test_json_has_every_field_by_its_name():
    row = row_of(pod(labels={"pod-template-hash": "abc"}), gauge("serving"))
    assert json.loads(json.dumps(row.to_json())) == {
        "namespace": "llm", "pod": "chat-1", "in_flight": 3, "oldest_seconds": 12.3, "state": "serving",
        "ready": True, "terminating": False, "revision": "abc", "node": "worker", "held_since": None,
    }  # fmt: skip


def test_the_busiest_comes_first_and_the_silent_after_it():
    busy = row_of(pod("busy"), gauge("serving"))
    idle = row_of(pod("idle"), gauge("idle"))
    silent = row_of(pod("silent"), None)
    assert [row.pod for row in busiest_first([idle, silent, busy])] == ["busy", "silent", "idle"]


def test_plain_lines_are_aligned_and_end_in_a_total():
    rows = [row_of(pod("chat-1"), gauge("serving")), row_of(pod("a-longer-name"), None)]
    lines = tables.plain(rows).splitlines()
    assert lines[0].split() == ["NAMESPACE", "POD", "IN", "FLIGHT", "OLDEST", "STATE", "REVISION", "NODE"]
    assert lines[1].index("serving") == lines[2].index("silent") == lines[0].index("STATE")
    assert lines[3] == "2 pods, 3 in flight, 0 draining, 1 silent"


def test_a_bar_shows_something_for_whoever_carries_anything():
    one = dataclasses.replace(row_of(pod(), gauge("serving")), in_flight=1)
    assert tables.bar(one, busiest=1000).plain.startswith("▇ ")
    assert tables.bar(dataclasses.replace(one, in_flight=0), busiest=1000).plain.startswith("  ")


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.4, "0 s"), (59.0, "59 s"), (61.0, "1 min 1 s"), (3600.0, "60 min 0 s")]
)
def test_durations_are_for_people(value, text):
    assert seconds(value) == text
