"""Which cluster, and which of its namespaces: as kubectl decides it, for the installed program without a flag."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.process import free_port

from lastcall_operator.cluster.api import configure
from lastcall_operator.cluster.kubeconfig import find_kubeconfig
from lastcall_operator.cluster.resources import PODS
from lastcall_operator.errors import ApiUnavailableError

_PROGRAM = str(Path(sys.executable).parent / "lastcall")
_MANIFEST = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
#: Every command that needs a cluster, as the README and `--help` write it.
COMMANDS = [
    ["top"], ["top", "-A"], ["watch", "deploy/chat"], ["check"], ["drain", "pod/chat-1"], ["undrain", "pod/chat-1"],
    ["inject", "--from-cluster", "-f", "-"],
]  # fmt: skip


def config(server: str, *, name: str = "one", namespace: str | None = None, current: bool = True) -> dict[str, Any]:
    context = {"cluster": name, "user": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": context}],
        **({"current-context": name} if current else {}),
    }


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


async def lastcall(home: Path, *words: str, **environ: str) -> tuple[int | None, str, str]:
    """Run the installed program with nothing in its environment but PATH, HOME and `environ`."""
    process = await asyncio.create_subprocess_exec(
        _PROGRAM, *words, env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate(_MANIFEST.encode())
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_without_a_cluster_every_command_says_so_in_one_sentence(words, tmp_path):
    code, output, errors = await lastcall(tmp_path, *words)
    assert (code, output) == (5, "")
    assert errors == "lastcall: no cluster: there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod\n"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_a_cluster_that_cannot_be_reached_is_named_in_one_sentence(words, tmp_path):
    port = free_port()
    written(tmp_path / ".kube" / "config", config(f"https://127.0.0.1:{port}"))
    code, output, errors = await lastcall(tmp_path, *words)
    assert (code, output) == (5, "")
    assert errors.startswith(f"lastcall: the API server https://127.0.0.1:{port} cannot be reached: ")
    assert errors.count("\n") == 1


async def test_the_usual_kubeconfig_and_its_namespace_count_without_a_flag(cluster, tmp_path):
    cluster.put(PODS, _pod("llm"))
    cluster.put(PODS, _pod("other"))
    written(tmp_path / ".kube" / "config", config(cluster.url, namespace="llm"))
    code, output, errors = await lastcall(tmp_path, "top", "-o", "json")
    assert (code, errors) == (0, "")
    assert '"llm"' in output
    assert '"other"' not in output


async def test_of_several_kubeconfigs_the_missing_are_passed_over_and_the_first_word_counts(cluster, tmp_path):
    cluster.put(PODS, _pod("llm"))
    first = written(tmp_path / "a", config(cluster.url, name="here", namespace="llm"))
    second = written(tmp_path / "b", config("https://127.0.0.1:1", name="elsewhere"))
    empty = tmp_path / "empty"
    empty.write_text("")
    files = os.pathsep.join(map(str, [tmp_path / "missing", empty, first, second]))
    code, output, errors = await lastcall(tmp_path, "top", "-o", "json", KUBECONFIG=files)
    assert (code, errors) == (0, "")
    assert '"llm"' in output


async def test_a_context_may_come_from_another_file_than_its_cluster(cluster, tmp_path):
    cluster.put(PODS, _pod("llm"))
    whole = config(cluster.url, namespace="llm")
    first = written(
        tmp_path / "a", {"contexts": whole.pop("contexts"), "current-context": whole.pop("current-context")}
    )
    second = written(tmp_path / "b", whole)
    code, output, errors = await lastcall(tmp_path, "top", "-o", "json", KUBECONFIG=f"{first}{os.pathsep}{second}")
    assert (code, errors) == (0, "")
    assert '"llm"' in output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", "is not valid YAML", id="no YAML"),
        pytest.param("expires: 2026-13-45", "is not valid YAML", id="a date that there is not"),
        pytest.param("- 1", "is not a mapping", id="a list"),
        pytest.param("clusters: [1, 2]", "the kubeconfig is invalid", id="odd types"),
        pytest.param("current-context: gone", "there is no context 'gone'", id="no such context"),
        pytest.param("apiVersion: v1", "no cluster: ", id="no context at all"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_told_in_one_sentence(text, words, tmp_path):
    (tmp_path / "config").write_text(text)
    with pytest.raises(ApiUnavailableError) as caught:
        await configure(kubeconfig=str(tmp_path / "config"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_kubeconfig_that_is_named_must_exist(tmp_path):
    with pytest.raises(ApiUnavailableError, match=r"^no cluster: the kubeconfig .*none does not exist$"):
        await configure(kubeconfig=str(tmp_path / "none"))


async def test_a_context_that_is_named_must_exist(tmp_path):
    path = written(tmp_path / ".kube" / "config", config("https://127.0.0.1:1"))
    with pytest.raises(ApiUnavailableError, match=r"^no cluster: there is no context 'two' in .*config$"):
        await configure(kubeconfig=str(path), context="two")


def test_a_kubeconfig_wins_over_the_pod_it_is_in(tmp_path):
    written(tmp_path / "a", config("https://127.0.0.1:1", namespace="llm"))
    environ = {"KUBECONFIG": str(tmp_path / "a"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    found = find_kubeconfig(None, None, environ)
    assert found is not None
    assert (found.context, found.namespace) == ("one", "llm")


def test_a_pod_has_no_kubeconfig(tmp_path):
    environ = {"KUBECONFIG": str(tmp_path / "none"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert find_kubeconfig(None, None, environ) is None


def test_a_context_needs_a_kubeconfig(tmp_path):
    with pytest.raises(ApiUnavailableError, match="so no context 'two'"):
        find_kubeconfig(None, "two", {"KUBECONFIG": str(tmp_path / "none")})


def test_a_folder_is_no_kubeconfig(tmp_path):
    with pytest.raises(ApiUnavailableError, match="cannot be read"):
        find_kubeconfig(str(tmp_path), None, {})


def _pod(namespace: str) -> dict[str, Any]:
    labels = {"lastcall.dev/sidecar": "true"}
    return {"metadata": {"name": "chat-1", "namespace": namespace, "labels": labels}, "spec": {}, "status": {}}
