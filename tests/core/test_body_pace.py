"""Who sends a body slowly, and who sends it too slowly."""

import pytest

from lastcall_sidecar.core.pace import Pace

GRACE = 60


def lasts(rate, parts):
    """Seconds of waiting until the grace is used up; None when it never is. `parts`: bytes, and the wait for them."""
    pace, total = Pace(rate), 0.0
    for size, waited in parts:
        if pace.used_seconds + waited > GRACE:
            return total + GRACE - pace.used_seconds
        total += waited
        pace.came(size, waited)
    return None


@pytest.mark.parametrize(
    ("rate", "parts", "seconds"),
    [
        pytest.param(100, [(1, 59)] * 100, 60.01, id="a byte a minute"),
        pytest.param(100, [(1, 1)] * 1000, 60.6, id="a byte a second"),
        pytest.param(100, [(99, 1)] * 10_000, 5902, id="a little less than the rate"),
        pytest.param(100, [(100, 1)] * 10_000, None, id="the rate itself"),
        pytest.param(100, [(3000, 30)] * 1000, None, id="in bursts"),
        pytest.param(100, [(4096, 59)] * 3, 100.96, id="too few in bursts"),
        pytest.param(100, [(10**9, 1), *[(1, 59)] * 9], 61.01, id="much at first earns nothing beyond the grace"),
        pytest.param(100, [(1, 0)] * 100_000, None, id="small parts that nobody waited for"),
        pytest.param(0, [(1, 59)] * 1000, None, id="no rate"),
        pytest.param(0, [(1, 61)], 60, id="no rate and no byte"),
    ],
)
def test_how_long_the_grace_lasts(rate, parts, seconds):
    found = lasts(rate, parts)
    assert found is None if seconds is None else found == pytest.approx(seconds, abs=1.1)


def test_it_says_what_is_used():
    pace = Pace(10)
    pace.came(5, 2)
    assert repr(pace) == "<Pace 1.500 s of the grace used>"
