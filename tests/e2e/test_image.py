"""The sidecar's image by itself: small, bare, and a good citizen under plain Docker."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.kube import run, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("cluster")]

_IMAGE = "lastcall-sidecar:dev"
_READ_ONLY = ("--read-only", "--tmpfs", "/run/lastcall:uid=65532,gid=65532,mode=0700", "--cap-drop", "ALL")


async def _inspect(kind: str, name: str) -> dict[str, Any]:
    (found,) = json.loads(await run("docker", kind, "inspect", name))
    assert isinstance(found, dict)
    return found


async def _in_image(*command: str) -> str:
    return await run("docker", "run", "--rm", *_READ_ONLY, "--entrypoint", command[0], _IMAGE, *command[1:])


@pytest.fixture
async def container() -> AsyncIterator[str]:
    """A container that serves on a read-only root, as `docker run` starts it; gone afterwards."""
    name = f"lastcall-test-{uuid.uuid4().hex[:8]}"
    await run("docker", "run", "--detach", "--name", name, "--health-interval", "1s", *_READ_ONLY, _IMAGE)
    yield name
    await run("docker", "rm", "--force", name)


async def test_it_is_small() -> None:
    assert (await _inspect("image", _IMAGE))["Size"] < 200_000_000


async def test_it_says_what_it_is_and_how_it_wants_to_be_run() -> None:
    config = (await _inspect("image", _IMAGE))["Config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["/usr/bin/tini", "--", "lastcall-sidecar"]
    assert config["Cmd"][0] == "serve"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8081/tcp"}
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision"} <= set(labels)
    assert f"lastcall-sidecar {labels['version']}" == (await _in_image("lastcall-sidecar", "--version")).strip()


async def test_it_has_no_compiler_no_installer_and_no_certificate_of_the_machine_that_built_it() -> None:
    tools = "cc gcc ld as strip make pip pip3 uv git curl wget"
    found = await _in_image("sh", "-c", f"for tool in sh {tools}; do command -v $tool; done; true")
    assert len(found.splitlines()) == 1, f"only sh was to be found\n{found}"
    assert await _in_image("find", "/opt/lastcall", "/etc/lastcall", "/run", "-name", "*.crt") == ""


async def test_it_becomes_healthy_on_a_read_only_root_and_leaves_with_exit_code_0(container: str) -> None:
    async def healthy() -> bool:
        return bool((await _inspect("container", container))["State"]["Health"]["Status"] == "healthy")

    await until(healthy, 20, "a healthy container")
    status = json.loads(await run("docker", "exec", container, "lastcall-sidecar", "status"))
    assert (status["status"], status["drain"]["state"]) == ("ok", "serving")
    first = (await run("docker", "exec", container, "cat", "/proc/1/comm")).strip()
    assert first == "tini-static" or first == "tini"
    await run("docker", "stop", "--time", "20", container)
    assert (await _inspect("container", container))["State"]["ExitCode"] == 0


async def test_it_listens_for_everybody_who_reaches_the_container(container: str) -> None:
    async def addresses() -> set[str]:
        log = await run("sh", "-c", f"docker logs {container} 2>&1")
        lines = [json.loads(line) for line in log.splitlines()]
        return {line["address"] for line in lines if line["event"] == "listening"}

    async def listens() -> bool:
        return len(await addresses()) == 2

    await until(listens, 20, "two listeners in the log")
    assert await addresses() == {"[::]:8080", "[::]:8081"}
