"""What pacing means for a Deployment's progressDeadlineSeconds."""

import pytest

from lastcall_operator.removal import Policy
from lastcall_operator.removal.progress import needed_progress_deadline, progress_warning

CEILING = 1955.2


@pytest.mark.parametrize(
    ("policy", "replicas", "expected"),
    [
        pytest.param(Policy(), 9, 0, id="without pacing"),
        pytest.param(Policy(max_draining=3), 3, 0, id="all at once"),
        pytest.param(Policy(max_draining=3), 4, 2556, id="one must wait"),
        pytest.param(Policy(max_draining=1, hold_deadline_seconds=60.0), 9, 660, id="a deadline ends the wait"),
    ],
)
def test_the_least_that_a_rollout_needs(policy, replicas, expected):
    assert needed_progress_deadline(policy, replicas, CEILING) == expected


@pytest.mark.parametrize(
    ("deadline", "has"),
    [pytest.param(2555, 2555, id="a second too short"), pytest.param(None, 600, id="the default")],
)
def test_a_deadline_that_is_too_short_is_told_with_the_number_to_set(deadline, has):
    assert progress_warning(Policy(max_draining=1), 4, CEILING, deadline) == (
        f"progressDeadlineSeconds is {has}, but with maxDraining 1 a rollout may wait longer for streams to finish "
        "and be reported as ProgressDeadlineExceeded: set it to 2556 or more"
    )


@pytest.mark.parametrize(
    ("policy", "deadline"), [(Policy(max_draining=1), 2556), (Policy(), None)], ids=["long enough", "never held up"]
)
def test_nothing_to_tell(policy, deadline):
    assert progress_warning(policy, 4, CEILING, deadline) is None
