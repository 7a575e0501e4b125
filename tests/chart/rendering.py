"""`helm template` for the tests: values in, objects out."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "lastcall"
#: Offline, helm has to be told which cluster it renders for: the oldest that we support.
KUBE_VERSION = "1.29.0"

#: Values by dotted path, as `--set-json` takes them.
Values = Mapping[str, Any]


class RenderError(Exception):
    """Helm refused; the message is what it said."""


def helm(*arguments: str) -> str:
    """Run helm; `RenderError` when it refuses. Without it: a loud skip, or a failure with CI=true."""
    if shutil.which("helm") is None:
        sentence = "the chart's tests need helm: https://helm.sh/docs/intro/install/"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderError(done.stderr)
    return done.stdout


@functools.cache
def _template(settings: tuple[str, ...], version: str) -> str:
    options = [option for setting in settings for option in ("--set-json", setting)]
    return helm("template", "lastcall", str(CHART), "--namespace", "llm", "--kube-version", version, *options)


def text(values: Values | None = None, *, version: str = KUBE_VERSION) -> str:
    """Render the release `lastcall` in the namespace `llm`."""
    return _template(tuple(f"{path}={json.dumps(value)}" for path, value in (values or {}).items()), version)


def objects(values: Values | None = None) -> list[dict[str, Any]]:
    """Render, and parse every object."""
    return [document for document in yaml.safe_load_all(text(values)) if document]


def named(kind: str, values: Values | None = None) -> dict[str, dict[str, Any]]:
    """Render, and return the objects of a kind by their names without the release's; not what an uninstall makes."""
    found: dict[str, dict[str, Any]] = {}
    for document in objects(values):
        metadata = document["metadata"]
        if document["kind"] == kind and metadata.get("annotations", {}).get("helm.sh/hook") != "pre-delete":
            name = metadata["name"].removeprefix("lastcall").removeprefix("-")
            assert name not in found, f"two objects of the kind {kind} and the name {name}"
            found[name] = document
    return found


def one(kind: str, values: Values | None = None, part: str = "gateway") -> dict[str, Any]:
    """Render, and return the only object of a kind that belongs to a part of the chart."""
    (found,) = [document for name, document in named(kind, values).items() if name.startswith(part)]
    return found


def pod(values: Values | None = None) -> dict[str, Any]:
    """The spec of the gateway's pods."""
    spec: dict[str, Any] = one("Deployment", values)["spec"]["template"]["spec"]
    return spec


def container(values: Values | None = None) -> dict[str, Any]:
    """The gateway's only container."""
    (found,) = pod(values)["containers"]
    assert isinstance(found, dict)
    return found


def config(values: Values | None = None) -> dict[str, Any]:
    """The sidecar's configuration file."""
    parsed: dict[str, Any] = yaml.safe_load(one("ConfigMap", values)["data"]["lastcall.yaml"])
    return parsed
