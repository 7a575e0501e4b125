"""Figures that a test has measured, for whoever reads its output; what must hold is asserted."""

import pytest


def tell_figures(request: pytest.FixtureRequest, text: str) -> None:
    """Write a line to the terminal, past pytest's capturing."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    if reporter is not None and capture is not None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(text)
