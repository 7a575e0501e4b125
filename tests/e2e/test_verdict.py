"""The judges themselves: they call a whole answer whole, and nothing else. Needs no cluster."""

import hashlib

import pytest

from tests.e2e.marks import Marks
from tests.e2e.stage import Departures
from tests.e2e.verdict import Verdict, judge_body, judge_text

pytestmark = pytest.mark.e2e

_STREAM = b'event: message_start\ndata: {}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
_CUT = b"event: message_start\ndata: {}\n\n"
_FAILED = _CUT + b'event: error\ndata: {"type":"error"}\n\n'


def _sums(body: bytes) -> dict[str, str]:
    return {"x-fake-body-sha256": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize(
    ("status", "body", "sum_of", "clean", "verdict"),
    [
        pytest.param(200, _STREAM, _STREAM, True, Verdict.WHOLE, id="whole"),
        pytest.param(200, _STREAM, _STREAM, False, Verdict.DROPPED, id="whole, but for the framing's end"),
        pytest.param(200, _CUT, _CUT, True, Verdict.DROPPED, id="no terminal event"),
        pytest.param(200, _FAILED, _FAILED, True, Verdict.DROPPED, id="an error event"),
        pytest.param(200, b"", b"", True, Verdict.DROPPED, id="nothing"),
        pytest.param(200, _STREAM, _CUT + _STREAM, True, Verdict.CORRUPT, id="bytes missing"),
        pytest.param(200, b": ping\n\n" + _STREAM, _STREAM, True, Verdict.CORRUPT, id="bytes added"),
        pytest.param(529, b"{}", b"{}", True, Verdict.REFUSED, id="overloaded"),
        pytest.param(502, _STREAM, _STREAM, True, Verdict.REFUSED, id="a bad gateway"),
    ],
)
def test_a_stream_by_its_bytes(status: int, body: bytes, sum_of: bytes, clean: bool, verdict: Verdict) -> None:
    assert judge_body(status, _sums(sum_of), body, stream=True, clean=clean)[0] is verdict


def test_an_answer_without_the_upstream_s_hash_is_not_whole() -> None:
    assert judge_body(200, {}, _STREAM, stream=True, clean=True)[0] is Verdict.CORRUPT
    assert judge_text({}, "text", stopped=True)[0] is Verdict.CORRUPT


@pytest.mark.parametrize(
    ("text", "stopped", "verdict"),
    [
        pytest.param("last call", True, Verdict.WHOLE, id="whole"),
        pytest.param("last call", False, Verdict.DROPPED, id="no message_stop"),
        pytest.param("last", True, Verdict.CORRUPT, id="text missing"),
    ],
)
def test_a_stream_by_its_text(text: str, stopped: bool, verdict: Verdict) -> None:
    sums = {"x-fake-text-sha256": hashlib.sha256(b"last call").hexdigest()}
    assert judge_text(sums, text, stopped=stopped)[0] is verdict


@pytest.mark.parametrize(
    ("leaving", "gone", "idle", "most"),
    [
        pytest.param({"a": 1, "b": 5}, {"a": 4}, {}, 1, id="one after the other"),
        pytest.param({"a": 1, "b": 3}, {"a": 4}, {}, 2, id="together"),
        pytest.param({"a": 1, "b": 3}, {"a": 4}, {"a": 2}, 1, id="the first was idle, though not gone"),
        pytest.param({"a": 1, "b": 3}, {}, {"a": 3}, 1, id="idle at that very moment"),
        pytest.param({"a": 1, "b": 3, "c": 3}, {}, {"c": 2}, 2, id="who left idle does not make up for who did not"),
        pytest.param({}, {}, {}, 0, id="nobody"),
    ],
)
def test_how_many_busy_pods_were_leaving_at_once(
    leaving: dict[str, float], gone: dict[str, float], idle: dict[str, float], most: int
) -> None:
    found = Departures(list(leaving), leaving, gone)
    assert found.most_at_once({"a", "b", "c"}, idle) == most


@pytest.mark.parametrize(
    ("metadata", "strange"),
    [
        pytest.param({"annotations": {"lastcall.dev/injected": "{}", "another.dev/x": ""}}, set(), id="documented"),
        pytest.param({"finalizers": ["batch.kubernetes.io/job-tracking"]}, set(), id="Kubernetes' own"),
        pytest.param(
            {"annotations": {"lastcall.dev/last-handled-configuration": ""}},
            {"annotation lastcall.dev/last-handled-configuration"},
            id="kopf's, under our prefix",
        ),
        pytest.param(
            {"annotations": {"kopf.zalando.org/touch": ""}},
            {"annotation kopf.zalando.org/touch"},
            id="kopf's under its own",
        ),
        pytest.param(
            {"finalizers": ["lastcall.dev/finalizer"]}, {"finalizer lastcall.dev/finalizer"}, id="a finalizer"
        ),
    ],
)
def test_what_nobody_may_write_on_a_pod_is_seen(metadata: dict[str, object], strange: set[str]) -> None:
    marks = Marks()
    marks.look({"metadata": {"namespace": "n", "name": "p", **metadata}})
    assert marks.strange == {("n/p", what) for what in strange}
