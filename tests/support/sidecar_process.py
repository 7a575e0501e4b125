"""`lastcall-sidecar serve` as a real process on free ports.

    with SidecarProcess({"upstream": {"url": fake.url}}) as sidecar:
        sidecar.url         # traffic, http://127.0.0.1:PORT
        sidecar.admin_url   # admin
        sidecar.livez()     # the whole gauge
        sidecar.terminate(); sidecar.wait(10)

`settings` is the configuration file's content; ports, control socket, mode Gateway and provider Anthropic are filled in
where it says nothing. Everything blocks: in a coroutine whose event loop serves the upstream, or a client, use
`asyncio.to_thread(sidecar.wait)`. Of the environment, what would change the sidecar's behavior is left out; only
`LASTCALL_TEST_LOOP` (uvloop, asyncio) chooses its event loop.
"""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.fake import get_json
from tests.support.process import Program, free_port
from tests.support.waiting import eventually

#: The event loop under test: `make test` runs everything with each.
TEST_LOOP = os.environ.get("LASTCALL_TEST_LOOP", "auto")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested dictionary over another."""
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if nested else value
    return both


class SidecarProcess(Program):
    """One sidecar; a context manager."""

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        python: Sequence[str] = (sys.executable,),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.traffic_port, self.admin_port = free_port(), free_port()
        self._module = [*python, "-m", "lastcall_sidecar"]
        super().__init__([], env)
        self.config_file = self.folder / "config.yaml"
        self.control_socket = self.folder / "control.sock"
        self.settings = merged(
            {
                "mode": "Gateway",
                "upstream": {"provider": "Anthropic"},
                "listen": {
                    "traffic": f"127.0.0.1:{self.traffic_port}",
                    "admin": f"127.0.0.1:{self.admin_port}",
                },
                "admin": {"controlSocket": str(self.control_socket)},
            },
            settings or {},
        )
        self.command = [*self._module, "serve", "--loop", TEST_LOOP, "--config", str(self.config_file)]
        self.write_config()

    @property
    def url(self) -> str:
        """Base URL of the traffic listener."""
        return f"http://127.0.0.1:{self.traffic_port}"

    @property
    def admin_url(self) -> str:
        """Base URL of the admin listener."""
        return f"http://127.0.0.1:{self.admin_port}"

    def write_config(self, changes: Mapping[str, Any] | None = None) -> None:
        """Write the configuration file, with changes laid over what it held; renamed into place, as an editor does."""
        self.settings = merged(self.settings, changes or {})
        self.write_config_text(json.dumps(self.settings, indent=2))  # JSON is YAML

    def write_config_text(self, text: str) -> None:
        """Put any text in the configuration file's place."""
        fresh = self.config_file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.config_file)

    def is_ready(self) -> bool:
        """Both listeners answer, and readiness is 200."""
        try:
            with socket.create_connection(("127.0.0.1", self.traffic_port), 1):
                return self.health() == 200
        except OSError:
            return False

    def health(self) -> int:
        """Status of the admin listener's `/health`: 200 or, draining, 503."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.admin_url}/health", timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def livez(self) -> dict[str, Any]:
        """The whole gauge."""
        found: dict[str, Any] = get_json(f"{self.admin_url}/livez")
        return found

    def wait_for(self, timeout_seconds: float = 10.0, **wanted: Any) -> dict[str, Any]:
        """Wait until `/livez` shows these values; `state=…` means `drain.state`, `totals_x=…` means `totals.x`."""
        seen: dict[str, Any] = {}

        def holds() -> bool:
            seen.clear()
            seen.update(self.livez())
            flat = {**seen, "state": seen["drain"]["state"], **{f"totals_{k}": v for k, v in seen["totals"].items()}}
            return all(flat[name] == value for name, value in wanted.items())

        try:
            eventually(holds, f"{wanted}", timeout_seconds)
        except TimeoutError as error:
            error.add_note(f"/livez: {seen}\n{self.report()}")
            raise
        return seen

    def command_line(self, *arguments: str, timeout_seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run `lastcall-sidecar ARGUMENTS…` (drain, undrain, status, …) against this sidecar's control socket."""
        environment = {**self.env, "LASTCALL_ADMIN__CONTROL_SOCKET": str(self.control_socket)}
        return subprocess.run(
            [*self._module, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )

    def file(self, name: str, content: str) -> Path:
        """Write a file (a secret, say) beside the configuration."""
        path = self.folder / name
        path.write_text(content)
        return path
