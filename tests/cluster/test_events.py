"""Events: counted while they are there, and told anew when the API server has let them go."""

import re
from dataclasses import replace

import pytest

from lastcall_operator.cluster.events import About, Events, event_name
from lastcall_operator.cluster.resources import EVENTS
from lastcall_operator.testing import FakeCluster

ABOUT = About("v1", "Pod", "default", "chat-0", "uid-0")


async def test_what_is_said_again_is_counted_and_after_its_event_has_run_out_said_anew():
    now = 1000.0
    async with FakeCluster() as cluster, cluster.connect() as api:
        events = Events(api, lambda: now)
        await events.post(ABOUT, "Unreachable", "none answers")
        now += 60
        await events.post(ABOUT, "Unreachable", "none answers")
        (event,) = cluster.all(EVENTS)
        assert event["count"] == 2
        cluster.remove(EVENTS, "default", event["metadata"]["name"])  # an hour later
        now += 3600
        await events.post(ABOUT, "Unreachable", "none answers")
        (event,) = cluster.all(EVENTS)
        assert (event["count"], event["message"]) == (3, "none answers")
        now += 60
        await events.post(ABOUT, "Unreachable", "none answers")
        assert cluster.all(EVENTS)[0]["count"] == 4


@pytest.mark.parametrize("name", ["a" * 253, "a" * 229 + "-" + "b" * 23, "a" * 229 + ".b"])
def test_an_events_name_is_one_that_the_api_server_takes(name):
    made = event_name(replace(ABOUT, name=name), "Unreachable", "none answers")
    assert len(made) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", made)
