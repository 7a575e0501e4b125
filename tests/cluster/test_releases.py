"""Of two releases that look after the same namespaces the older one does, and the other changes nothing."""

from http import HTTPStatus

import pytest
from tests.webhook.stage import staged

from lastcall_operator.cluster.releases import AnotherReleaseError, Precedence, older_release
from lastcall_operator.cluster.resources import MUTATING_WEBHOOKS
from lastcall_operator.settings import Settings
from lastcall_operator.testing import FakeCluster, pod_deletion_review

OWN = "ours-injection"


def release(name, created, *namespaces):
    expressions = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}]
    if namespaces:
        expressions.append({"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)})
    labels = {"app.kubernetes.io/part-of": "lastcall", "app.kubernetes.io/instance": name}
    return {
        "metadata": {"name": f"{name}-injection", "creationTimestamp": created, "labels": labels},
        "webhooks": [{"name": "a", "clientConfig": {}, "namespaceSelector": {"matchExpressions": expressions}}],
    }


OURS = release("ours", "2026-11-22T10:00:00Z")


@pytest.mark.parametrize(
    ("others", "namespaces", "first"),
    [
        pytest.param([OURS], (), None, id="alone"),
        pytest.param([], (), None, id="alone, and ours is still to come"),
        pytest.param([OURS, release("a", "2026-11-22T09:00:00Z")], (), "a (mutating", id="an older one"),
        pytest.param([OURS, release("a", "2026-11-22T11:00:00Z")], (), None, id="a younger one"),
        pytest.param([release("a", "2026-11-22T11:00:00Z")], (), "a (mutating", id="ours is still to come"),
        pytest.param([OURS, release("a", "2026-11-22T10:00:00Z")], (), "a (mutating", id="of one second, by name"),
        pytest.param([OURS, release("z", "2026-11-22T10:00:00Z")], (), None, id="of one second, the other way"),
        pytest.param([OURS, release("a", "2026-11-22T09:00:00Z", "x")], ("y",), None, id="other namespaces"),
        pytest.param([OURS, release("a", "2026-11-22T09:00:00Z", "x")], ("x", "y"), "a (", id="a namespace in common"),
        pytest.param([OURS, release("a", "2026-11-22T09:00:00Z")], ("y",), "a (", id="all, and ours among them"),
        pytest.param([OURS, release("a", "2026-11-22T09:00:00Z", "x")], (), "a (", id="one, and ours is all"),
        pytest.param(
            [OURS, release("b", "2026-11-22T09:00:00Z"), release("a", "2026-11-22T08:00:00Z")], (), "a (", id="three"
        ),
    ],
)
def test_the_older_release_that_shares_a_namespace_is_first(others, namespaces, first):
    found = older_release(others, OWN, namespaces)
    assert found is None if first is None else found is not None and found.startswith(first)


async def test_the_second_refuses_to_start_and_names_the_first():
    async with FakeCluster() as cluster, cluster.connect() as api:
        for each in (OURS, release("theirs", "2026-11-22T09:00:00Z")):
            cluster.put(MUTATING_WEBHOOKS, each)
        with pytest.raises(AnotherReleaseError, match=r"theirs .mutatingwebhookconfigurations/theirs-injection."):
            await Precedence(api, Settings(fullname="ours")).require()
        await Precedence(api, Settings(fullname="theirs")).require()
        cluster.remove(MUTATING_WEBHOOKS, None, "theirs-injection")
        await Precedence(api, Settings(fullname="ours")).require()


async def test_without_the_right_to_look_it_starts():
    async with FakeCluster() as cluster, cluster.connect() as api:
        cluster.put(MUTATING_WEBHOOKS, release("theirs", "2026-11-22T09:00:00Z"))
        cluster.refused["GET", "mutatingwebhookconfigurations"] = HTTPStatus.FORBIDDEN
        await Precedence(api, Settings(fullname="ours")).require()


async def test_the_second_s_webhook_lets_everything_pass_as_it_is():
    def before(cluster):
        cluster.put(MUTATING_WEBHOOKS, {**release("f", "2026-11-22T10:00:00Z")})
        cluster.put(MUTATING_WEBHOOKS, release("first", "2026-11-22T09:00:00Z"))

    async with staged(prepare=before) as stage:
        stage.policy()
        stage.workload(a=5, b=0)
        assert (await stage.removal(pod_deletion_review(stage.get_pod("a"))))["allowed"]
        assert "lastcall.dev/held-since" not in stage.annotations("a")
        labels = {"lastcall.dev/inject": "true"}
        body = {
            "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "u", "namespace": "default", "object": {"metadata": {"labels": labels}, "spec": {}}},
        }
        assert await stage.call("/mutate/pods", body) == {"uid": "u", "allowed": True}
