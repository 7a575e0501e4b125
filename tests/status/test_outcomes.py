"""How a pod's end is told: by the sidecar's last word, and with none by what was seen last."""

import dataclasses
from pathlib import Path

import pytest

from lastcall_operator.api.gauge import LastWord, parse_livez
from lastcall_operator.status.outcomes import Track, ended, follow, outcome

SERVING = parse_livez((Path(__file__).parents[1] / "contract" / "golden" / "livez_serving.json").read_bytes())


def gauge(completed, in_flight, dropped=0, state="draining"):
    return dataclasses.replace(SERVING, completed=completed, in_flight=in_flight, dropped=dropped, state=state)


@pytest.mark.parametrize(
    ("last", "word", "told"),
    [
        pytest.param(gauge(8, 1), LastWord(9, 0), (5, 0, False), id="the last one ended behind our last look"),
        pytest.param(gauge(8, 1), LastWord(8, 1), (4, 1, False), id="it says that it dropped one"),
        pytest.param(gauge(8, 1), None, (4, 1, True), id="killed: what was in flight is lost"),
        pytest.param(gauge(9, 0), None, (5, 0, False), id="no word, and nothing was in flight"),
        pytest.param(gauge(8, 0, 1, "expired"), LastWord(8, 1), (4, 1, True), id="the ceiling came"),
    ],
)
def test_the_last_word_counts(last, word, told):
    track = follow(follow(Track("chat-1", "u", "r", began=100.0), gauge(4, 5)), last)
    found = outcome(dataclasses.replace(track, word=word), now=121.0)
    assert (found.finished, found.dropped, found.expired) == told
    assert found.seconds == 21.0
    assert ended(found).warning is (told[1] > 0 or told[2])
