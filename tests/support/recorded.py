"""Streams that a vendor recorded for its own SDK's tests: in the SDK's source distribution, and nowhere in this one.

It is fetched with the package client, at the version and with the hash of the lock, once for all runs of this clone.
Nothing of it is unpacked: what is wanted is read out of the archive.
"""

import functools
import hashlib
import importlib.metadata
import json
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Git ignores it.
CACHE = ROOT / ".tools" / "sdists"
#: On a slow line.
DOWNLOAD_SECONDS = 300.0
#: No recorded file is nearly as large.
MAX_FILE_BYTES = 10 * 1024 * 1024


@functools.cache
def streams(package: str = "anthropic") -> Mapping[str, bytes]:
    """Every recorded stream of the installed version, by its path within the source distribution."""
    # Some files lack the empty line that ends the last event, as editors take it for nothing.
    found = {name: stream.rstrip(b"\n") + b"\n\n" for name, stream in sorted(_streams(sdist(package)))}
    assert found, f"the source distribution of {package} has no recorded streams"
    return found


def sdist(package: str) -> Path:
    """The source distribution of the installed version, downloaded unless it was before."""
    version = importlib.metadata.version(package)
    expected = _hash(package, version)
    path = CACHE / f"{package}-{version}.tar.gz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            _download(f"{package}=={version}", package, folder)
            (Path(folder) / path.name).replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == expected, f"{path} is not what the lock says: its hash is {found}; remove it, and run again"
    return path


def _hash(package: str, version: str) -> str:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    [locked] = [entry for entry in lock["package"] if entry["name"] == package]
    assert locked["version"] == version, f"{package} {version} is installed, {locked['version']} is locked: run uv sync"
    return locked["sdist"]["hash"].removeprefix("sha256:")


def _download(requirement: str, package: str, folder: str) -> None:
    """Ask pip, as uv downloads nothing that it does not install."""
    pip = [str(ROOT / "scripts" / "uv"), "run", "--no-project", "--quiet", "--python", sys.executable, "--with", "pip"]
    pip += ["python", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-binary", package, "--dest", folder, requirement],
        check=False,
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS,
        cwd=folder,
    )
    assert done.returncode == 0, (
        f"The tests need the recorded streams in the source distribution of {requirement}, and pip could not download "
        f"it. With a package index in reach it can:\n{done.stdout}{done.stderr}"
    )


def _streams(path: Path) -> Iterator[tuple[str, bytes]]:
    """The streams that are files, and those within the recorded exchanges of snapshots."""
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if not member.isfile() or not name.startswith("tests/"):
                continue
            if name.endswith(".sse") or (name.endswith(".txt") and "/fixtures/" in name):
                yield name, _read(archive, member)
            elif name.endswith(".json") and "/__inline_snapshot__/" in name:
                for number, exchange in enumerate(json.loads(_read(archive, member))):
                    answer = exchange["response"]
                    if answer["headers"].get("content-type", "").startswith("text/event-stream"):
                        yield f"{name}#{number}", answer["body"].encode()


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    assert member.size <= MAX_FILE_BYTES, member.name
    file = archive.extractfile(member)
    assert file is not None, member.name
    return file.read()
