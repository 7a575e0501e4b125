"""The operator reads what sidecars say: the golden files that hold both sides."""

import json
from pathlib import Path

import pytest

from lastcall_operator.api.gauge import GaugeError, LastWord, parse_last_word, parse_livez
from lastcall_operator.api.names import config_map_name

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


@pytest.mark.parametrize("since", ["not a time", 5])
def test_a_time_that_is_none_is_an_error_of_ours(since):
    answer = json.loads((GOLDEN / "livez_serving.json").read_bytes())
    answer["drain"]["since"] = since
    with pytest.raises(GaugeError):
        parse_livez(json.dumps(answer).encode())


def test_a_config_map_is_named_after_its_proxy():
    assert config_map_name("chat") == "lastcall-chat"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        pytest.param('{"lastcall": {"completed": 7, "dropped": 2, "more": 1}}', LastWord(7, 2), id="a sidecar's"),
        pytest.param("bye", None, id="an app's"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_last_word_is_a_sidecar_s_or_none(message, word):
    assert parse_last_word(message) == word
