"""The command line: what it takes, what it refuses, and how errors leave it."""

import pytest

from lastcall_operator import cli


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param(["watch", "job/chat"], "deploy/NAME", id="watch takes workloads"),
        pytest.param(["drain", "pod/"], "pod/NAME", id="drain takes a pod's name"),
        pytest.param(["drain", "pod/x", "--lease", "0s"], "from 1s to 600s", id="a lease is not empty"),
        pytest.param(["drain", "pod/x", "--lease", "11m"], "from 1s to 600s", id="a lease ends"),
        pytest.param(["drain", "pod/x", "--lease", "soon"], "from 1s to 600s", id="a lease is a duration"),
        pytest.param(["top", "-o", "yaml"], "json", id="scripts get JSON"),
        pytest.param(["inject"], "--filename", id="inject needs a file"),
    ],
)
def test_what_cannot_be_is_a_usage_error_that_says_so(argv, words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("text", "lease"), [("60", 60), ("60s", 60), ("5m", 300)])
def test_a_lease_is_seconds_or_minutes(text, lease):
    assert cli._parser().parse_args(["drain", "x", "--lease", text]).lease == lease


def test_a_setting_that_cannot_be_names_its_flag(capsys):
    assert cli.main(["controller", "--log-level", "loud"]) == 2
    assert "--log-level must be one of debug" in capsys.readouterr().err
