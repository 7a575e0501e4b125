"""One cluster for the whole run, and what is to be kept of it when a test fails."""

import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.e2e import kube
from tests.e2e.gauge import Books, settled
from tests.e2e.kube import Api
from tests.e2e.load import Load
from tests.e2e.marks import Watcher
from tests.e2e.verdict import Verdict, summary

#: Where the diagnostics of failed tests go.
DIAGNOSTICS = Path(os.environ.get("LASTCALL_E2E_DIAGNOSTICS", kube.ROOT / "build" / "e2e"))
#: Take the cluster as it stands, without a look at the images: for whoever works on the tests themselves.
AS_IS = os.environ.get("LASTCALL_E2E_AS_IS") == "true"
_INSTALL = {
    "docker": "https://docs.docker.com/engine/install/",
    "kind": "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "kubectl": "https://kubernetes.io/docs/tasks/tools/#kubectl",
    "helm": "https://helm.sh/docs/intro/install/",
}
#: The whole of it may take so long on two idle cores, the cluster's creation included. Said at the end, not enforced:
#: how busy the machine is is no property of ours.
MAX_WALL_SECONDS = 20 * 60.0
_began = pytest.StashKey[float]()
_failed = pytest.StashKey[bool]()
_lines = pytest.StashKey[list[str]]()


class Figures(Protocol):
    """Note what a load came to: for the run's closing lines, and for the diagnostics."""

    def __call__(self, load: Load, books: Books | None = None) -> None:
        """Note it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let the fixtures know whether their test failed."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Close with the figures: what the clients saw, test by test; and how long all of it took."""
    for line in config.stash.get(_lines, []):
        terminalreporter.write_line(line)
    if (took := _took(config)) is not None:
        verdict = "too long: it is to be" if took > MAX_WALL_SECONDS else "of"
        terminalreporter.write_line(f"e2e: {took:.0f} s in all, {verdict} at most {MAX_WALL_SECONDS:.0f} s")


def _took(config: pytest.Config) -> float | None:
    began = config.stash.get(_began, None)
    return None if began is None else time.monotonic() - began


@pytest.fixture
def figures(request: pytest.FixtureRequest, diagnostics: Path) -> Figures:
    """Note what a load came to."""

    def note(load: Load, books: Books | None = None) -> None:
        (diagnostics / "summary").write_text(f"{summary(load.outcomes)}\n{books or ''}\n")
        counts = Counter(outcome.verdict for outcome in load.outcomes)
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)
        name = request.node.name.removeprefix("test_").replace("_", " ")
        request.config.stash.setdefault(_lines, []).append(f"e2e: {name}: {len(load.outcomes)} requests, {told}")

    return note


@pytest.fixture(scope="session")
def marks(cluster: None) -> Iterator[Watcher]:
    """Watches what is written on pods, from the first test that needs a cluster to the one that asks."""
    watcher = Watcher()
    watcher.start()
    yield watcher
    watcher.stop()


@pytest.fixture(autouse=True)
def _marks_are_watched(request: pytest.FixtureRequest) -> None:
    if "cluster" in request.fixturenames:
        request.getfixturevalue("marks")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> None:
    """The cluster of `scripts/kind-up`, up to date. Without Docker and kind: a loud skip, or a failure with CI=true."""
    missing = [command for command in _INSTALL if shutil.which(command) is None]
    if not missing and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        missing = ["docker"]
    if missing:
        where = "; ".join(f"{command}: {_INSTALL[command]}" for command in missing)
        sentence = f"end-to-end tests need {' and '.join(missing)}, installed and running: {where}"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    request.config.stash[_began] = time.monotonic()
    if AS_IS:
        return
    up = subprocess.run([kube.ROOT / "scripts" / "kind-up"], capture_output=True, text=True, check=False)
    if up.returncode != 0:
        pytest.fail(f"scripts/kind-up failed:\n{up.stdout}\n{up.stderr}")
    shutil.rmtree(DIAGNOSTICS, ignore_errors=True)


@pytest.fixture
def diagnostics(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for the test's logs; kept when it fails."""
    folder = DIAGNOSTICS / request.node.name.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    if not request.node.stash.get(_failed, False):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def api(cluster: None, request: pytest.FixtureRequest, diagnostics: Path) -> AsyncIterator[Api]:
    """The API server, with three Ready gateway pods to begin with; on a failure, events and pods go to the folder."""
    async with kube.api() as found:
        await settled(found, within_seconds=180)
        yield found
        if request.node.stash.get(_failed, False):
            await _collect(found, diagnostics)


async def _collect(api: Api, folder: Path) -> None:
    for name, arguments in {
        "events": ("get", "events", "--sort-by=.lastTimestamp"),
        "pods": ("get", "pods", "--output=wide"),
        "pods.yaml": ("get", "pods", "--output=yaml"),
        "nodes": ("describe", "nodes"),
        "upstream.log": ("logs", "deployment/upstream", "--tail=2000"),
    }.items():
        (folder / name).write_text(await kube.kubectl(*arguments))
    for pod in await api.pods():
        (folder / f"{pod.name}.livez").write_text(f"{await api.livez(pod.name)}\n")
        if not (folder / f"{pod.name}.log").exists():
            (folder / f"{pod.name}.log").write_text(await kube.kubectl("logs", pod.name, "--tail=5000"))
        with contextlib.suppress(kube.CommandFailedError):  # only a container that was restarted has a log before
            (folder / f"{pod.name}.previous.log").write_text(await kube.kubectl("logs", pod.name, "--previous"))
