"""What the log tells of a bug: where it is, and nothing of what was at hand there."""

import logging

import pytest
import structlog

import lastcall_operator.logs
import lastcall_sidecar.logs


@pytest.fixture
def no_trace():
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


@pytest.mark.usefixtures("no_trace")
@pytest.mark.parametrize("logs", [lastcall_sidecar.logs, lastcall_operator.logs], ids=["sidecar", "operator"])
def test_a_bug_on_a_terminal_is_told_without_the_values_at_hand(logs, capsys):
    """With `rich` installed, structlog shows each frame's variables: bodies and keys."""

    def fail(prompt):
        raise RuntimeError("a bug", len(prompt))

    logs.set_up("info", "text")
    try:
        fail("my " + "secret")
    except RuntimeError:
        structlog.get_logger().exception("ours")
        logging.getLogger("theirs").exception("a library's")
    told = capsys.readouterr().out
    assert told.count("RuntimeError: ('a bug', 9)") == 2
    assert "my secret" not in told
