"""New pods that ask for a sidecar: they get it, or a sentence."""

import base64
import json

import pytest

from lastcall_operator.cluster.resources import STREAM_PROXIES

from .stage import staged


@pytest.fixture
async def stage():
    async with staged(sidecar_image="example/sidecar:1") as found:
        yield found


def proxy(name="p", labels=None, created="2026-11-22T10:00:00Z", **spec):
    selector = {"matchLabels": labels or {"app": "chat"}}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": created},
        "spec": {"mode": "Ingress", "appPort": "http", "selector": selector, **spec},
    }


def review(**labels):
    container = {"name": "app", "image": "app:1", "ports": [{"name": "http", "containerPort": 8000}]}
    pod = {
        "metadata": {"generateName": "chat-", "labels": {"app": "chat", **labels}},
        "spec": {"containers": [container]},
    }
    return {"request": {"uid": "u", "namespace": "default", "operation": "CREATE", "object": pod}}


LABELED = {"lastcall.dev/inject": "true"}


async def outcome(stage, name):
    _, text = await stage.probe("/metrics")
    return f'lastcall_injections_total{{outcome="{name}"}} 1.0' in text


async def test_a_labelled_pod_gets_its_sidecar_by_a_json_patch(stage):
    stage.cluster.put(STREAM_PROXIES, proxy())
    answer = await stage.call("/mutate/pods", review(**LABELED))
    assert answer["allowed"]
    assert answer["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert any("example/sidecar:1" in json.dumps(operation) for operation in patch)
    assert await outcome(stage, "injected")


async def test_the_oldest_streamproxy_wins(stage):
    stage.cluster.put(STREAM_PROXIES, proxy("a", created="2026-11-22T11:00:00Z"))
    stage.cluster.put(STREAM_PROXIES, proxy("z"))
    answer = await stage.call("/mutate/pods", review(**LABELED))
    assert '"lastcall-z"' in base64.b64decode(answer["patch"]).decode()


async def test_an_unlabelled_pod_is_left_alone(stage):
    answer = await stage.call("/mutate/pods", review())
    assert answer == {"uid": "u", "allowed": True}


@pytest.mark.parametrize(
    ("proxies", "why"),
    [
        pytest.param([], "none of the 0 StreamProxies in namespace default selects it", id="no StreamProxy"),
        pytest.param([proxy(labels={"app": "other"})], "none of the 1 StreamProxies", id="none that selects it"),
        pytest.param([proxy(appPort="grpc")], "grpc", id="the injection is impossible"),
    ],
)
async def test_a_labelled_pod_without_its_sidecar_would_be_a_lie(stage, proxies, why):
    for each in proxies:
        stage.cluster.put(STREAM_PROXIES, each)
    answer = await stage.call("/mutate/pods", review(**LABELED))
    assert not answer["allowed"]
    assert (answer["status"]["code"], "patch" in answer) == (403, False)
    assert why in answer["status"]["message"]
    assert await outcome(stage, "refused")


async def test_without_the_api_server_it_is_refused_with_a_sentence(stage):
    stage.cluster.failing = 503
    answer = await stage.call("/mutate/pods", review(**LABELED))
    assert not answer["allowed"]
    assert answer["status"]["message"].startswith("lastcall: GET /apis/lastcall.dev")
