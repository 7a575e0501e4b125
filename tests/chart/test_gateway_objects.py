"""The objects around the gateway's pods: secrets, ways in, scaling, limits."""

import base64
from typing import Any

import pytest

from tests.chart.rendering import Values, config, container, objects, one, pod

_UPSTREAM, _CLIENTS = "sk-upstream-0123456789", "alice: sk-client-0123456789\n"
_EVERYTHING: Values = {
    "gateway.upstreamApiKey.value": _UPSTREAM,
    "gateway.clientApiKeys.value": _CLIENTS,
    "gateway.autoscaling.enabled": True,
    "gateway.ingress.enabled": True,
    "gateway.ingress.hosts": ["llm.example"],
    "gateway.httpRoute.enabled": True,
    "gateway.httpRoute.parentRefs": [{"name": "front"}],
    "gateway.networkPolicy.enabled": True,
}


def _alone(values: Values) -> list[dict[str, Any]]:
    return objects({"operator.enabled": False, "crds.enabled": False, **values})


def _names(values: Values) -> set[str]:
    return {document["kind"] for document in _alone(values)}


def test_what_is_there_by_default_and_with_everything() -> None:
    default = {"ConfigMap", "Deployment", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount"}
    assert _names({}) == default
    more = {"HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Secret"}
    assert _names(_EVERYTHING) == default | more
    assert _names({"gateway.enabled": False}) == set()


def test_every_object_says_whose_it_is_and_where() -> None:
    for document in _alone(_EVERYTHING):
        metadata = document["metadata"]
        assert metadata["name"].startswith("lastcall-gateway"), metadata["name"]
        assert metadata["namespace"] == "llm"
        assert metadata["labels"]["app.kubernetes.io/instance"] == "lastcall"
        assert metadata["labels"]["app.kubernetes.io/component"].startswith("gateway")


def test_secrets_stand_in_secrets_only() -> None:
    for document in _alone(_EVERYTHING):
        for secret in (_UPSTREAM, _CLIENTS.strip(), _CLIENTS.split()[1]):
            assert secret not in str(document)
            if document["kind"] != "Secret":
                assert base64.b64encode(secret.encode()).decode() not in str(document)
    secrets = {item["metadata"]["name"]: item["data"] for item in _alone(_EVERYTHING) if item["kind"] == "Secret"}
    assert {name: base64.b64decode(*data.values()).decode() for name, data in secrets.items()} == {
        "lastcall-gateway-upstream": _UPSTREAM,
        "lastcall-gateway-clients": _CLIENTS,
    }


@pytest.mark.parametrize(
    ("values", "secrets", "files"),
    [
        pytest.param({}, {}, {}, id="none"),
        pytest.param(
            {"gateway.upstreamApiKey.value": "k"},
            {"upstream": ("lastcall-gateway-upstream", "api-key", "api-key")},
            {"upstream": "/etc/lastcall/upstream/api-key"},
            id="a value",
        ),
        pytest.param(
            {
                "gateway.upstreamApiKey.existingSecret": "mine",
                "gateway.upstreamApiKey.key": "token",
                "gateway.clientApiKeys.existingSecret": "theirs",
            },
            {"upstream": ("mine", "token", "api-key"), "clients": ("theirs", "api-keys", "api-keys")},
            {"upstream": "/etc/lastcall/upstream/api-key", "auth": "/etc/lastcall/clients/api-keys"},
            id="existing secrets",
        ),
    ],
)
def test_secrets_are_mounted_as_folders_and_named_by_file(
    values: Values, secrets: dict[str, tuple[str, str, str]], files: dict[str, str]
) -> None:
    found = {}
    for volume in pod(values)["volumes"]:
        if "secret" in volume:
            (item,) = volume["secret"]["items"]
            found[volume["name"]] = (volume["secret"]["secretName"], item["key"], item["path"])
            assert volume["secret"]["defaultMode"] == 0o444
    assert found == secrets
    written = config(values)
    named = {
        "upstream": written["upstream"].get("apiKeyFile"),
        "auth": written.get("auth", {}).get("apiKeysFile"),
    }
    assert {name: file for name, file in named.items() if file} == files
    folders = {mount["mountPath"] for mount in container(values)["volumeMounts"]}
    assert {file.rpartition("/")[0] for file in files.values()} <= folders


def test_each_upstream_has_the_key_that_is_named_for_it() -> None:
    upstreams = [
        {"name": "vllm", "provider": "OpenAI", "url": "http://vllm:8000", "models": ["qwen*"]},
        {"name": "eu", "provider": "Anthropic", "models": ["eu.*"]},
        {"name": "us", "provider": "Anthropic", "models": ["us.*"]},
    ]
    keys = [{"name": "us", "existingSecret": "a"}, {"name": "vllm", "existingSecret": "b", "key": "token"}]
    values = {"gateway.config.upstreams": upstreams, "gateway.upstreamsApiKeys": keys}
    assert config(values)["upstreams"] == [
        {**upstreams[0], "apiKeyFile": "/etc/lastcall/upstream-vllm/api-key"},
        upstreams[1],
        {**upstreams[2], "apiKeyFile": "/etc/lastcall/upstream-us/api-key"},
    ]
    assert {volume["name"]: volume["secret"] for volume in pod(values)["volumes"] if "secret" in volume} == {
        "upstream-us": {"secretName": "a", "defaultMode": 0o444, "items": [{"key": "api-key", "path": "api-key"}]},
        "upstream-vllm": {"secretName": "b", "defaultMode": 0o444, "items": [{"key": "token", "path": "api-key"}]},
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container(values)["volumeMounts"]}
    assert mounts["upstream-vllm"] == "/etc/lastcall/upstream-vllm"
    assert "Secret" not in _names(values)


def test_existing_secrets_are_not_made_again() -> None:
    assert "Secret" not in _names({"gateway.upstreamApiKey.existingSecret": "mine"})


@pytest.mark.parametrize(
    ("values", "kind", "ports"),
    [
        pytest.param({}, "ClusterIP", {"port": 80}, id="inside"),
        pytest.param(
            {"gateway.service.type": "NodePort", "gateway.service.nodePort": 30080},
            "NodePort",
            {"port": 80, "nodePort": 30080},
            id="on the nodes",
        ),
        pytest.param({"gateway.service.type": "LoadBalancer"}, "LoadBalancer", {"port": 80}, id="outside"),
    ],
)
def test_the_service_offers_the_traffic_port_only(values: Values, kind: str, ports: dict[str, Any]) -> None:
    spec = one("Service", values)["spec"]
    assert spec["type"] == kind
    assert spec["ports"] == [{"name": "http", "targetPort": "http", "appProtocol": "http", **ports}]


def test_the_autoscaler_alone_sets_the_number_of_pods() -> None:
    assert one("Deployment")["spec"]["replicas"] == 3
    assert "replicas" not in one("Deployment", _EVERYTHING)["spec"]
    target = one("HorizontalPodAutoscaler", _EVERYTHING)["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": one("Deployment")["metadata"]["name"]}


def test_the_autoscaler_takes_one_pod_a_minute_because_each_carries_streams() -> None:
    behavior = one("HorizontalPodAutoscaler", _EVERYTHING)["spec"]["behavior"]["scaleDown"]
    assert behavior["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
    assert behavior["stabilizationWindowSeconds"] == 300


def test_a_disruption_budget_never_makes_a_node_undrainable() -> None:
    budget = one("PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert "PodDisruptionBudget" not in _names({"gateway.podDisruptionBudget.enabled": False})


def test_the_route_has_no_time_limit() -> None:
    (rule,) = one("HTTPRoute", _EVERYTHING)["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "lastcall-gateway", "port": 80}]


def test_the_ingress_leads_every_host_to_the_service() -> None:
    rules = one("Ingress", {**_EVERYTHING, "gateway.ingress.hosts": ["a.example", "b.example"]})["spec"]["rules"]
    assert [rule["host"] for rule in rules] == ["a.example", "b.example"]
    for rule in rules:
        (path,) = rule["http"]["paths"]
        assert path["backend"] == {"service": {"name": "lastcall-gateway", "port": {"name": "http"}}}


@pytest.mark.parametrize(
    ("values", "ingress", "types"),
    [
        pytest.param({}, [(["http"], None)], ["Ingress"], id="traffic from everybody, admin from nobody"),
        pytest.param(
            {"gateway.networkPolicy.adminFrom": [{"podSelector": {}}]},
            [(["http"], None), (["admin"], [{"podSelector": {}}])],
            ["Ingress"],
            id="admin from named peers",
        ),
        pytest.param(
            {"gateway.networkPolicy.trafficFrom": [{"podSelector": {}}], "gateway.networkPolicy.egress": [{}]},
            [(["http"], [{"podSelector": {}}])],
            ["Ingress", "Egress"],
            id="both ways",
        ),
    ],
)
def test_the_network_policy(values: Values, ingress: list[tuple[list[str], Any]], types: list[str]) -> None:
    spec = one("NetworkPolicy", {"gateway.networkPolicy.enabled": True, "operator.enabled": False, **values})["spec"]
    assert [([port["port"] for port in rule["ports"]], rule.get("from")) for rule in spec["ingress"]] == ingress
    assert spec["policyTypes"] == types


def test_the_helm_test_presents_a_key_where_one_is_named() -> None:
    (without,) = one("Pod")["spec"]["containers"]
    assert "API_KEY" not in {item["name"] for item in without["env"]}
    values = {"gateway.test.existingSecret": "me", "gateway.test.key": "token"}
    (stream,) = one("Pod", values)["spec"]["containers"]
    assert {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "me", "key": "token"}}} in stream["env"]
    assert one("Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
    compile(stream["args"][0], "the test's program", "exec")
