"""The installed `lastcall` as the README writes it: an ordinary kubeconfig, and no flags but those shown there."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.e2e import kube
from tests.e2e.stage import Stage, app_container, deployment, drain_policy, pod_template, service, staged, stream_proxy

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

_FOLDER = Path(sys.executable).parent


class Shell:
    """A person's shell: HOME with a kubeconfig whose context names the namespace, and nothing else."""

    def __init__(self, home: Path, stage: Stage) -> None:
        self.home, self.stage = home, stage

    async def run(self, *words: str) -> tuple[int | None, str, str]:
        """Run a program of the environment; its exit code, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            *words, env={"PATH": f"{_FOLDER}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.home)},
            cwd=self.home, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(120):
            output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shell(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """A shell beside a workload of two pods behind sidecars."""
    home = tmp_path_factory.mktemp("home")
    config = yaml.safe_load(await kube.run("kind", "get", "kubeconfig", "--name", kube.CONTEXT.removeprefix("kind-")))
    async with staged("command-line") as stage:
        config["contexts"][0]["context"]["namespace"] = stage.namespace
        (home / ".kube").mkdir()
        (home / ".kube" / "config").write_text(yaml.safe_dump(config))
        template = pod_template(app_container(stage.image))
        await stage.apply(service(), stream_proxy(), drain_policy(), deployment(template, 2))
        (home / "workload.yaml").write_text(json.dumps(deployment(template, 2)))
        (home / "streamproxy.yaml").write_text(json.dumps(stream_proxy()))
        await stage.ready(2)
        await stage.says("streamproxy/chat", "Ready", "True")
        yield Shell(home, stage)


async def test_top_shows_the_pods_of_the_context_s_namespace(shell: Shell) -> None:
    pods = await shell.stage.ready(2)
    code, output, errors = await shell.run("lastcall", "top")
    assert (code, errors) == (0, "")
    assert output.startswith("NAMESPACE")
    assert "2 pods, 0 in flight, 0 draining" in output
    assert all(pod in output for pod in pods)


async def test_kubectl_finds_it_as_a_plugin(shell: Shell) -> None:
    code, output, errors = await shell.run("kubectl", "lastcall", "top")
    assert (code, errors) == (0, "")
    assert "2 pods" in output


async def test_watch_tells_of_a_rollout_to_its_end(shell: Shell) -> None:
    await shell.stage.kubectl("rollout", "restart", "deployment/chat")
    code, output, errors = await shell.run("lastcall", "watch", "deploy/chat")
    assert (code, errors) == (0, "")
    assert "2 of 2" in output
    await shell.stage.ready(2)


async def test_check_finds_nothing_that_fails(shell: Shell) -> None:
    code, output, errors = await shell.run("lastcall", "check")
    assert (code, errors) == (0, ""), output
    assert f"streamproxy/{shell.stage.namespace}/chat: all conditions are good" in output


async def test_check_knows_aks_by_its_nodes(shell: Shell) -> None:
    await kube.kubectl("label", "nodes", "--all", "kubernetes.azure.com/cluster=MC_a_b_c")
    try:
        code, output, errors = await shell.run("lastcall", "check")
    finally:
        await kube.kubectl("label", "nodes", "--all", "kubernetes.azure.com/cluster-")
    assert (code, errors) == (0, ""), output
    assert "warn  nodes: this is AKS" in output


async def test_a_pod_is_drained_and_taken_back(shell: Shell) -> None:
    pod, _ = await shell.stage.ready(2)
    code, output, errors = await shell.run("lastcall", "drain", f"pod/{pod}")
    assert (code, errors) == (0, "")
    assert output.startswith(f"pod/{pod}: drain")
    code, output, errors = await shell.run("lastcall", "undrain", f"pod/{pod}")
    assert (code, errors) == (0, "")
    assert output.startswith(f"pod/{pod}: serving")


async def test_inject_prints_what_the_webhook_makes(shell: Shell) -> None:
    code, output, _ = await shell.run("lastcall", "inject", "-f", "workload.yaml", "--proxy", "streamproxy.yaml")
    assert code == 0
    (workload,) = yaml.safe_load_all(output)
    assert [item["name"] for item in workload["spec"]["template"]["spec"]["initContainers"]] == ["lastcall"]


@pytest.mark.parametrize(
    "words", [("watch", "deploy/none"), ("drain", "pod/none"), ("undrain", "pod/none")], ids=" ".join
)
async def test_what_is_not_there_is_said_in_one_sentence(shell: Shell, words: tuple[str, str]) -> None:
    code, output, errors = await shell.run("lastcall", *words)
    assert (code, output) == (3, "")
    assert "not found" in errors
    assert errors.count("\n") == 1
