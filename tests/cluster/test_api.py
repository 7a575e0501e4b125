"""The Kubernetes API's refusals become ours at one boundary."""

import pytest

from lastcall_operator.cluster.api import Api
from lastcall_operator.cluster.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from lastcall_operator.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from lastcall_operator.testing import FakeCluster


@pytest.fixture
async def cluster():
    async with FakeCluster() as found:
        yield found


@pytest.fixture
async def api(cluster):
    async with cluster.connect() as found:
        yield found


def thing(name="a", namespace="x", **more):
    return {"metadata": {"name": name, "namespace": namespace, **more}}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, ApiError),
        (422, InvalidError),
        (429, ApiUnavailableError),
        (500, ApiUnavailableError),
        (503, ApiUnavailableError),
    ],
)
async def test_each_status_has_its_error(cluster, api, status, error):
    cluster.failing = status
    with pytest.raises(ApiError, match="GET /api/v1/namespaces/x/pods/a: as asked for") as caught:
        await api.get(PODS, "x", "a")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, "InternalError")


async def test_nobody_answers(cluster):
    async with cluster.connect(timeout_seconds=0.1) as api:
        cluster.delay_seconds = 5
        with pytest.raises(ApiUnavailableError, match="no answer within"):
            await api.list(PODS)


async def test_nobody_listens(cluster):
    cluster.url = "http://127.0.0.1:1"
    async with cluster.connect() as api:
        with pytest.raises(ApiUnavailableError, match="Connect"):
            await api.list(PODS)


async def test_there_is_no_way_to_a_cluster(tmp_path):
    with pytest.raises(ApiUnavailableError, match=r"no cluster: the kubeconfig .* does not exist"):
        await Api.connect(kubeconfig=str(tmp_path / "none"))


async def test_a_kubeconfig_leads_there(cluster, tmp_path):
    cluster.put(SECRETS, thing())
    config = tmp_path / "config"
    config.write_text(
        "{apiVersion: v1, kind: Config, current-context: c,"
        f" clusters: [{{name: k, cluster: {{server: '{cluster.url}'}}}}], users: [{{name: u, user: {{token: t}}}}],"
        " contexts: [{name: c, context: {cluster: k, user: u}}]}"
    )
    async with await Api.connect(kubeconfig=str(config), context="c") as api:
        assert (await api.get(SECRETS, "x", "a"))["metadata"]["name"] == "a"


async def test_reading_and_writing(cluster, api):
    for name, namespace in (("a", "x"), ("b", "x"), ("c", "y")):
        cluster.put(SECRETS, thing(name, namespace, labels={"is": name}))
    assert [each["metadata"]["name"] for each in await api.list(SECRETS)] == ["a", "b", "c"]
    assert [each["metadata"]["name"] for each in await api.list(SECRETS, "x", labels="is=b")] == ["b"]
    assert [each["metadata"]["name"] for each in await api.list_in(SECRETS, ["y", "x"])] == ["c", "a", "b"]
    assert len(await api.list_in(SECRETS, [])) == 3
    assert await api.find(SECRETS, "x", "c") is None
    await api.create(NAMESPACES, None, {"metadata": {"name": "n"}})
    assert cluster.get(NAMESPACES, None, "n")["kind"] == "Namespace"
    with pytest.raises(ConflictError) as caught:
        await api.create(SECRETS, "x", thing())
    assert caught.value.reason == "AlreadyExists"
    await api.delete(SECRETS, "x", "a")
    assert await api.find(SECRETS, "x", "a") is None


async def test_patches_and_versions(cluster, api):
    cluster.put(CONFIG_MAPS, {**thing(annotations={"gone": "1"}), "data": {"k": "v"}})
    first = await api.get(CONFIG_MAPS, "x", "a")
    version = first["metadata"]["resourceVersion"]
    second = await api.annotate(CONFIG_MAPS, "x", "a", {"new": "2", "gone": None}, resource_version=version)
    assert second["metadata"]["annotations"] == {"new": "2"}
    with pytest.raises(ConflictError):
        await api.annotate(CONFIG_MAPS, "x", "a", {"late": "3"}, resource_version=version)
    with pytest.raises(ConflictError):
        await api.replace(CONFIG_MAPS, "x", "a", first)
    patch = [{"op": "test", "path": "/data/k", "value": "v"}, {"op": "add", "path": "/data/k", "value": "w"}]
    assert (await api.patch(CONFIG_MAPS, "x", "a", patch))["data"] == {"k": "w"}
    with pytest.raises(InvalidError):
        await api.patch(CONFIG_MAPS, "x", "a", patch)
