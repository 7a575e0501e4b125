"""For all tests: what Hypothesis finds does not depend on how busy the machine is, and each run tries new examples.

The seed is printed at the end of every run; `pytest --hypothesis-seed=<it>` tries the same examples again.
"""

import secrets

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False, print_blob=True
)
settings.load_profile("any machine")
_SEED = "hypothesis_seed"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before Hypothesis does, so that it is known. Hypothesis with CI=true would take no chances."""
    if config.getoption(_SEED) is None:
        setattr(config.option, _SEED, str(secrets.randbits(32)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell the seed, also where `--no-header` leaves out what is told at the beginning."""
    terminalreporter.write_line(f"examples: --hypothesis-seed={config.getoption(_SEED)}")
