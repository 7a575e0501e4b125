"""Log lines as in a pod: a traceback of the development renderer takes longer than a decision may."""

import pytest

from lastcall_operator import logs


@pytest.fixture(autouse=True)
def _json_logs():
    logs.set_up("warning", "json")
