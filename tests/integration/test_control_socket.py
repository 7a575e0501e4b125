"""The control socket and its command line: who may use it, what it answers, and the exit codes that scripts rely on."""

import asyncio
import json
import socket
import stat
from contextlib import suppress

import pytest
from tests.support.calls import call, get
from tests.support.running import gated_sidecar, together
from tests.support.sidecar_process import SidecarProcess
from tests.support.waiting import eventually

SETTLE = {"drain": {"settleSeconds": 0}}


@pytest.fixture(scope="module")
def sidecar():
    with SidecarProcess(SETTLE) as found:
        yield found


@pytest.fixture
def serving(sidecar):
    """A sidecar that no test before has left in a drain."""
    sidecar.wait_for(state="serving")
    yield sidecar
    exchange(sidecar.control_socket, b'{"command": "undrain"}\n')


def exchange(path, data: bytes) -> list[dict]:
    """Send bytes over the socket, and all that is answered until it is closed."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


# What it is.


def test_only_its_owner_may_use_it(sidecar):
    found = sidecar.control_socket.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600


def test_its_folder_is_made_for_its_owner_alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c") / "run" / "lastcall"
    with SidecarProcess({**SETTLE, "admin": {"controlSocket": str(folder / "s")}}):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / "s").is_socket()


def test_a_socket_that_nobody_listens_on_is_replaced_and_at_the_end_removed():
    fresh = SidecarProcess(SETTLE)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(fresh.control_socket))
    with fresh:
        assert fresh.command_line("status").returncode == 0
        fresh.terminate()
        assert fresh.wait() == 0
        assert not fresh.control_socket.exists()


def refused(sidecar: SidecarProcess) -> str:
    """The words of a sidecar that does not start."""
    sidecar.launch()
    assert sidecar.wait(60) == 1
    assert "Traceback" not in sidecar.output()
    return sidecar.output()


def test_a_second_sidecar_does_not_take_it_from_the_first(sidecar):
    second = SidecarProcess({"admin": {"controlSocket": str(sidecar.control_socket)}})
    assert f"another sidecar listens on {sidecar.control_socket}" in refused(second)
    assert sidecar.command_line("status").returncode == 0


def test_a_file_that_is_no_socket_is_left_alone():
    fresh = SidecarProcess()
    fresh.control_socket.write_text("somebody's")
    assert "no socket" in refused(fresh)
    assert fresh.control_socket.read_text() == "somebody's"


# What it answers.


def test_status_is_what_livez_says(serving):
    told = serving.command_line("status")
    assert told.returncode == 0
    assert told.stderr == ""
    found, livez = json.loads(told.stdout), serving.livez()
    assert found.pop("state") == "serving"
    assert found.pop("timestamp") <= livez.pop("timestamp")
    assert found == livez


def test_the_configuration_file_names_the_socket(sidecar):
    told = sidecar.command_line("status", "--config", str(sidecar.config_file))
    assert told.returncode == 0
    assert json.loads(told.stdout)["status"] == "ok"


def test_a_leased_drain_ends_with_undrain(serving):
    drained = serving.command_line("drain", "--lease", "60", "--reason", "maintenance")
    assert drained.returncode == 0
    livez = serving.livez()
    assert livez["draining"] is True
    assert livez["drain"]["reason"] == "maintenance"
    assert livez["drain"]["final"] is False
    assert livez["drain"]["lease_expires"] > livez["timestamp"]
    assert serving.health() == 503
    undrained = serving.command_line("undrain")
    assert undrained.returncode == 0
    assert json.loads(undrained.stdout)["state"] == "serving"
    assert serving.health() == 200


def test_undrain_without_a_drain_fails_with_a_sentence(serving):
    told = serving.command_line("undrain")
    assert told.returncode == 1
    assert "cannot happen to <Drain serving>" in told.stdout
    assert told.stderr == ""


@pytest.mark.parametrize("lease", ["0", "-1", "601", "nan", "inf"])
def test_a_lease_is_longer_than_0_and_at_most_600_seconds(serving, lease):
    told = serving.command_line("drain", f"--lease={lease}")
    assert told.returncode == 1
    assert "at most 600 seconds" in told.stdout
    assert serving.livez()["draining"] is False


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"\n", "not a command"),
        (b"not JSON\n", "not a command"),
        (b"\xff\xfe\n", "not a command"),
        (b"[" * 4000 + b"\n", "not a command"),
        (b'{"command": "drain", "reason": "\\ud800"}\n', "not a command"),
        (b'{"command": "\\udfff"}\n', "not a command"),
        (b"[]\n", "not a command"),
        (b"null\n", "not a command"),
        (b"{}\n", "not a command"),
        (b'{"command": "explode"}\n', "no such command: explode"),
        (b'{"command": ["drain"]}\n', "no such command"),
        (b'{"command": "drain", "leaseSeconds": "soon"}\n', "could not convert"),
        (b'{"command": "drain", "leaseSeconds": []}\n', "float"),
    ],
    ids=[
        "empty",
        "words",
        "bytes",
        "deep",
        "no text",
        "no text for a command",
        "list",
        "null",
        "nothing",
        "unknown",
        "typed",
        "lease word",
        "lease list",
    ],
)
def test_nonsense_is_answered_and_changes_nothing(serving, said, error):
    (told,) = exchange(serving.control_socket, said)
    assert told["done"] is True
    assert told["ok"] is False
    assert error in told["error"]
    assert serving.livez()["draining"] is False


@pytest.mark.parametrize("said", [b'{"command": "sta', b"x" * 100_000], ids=["half a command", "an endless one"])
def test_what_is_no_line_harms_nobody(serving, said):
    with suppress(ConnectionError):  # hung up on, rightly
        exchange(serving.control_socket, said)
    assert serving.command_line("status").returncode == 0


def test_one_connection_may_say_several_things(serving):
    said = [{"command": "drain", "leaseSeconds": 60}, {"command": "status"}, {"command": "undrain"}]
    told = exchange(serving.control_socket, b"".join(json.dumps(one).encode() + b"\n" for one in said))
    assert [one["draining"] for one in told] == [True, True, False]
    assert all(one["ok"] and one["done"] for one in told)


def test_without_a_sidecar_the_command_line_says_so(tmp_path):
    absent = SidecarProcess()
    for command in (["status"], ["drain", "--wait"], ["undrain"]):
        told = absent.command_line(*command)
        assert told.returncode == 2
        assert f"no sidecar answers on {absent.control_socket}" in told.stderr
        assert "Traceback" not in told.stderr


# Waiting, and what is final.


async def final():
    """A final drain over the socket; the client that asked for it and waits is then gone."""
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        reader, writer = await asyncio.open_unix_connection(sidecar.control_socket)
        writer.write(b'{"command": "drain", "wait": true}\n')
        reports = [json.loads(await reader.readline()) for _ in range(2)]
        writer.close()
        undrained = await asyncio.to_thread(sidecar.command_line, "undrain")
        leased = await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "1")
        await asyncio.sleep(1.5)  # the lease would have run out
        livez = await asyncio.to_thread(sidecar.livez)
        upstream.gate.set()
        await stream
        drained = await asyncio.to_thread(sidecar.wait_for, state="drained")
        return {"reports": reports, "undrained": undrained, "leased": leased, "livez": livez, "drained": drained}


async def lease_that_runs_out():
    async with gated_sidecar(SETTLE) as (upstream, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        told = await asyncio.to_thread(sidecar.command_line, "drain", "--wait", "--lease", "2")
        health = await get(sidecar.url, "/health")
        upstream.gate.set()
        return {"told": told, "health": health.head.status, "stream": await stream}


async def killed():
    """The sidecar dies while somebody waits."""
    async with gated_sidecar(SETTLE) as (_, sidecar):
        stream = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        waiter = asyncio.create_task(asyncio.to_thread(sidecar.command_line, "drain", "--wait"))
        await asyncio.to_thread(sidecar.wait_for, draining=True)
        sidecar.kill()
        told = await waiter
        await asyncio.gather(stream, return_exceptions=True)
        return told


@pytest.fixture(scope="module")
def outcomes():
    return together(final, lease_that_runs_out, killed)


def test_a_waiter_gets_a_report_each_second_and_may_leave(outcomes):
    seen = outcomes["final"]
    for report in seen["reports"]:
        assert report["done"] is False
        assert report["state"] == "draining"
        assert report["in_flight"] == 1
    assert seen["drained"]["drain"]["final"] is True


def test_what_is_final_stays_final(outcomes):
    seen = outcomes["final"]
    assert seen["undrained"].returncode == 1
    assert "cannot happen" in seen["undrained"].stdout
    assert seen["leased"].returncode == 0
    assert seen["livez"]["drain"]["final"] is True
    assert seen["livez"]["drain"]["lease_expires"] is None


def test_waiting_for_a_lease_that_runs_out_first_fails(outcomes):
    seen = outcomes["lease_that_runs_out"]
    assert seen["told"].returncode == 1
    assert json.loads(seen["told"].stdout)["state"] == "serving"
    assert seen["health"] == 200
    assert seen["stream"].head.status == 200


def test_a_waiter_whose_sidecar_dies_is_not_told_that_it_drained(outcomes):
    told = outcomes["killed"]
    assert told.returncode == 2
    assert "no sidecar answers" in told.stderr
    assert "Traceback" not in told.stderr


def test_many_waiters_leave_nothing_behind(serving):
    before = serving.open_descriptors()
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for connection in waiting:
        connection.connect(str(serving.control_socket))
        connection.sendall(b'{"command": "drain", "wait": true, "leaseSeconds": 60}\n')
    for connection in waiting:
        connection.close()
    eventually(lambda: serving.open_descriptors() <= before, "their descriptors are closed")
