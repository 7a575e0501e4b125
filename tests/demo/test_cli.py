"""The `lastcall` command: quick to help, and every error a sentence."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

HEAVY = ("anthropic", "asyncio", "httpx", "rich")


def lastcall(*arguments, before="pass", **environ):
    """Run the command in a process of its own; `before` is Python that runs first in it."""
    program = f"import sys; {before}; from lastcall_operator.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_needs_nothing_heavy():
    program = (
        "import sys; from lastcall_operator.cli import main\n"
        "try: main(['--help'])\n"
        f"finally: print('heavy:', sorted(set(sys.modules) & set({HEAVY})))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "heavy: []" in ran.stdout
    assert "demo" in ran.stdout


def test_the_version_is_the_packages():
    ran = lastcall("--version")
    assert (ran.returncode, ran.stdout) == (0, f"lastcall {version('lastcall-operator')}\n")


def test_without_a_command_it_helps_and_fails():
    ran = lastcall()
    assert ran.returncode == 2
    assert "usage: lastcall" in ran.stdout


@pytest.mark.parametrize("streams", ["0", "5", "1001", "many"])
def test_an_impossible_number_of_streams_is_refused(streams):
    ran = lastcall("demo", "--streams", streams)
    assert ran.returncode == 2
    assert f"must be a number from 6 to 1000, not '{streams}'" in ran.stderr


@pytest.mark.parametrize("missing", ["rich", "anthropic", "httpx"])
def test_a_missing_library_is_a_sentence(missing):
    ran = lastcall("demo", before=f"sys.modules[{missing!r}] = None")
    assert ran.returncode == 2
    assert ran.stderr == f"lastcall: The demo needs {missing}. Install it with: pip install 'lastcall-operator[demo]'\n"


def test_a_missing_sidecar_is_a_sentence():
    ran = lastcall("demo", before="sys.executable = '/nowhere/python'")
    assert ran.returncode == 2
    assert "There is no lastcall-sidecar beside python (/nowhere/lastcall-sidecar)" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_sidecar_that_cannot_start_is_a_sentence(tmp_path):
    program = tmp_path / "lastcall-sidecar"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('the port 1 is in use')\n")
    program.chmod(0o755)
    ran = lastcall("demo", before=f"sys.executable = {str(tmp_path / 'python')!r}", TMPDIR=str(tmp_path))
    assert ran.returncode == 1
    assert "the port 1 is in use\n" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "What the processes said is in " in ran.stdout
