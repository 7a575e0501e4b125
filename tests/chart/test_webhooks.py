"""What the API server asks of us, when, and what happens when we are not there."""

import re
from typing import Any

import pytest

from tests.chart.rendering import CHART, KUBE_VERSION, Values, helm, named, objects, text

_CERT_MANAGER: Values = {"certManager.enabled": True}


def _webhooks(values: Values | None = None) -> dict[str, dict[str, Any]]:
    return {
        webhook["name"].partition(".")[0]: webhook
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        for configuration in named(kind, values).values()
        for webhook in configuration["webhooks"]
    }


def test_the_configurations_have_the_names_that_the_processes_know() -> None:
    assert set(named("MutatingWebhookConfiguration")) == {"injection"}
    assert set(named("ValidatingWebhookConfiguration")) == {"removals"}
    assert set(_webhooks()) == {"injection", "deletions", "evictions"}


@pytest.mark.parametrize(
    ("name", "resource", "operation", "labels", "policy", "effects", "seconds", "path"),
    [
        pytest.param(
            "injection", "pods", "CREATE", {"lastcall.dev/inject": "true"}, "Fail", "None", 10, "/mutate/pods",
            id="a labelled pod without its sidecar would be a lie",
        ),
        pytest.param(
            "deletions", "pods", "DELETE", {"lastcall.dev/sidecar": "true"}, "Ignore", "NoneOnDryRun", 3,
            "/validate/removals", id="without us pods are deleted all the same",
        ),
        pytest.param(
            "evictions", "pods/eviction", "CREATE", None, "Ignore", "NoneOnDryRun", 3, "/validate/removals",
            id="an Eviction has no labels",
        ),
    ],
)  # fmt: skip
def test_what_is_asked_and_what_silence_means(
    name: str, resource: str, operation: str, labels: Any, policy: str, effects: str, seconds: int, path: str
) -> None:
    webhook = _webhooks()[name]
    assert webhook["rules"] == [
        {
            "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource], "operations": [operation],
            "scope": "Namespaced",
        }
    ]  # fmt: skip
    assert webhook.get("objectSelector", {}).get("matchLabels") == labels
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == (policy, effects)
    assert webhook["timeoutSeconds"] == seconds
    assert webhook["clientConfig"] == {
        "service": {"name": "lastcall-webhook", "namespace": "llm", "path": path, "port": 443}
    }
    assert webhook["admissionReviewVersions"] == ["v1"]


def test_injection_is_repeated_when_another_webhook_changes_the_pod() -> None:
    assert _webhooks()["injection"]["reinvocationPolicy"] == "IfNeeded"


@pytest.mark.parametrize(
    ("name", "never"),
    [
        pytest.param("injection", ["kube-system", "llm"], id="injection: a webhook never waits for itself"),
        pytest.param("deletions", ["kube-system"], id="deletions: the gateway's are among them"),
        pytest.param("evictions", ["kube-system"], id="evictions: the gateway's are among them"),
    ],
)
def test_namespaces_that_are_left_alone(name: str, never: list[str]) -> None:
    assert _webhooks()[name]["namespaceSelector"] == {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": never}]
    }


def test_only_the_controllers_deletes_are_asked_about() -> None:
    (condition,) = _webhooks()["deletions"]["matchConditions"]
    left, _, right = condition["expression"].partition(" in ")
    assert left == "request.userInfo.username"
    assert re.findall(r'"([^"]+)"', right) == [
        "system:serviceaccount:kube-system:replicaset-controller",
        "system:serviceaccount:kube-system:statefulset-controller",
        "system:kube-controller-manager",
    ]
    assert "matchConditions" not in _webhooks()["evictions"]


def test_no_authority_is_rendered_so_that_an_upgrade_leaves_it_alone() -> None:
    assert "caBundle" not in text()
    assert "caBundle" not in text(_CERT_MANAGER)
    assert "cert-manager" not in text()
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for configuration in named(kind, _CERT_MANAGER).values():
            assert configuration["metadata"]["annotations"] == {
                "cert-manager.io/inject-ca-from": "llm/lastcall-webhook"
            }


def test_nothing_random_is_rendered() -> None:
    rendered = helm("template", "lastcall", str(CHART), "--namespace", "llm", "--kube-version", KUBE_VERSION)
    assert rendered == text()
    assert "Secret" not in {document["kind"] for document in objects()}


def test_cert_manager_makes_the_certificate_of_the_service_s_name() -> None:
    certificate = named("Certificate", _CERT_MANAGER)["webhook"]["spec"]
    assert certificate["secretName"] == "lastcall-webhook-tls"
    assert certificate["dnsNames"][0] == "lastcall-webhook.llm.svc"
    assert certificate["issuerRef"] == {"kind": "Issuer", "name": "lastcall-webhook"}
    assert named("Issuer", _CERT_MANAGER)["webhook"]["spec"] == {"selfSigned": {}}
    theirs = {**_CERT_MANAGER, "certManager.issuerRef": {"kind": "ClusterIssuer", "name": "ours"}}
    assert named("Certificate", theirs)["webhook"]["spec"]["issuerRef"] == {"kind": "ClusterIssuer", "name": "ours"}
    assert named("Issuer", theirs) == {}


def test_the_webhook_reads_cert_manager_s_files() -> None:
    spec = named("Deployment", _CERT_MANAGER)["webhook"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert "--certificate-folder=/etc/lastcall/tls" in container["args"]
    assert {"name": "tls", "mountPath": "/etc/lastcall/tls", "readOnly": True} in container["volumeMounts"]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "tls"]
    assert volume["secret"] == {"secretName": "lastcall-webhook-tls", "defaultMode": 0o444}
    assert "certificate-folder" not in text()
