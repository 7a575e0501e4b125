"""values.yaml, values.schema.json and the templates say the same, and nonsense is refused with a sentence."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml

from lastcall_sidecar.settings.schema import Settings
from tests.chart.rendering import CHART, KUBE_VERSION, RenderError, Values, config, helm, text

_DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
_SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


_LEAVES = dict(_leaves(_DEFAULTS))

_UPSTREAM = {"name": "vllm", "provider": "OpenAI", "url": "http://vllm:8000", "models": ["qwen*"]}
#: What has to be turned on for a value to matter.
_NEEDS: dict[str, Values] = {
    "gateway.autoscaling": {"gateway.autoscaling.enabled": True},
    "gateway.ingress": {"gateway.ingress.enabled": True, "gateway.ingress.hosts": ["a.example"]},
    "gateway.httpRoute": {"gateway.httpRoute.enabled": True, "gateway.httpRoute.parentRefs": [{"name": "a"}]},
    "gateway.networkPolicy": {"gateway.networkPolicy.enabled": True},
    "gateway.upstreamApiKey.key": {"gateway.upstreamApiKey.value": "k"},
    "gateway.config.upstream.provider": {"gateway.config.upstream.url": "http://a"},
    "gateway.upstreamsApiKeys": {"gateway.config.upstreams": [_UPSTREAM]},
    "gateway.clientApiKeys.key": {"gateway.clientApiKeys.value": "k"},
    "gateway.test.key": {"gateway.test.existingSecret": "s"},
    "gateway.service.nodePort": {"gateway.service.type": "NodePort"},
    "operator.networkPolicy": {"operator.networkPolicy.enabled": True},
    "operator.serviceAccount.name": {"operator.serviceAccount.create": False},
    "certManager": {"certManager.enabled": True},
    "podMonitor": {"podMonitor.enabled": True},
}
#: Another value than the default, where its type alone does not tell one.
_OTHERS: dict[str, Any] = {
    "commonLabels": {"team": "a"},
    "imagePullSecrets": [{"name": "pull"}],
    "sidecar.image.digest": f"sha256:{'0' * 64}",
    "sidecar.image.pullPolicy": "Always",
    "gateway.config.upstream.provider": "Any",
    "gateway.config.upstream.url": "http://another",
    "gateway.config.upstream.caFile": "/ca.pem",
    "gateway.config.upstreams": [_UPSTREAM],
    "gateway.upstreamsApiKeys": [{"name": "vllm", "existingSecret": "vllm"}],
    "gateway.config.drain.publicKey": "a key",
    "gateway.config.logs.level": "debug",
    "gateway.config.logs.format": "text",
    "gateway.ports.traffic": 9090,
    "gateway.drainPolicy.order": "OldestFirst",
    "gateway.drainPolicy.maxDraining": 1,
    "gateway.drainPolicy.evictions": "Allow",
    "operator.image.digest": f"sha256:{'0' * 64}",
    "operator.image.pullPolicy": "Always",
    "operator.namespaces": ["team-a"],
    "operator.allowedImages": ["registry.example/*"],
    "operator.scaledTargets": [],
    "operator.runAsUser": 1000,
    "gateway.runAsUser": 1000,
    "gateway.config.drain.readiness": "FailAtOnce",
    "operator.otlpEndpoint": "http://collector:4318",
    "operator.logLevel": "debug",
    "webhook.topologySpread.topologyKeys": ["rack"],
    "gateway.service.type": "LoadBalancer",
    "gateway.service.nodePort": 30000,
    "gateway.topologySpread.topologyKeys": ["rack"],
    "gateway.topologySpread.whenUnsatisfiable": "DoNotSchedule",
    "clusterDomain": "corp.example",
    "gateway.config.listen.corsOrigins": ["https://a.example"],
    "gateway.config.listen.allowedHosts": ["llm.example"],
    "gateway.extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
    "gateway.ingress.hosts": ["b.example"],
    "gateway.httpRoute.hostnames": ["b.example"],
    "gateway.httpRoute.parentRefs": [{"name": "b"}],
}


#: Of what only newer clusters than the oldest have: from which version on.
_VERSIONS = {"operator.admissionPolicy.enabled": "1.30.0"}


def _other(path: str, default: Any) -> Any:
    if path in _OTHERS:
        return _OTHERS[path]
    match default:
        case bool():
            return not default
        case int():
            return default + 1
        case str():
            return "another"
        case []:
            return [{"name": "another"}]
        case {}:
            return {"another": "entry"}
    raise AssertionError(f"{path}: which other value? Add it to _OTHERS")


def _needs(path: str) -> dict[str, Any]:
    needed = next((needed for prefix, needed in _NEEDS.items() if path.startswith(prefix)), {})
    return {key: value for key, value in needed.items() if key != path or not path.endswith(".enabled")}


@pytest.mark.parametrize("path", _LEAVES)
def test_every_value_changes_what_is_rendered(path: str) -> None:
    version = _VERSIONS.get(path, KUBE_VERSION)
    other = text({**_needs(path), path: _other(path, _LEAVES[path])}, version=version)
    assert other != text(_needs(path), version=version)


def test_every_value_has_a_comment_right_above_it() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r" *[A-Za-z]+:", line)]
    uncommented = [lines[index].strip() for index in keys if not lines[index - 1].strip().startswith("#")]

    def resources(cpu: str, requested: str, limit: str) -> list[str]:
        return ["requests:", f"cpu: {cpu}", f"memory: {requested}", "limits:", f"memory: {limit}"]

    operator, webhook = resources("50m", "192Mi", "512Mi"), resources("200m", "192Mi", "512Mi")
    assert uncommented == [*operator, *webhook, *resources("100m", "128Mi", "1Gi")]  # resources tells
    assert len(keys) > 80


def _described(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, each in schema["properties"].items():
        if "properties" in each:
            yield from _described(each, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def test_the_schema_knows_every_value_and_no_other() -> None:
    known = set(_described(_SCHEMA)) - {"global"}  # helm's own, handed down to subcharts
    resources = ("gateway.resources.", "operator.resources.", "webhook.resources.")  # Kubernetes' own
    assert {path for path in known if not path.startswith(resources)} == {
        path for path in _LEAVES if not path.startswith(resources)
    }


def test_the_schema_is_closed_wherever_it_names_keys() -> None:
    def objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "properties" in schema:
            yield schema
            for each in schema["properties"].values():
                yield from objects(each)

    assert all(each["additionalProperties"] is False for each in objects(_SCHEMA))


# The sidecar's configuration in the chart is the sidecar's own.
_CHARTS_OWN = {
    "mode", "generation", "auth", "admin", "upstream.apiKeyFile", "upstreams[].apiKeyFile", "listen.traffic",
    "listen.admin",
}  # fmt: skip
_SIDECAR = msgspec.json.schema(Settings)


def _sidecar(node: dict[str, Any], path: str = "") -> Any:
    """The sidecar's schema as the chart has it: nothing but types and bounds, without what the chart sets itself."""
    if "enum" in node:
        return {"enum": node["enum"]}
    for inner in (node.get("$ref"), *(each.get("$ref") for each in node.get("allOf", []))):
        if inner:
            return _sidecar(_SIDECAR["$defs"][inner.rpartition("/")[2]], path)
    if "properties" in node:
        required = {"required": node["required"]} if node.get("required") else {}
        return required | {
            key: _sidecar(each, f"{path}{key}.")
            for key, each in node["properties"].items()
            if f"{path}{key}" not in _CHARTS_OWN
        }
    if "anyOf" in node:
        return {"anyOf": [_sidecar(each) for each in node["anyOf"]]}
    if "items" in node:
        node = {**node, "items": _sidecar(node["items"], f"{path.removesuffix('.')}[].")}
    return {key: value for key, value in node.items() if key not in {"default", "description", "title"}}


def _chart(node: dict[str, Any]) -> Any:
    if "properties" in node:
        required = {"required": node["required"]} if "required" in node else {}
        return required | {key: _chart(each) for key, each in node["properties"].items()}
    return {**node, "items": _chart(node["items"])} if "items" in node else node


def test_the_gateway_s_configuration_has_the_sidecar_s_keys_types_and_bounds() -> None:
    expected = _sidecar(_SIDECAR)
    expected["upstream"]["url"] = {"anyOf": [expected["upstream"]["url"], {"type": "null"}]}  # not in the file then
    del expected["listen"]["trustedProxies"]  # they matter to the app of an Ingress only
    assert _chart(_SCHEMA["properties"]["gateway"]["properties"]["config"]) == expected


def test_the_gateway_s_defaults_are_the_sidecar_s() -> None:
    defaults = json.loads(msgspec.json.encode(Settings()))
    found = config()
    assert found.pop("generation") == 1
    assert found["listen"].pop("allowedHosts")  # the Service's names
    assert defaults["listen"].pop("allowedHosts") == []
    assert defaults["listen"].pop("trustedProxies")  # they matter to the app of an Ingress only
    assert found == {key: value for key, value in defaults.items() if key not in {"generation", "auth"}} | {
        "upstream": {key: value for key, value in defaults["upstream"].items() if key not in {"apiKeyFile", "url"}}
    }
    assert defaults["auth"] == {"apiKeysFile": None}
    assert msgspec.convert(found, Settings) == Settings()


def test_another_provider_s_url_is_not_anthropic_s() -> None:
    """Its key would go there."""
    assert "url" not in config({"gateway.config.upstream.provider": "OpenAI"})["upstream"]
    assert config({"gateway.config.upstream.url": "http://vllm"})["upstream"]["url"] == "http://vllm"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"gateway.replicas": "three"}, "'/gateway/replicas': got string, want integer", id="a wrong type"),
        pytest.param({"gateway.replicas": -1}, "'/gateway/replicas': minimum: got -1, want 0", id="out of bounds"),
        pytest.param({"gateway.replica": 3}, "additional properties 'replica' not allowed", id="a misspelled value"),
        pytest.param(
            {"gateway.config.limits.maxConcurent": 3},
            "additional properties 'maxConcurent' not allowed",
            id="… of config",
        ),
        pytest.param({"gateway.config.upstream.url": "llm.example"}, "does not match pattern", id="no URL"),
        pytest.param({"gateway.service.type": "Clusterip"}, "value must be one of", id="an unknown type of Service"),
        pytest.param({"gateway.runAsUser": 0}, "minimum: got 0, want 1", id="root"),
        pytest.param({"sidecar.image.digest": "sha256:x"}, "does not match pattern", id="half a digest"),
        pytest.param(
            {"gateway.upstreamApiKey": {"value": "a", "existingSecret": "b"}},
            "gateway.upstreamApiKey: give either existingSecret or value, not both.",
            id="two upstream keys",
        ),
        pytest.param(
            {"gateway.clientApiKeys": {"value": "a", "existingSecret": "b"}},
            "gateway.clientApiKeys: give either existingSecret or value, not both.",
            id="two sources of client keys",
        ),
        pytest.param(
            {"gateway.config.upstreams": [{**_UPSTREAM, "caFile": "/ca.pem"}]},
            "'/gateway/config/upstreams/0': additional properties 'caFile' not allowed",
            id="… of one of its upstreams",
        ),
        pytest.param(
            {"gateway.config.upstreams": [_UPSTREAM, _UPSTREAM]},
            "gateway.config.upstreams: two have the name vllm.",
            id="two upstreams of one name",
        ),
        pytest.param(
            {"gateway.config.upstreams": [{**_UPSTREAM, "provider": "Any"}]},
            "'/gateway/config/upstreams/0/provider': value must be one of 'Anthropic', 'OpenAI'",
            id="an upstream that is a relay",
        ),
        pytest.param(
            {"gateway.config.upstreams": [_UPSTREAM], "gateway.config.upstream.provider": "Any"},
            "gateway.config: neither upstreams nor upstream.models with upstream.provider Any",
            id="upstreams behind a relay",
        ),
        pytest.param(
            {"gateway.config.upstream.models": {"a": "b"}, "gateway.config.upstream.provider": "Any"},
            "gateway.config: neither upstreams nor upstream.models with upstream.provider Any",
            id="models of a relay",
        ),
        pytest.param(
            {"gateway.config.upstream.provider": "Any"},
            "gateway.config.upstream.url: required with provider Any.",
            id="a relay to nowhere",
        ),
        pytest.param(
            {"gateway.config.limits.maxBodyBytes": 268435457},
            "gateway.config.limits: maxBodyBytes must not be above maxBufferedBytes: one body must fit.",
            id="a body that nothing holds",
        ),
        pytest.param(
            {"gateway.config.upstream.models": {"a*b": "c"}},
            "gateway.config.upstream.models: a*b: * may only stand at the end, for the beginning of names.",
            id="a star within a name",
        ),
        pytest.param(
            {"gateway.config.upstream.models": {"a*": "c*"}},
            "gateway.config.upstream.models: a*: what is meant must be one model's name, without *.",
            id="a star for a model",
        ),
        pytest.param(
            {"gateway.config.upstreams": [{**_UPSTREAM, "models": ["qwen*", "a*b"]}]},
            "gateway.config.upstreams: a*b: * may only stand at the end, for the beginning of names.",
            id="a star within a model's name",
        ),
        pytest.param(
            {"gateway.upstreamsApiKeys": [{"name": "vllm", "existingSecret": "a"}]},
            "gateway.upstreamsApiKeys: none of gateway.config.upstreams has the name vllm.",
            id="a key for nobody",
        ),
        pytest.param(
            {
                "gateway.config.upstreams": [_UPSTREAM],
                "gateway.upstreamsApiKeys": [{"name": "vllm", "existingSecret": name} for name in ("a", "b")],
            },
            "gateway.upstreamsApiKeys: two are for vllm.",
            id="two keys for one",
        ),
        pytest.param(
            {"gateway.ports.admin": 8080},
            "gateway.ports: traffic and admin need two different ports.",
            id="one port for two",
        ),
        pytest.param(
            {"gateway.autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}},
            "gateway.autoscaling: minReplicas must not be above maxReplicas.",
            id="an empty range",
        ),
        pytest.param(
            {"gateway.ingress.enabled": True},
            "gateway.ingress: name at least one host in hosts.",
            id="an empty Ingress",
        ),
        pytest.param(
            {"gateway.httpRoute.enabled": True},
            "gateway.httpRoute: name at least one Gateway in parentRefs.",
            id="a route from nowhere",
        ),
        pytest.param(
            {"gateway.service.nodePort": 30080},
            "gateway.service.nodePort needs gateway.service.type NodePort or LoadBalancer.",
            id="a node port without nodes",
        ),
        pytest.param(
            {"gateway.extraEnv": [{"name": "LASTCALL_LISTEN__TRAFFIC", "value": "0.0.0.0:1"}]},
            "gateway.extraEnv: LASTCALL_LISTEN__TRAFFIC would contradict what the chart makes of",
            id="a port behind the chart's back",
        ),
    ],
)
def test_nonsense_is_refused_with_a_sentence(values: Values, sentence: str) -> None:
    with pytest.raises(RenderError, match=re.escape(sentence)):
        text(values)


def test_clusters_without_native_sidecars_are_refused() -> None:
    text(version="1.29.0")
    text(version="1.34.4-gke.1")
    with pytest.raises(RenderError, match=re.escape("requires kubeVersion: >=1.29-0")):
        text(version="1.28.9")


def test_the_chart_lints_without_a_warning() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_there_is_one_object_in_each_template() -> None:
    components = ("access-", "crd-", "gateway-", "operator-", "podmonitor", "uninstall-", "webhook-")
    for template in (CHART / "templates").glob("*.yaml"):
        assert template.read_text().count("\nkind: ") == 1, template
        assert template.name.startswith(components), template
