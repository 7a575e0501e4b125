"""The judges themselves: they call a whole answer whole, and nothing else. Needs no cluster."""

import hashlib

import pytest

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
