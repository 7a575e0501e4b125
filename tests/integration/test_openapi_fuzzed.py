"""Schemathesis makes up requests after the description, good and bad ones; nothing that is answered contradicts it.

The sidecar is a real one with API keys, before two strict fakes: one vendor's API as `upstream`, the other's beside it,
so that every route has an upstream, and every translation is on the way of some request. What is checked, and what
cannot be, is in `openapi_fuzzed.toml`.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake import FakeProcess, get_json
from tests.support.process import Program
from tests.support.sidecar_process import SidecarProcess

from lastcall_sidecar.testing.serving import Api

CONFIG = Path(__file__).with_name("openapi_fuzzed.toml")
KEY = "sk-lastcall-fuzzed-0001"
#: For a run that hangs. Both together take 25 s, and 80 s on a busy machine.
MAX_SECONDS = 180
#: Fewer than the limits of the configuration give: so that a run of nothing is no success.
MIN_CASES = 300
#: What the two sidecars' upstreams serve. Random names would all be a 404, and nothing behind that be seen.
MODELS = ["claude-sonnet-4-6", "gpt-4o", "text-embedding-3-small"]
#: The one as `upstream`, the other for the models of its own.
UPSTREAMS: dict[str, tuple[Api, Api]] = {
    "Anthropic first": ("Anthropic", "OpenAI"),
    "vLLM first": ("vLLM", "Anthropic"),
}
PATTERNS = {"Anthropic": ["claude-*"], "OpenAI": ["gpt-*", "text-embedding-*"]}
VLLM_NAMES = {"gpt-4o": "fake-llm-1", "text-embedding-3-small": "fake-embeddings"}


@dataclass(frozen=True)
class Run:
    """What a run of schemathesis came to, and what it left behind."""

    returncode: int
    report: str
    gauge: dict[str, Any]
    log: str


@contextlib.contextmanager
def sidecar_before(main: Api, beside: Api) -> Iterator[SidecarProcess]:
    with FakeProcess(api=main) as first, FakeProcess(api=beside) as second:
        sidecar = SidecarProcess({"drain": {"settleSeconds": 0}})
        key = {"apiKeyFile": str(sidecar.file("upstream_key", "sk-upstream-0001\n"))}
        upstream = {"url": first.url, "provider": provider(main), **key}
        if main == "vLLM":
            upstream["models"] = VLLM_NAMES
        other = {"name": "other", "url": second.url, "provider": provider(beside), "models": PATTERNS[beside], **key}
        keys = str(sidecar.file("keys", f"{KEY}\n"))
        sidecar.write_config({"upstream": upstream, "upstreams": [other], "auth": {"apiKeysFile": keys}})
        with sidecar:
            yield sidecar


def provider(api: Api) -> str:
    return "Anthropic" if api == "Anthropic" else "OpenAI"


def checkable(description: dict[str, Any]) -> dict[str, Any]:
    """The description as it can be held against the fakes.

    They have no answers but those that are described one by one, so `default`, which allows any, is left out.
    """
    for item in description["paths"].values():
        for name, operation in item.items():
            if name != "parameters":
                operation["responses"].pop("default", None)
    schemas = description["components"]["schemas"]
    # Tokens are counted for any model, roughly where no tokenizer knows it.
    schemas["CountTokens"]["properties"]["model"] = schemas["ModelName"]
    schemas["ModelName"] = {"enum": MODELS}
    return description


def run(name: str) -> Run:
    with sidecar_before(*UPSTREAMS[name]) as sidecar:
        described = sidecar.file("openapi.json", json.dumps(checkable(get_json(f"{sidecar.url}/openapi.json"))))
        headers = [f"--header=x-api-key: {KEY}", "--header=anthropic-version: 2023-06-01"]
        command = ["-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", str(described), "--url", sidecar.url]
        schemathesis = Program([sys.executable, *command, *headers])
        schemathesis.launch()
        try:
            code = schemathesis.wait(MAX_SECONDS)
        finally:
            schemathesis.stop()
        report = schemathesis.output()
        return Run(code, report, sidecar.livez(), sidecar.output())


@pytest.fixture(scope="module")
def runs():
    """All of them at the same time."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(UPSTREAMS, pool.map(run, UPSTREAMS), strict=True))


@pytest.mark.parametrize("name", UPSTREAMS)
def test_nothing_contradicts_the_description(runs, name):
    assert runs[name].returncode == 0, runs[name].report


@pytest.mark.parametrize("name", UPSTREAMS)
def test_every_operation_was_asked_and_often(runs, name):
    report = runs[name].report
    selected, every = map(int, re.findall(r"Selected: (\d+)/(\d+)", report)[0])
    assert selected == every == int(re.findall(r"Tested: (\d+)", report)[0])
    assert int(re.findall(r"(\d+) generated", report)[0]) >= MIN_CASES


@pytest.mark.parametrize("name", UPSTREAMS)
def test_nothing_is_left_behind(runs, name):
    assert runs[name].gauge["in_flight"] == 0
    assert runs[name].gauge["totals"]["completed"] > 0
    assert "Traceback" not in runs[name].log
