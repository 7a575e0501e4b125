"""The operator reads what sidecars say: the golden files that hold both sides."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_operator.api.gauge import GaugeError, LastWord, parse_last_word, parse_livez
from lastcall_operator.api.names import config_map_name
from lastcall_operator.rollout.snapshot import PodState

GOLDEN = Path(__file__).parents[1] / "contract" / "golden"


@pytest.mark.parametrize(
    ("name", "state", "draining", "final", "in_flight"),
    [
        ("serving", "serving", False, False, 3),
        ("idle", "serving", False, False, 0),
        ("draining_leased", "draining", True, False, 3),
        ("draining_final", "draining", True, True, 3),
        ("drained", "drained", True, True, 0),
    ],
)
def test_every_state_is_read(name, state, draining, final, in_flight):
    gauge = parse_livez((GOLDEN / f"livez_{name}.json").read_bytes())
    assert (gauge.state, gauge.draining, gauge.final, gauge.in_flight) == (state, draining, final, in_flight)


def test_times_are_seconds_since_the_epoch_and_the_rest_is_there():
    gauge = parse_livez((GOLDEN / "livez_config_rejected.json").read_bytes())
    assert gauge.drain_since is None or gauge.drain_since > 1.7e9
    assert gauge.config_error is not None
    assert (gauge.config_generation, gauge.pod_uid) == (4, "0b7c4c46-1f0e-4a53-9c67-6a2d3f1b2c11")
    leased = parse_livez((GOLDEN / "livez_draining_leased.json").read_bytes())
    assert leased.lease_expires is not None
    assert leased.lease_expires - (leased.drain_since or 0) == 60.0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b"<html>", b"\xff", b'{"drain": 1}', b"[" * 200_000],
    ids=["nothing", "a list", "no fields", "null", "a page", "no UTF-8", "another shape", "deep"],
)
def test_what_is_no_gauge_is_an_error_of_ours(body):
    with pytest.raises(GaugeError):
        parse_livez(body)


def changed(**changes):
    """A sidecar's answer with one thing in it that is not as it should be: `drain__state` is drain.state."""
    answer = json.loads((GOLDEN / "livez_serving.json").read_bytes())
    for path, value in changes.items():
        *way, last = path.split("__")
        owner = answer
        for part in way:
            owner = owner[part]
        owner[last] = value
    return json.dumps(answer).encode()  # Infinity and NaN as Python's json writes them


@pytest.mark.parametrize(
    "changes",
    [
        {"in_flight": float("inf")},
        {"in_flight": float("nan")},
        {"in_flight": -1},
        {"in_flight": "3"},
        {"in_flight": 1.5},
        {"in_flight": True},
        {"in_flight": 2**63},
        {"streams": -1},
        {"queued": None},
        {"oldest_request_seconds": "12"},
        {"oldest_request_seconds": -0.1},
        {"drain__state": "bogus"},
        {"drain__state": "gone"},
        {"drain__final": "no"},
        {"drain__since": "not a time"},
        {"drain__since": 5},
        {"drain__since": "2026-11-22T10:00:00"},
        {"drain__lease_expires": "0001-01-01T00:00:00+99:00"},
        {"config__error": 5},
        {"config__hash": ["a"]},
        {"config__generation": -1},
        {"totals__completed": float("inf")},
        {"totals__dropped": -1},
        {"pod": None},
        {"pod_uid": 7},
    ],
    ids=lambda changes: ",".join(f"{path}={value!r:.24}" for path, value in changes.items()),
)
def test_an_answer_that_no_sidecar_gives_is_an_error_of_ours(changes):
    assert parse_livez(changed())
    with pytest.raises(GaugeError):
        parse_livez(changed(**changes))


def test_the_first_and_the_last_moment_that_there_is_are_times():
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+12:00"):
        assert parse_livez(changed(drain__since=time)).drain_since is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = ["in_flight", "streams", "queued", "oldest_request_seconds", "drain", "config", "totals", "pod", "pod_uid"]
PLACES += ["drain__state", "drain__since", "drain__lease_expires", "config__error", "totals__completed"]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_whatever_it_says_it_is_a_gauge_or_an_error_of_ours(place, value):
    try:
        gauge = parse_livez(changed(**{place: value}))
    except GaugeError:
        return
    assert gauge.in_flight >= 0
    assert gauge.state in set(PodState) - {PodState.GONE}
    assert gauge.config_error is None or isinstance(gauge.config_error, str)


def test_a_config_map_is_named_after_its_proxy():
    assert config_map_name("chat") == "lastcall-chat"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        pytest.param('{"lastcall": {"completed": 7, "dropped": 2, "more": 1}}', LastWord(7, 2), id="a sidecar's"),
        pytest.param("bye", None, id="an app's"),
        pytest.param('{"lastcall": {"completed": Infinity, "dropped": 2}}', None, id="no number"),
        pytest.param('{"lastcall": {"completed": -1, "dropped": 2}}', None, id="less than nothing"),
        pytest.param('{"lastcall": {"completed": 7}}', None, id="half an account"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_last_word_is_a_sidecar_s_or_none(message, word):
    assert parse_last_word(message) == word
