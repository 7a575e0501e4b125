"""What a StreamProxy may say, and what its sidecars are told of it."""

import pytest

from lastcall_operator.api.schema import SpecError
from lastcall_operator.api.streamproxy import Mode, Provider, parse_stream_proxy

NAMED = {"name": "vllm", "provider": "OpenAI", "models": ["qwen*"]}
SELECTOR = {"matchLabels": {"app": "chat"}}


def proxy(**spec):
    metadata = {
        "name": "chat", "namespace": "llm", "uid": "u", "generation": 3, "creationTimestamp": "2026-11-22T10:00:00Z",
    }  # fmt: skip
    return parse_stream_proxy({"metadata": metadata, "spec": {"selector": SELECTOR, **spec}})


@pytest.mark.parametrize(
    ("spec", "provider", "url"),
    [
        pytest.param({}, Provider.ANTHROPIC, "https://api.anthropic.com", id="a gateway to Anthropic by default"),
        pytest.param({"upstream": {"provider": "OpenAI"}}, Provider.OPENAI, "https://api.openai.com", id="OpenAI's"),
        pytest.param(
            {"mode": "Egress", "upstream": {"provider": "Any", "url": "http://vllm:8000/x"}},
            Provider.ANY,
            "http://vllm:8000/x",
            id="anything by its URL",
        ),
        pytest.param({"mode": "Ingress", "appPort": "http"}, Provider.ANY, None, id="the app beside it, by name"),
        pytest.param({"mode": "Ingress", "appPort": 8000}, Provider.ANY, None, id="the app beside it, by number"),
    ],
)
def test_the_upstream_is_what_the_mode_makes_of_it(spec, provider, url):
    made = proxy(**spec).spec
    assert (made.provider, made.upstream_url) == (provider, url)


def test_metadata_and_the_time_that_a_drain_may_take():
    made = proxy(drain={"ceilingSeconds": 90, "settleSeconds": 2})
    assert (made.name, made.namespace, made.generation) == ("chat", "llm", 3)
    assert made.age == ("2026-11-22T10:00:00Z", "chat")
    assert made.spec.mode is Mode.GATEWAY
    assert made.spec.drain_seconds == 90 + 2 + 30


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"selector": {}}, "spec.selector must name a label"),
        ({"selector": None}, "spec.selector: Expected `object`"),
        ({"mode": "Sideways"}, "spec.mode: Invalid enum value 'Sideways'"),
        ({"limits": {"maxQueued": -1}}, "spec.limits.maxQueued: Expected `int` >= 0"),
        ({"limts": {}}, "spec: Object contains unknown field `limts`"),
        ({"mode": "Ingress"}, "spec.appPort is required in mode Ingress"),
        ({"mode": "Ingress", "appPort": ""}, "spec.appPort is required in mode Ingress"),
        ({"mode": "Ingress", "appPort": 0}, "spec.appPort must be a port from 1 to 65535"),
        ({"appPort": 80}, "spec.appPort must not be set in mode Gateway"),
        ({"mode": "Ingress", "appPort": 80, "upstream": {"url": "http://x"}}, "spec.upstream.url must not be set"),
        ({"mode": "Ingress", "appPort": 80, "upstream": {"provider": "OpenAI"}}, "spec.upstream.provider must be Any"),
        ({"upstream": {"provider": "Any"}}, "spec.upstream.url is required with provider Any"),
        ({"upstream": {"url": "http://u:p@x"}}, "spec.upstream.url: Expected `str` matching regex"),
        ({"upstream": {"url": "http://x:0"}}, "spec.upstream.url: Expected `str` matching regex"),
        *(
            ({"listen": {"trustedProxies": [network]}}, "spec.listen.trustedProxies[0]: Expected `str` matching regex")
            for network in (
                "",
                "proxy",
                "10.0.0.256",
                "10.0.0/8",
                "10.0.0.0/33",
                "fd00::/129",
                "fd00",
                ":",
                "1.2.3.4:80",
            )
        ),
        (
            {"limits": {"maxBodyBytes": 2048, "maxBufferedBytes": 2047}},
            "spec.limits.maxBodyBytes must not be above spec.limits.maxBufferedBytes (2047): one body must fit",
        ),
        ({"selector": {"matchLabels": {"a b!": "x"}}}, "spec.selector.matchLabels"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "spec.selector.matchExpressions[]"),
        ({"sidecar": {"resources": {"requests": 5}}}, "spec.sidecar.resources.requests: Expected `object`"),
        ({"sidecar": {"resources": {"requests": {"cpu": ["1"]}}}}, "spec.sidecar.resources.requests[...]"),
        ({"sidecar": {"resources": {"requests": {"cpu": -1}}}}, "spec.sidecar.resources.requests[...]"),
        ({"sidecar": {"resources": {"limits": {"memory": "lots"}}}}, "spec.sidecar.resources.limits[...]"),
        ({"sidecar": {"resources": {"limits": {"memory": "-1Gi"}}}}, "spec.sidecar.resources.limits[...]"),
        ({"sidecar": {"resources": {"claims": []}}}, "unknown field `claims`"),
        ({"drain": {"egressWait": "UntilIdle"}}, "spec.drain.egressWait is for mode Egress"),
        ({"mode": "Ingress", "appPort": 80, "upstreams": [NAMED]}, "spec.upstreams must not be set in mode Ingress"),
        (
            {"upstream": {"provider": "Any", "url": "http://x"}, "upstreams": [NAMED]},
            "spec.upstreams must not be set with spec.upstream.provider Any",
        ),
        (
            {"upstream": {"provider": "Any", "url": "http://x", "models": {"a": "b"}}},
            "spec.upstream.models must not be set with provider Any",
        ),
        (
            {"mode": "Ingress", "appPort": 80, "upstream": {"models": {"a": "b"}}},
            "spec.upstream.models must not be set with provider Any",
        ),
        ({"upstream": {"models": {"a*b": "c"}}}, "spec.upstream.models: a*b: * may only stand at the end"),
        ({"upstream": {"models": {"a*": "b*"}}}, "spec.upstream.models: a*: what is meant must be one model's name"),
        ({"upstream": {"models": {"a": "b\n"}}}, "spec.upstream.models must be printable text"),
        ({"upstream": {"models": {"a\n": "b"}}}, "spec.upstream.models must be printable text"),
        ({"upstream": {"models": {"": "b"}}}, "spec.upstream.models: Expected `str` of length >= 1"),
        ({"upstream": {"models": {"a": 4}}}, "spec.upstream.models[...]: Expected `str`, got `int`"),
        ({"upstream": {"defaultMaxTokens": 0}}, "spec.upstream.defaultMaxTokens: Expected `int` >= 1"),
        ({"upstreams": [NAMED, NAMED]}, "spec.upstreams[1].name: vllm is the name of another one already"),
        ({"upstreams": [{**NAMED, "models": ["a", "b*c"]}]}, "spec.upstreams[0].models: * may only stand at the end"),
        ({"upstreams": [{**NAMED, "models": ["a\n"]}]}, "spec.upstreams[0].name and models must be printable text"),
        ({"upstreams": [{**NAMED, "name": "a\n"}]}, "spec.upstreams[0].name and models must be printable text"),
        ({"upstreams": [{**NAMED, "models": []}]}, "spec.upstreams[0].models: Expected `array` of length"),
        ({"upstreams": [{**NAMED, "provider": "Any"}]}, "spec.upstreams[0].provider: Invalid enum value 'Any'"),
        (
            {"upstreams": [{**NAMED, "apiKeyFile": "/x"}]},
            "spec.upstreams[0]: Object contains unknown field `apiKeyFile`",
        ),
        ({"upstreams": [{"name": "a"}]}, "spec.upstreams[0]: Object missing required field `provider`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_a_sentence_that_names_the_field(spec, sentence):
    with pytest.raises(SpecError, match="spec") as caught:
        proxy(**spec)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "::1/0", "1::2::3", "1:2:3", ":::"])
def test_a_network_that_no_sidecar_takes_is_none(network):
    fine = "10.0.0.0/8"
    sentence = r"spec\.listen\.trustedProxies\[1\] must be an IP address or a network without bits behind its mask"
    with pytest.raises(SpecError, match=sentence):
        proxy(listen={"trustedProxies": [fine, network]})


def test_proxies_that_are_trusted():
    networks = ["203.0.113.7", "10.0.0.0/8", "0.0.0.0/0", "::1/128", "2001:db8::/32", "::/0", "fe80::1"]
    made = proxy(listen={"trustedProxies": networks})
    assert list(made.spec.listen.trusted_proxies) == networks


def test_models_and_upstreams_by_model():
    made = proxy(upstream={"models": {"*": "claude-sonnet-4-6"}}, upstreams=[NAMED, {**NAMED, "name": "b"}]).spec
    assert made.upstream.models == {"*": "claude-sonnet-4-6"}
    assert [(each.name, each.models) for each in made.upstreams] == [("vllm", ("qwen*",)), ("b", ("qwen*",))]


def test_no_spec_at_all_is_a_sentence_too():
    with pytest.raises(SpecError, match="spec: Object missing required field `selector`"):
        parse_stream_proxy({})
