"""A stream is judged by what its client received, and by what the upstream had announced."""

import hashlib

import pytest

from lastcall_operator.local.judgement import BODY_HEADER, TEXT_HEADER, Evidence, Fate, Judgement, judge


def sha(data):
    return hashlib.sha256(data).hexdigest()


def evidence(*, status=200, body=b"bytes", text="words", terminal=True, error=None, announced=b"bytes", said="words"):
    """What a client sees of a whole stream, unless told otherwise."""
    seen = Evidence(text=text, terminal=terminal)
    if status is not None:
        headers = {BODY_HEADER: sha(announced), TEXT_HEADER: sha(said.encode())} if announced is not None else {}
        seen.head(status, headers)
    seen.body.update(body)
    if error is not None:
        seen.failure(error)
    return seen


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(evidence(), Judgement(Fate.VERBATIM), id="whole"),
        pytest.param(evidence(text=None), Judgement(Fate.VERBATIM), id="whole, for a client that reads no text"),
        pytest.param(
            evidence(terminal=False),
            Judgement(Fate.DROPPED, "it ended without message_stop"),
            id="all bytes, but the end that should be among them is not",
        ),
        pytest.param(
            evidence(error=OSError("reset")),
            Judgement(Fate.DROPPED, "OSError: reset"),
            id="an error, even after the end",
        ),
        pytest.param(
            evidence(error=TimeoutError()), Judgement(Fate.DROPPED, "TimeoutError"), id="an error with no words"
        ),
        pytest.param(
            evidence(body=b"byte"),
            Judgement(Fate.ALTERED, "other bytes arrived than the upstream sent"),
            id="one byte is missing",
        ),
        pytest.param(
            evidence(announced=None),
            Judgement(Fate.ALTERED, "other bytes arrived than the upstream sent"),
            id="the header that tells has been lost",
        ),
        pytest.param(
            evidence(text="word"),
            Judgement(Fate.ALTERED, "the SDK made another text of it than the upstream sent"),
            id="the bytes are right, the text is not",
        ),
        pytest.param(evidence(status=503), Judgement(Fate.REFUSED, "status 503"), id="another status"),
        pytest.param(
            evidence(status=529, error=ValueError("busy")),
            Judgement(Fate.REFUSED, "ValueError: busy"),
            id="and its words",
        ),
        pytest.param(evidence(status=None), Judgement(Fate.REFUSED, "no answer"), id="nothing at all"),
        pytest.param(
            evidence(status=None, error=ConnectionResetError("peer")),
            Judgement(Fate.REFUSED, "ConnectionResetError: peer"),
            id="no connection",
        ),
    ],
)
def test_the_fate_of_a_stream(seen, expected):
    assert judge(seen) == expected
