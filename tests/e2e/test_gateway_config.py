"""A change of the chart's values reaches running pods without a restart, and without an effect on what is under way."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Figures
from tests.e2e.gauge import watched
from tests.e2e.kube import GATEWAY_PODS, GATEWAY_URL, ROOT, Api, helm, kubectl, until
from tests.e2e.load import Load, Shape
from tests.e2e.verdict import summary
from tests.support.raw_client import RawClient

pytestmark = pytest.mark.e2e

_APPLIED_SECONDS = 30.0


async def _upgrade(*settings: str) -> None:
    """`helm upgrade` with the values that are there and these, and the kubelets woken: they would look in a minute."""
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    await helm("upgrade", "lastcall", str(ROOT / "charts" / "lastcall"), "--reuse-values", *arguments)
    await kubectl("annotate", "pods", "--selector", GATEWAY_PODS, "--overwrite", f"e2e.example/woken-by={settings[0]}")


async def _configs(api: Api) -> list[dict[str, Any]]:
    accounts = [await api.livez(pod.name) for pod in await api.pods()]
    return [account["config"] for account in accounts if account is not None]


async def _everywhere(
    api: Api, *, other_than: frozenset[str] = frozenset(), back_to: frozenset[str] | None = None
) -> bool:
    hashes = {config["hash"] for config in await _configs(api)}
    return not hashes & other_than and (back_to is None or hashes == back_to)


async def _status(body: dict[str, Any]) -> int:
    async with await RawClient.connect(GATEWAY_URL) as client:
        headers = [("x-api-key", "k"), ("anthropic-version", "2023-06-01"), ("connection", "close")]
        await client.request("POST", "/v1/messages", headers, json.dumps(body).encode())
        return (await client.answer()).head.status


async def test_changed_limits_apply_live_with_no_restart_and_nothing_dropped(
    api: Api, diagnostics: Path, figures: Figures
) -> None:
    ask = {"model": "fake-llm-1", "max_tokens": 64, "messages": [{"role": "user", "content": "x" * 20_000}]}
    before = {pod.uid: pod.restarts for pod in await api.pods()}
    old = frozenset([config["hash"] for config in await _configs(api)])
    assert len(old) == 1
    assert await _status(ask) == 200

    shape = Shape(clients=20, longest_seconds=20.0)
    async with watched(api, diagnostics) as books, Load(GATEWAY_URL, shape) as load:
        await load.saturated()
        await _upgrade("gateway.config.limits.maxBodyBytes=10000")
        try:
            await until(lambda: _everywhere(api, other_than=old), _APPLIED_SECONDS, "the change in all pods")
            assert {await _status(ask) for _ in range(12)} == {413}
        finally:
            await _upgrade("gateway.config.limits.maxBodyBytes=67108864")
        await until(lambda: _everywhere(api, back_to=old), _APPLIED_SECONDS, "the old configuration in all pods")
        outcomes = await load.finish()
    figures(load, books)

    assert await _status(ask) == 200
    assert load.broken() == [], summary(outcomes)
    assert {pod.uid: pod.restarts for pod in await api.pods()} == before
    assert {config["error"] for config in await _configs(api)} == {None}


async def test_a_rotated_secret_is_used_live_with_no_restart(api: Api) -> None:
    before = {pod.uid: pod.restarts for pod in await api.pods()}
    ask = {"model": "fake-llm-1", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}

    async def keys_upstream() -> set[str]:
        assert {await _status(ask) for _ in range(12)} == {200}
        heads = [dict(request["headers"]) for request in (await api.upstream_requests())[-12:]]
        return {head["x-api-key"] for head in heads}

    async def only_the_new_one() -> bool:
        return await keys_upstream() == {"another"}

    assert await keys_upstream() == {"not-a-secret"}
    await _upgrade("gateway.upstreamApiKey.value=another")
    try:
        await until(only_the_new_one, _APPLIED_SECONDS, "the new key upstream, from every pod")
    finally:
        await _upgrade("gateway.upstreamApiKey.value=not-a-secret")
    assert {pod.uid: pod.restarts for pod in await api.pods()} == before
