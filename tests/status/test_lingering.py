"""A drained pod whose app does not end is left no more than its app's own grace."""

import dataclasses

import pytest

from lastcall_operator.api import names
from lastcall_operator.status.lingering import PATIENCE_SECONDS, lingers, shortened, shorter_grace, told, watched
from lastcall_operator.status.outcomes import Track
from lastcall_operator.status.policies import conditions
from lastcall_operator.status.records import pod_record
from tests.status.scenes import gauge, pod, pod_body, policy_view, reading

DRAINED = gauge(state="drained", final=True)
TRACK = Track("chat-0", "uid-chat-0", "old", began=100.0, last=DRAINED, drained=100.0)
LATER = 100.0 + PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("last", "before", "since"),
    [
        pytest.param(DRAINED, None, 107.0, id="for the first time"),
        pytest.param(DRAINED, 100.0, 100.0, id="since then"),
        pytest.param(gauge(1, state="draining", final=True), 100.0, None, id="a late request"),
        pytest.param(gauge(state="drained", final=False), None, None, id="on a lease, which its end will cancel"),
        pytest.param(None, None, None, id="silent"),
    ],
)
def test_since_when_it_is_drained(last, before, since):
    assert watched(dataclasses.replace(TRACK, last=last, drained=before), 107.0).drained == since


@pytest.mark.parametrize(
    ("own", "given", "now", "grace"),
    [
        pytest.param(30, 1985, LATER, 35, id="its app's own, beside what has passed"),
        pytest.param(30, 1985, LATER - 1, None, id="it may end by itself"),
        pytest.param(0, 1985, LATER, 6, id="never 0 from now: its processes would outlive it"),
        pytest.param(30, 35, LATER + 1, None, id="it has been shortened"),
        pytest.param(30, 10, LATER, None, id="somebody has given it less: a later delete only shortens"),
        pytest.param(None, 1985, LATER, None, id="not injected: it has no other grace"),
        pytest.param(30, None, LATER, None, id="not deleted"),
    ],
)
def test_the_grace_that_is_left(own, given, now, grace):
    found = pod(own_grace_seconds=own, deletion_grace_seconds=given, deleted=None if given is None else 100.0)
    assert shorter_grace(found, TRACK, now) == grace


def test_what_is_said_of_it():
    assert not lingers(dataclasses.replace(TRACK, drained=None), LATER)
    assert shortened(TRACK, 30).message == (
        "chat-0 is drained, and its app does not end on SIGTERM: deleted again with its own grace of 30 s; a kubelet "
        "may keep to the first one (kubernetes#83916)"
    )
    assert told([TRACK], "2026-11-28T10:00:00Z") == "chat-0: drained since 2026-11-28T10:00:00Z, its app does not end"


@pytest.mark.parametrize(
    ("original", "own"),
    [
        pytest.param(None, None, id="not injected"),
        pytest.param('{"terminationGracePeriodSeconds": 45}', 45, id="its own"),
        pytest.param("{}", 30, id="it named none: Kubernetes' own"),
        pytest.param('{"terminationGracePeriodSeconds": null}', 30, id="none, written down"),
        pytest.param('{"terminationGracePeriodSeconds": true}', None, id="no number"),
        pytest.param('{"terminationGracePeriodSeconds": -1}', None, id="below 0"),
        pytest.param("[]", None, id="no object"),
        pytest.param("{", None, id="no JSON"),
        pytest.param("[" * 100_000, None, id="too deep"),
    ],
)
def test_the_grace_of_before_is_read_from_what_the_injection_kept(original, own):
    body = pod_body()
    if original is not None:
        body["metadata"]["annotations"][names.ORIGINAL] = original
    assert pod_record(body).own_grace_seconds == own


def test_the_grace_of_a_deletion_is_the_api_servers():
    body = pod_body()
    body["metadata"] |= {"deletionTimestamp": "2026-11-28T10:33:05Z", "deletionGracePeriodSeconds": 1985}
    assert pod_record(body).deletion_grace_seconds == 1985
    assert pod_record(pod_body()).deletion_grace_seconds is None


def test_a_condition_names_it():
    leaving = pod(deleted=100.0, ends=2085.0)
    view = policy_view(leaving, readings={leaving.uid: reading(state="drained", final=True)}, lingering=(TRACK,))
    draining = next(each for each in conditions(view, LATER) if each.type == "Draining")
    assert (draining.status, draining.reason) == (True, "AppDoesNotEnd")
    assert draining.message == "chat-0: drained since 1970-01-01T00:01:40Z, its app does not end"
