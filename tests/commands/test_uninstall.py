"""`lastcall uninstall`: what it takes away, what it leaves, and that it needs no right that the chart does not give."""

from dataclasses import replace

import pytest

from lastcall_operator.cluster.resources import (
    CONFIG_MAPS,
    DRAIN_POLICIES,
    MUTATING_WEBHOOKS,
    PODS,
    SECRETS,
    STREAM_PROXIES,
    VALIDATING_WEBHOOKS,
)
from lastcall_operator.commands.uninstall import uninstall
from lastcall_operator.settings import Settings
from lastcall_operator.testing import drain_policy, pod
from lastcall_operator.testing.sidecars import FakeSidecar

OURS = {"lastcall.dev/held-since": "2026-11-22T10:00:00Z", "lastcall.dev/deletion-cost-written": "3"}
COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture
def settings(cluster, kubeconfig):
    """A cluster with our webhooks and marks in it, and others'."""
    for resource, name in ((MUTATING_WEBHOOKS, "lastcall-injection"), (VALIDATING_WEBHOOKS, "lastcall-removals")):
        cluster.put(resource, {"metadata": {"name": name}})
        cluster.put(resource, {"metadata": {"name": "another-s"}})
    for name, cost in (("ours", "3"), ("another-s", "4")):
        sidecar = FakeSidecar(name, f"uid-{name}", "127.0.0.1")
        cluster.put(PODS, pod(name, sidecar, annotations={**OURS, COST: cost}))
    cluster.put(DRAIN_POLICIES, drain_policy())
    return Settings(fullname="lastcall", kubeconfig=kubeconfig)


async def test_webhooks_and_marks_go_and_what_is_others_stays(cluster, settings):
    assert await uninstall(settings, remove_resources=False) == 0
    for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS):
        assert [item["metadata"]["name"] for item in cluster.all(resource)] == ["another-s"]
    marks = {item["metadata"]["name"]: item["metadata"]["annotations"] for item in cluster.all(PODS)}
    assert not any(set(OURS) & set(each) for each in marks.values())
    assert {name: each.get(COST) for name, each in marks.items()} == {"ours": None, "another-s": "4"}
    assert len(cluster.all(DRAIN_POLICIES)) == 1


@pytest.mark.parametrize(
    ("remove", "resources"),
    [
        pytest.param(False, set(), id="definitions stay"),
        pytest.param(
            True,
            {
                ("GET", DRAIN_POLICIES.plural),
                ("DELETE", DRAIN_POLICIES.plural),
                ("GET", STREAM_PROXIES.plural),
                ("GET", CONFIG_MAPS.plural),
            },
            id="definitions go",
        ),
    ],
)
async def test_it_calls_what_the_chart_s_role_allows_and_nothing_else(cluster, settings, remove, resources):
    await uninstall(settings, remove_resources=remove)
    assert set(cluster.requests) == resources | {
        ("DELETE", MUTATING_WEBHOOKS.plural),
        ("DELETE", VALIDATING_WEBHOOKS.plural),
        ("GET", PODS.plural),  # list
        ("PATCH", PODS.plural),
    }
    assert bool(cluster.all(DRAIN_POLICIES)) is not remove


RECORDS = [f"sh.helm.release.v1.lastcall.v{number}" for number in (3, 4)]


def record(name: str, status: str, namespace: str = "lastcall") -> dict:
    """What Helm keeps of a release."""
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"owner": "helm", "status": status}}}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([], id="rendered and applied"),
        pytest.param([record(RECORDS[0], "superseded"), record(RECORDS[1], "deployed")], id="installed"),
        pytest.param([record("sh.helm.release.v1.other.v3", "uninstalling")], id="another release"),
        pytest.param([record(RECORDS[0], "uninstalling", "elsewhere")], id="another namespace"),
    ],
)
async def test_nothing_is_removed_while_helm_does_not_uninstall_the_release(cluster, settings, capsys, found):
    for each in found:
        cluster.put(SECRETS, each)
    assert await uninstall(settings, records=RECORDS, remove_resources=True) == 0
    assert "nothing was removed: in namespace lastcall none of Helm's records" in capsys.readouterr().out
    assert {method for method, _ in cluster.requests} == {"GET"}


@pytest.mark.parametrize("name", RECORDS, ids=["as rendered", "rolled back to"])
@pytest.mark.parametrize("kept_in", [SECRETS, CONFIG_MAPS], ids=["in Secrets", "in ConfigMaps"])
async def test_all_is_removed_while_helm_uninstalls_the_release(cluster, settings, kept_in, name):
    cluster.put(kept_in, record(name, "uninstalling"))
    assert await uninstall(settings, records=RECORDS, remove_resources=False) == 0
    assert [item["metadata"]["name"] for item in cluster.all(MUTATING_WEBHOOKS)] == ["another-s"]


@pytest.mark.parametrize("remove", [False, True], ids=["definitions stay", "definitions go"])
async def test_a_namespace_that_is_gone_does_not_keep_it_from_the_others(cluster, settings, capsys, remove):
    cluster.gone.add("before")  # its RoleBinding went with it: forbidden
    assert await uninstall(replace(settings, namespaces=("before", "default")), remove_resources=remove) == 0
    marks = [item["metadata"]["annotations"] for item in cluster.all(PODS)]
    assert not any(set(OURS) & set(each) for each in marks)
    assert bool(cluster.all(DRAIN_POLICIES)) is not remove
    assert "left alone: namespace before" in capsys.readouterr().out


async def test_configurations_go_but_those_that_pods_still_have(cluster, settings, capsys):
    for name in ("used", "unused"):
        metadata = {
            "name": f"lastcall-{name}",
            "namespace": "default",
            "annotations": {"lastcall.dev/stream-proxy": name},
        }
        labels = {"app.kubernetes.io/managed-by": "lastcall"}
        cluster.put(CONFIG_MAPS, {"metadata": {**metadata, "labels": labels}})
    cluster.put(CONFIG_MAPS, {"metadata": {"name": "theirs", "namespace": "default", "labels": labels}})
    user = cluster.get(PODS, "default", "ours")
    user["spec"]["volumes"] = [{"name": "c", "emptyDir": {}}, {"name": "d", "configMap": {"name": "lastcall-used"}}]
    cluster.put(PODS, user)
    await uninstall(settings, remove_resources=False)
    assert len(cluster.all(CONFIG_MAPS)) == 3
    await uninstall(settings, remove_resources=True)
    assert [each["metadata"]["name"] for each in cluster.all(CONFIG_MAPS)] == ["lastcall-used", "theirs"]
    assert "left: configmaps/lastcall-used in default, which 1 pods have" in capsys.readouterr().out
