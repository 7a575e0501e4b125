"""A configuration file, and what its reader is told of it."""

import pytest

from lastcall_sidecar.settings import ConfigError, load


@pytest.fixture
def write(tmp_path):
    """Write a configuration file; its path."""

    def write_config(text):
        file = tmp_path / "lastcall.yaml"
        file.write_text(text)
        return file

    return write_config


@pytest.fixture
def problems_of(write):
    """What is wrong with a configuration file of that text, as its reader is told."""

    def collect(text, environ=None):
        with pytest.raises(ConfigError) as caught:
            load(write(text), environ or {})
        return [str(problem) for problem in caught.value.problems]

    return collect
