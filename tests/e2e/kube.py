"""kubectl and helm for the tests: one cluster, one namespace, JSON in and out."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
CONTEXT = "kind-lastcall"
NAMESPACE = "lastcall"
GATEWAY = "lastcall-gateway"
#: The gateway's pods, and no other's.
GATEWAY_PODS = "app.kubernetes.io/component=gateway"
GATEWAY_URL = "http://127.0.0.1:18080"
BARE_URL = "http://127.0.0.1:18081"


class CommandFailedError(Exception):
    """A command ended with another code than 0; the message has what it said."""


async def run(*argv: str, within_seconds: float = 120.0, stdin: bytes | None = None) -> str:
    """Run a command and return its standard output."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(within_seconds):
            output, errors = await process.communicate(stdin)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if process.returncode != 0:
        raise CommandFailedError(f"{' '.join(argv)}: exit {process.returncode}\n{output.decode()}\n{errors.decode()}")
    return output.decode()


async def until(holds: Callable[[], Awaitable[bool]], within_seconds: float, what: str) -> None:
    """Look twice a second until it holds; `AssertionError` with what was waited for."""
    end = time.monotonic() + within_seconds
    while not await holds():
        assert time.monotonic() < end, f"not within {within_seconds:g} s: {what}"
        await asyncio.sleep(0.5)


async def kubectl(*argv: str, within_seconds: float = 120.0, stdin: bytes | None = None) -> str:
    """Run kubectl in the tests' namespace."""
    command = ("kubectl", "--context", CONTEXT, "--namespace", NAMESPACE, *argv)
    return await run(*command, within_seconds=within_seconds, stdin=stdin)


async def helm(*argv: str, within_seconds: float = 240.0, stdin: bytes | None = None) -> str:
    """Run helm in the tests' namespace."""
    command = ("helm", "--kube-context", CONTEXT, "--namespace", NAMESPACE, *argv)
    return await run(*command, within_seconds=within_seconds, stdin=stdin)


async def kill(pod: str, container: str, program: str, *, namespace: str = NAMESPACE) -> None:
    """SIGKILL a program in a container: what the kernel does when memory runs out. (PID 1 cannot be; its child can.)"""
    script = (
        "import os, pathlib, signal\n"
        "for found in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        "    words = found.read_bytes().split(b'\\0')\n"
        f"    if {program!r}.encode() in words and int(found.parent.name) not in (1, os.getpid()):\n"
        "        os.kill(int(found.parent.name), signal.SIGKILL)\n"
    )
    try:
        await kubectl("--namespace", namespace, "exec", pod, "--container", container, "--", "python", "-c", script)
    except CommandFailedError as error:
        if "exit code 137" not in str(error):  # the container may take us with it
            raise


async def get(*argv: str) -> Any:
    """`kubectl get … -o json`, parsed."""
    return json.loads(await kubectl("get", *argv, "--output", "json"))


@dataclass(frozen=True)
class Pod:
    """What the tests look at in a pod."""

    name: str
    uid: str
    revision: str
    ready: bool
    terminating: bool
    restarts: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Pod":
        """Read a pod's JSON."""
        metadata, status = document["metadata"], document.get("status", {})
        conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
        return cls(
            metadata["name"],
            metadata["uid"],
            metadata.get("labels", {}).get("pod-template-hash", ""),
            conditions.get("Ready") == "True",
            "deletionTimestamp" in metadata,
            sum(item["restartCount"] for item in status.get("containerStatuses", [])),
        )


class Api:
    """The API server through `kubectl proxy`: pods, and each pod's admin port."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def pods(self, selector: str = GATEWAY_PODS) -> list[Pod]:
        """All pods that match, the terminating ones too."""
        answer = await self._http.get(f"/api/v1/namespaces/{NAMESPACE}/pods", params={"labelSelector": selector})
        return [Pod.of(item) for item in answer.raise_for_status().json()["items"]]

    async def livez(self, pod: str) -> dict[str, Any] | None:
        """What the sidecar in a pod says of itself; None when it cannot be asked (not yet, or no more)."""
        try:
            answer = await self._http.get(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8081/proxy/livez")
        except httpx.HTTPError:
            return None
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    async def upstream_requests(self) -> list[dict[str, Any]]:
        """The last requests that reached the fake LLM, with their heads."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/upstream:http/proxy/__requests"
        found: list[dict[str, Any]] = (await self._http.get(path)).raise_for_status().json()
        return found


@asynccontextmanager
async def proxied() -> AsyncIterator[httpx.AsyncClient]:
    """Open the API server's door on a free port of this machine's loopback."""
    process = await asyncio.create_subprocess_exec(
        "kubectl", "--context", CONTEXT, "proxy", "--port=0", "--reject-methods=^$", "--reject-paths=^$",
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=4)
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        async with httpx.AsyncClient(base_url=f"http://{line.split()[-1]}", timeout=5.0, limits=limits) as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def api() -> AsyncIterator[Api]:
    """Open the API server's door for questions about the gateway."""
    async with proxied() as http:
        yield Api(http)
