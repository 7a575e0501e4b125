"""`make bench`: a table of ratios to nginx, medians of repetitions taken in turn, and the same as JSON.

The proxy runs on one core, the upstream and the load on another. Needs nginx; with `--peers` LiteLLM is brought from
PyPI into an environment of its own. The machine should be idle: CPU is measured per process, delays are not.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

UPSTREAM_PORT, PROXY_PORT = 9870, 9871
PROXY_CORE, LOAD_CORE = 0, 1
START_SECONDS = 60.0

#: As in docs: a, streams of 5 events with no pause; b, 200 streams of 200 events at 20 ms; c, 2,000 idle streams.
WORKLOADS = {
    "a": ["--clients", "32", "--events", "5", "--interval-ms", "0", "--seconds", "4"],
    "b": ["--clients", "200", "--events", "200", "--interval-ms", "20", "--ramp-seconds", "1", "--once"],
    "c": ["--clients", "2000", "--events", "4", "--interval-ms", "4000", "--ramp-seconds", "5", "--once"],
}
WARM_UP = ["--clients", "16", "--events", "5", "--interval-ms", "0", "--seconds", "1"]

NGINX = """worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream u {{ server 127.0.0.1:{upstream}; keepalive 1000; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{
    proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""
LITELLM = """model_list: []
general_settings:
  pass_through_endpoints:
    - {{path: "/v1/messages", target: "http://127.0.0.1:{upstream}/v1/messages"}}
"""
SIDECAR = """upstream: {{url: "http://127.0.0.1:{upstream}"}}
listen: {{traffic: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}"}}
drain: {{settleSeconds: 0}}
admin: {{controlSocket: "{folder}/sidecar/control.sock"}}
"""


@dataclass(frozen=True)
class Proxy:
    """A candidate: its name and the command that keeps it in the foreground; none for no proxy."""

    name: str
    command: list[str] | None


def candidates(folder: Path, *, peers: bool) -> list[Proxy]:
    """Who is compared."""
    values = {"folder": folder, "upstream": UPSTREAM_PORT, "port": PROXY_PORT, "admin": PROXY_PORT + 1}
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        sys.exit("nginx is not installed: apt-get install nginx-light (or your system's package)")
    (folder / "nginx.conf").write_text(NGINX.format(**values))
    (folder / "sidecar.yaml").write_text(SIDECAR.format(**values))
    found = [
        Proxy("direct", None),
        Proxy("nginx", [nginx, "-c", str(folder / "nginx.conf")]),
        Proxy(
            "lastcall",
            [sys.executable, "-m", "lastcall_sidecar", "serve", "--config", str(folder / "sidecar.yaml")],
        ),
    ]
    if peers:
        (folder / "litellm.yaml").write_text(LITELLM.format(**values))
        config = ["--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(PROXY_PORT)]
        # It refuses to start without a master key, which costs it a database lookup: on loopback none is needed.
        keyless = ["env", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true"]
        found.append(Proxy("litellm", [*keyless, "uv", "tool", "run", "--from", "litellm[proxy]", "litellm", *config]))
    return found


@contextmanager
def running(command: list[str], core: int, port: int, log: Path) -> Iterator[psutil.Process]:
    """A program on one core, from when it listens; ended afterwards, with what it started."""
    with log.open("w") as out:
        process = psutil.Popen(["taskset", "-c", str(core), *command], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not any(c.laddr.port == port and c.status == "LISTEN" for c in psutil.net_connections("tcp")):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not listen on {port}:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield process
    finally:
        family = [*process.children(recursive=True), process] if process.is_running() else []
        if family:
            process.terminate()
        _, alive = psutil.wait_procs(family, timeout=15)
        for survivor in alive:
            survivor.kill()


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its children."""
    return sum(p.cpu_times().user + p.cpu_times().system for p in (process, *process.children(recursive=True)))


def rss_bytes(process: psutil.Process) -> int:
    """Resident memory of a process and its children."""
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))


def load(port: int, arguments: list[str], process: psutil.Process | None) -> dict[str, float]:
    """Run one workload; what the clients saw, and what it cost the proxy."""
    command = [
        "taskset",
        "-c",
        str(LOAD_CORE),
        sys.executable,
        "-m",
        "benchmarks.load",
        "--port",
        str(port),
        *arguments,
    ]
    before = (cpu_seconds(process), rss_bytes(process)) if process else (0.0, 0)
    started = time.monotonic()
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = before[1]
    while client.poll() is None:
        peak = max(peak, rss_bytes(process)) if process else 0
        time.sleep(0.2)
    elapsed = time.monotonic() - started
    seen: dict[str, float] = json.loads(client.communicate()[0])
    if process:
        spent = cpu_seconds(process) - before[0]
        seen |= {
            "cpu_us_per_request": spent / max(1, seen["completed"]) * 1e6,
            "cpu_us_per_event": spent / max(1, seen["events"]) * 1e6,
            "cpu_share": spent / elapsed,
            "rss_growth_bytes": peak - before[1],
            "rss_bytes": before[1],
        }
    return seen


def measure(options: argparse.Namespace, folder: Path) -> dict[tuple[str, str], list[dict[str, float]]]:
    """All candidates in turn, repeated."""
    results: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    upstream = [sys.executable, "-m", "benchmarks.upstream", str(UPSTREAM_PORT)]
    with running(upstream, LOAD_CORE, UPSTREAM_PORT, folder / "upstream.log"):
        for _ in range(options.reps):
            for proxy in candidates(folder, peers=options.peers):
                if proxy.command is None:
                    for name in options.workloads.split(","):
                        results[name, proxy.name].append(load(UPSTREAM_PORT, WORKLOADS[name], None))
                    continue
                with running(proxy.command, PROXY_CORE, PROXY_PORT, folder / f"{proxy.name}.log") as process:
                    load(PROXY_PORT, WARM_UP, process)
                    for name in options.workloads.split(","):
                        results[name, proxy.name].append(load(PROXY_PORT, WORKLOADS[name], process))
    return results


def table(results: dict[tuple[str, str], list[dict[str, float]]]) -> None:
    """Print medians, and ratios to nginx."""

    def median(workload: str, name: str, key: str) -> float:
        return statistics.median(found.get(key, 0.0) for found in results[workload, name])

    columns = (
        "req/s",
        "us/request",
        "x nginx",
        "us/event",
        "x nginx",
        "p50 ms",
        "p99 ms",
        "x nginx",
        "KB/stream",
        "CPU",
    )
    print(f"{'':12}" + "".join(f"{column:>11}" for column in columns) + f"{'failed':>8}")
    for workload, name in results:

        def ratio(key: str, workload: str = workload, name: str = name) -> float:
            base = median(workload, "nginx", key)
            return median(workload, name, key) / base if base else 0.0

        clients = int(WORKLOADS[workload][1])
        print(
            f"{workload} {name:10}{median(workload, name, 'per_second'):11.0f}"
            f"{median(workload, name, 'cpu_us_per_request'):11.0f}{ratio('cpu_us_per_request'):11.2f}"
            f"{median(workload, name, 'cpu_us_per_event'):11.1f}{ratio('cpu_us_per_event'):11.2f}"
            f"{median(workload, name, 'delay_p50_ms'):11.2f}{median(workload, name, 'delay_p99_ms'):11.2f}"
            f"{ratio('delay_p99_ms'):11.2f}{median(workload, name, 'rss_growth_bytes') / 1024 / clients:11.1f}"
            f"{median(workload, name, 'cpu_share'):11.2f}{median(workload, name, 'failed'):8.0f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--workloads", default="a,b,c")
    parser.add_argument("--peers", action="store_true", help="LiteLLM, too")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"))
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the proxy, one for the load")
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as folder:
        results = measure(options, Path(folder))
    table(results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({f"{w}/{n}": found for (w, n), found in results.items()}, indent=2))
    print(f"\nAll figures: {options.json}")


if __name__ == "__main__":
    main()
