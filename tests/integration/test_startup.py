"""From `serve` to ready: soon, small, without what nobody has asked for; and what does not work is a sentence."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx
import pytest
from tests.support.calls import call, get, is_whole
from tests.support.gated import GatedUpstream
from tests.support.process import Program, free_port
from tests.support.running import running
from tests.support.sidecar_process import TEST_LOOP, SidecarProcess
from tests.support.waiting import eventually

READY_SECONDS = 1.5
#: What the sidecar's libraries take to be imported, in CPU seconds, on the machine on which that limit was set.
LIBRARIES_SECONDS = 1.4
LIBRARIES = "import quart, hypercorn.asyncio, httpx, structlog, opentelemetry.exporter.prometheus"
IDLE_RSS_BYTES = 90 * 1024 * 1024
#: What an idle sidecar has no use for: checking tokens, HTTP/2, TLS certificates' parsing, test doubles, clients.
HEAVY = ("jwt", "cryptography", "httpcore", "anyio", "lastcall_sidecar.testing", "anthropic", "jsonschema", "pytest")


# Time and memory.


def seconds_until_ready() -> float:
    """From its start to its own word that it serves: by the clock, or by the CPU it took if that is less.

    On a busy machine the clock tells what others do.
    """
    started = time.time()
    with SidecarProcess() as sidecar:
        cpu = sidecar.cpu_seconds()
        line = next(line for line in sidecar.output().splitlines() if '"serving"' in line)
        sidecar.kill()
    return min(cpu, datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() - started)


def slowness() -> float:
    """How many times slower this machine is than the one on which the limits were set; 1 for a faster one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return max(1.0, taken / LIBRARIES_SECONDS)


def test_it_is_ready_within_a_second_and_a_half():
    assert any(seconds_until_ready() < READY_SECONDS * slowness() for _ in range(3))


def test_an_idle_sidecar_is_small():
    with SidecarProcess() as sidecar:
        time.sleep(0.5)
        assert sidecar.rss_bytes() < IDLE_RSS_BYTES
        sidecar.kill()


def imported(*arguments: str, then: str = "") -> set[str]:
    """The modules that a command of the command line has loaded when it is done, or `serve` when it listens."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        "from lastcall_sidecar.cli import run\n"
        f"{then}\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return set(found.stderr.rpartition("MODULES ")[2].split())


LEAVE_AT_ONCE = (
    "import asyncio, os, signal\n"
    "from lastcall_sidecar import process\n"
    "started = process.Sidecar.start\n"
    "async def start(self):\n"
    "    await started(self)\n"
    "    asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGTERM)\n"
    "process.Sidecar.start = start\n"
)


def test_an_idle_sidecar_has_loaded_nothing_that_nobody_asked_for(tmp_path):
    config = tmp_path / "config.yaml"
    listen = {"traffic": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
    folder = {"controlSocket": str(tmp_path / "s")}
    settings = {"listen": listen, "admin": folder, "drain": {"settleSeconds": 0}, "mode": "Gateway"}
    config.write_text(json.dumps(settings))
    modules = imported("serve", "--loop", TEST_LOOP, "--config", str(config), then=LEAVE_AT_ONCE)
    assert "lastcall_sidecar.upstream" in modules, "it has not served"
    assert {name for name in modules if name.split(".")[0] in HEAVY or name.startswith(HEAVY[4])} == set()


@pytest.mark.parametrize("command", [["status"], ["drain", "--wait"]], ids=" ".join)
def test_what_prestop_calls_loads_next_to_nothing(tmp_path, command):
    """preStop waits for it to start, and its memory counts against the pod's limit."""
    modules = imported(*command, "--socket", str(tmp_path / "nobody"))
    assert "lastcall_sidecar.control_client" in modules
    assert not {"asyncio", "aiohttp", "quart", "hypercorn", "msgspec", "structlog", "yaml"} & modules


# Without a configuration file.


async def test_serve_without_a_configuration_works_on_loopback(tmp_path):
    """The environment names ports and upstream here, so that two runs of this test do not meet."""
    traffic, admin = free_port(), free_port()
    async with GatedUpstream() as upstream:
        upstream.gate.set()
        environment = {
            "LASTCALL_LISTEN__TRAFFIC": f"127.0.0.1:{traffic}",
            "LASTCALL_LISTEN__ADMIN": f"127.0.0.1:{admin}",
            "LASTCALL_UPSTREAM__URL": upstream.url,
            "LASTCALL_DRAIN__SETTLE_SECONDS": "0",
            "XDG_RUNTIME_DIR": str(tmp_path),
            "LASTCALL_PORT": "tcp://10.0.0.1:80",  # what Kubernetes injects for a Service of our name
        }
        async with running(Bare(environment, traffic)) as program:
            assert is_whole(await call(f"http://127.0.0.1:{traffic}"))
            told = await asyncio.to_thread(program.command_line, "status")
            assert told.returncode == 0
            assert json.loads(told.stdout)["totals"]["completed"] == 1


class Bare(Program):
    """`lastcall-sidecar serve` and nothing else."""

    def __init__(self, env: dict[str, str], port: int) -> None:
        super().__init__([sys.executable, "-m", "lastcall_sidecar", "serve", "--loop", TEST_LOOP], env)
        self._port = port

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0 and "serving" in self.output()

    def command_line(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command[:3], *arguments], env=self.env, capture_output=True, text=True, check=False, timeout=30
        )


def test_the_defaults_listen_on_loopback_and_ask_the_vendor(tmp_path):
    """As the first log line has it; the ports are likely taken here, and that is fine."""
    bare = Bare({"XDG_RUNTIME_DIR": str(tmp_path)}, 8080)
    with bare.log.open("w") as log:
        process = subprocess.Popen(bare.command, env=bare.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while '"starting"' not in bare.log.read_text() and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    line = next(line for line in bare.log.read_text().splitlines() if '"starting"' in line)
    told = json.loads(line)["configuration"]
    assert told["listen"]["traffic"] == "127.0.0.1:8080"
    assert told["listen"]["admin"] == "127.0.0.1:8081"
    assert told["upstream"]["url"] == "https://api.anthropic.com"
    assert told["mode"] == "Gateway"
    assert told["admin"]["controlSocket"] == str(tmp_path / "lastcall" / "control.sock")


# What does not work.


def words_of(sidecar: SidecarProcess) -> str:
    """What a sidecar says that does not start."""
    sidecar.launch()
    assert sidecar.wait(60) == 1
    assert "Traceback" not in sidecar.output()
    return sidecar.output()


def with_a_port_in_use(listener: str) -> tuple[str, int]:
    sidecar = SidecarProcess()
    port = sidecar.traffic_port if listener == "traffic" else sidecar.admin_port
    with socket.create_server(("127.0.0.1", port)):
        return words_of(sidecar), port


def with_an_impossible_folder() -> str:
    sidecar = SidecarProcess()
    (sidecar.folder / "file").write_text("")
    sidecar.write_config({"admin": {"controlSocket": str(sidecar.folder / "file" / "s")}})
    return words_of(sidecar)


def with_bad_settings() -> str:
    return words_of(SidecarProcess({"limits": {"maxConcurrent": -1, "maxQueued": "many"}, "nonsense": 1}))


def without_its_file() -> str:
    sidecar = SidecarProcess()
    sidecar.config_file.unlink()
    return words_of(sidecar)


def listening_on(address: str) -> str:
    return words_of(SidecarProcess({"listen": {"traffic": address}}))


@pytest.fixture(scope="module")
def words():
    """Each in a process of its own, all at once."""
    with ThreadPoolExecutor() as threads:
        return {
            "traffic port": threads.submit(with_a_port_in_use, "traffic"),
            "admin port": threads.submit(with_a_port_in_use, "admin"),
            "address": threads.submit(listening_on, "192.0.2.1:8080"),
            "name": threads.submit(listening_on, "nobody.invalid:8080"),
            "folder": threads.submit(with_an_impossible_folder),
            "settings": threads.submit(with_bad_settings),
            "no file": threads.submit(without_its_file),
        }


@pytest.mark.parametrize("listener", ["traffic", "admin"])
def test_a_port_in_use_is_a_sentence(words, listener):
    told, port = words[f"{listener} port"].result()
    last = told.splitlines()[-1]
    assert last.startswith("lastcall-sidecar: cannot listen")
    assert "in use" in last
    assert str(port) in last


@pytest.mark.parametrize(
    ("name", "word"), [("address", "192.0.2.1:8080"), ("name", "nobody.invalid:8080"), ("folder", "file")]
)
def test_what_cannot_be_listened_on_is_a_sentence(words, name, word):
    last = words[name].result().splitlines()[-1]
    assert last.startswith("lastcall-sidecar: cannot listen")
    assert word in last


@pytest.mark.parametrize("word", ["limits.maxConcurrent", "limits.maxQueued", "nonsense", "config.yaml"])
def test_a_bad_configuration_is_told_whole(words, word):
    assert word in words["settings"].result()


def test_a_configuration_that_is_not_there_is_a_sentence(words):
    assert "cannot read" in words["no file"].result()


# Where it listens.


async def test_ipv6_is_listened_on_where_it_is_configured():
    port, admin = free_port(), free_port()
    settings = {"listen": {"traffic": f"[::1]:{port}", "admin": f"127.0.0.1:{admin}"}, "drain": {"settleSeconds": 0}}
    async with running(OnIPv6(settings, admin)):
        answer = await get(f"http://[::1]:{port}", "/health")
        assert answer.head.status == 200


class OnIPv6(SidecarProcess):
    """Its traffic listener is somewhere else."""

    def __init__(self, settings: dict, admin_port: int) -> None:
        super().__init__(settings)
        self.admin_port = admin_port

    def is_ready(self) -> bool:
        try:
            return self.health() == 200
        except OSError:
            return False


def test_all_interfaces_are_listened_on_by_default_in_a_pod():
    """With a file: the kubelet probes the pod's own address."""
    sidecar = SidecarProcess({"drain": {"settleSeconds": 0}})
    port = sidecar.traffic_port
    sidecar.write_config({"listen": {"traffic": f"0.0.0.0:{port}"}})
    with sidecar:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it tells our own address
            own = probe.getsockname()[0]
        answer = httpx.get(f"http://{own}:{port}/health", trust_env=False)
        assert answer.status_code == 200


def test_it_takes_as_many_descriptors_as_it_may_and_outlives_having_none():
    """A stream has two, and the usual soft limit would be 500 streams. Out of them, it serves when there are some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        sidecar = SidecarProcess({"drain": {"settleSeconds": 0}})
        sidecar.launch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        eventually(sidecar.is_ready, "it is ready", 90)
        assert resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        run_out(sidecar)
        eventually(lambda: answers(sidecar), "it serves again", 15)
        assert sidecar.command_line("status").returncode == 0
    finally:
        sidecar.stop()


def run_out(sidecar: SidecarProcess) -> None:
    """More connections than it has descriptors for, for a second."""
    allowed = sidecar.open_descriptors() + 20
    resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (allowed, allowed))
    held = [socket.create_connection(("127.0.0.1", sidecar.traffic_port)) for _ in range(40)]
    time.sleep(1)
    for connection in held:
        connection.close()


def answers(sidecar: SidecarProcess) -> bool:
    try:
        return httpx.get(f"{sidecar.url}/health", trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
