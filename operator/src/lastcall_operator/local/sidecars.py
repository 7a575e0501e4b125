"""One pod of the local cluster: a sidecar's process, its configuration, and the two probes of it.

`cluster.py` starts, probes, drains and ends them. A pod is never restarted: its successor is another pod.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from lastcall_operator.errors import ProcessError
from lastcall_operator.local.front import Endpoint
from lastcall_operator.local.gauge import Gauge, Totals, read_gauge
from lastcall_operator.local.processes import Child, free_ports
from lastcall_operator.rollout import PodState, PodView

_HOST = "127.0.0.1"
#: A cold Python on a busy laptop with two cores takes a few seconds; a minute means that it never will.
_START_SECONDS = 60.0
_START_POLL_SECONDS = 0.1
#: Bounds one probe, as the operator's polls are bounded.
PROBE_SECONDS = 2.0
#: A sidecar that has drained ends at once; what takes longer than this hangs.
_EXIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What all pods of the cluster have in common."""

    program: Path
    directory: Path
    upstream_url: str
    settle_seconds: int
    #: chooses ports
    rng: random.Random
    environment: Mapping[str, str]


@dataclass(slots=True)
class LocalPod:
    """A sidecar's process and what is known of it. `gauge` is None while it does not answer."""

    name: str
    revision: str
    child: Child
    config: Path
    control_socket: Path
    blueprint: Blueprint
    traffic_port: int
    admin_port: int
    started: float
    ready: bool = False
    gauge: Gauge | None = None
    totals: Totals = field(default_factory=Totals)
    asked_to_drain: float | None = None
    terminating: bool = False

    @property
    def url(self) -> str:
        """Where it serves traffic."""
        return f"http://{_HOST}:{self.traffic_port}"

    @property
    def admin_url(self) -> str:
        """Where it answers `/livez` and `/metrics`."""
        return f"http://{_HOST}:{self.admin_port}"

    def view(self) -> PodView:
        """Show the planner what is known."""
        gone = self.child.exit_code is not None
        return PodView(
            name=self.name,
            revision=self.revision,
            ready=self.ready and not gone,
            in_flight=0 if gone else None if self.gauge is None else self.gauge.in_flight,
            state=PodState.GONE if gone else None if self.gauge is None else self.gauge.state,
            started=self.started,
            oldest_request_seconds=None if gone or self.gauge is None else self.gauge.oldest_request_seconds,
            removal_since=self.asked_to_drain,
            terminating=self.terminating,
        )

    def endpoint(self) -> Endpoint:
        """Show the front where it is, and whether new connections should come."""
        alive = self.child.exit_code is None
        return Endpoint(self.name, _HOST, self.traffic_port, self.ready and alive, alive)

    async def probe_gauge(self, http: httpx.AsyncClient) -> None:
        """Ask `/livez`, as the operator does."""
        try:
            answer = await http.get(f"{self.admin_url}/livez", timeout=PROBE_SECONDS)
            self.gauge = read_gauge(answer.raise_for_status().json())
            self.totals = self.gauge.totals
        except (httpx.HTTPError, ValueError):
            self.gauge = None

    async def probe_readiness(self, http: httpx.AsyncClient) -> None:
        """Ask `/health`, as the kubelet does."""
        try:
            answer = await http.get(f"{self.url}/health", timeout=PROBE_SECONDS)
            self.ready = answer.status_code == httpx.codes.OK
        except httpx.HTTPError:
            self.ready = False

    async def until_ready(self, http: httpx.AsyncClient) -> None:
        """Wait until it takes traffic; ProcessError when it ends before, or never does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                while self.child.exit_code is None:
                    await self.probe_readiness(http)
                    if self.ready:
                        await self.probe_gauge(http)
                        return
                    await asyncio.sleep(_START_POLL_SECONDS)
        if self.child.exit_code is None:
            raise ProcessError(f"{self.name} was not ready after {_START_SECONDS:.0f} s: {self.child.last_words()}")
        raise ProcessError(
            f"{self.name} ended with exit code {self.child.exit_code} before it was ready: {self.child.last_words()}"
        )

    async def drain(self, reason: str) -> None:
        """Drain it as a preStop hook does, and return when it is drained; ProcessError when the hook fails."""
        hook = await Child.start(
            f"the preStop hook of {self.name}",
            [str(self.blueprint.program), "drain", "--wait", "--socket", str(self.control_socket), "--reason", reason],
            self.child.log.with_suffix(".prestop.log"),
            self.blueprint.environment,
        )
        try:
            code = await hook.ended()
        except asyncio.CancelledError:
            hook.kill()
            await hook.ended()
            raise
        if code != 0:
            raise ProcessError(f"{hook.name} ended with exit code {code}: {hook.last_words()}")

    async def end(self, http: httpx.AsyncClient, grace_seconds: float = _EXIT_SECONDS) -> int:
        """End it as the kubelet does: SIGTERM, and SIGKILL after the grace period. Gives the exit code."""
        self.terminating = True
        await self.probe_gauge(http)  # what it counted dies with it
        self.child.terminate()
        if await self.child.ended(grace_seconds) is None:
            self.child.kill()
        code = await self.child.ended()
        assert code is not None  # noqa: S101  # it was waited for without a limit
        return code


async def start_pod(name: str, revision: str, blueprint: Blueprint, now: float) -> LocalPod:
    """Start a sidecar with a configuration file, ports and a control socket of its own."""
    home = blueprint.directory / f"{name}-r{revision}"
    home.mkdir()
    traffic_port, admin_port = free_ports(2, blueprint.rng)
    config, control_socket = home / "config.yaml", home / "control.sock"
    # JSON is YAML, and needs no library for it.
    config.write_text(
        json.dumps(
            {
                "mode": "Gateway",
                "upstream": {"provider": "Anthropic", "url": blueprint.upstream_url},
                "drain": {"settleSeconds": blueprint.settle_seconds},
                "listen": {"traffic": f"{_HOST}:{traffic_port}", "admin": f"{_HOST}:{admin_port}"},
                "admin": {"controlSocket": str(control_socket)},
            },
            indent=2,
        )
    )
    child = await Child.start(
        name, [str(blueprint.program), "serve", "--config", str(config)], home / "sidecar.log", blueprint.environment
    )
    return LocalPod(name, revision, child, config, control_socket, blueprint, traffic_port, admin_port, now)
