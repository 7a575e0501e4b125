"""The local cluster's small parts: what a sidecar says, how programs start, and what their environment holds."""

import random
import socket
import sys

import pytest

from lastcall_operator.errors import MissingExtraError, ProcessError
from lastcall_operator.local.gauge import Gauge, Totals, read_gauge
from lastcall_operator.local.processes import Child, child_environment, free_ports, sidecar_program
from lastcall_operator.rollout import PodState

LIVEZ = {
    "status": "ok",
    "in_flight": 3,
    "draining": False,
    "timestamp": "2026-11-22T10:00:00.000Z",
    "streams": 2,
    "queued": 1,
    "oldest_request_seconds": 12.3,
    "drain": {"state": "serving", "reason": None, "final": False, "since": None},
    "totals": {"accepted": 120, "completed": 115, "failed": 1, "disconnected": 1, "dropped": 0},
}


def test_a_gauge_is_read():
    assert read_gauge(LIVEZ) == Gauge(PodState.SERVING, 3, 12.3, Totals(120, 115, 1, 1, 0))


def test_an_idle_sidecar_has_no_oldest_request():
    assert read_gauge(LIVEZ | {"in_flight": 0, "oldest_request_seconds": None}).oldest_request_seconds is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="empty"),
        pytest.param([], id="a list"),
        pytest.param(None, id="nothing"),
        pytest.param(LIVEZ | {"in_flight": None}, id="no count"),
        pytest.param(LIVEZ | {"in_flight": "many"}, id="a word for a count"),
        pytest.param(LIVEZ | {"drain": {"state": "asleep"}}, id="an unknown state"),
        pytest.param(LIVEZ | {"drain": None}, id="no drain"),
        pytest.param(LIVEZ | {"totals": {}}, id="no totals"),
    ],
)
def test_what_is_no_gauge_is_refused(answer):
    with pytest.raises(ValueError, match=r"livez|literal|valid PodState"):
        read_gauge(answer)


def test_totals_add_up():
    assert sum([Totals(1, 2, 3, 4, 5), Totals(10, 20, 30, 40, 50)], Totals()) == Totals(11, 22, 33, 44, 55)


def test_a_childs_environment_holds_nothing_that_configures_a_sidecar():
    environ = {
        "PATH": "/bin",
        "LASTCALL_UPSTREAM__URL": "x",
        "ANTHROPIC_BASE_URL": "x",
        "CLAUDE_PROXY_API_KEY": "x",
        "OPENAI_API_KEY": "x",
        "OTEL_SDK_DISABLED": "x",
        "https_proxy": "x",
        "NO_PROXY": "x",
        "PROXY": "kept",
    }
    assert child_environment(environ) == {"PATH": "/bin", "PROXY": "kept"}


def test_the_sidecar_stands_beside_the_python_that_runs_us(tmp_path):
    with pytest.raises(MissingExtraError, match=r"no lastcall-sidecar beside python3 .*pip install"):
        sidecar_program(str(tmp_path / "python3"))
    (tmp_path / "lastcall-sidecar").touch()
    assert sidecar_program(str(tmp_path / "python3")) == tmp_path / "lastcall-sidecar"


def test_free_ports_are_different_and_free():
    ports = free_ports(20, random.Random(5))
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_a_port_in_use_is_not_free():
    (port,) = free_ports(1, random.Random(6))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert free_ports(1, random.Random(6)) != [port]


async def test_a_child_that_fails_says_why(tmp_path):
    words = "import sys; print('first', flush=True); sys.exit('the port is in use')"
    child = await Child.start("it", [sys.executable, "-c", words], tmp_path / "log", {})
    assert await child.ended(30.0) == 1
    assert child.last_words() == "the port is in use"
    child.terminate()
    child.kill()


async def test_a_child_that_says_nothing_is_said_to(tmp_path):
    child = await Child.start("it", [sys.executable, "-c", "pass"], tmp_path / "log", {})
    assert await child.ended(30.0) == 0
    assert child.last_words() == "it said nothing"


async def test_a_child_that_goes_on_has_no_exit_code_until_it_is_killed(tmp_path):
    child = await Child.start("it", [sys.executable, "-c", "import time; time.sleep(99)"], tmp_path / "log", {})
    assert await child.ended(0.05) is None
    child.kill()
    assert await child.ended(30.0) == -9
    assert repr(child) == f"<Child it pid={child.pid} exit_code=-9>"


async def test_a_program_that_is_not_there_is_an_error_in_words(tmp_path):
    with pytest.raises(ProcessError, match="it could not be started: No such file or directory"):
        await Child.start("it", [str(tmp_path / "absent")], tmp_path / "log", {})
