"""From a StreamProxy to the file: what the sidecar's own loader makes of it, and the hash that it reports."""

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.injection.pods import DEFAULTS, env, pod, proxy, sidecar
from tests.support.sidecar_process import SidecarProcess

from lastcall_operator.api.schema import SpecError
from lastcall_operator.configuration import render
from lastcall_operator.injection import inject
from lastcall_sidecar.settings import ConfigError, Mode, load

KEY = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def as_loaded(rendered, folder, environ):
    file = folder / "lastcall.yaml"
    file.write_text(rendered.text)
    return load(file, environ)


def overlay(mode):
    """The plain variables that the injection gives a sidecar."""
    made = inject(pod(), proxy(mode), DEFAULTS).pod
    container = made["spec"]["containers"][0] if mode == "Gateway" else sidecar(made)
    return {name: value for name, value in env(container).items() if isinstance(value, str)}


@pytest.mark.parametrize("mode", ["Ingress", "Egress", "Gateway"])
@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_the_sidecar_takes_it_and_reports_the_hash(tmp_path, mode, key):
    made = proxy(
        mode,
        limits={"maxConcurrent": 7},
        streaming={"heartbeatSeconds": 3},
        drain={"ceilingSeconds": 1900, "settleSeconds": 2, "preStopPolicy": "Keep"},
    )
    rendered = render(made, key)
    loaded = as_loaded(rendered, tmp_path, overlay(mode))
    assert loaded.hash == rendered.hash
    assert loaded.generation == 3
    found = loaded.settings
    assert found.mode is Mode(mode)
    assert found.limits.max_concurrent == 7
    assert found.streaming.heartbeat_seconds == 3
    assert (found.drain.ceiling_seconds, found.drain.settle_seconds) == (1900, 2)
    assert found.drain.public_key == key
    assert found.upstream.url == ("http://127.0.0.1:8000" if mode == "Ingress" else "https://api.anthropic.com")
    assert found.auth.api_keys_file is None


SAYS_NOTHING = {"mode": "Gateway", "generation": 3}
LISTS = ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7"]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"drain": {"readiness": "UntilDrained", "ceilingSeconds": 1920}}, {}),
        ({"drain": {"readiness": "FailAtOnce"}}, {"drain": {"readiness": "FailAtOnce"}}),
        ({"upstream": {"idleReuseSeconds": 4, "models": {}}}, {}),
        ({"upstream": {"idleReuseSeconds": 5}}, {"upstream": {"idleReuseSeconds": 5}}),
        ({"listen": {"trustedProxies": []}}, {"listen": {"trustedProxies": []}}),
        ({"listen": {"trustedProxies": LISTS}}, {"listen": {"trustedProxies": LISTS}}),
    ],
    ids=["default of an enum", "an enum", "defaults", "a number", "an empty list", "a list"],
)
def test_a_sidecar_is_told_what_is_not_the_default(tmp_path, section, told):
    """An older one, which does not know a field, would refuse the file for its default, too."""
    rendered = render(proxy("Gateway", **section), None)
    assert yaml.safe_load(rendered.text) == {**SAYS_NOTHING, **told}
    loaded = as_loaded(rendered, tmp_path, {})
    assert loaded.hash == rendered.hash
    assert loaded.settings.drain.readiness == told.get("drain", {}).get("readiness", "UntilDrained")
    if "listen" in told:
        assert list(loaded.settings.listen.trusted_proxies) == told["listen"]["trustedProxies"]


def test_secrets_are_named_by_the_files_that_the_injection_mounts():
    made = proxy(
        "Egress",
        upstream={"apiKeySecretRef": {"name": "vendor", "key": "k"}, "url": "https://llm.example/v2"},
        auth={"apiKeysSecretRef": {"name": "clients"}},
    )
    values = yaml.safe_load(render(made, None).text)
    assert values["upstream"]["apiKeyFile"] == "/etc/lastcall/secrets/upstream/api-key"
    assert values["upstream"]["url"] == "https://llm.example/v2"
    assert values["auth"] == {"apiKeysFile": "/etc/lastcall/secrets/clients/api-keys"}
    assert "vendor" not in render(made, None).text
    mounts = {item["mountPath"] for item in sidecar(inject(pod(), made, DEFAULTS).pod)["volumeMounts"]}
    assert {"/etc/lastcall/secrets/upstream", "/etc/lastcall/secrets/clients"} <= mounts


def test_upstreams_by_model_arrive_with_the_files_of_their_keys(tmp_path):
    made = proxy(
        "Egress",
        upstream={"models": {"gpt-4.1": "claude-sonnet-4-6", "*": "claude-haiku-4-5"}, "defaultMaxTokens": 7},
        upstreams=[
            {"name": "vllm", "provider": "OpenAI", "models": ["qwen*"], "url": "http://vllm:8000"},
            {"name": "eu", "provider": "Anthropic", "models": ["eu.*"], "apiKeySecretRef": {"name": "vendor"}},
        ],
        limits={"maxOutputChars": 9},
        streaming={"demoteNonStreaming": True},
    )
    rendered = render(made, None)
    values = yaml.safe_load(rendered.text)
    key = "/etc/lastcall/secrets/upstream-eu/api-key"
    assert values["upstreams"] == [
        {"name": "vllm", "provider": "OpenAI", "models": ["qwen*"], "url": "http://vllm:8000"},
        {"name": "eu", "provider": "Anthropic", "models": ["eu.*"], "apiKeyFile": key},
    ]
    assert "vendor" not in rendered.text
    with pytest.raises(ConfigError, match=r"upstreams\[1\]\.apiKeyFile .*: cannot read " + key):
        as_loaded(rendered, tmp_path, overlay("Egress"))
    (tmp_path / "api-key").write_text("sk-eu")
    file = tmp_path / "lastcall.yaml"
    file.write_text(rendered.text.replace(key, str(tmp_path / "api-key")))
    loaded = load(file, overlay("Egress"))
    found = loaded.settings
    assert found.upstream.models == {"gpt-4.1": "claude-sonnet-4-6", "*": "claude-haiku-4-5"}
    assert (found.upstream.default_max_tokens, found.limits.max_output_chars) == (7, 9)
    assert found.streaming.demote_non_streaming is True
    assert [it.url for it in found.upstreams] == ["http://vllm:8000", "https://api.anthropic.com"]
    assert loaded.secrets.upstream_api_keys == {"eu": "sk-eu"}
    mounts = {item["name"]: item["mountPath"] for item in sidecar(inject(pod(), made, DEFAULTS).pod)["volumeMounts"]}
    assert mounts["lastcall-upstream-eu"] == "/etc/lastcall/secrets/upstream-eu"


_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(str.isprintable)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(_NAMES.filter(lambda name: "*" not in name), _NAMES.map(lambda name: name.replace("*", "+"))))
@example({"0o17": "on", "yes": "0x1", "1:30": "~", "null": "", ".5": "- a", "a" * 300: "#", r"""'"\n""": ": x"})
def test_whatever_a_model_may_be_called_arrives(tmp_path_factory, models):
    models = {name: model or "x" for name, model in models.items()}
    rendered = render(proxy("Egress", upstream={"models": models}), None)
    loaded = as_loaded(rendered, tmp_path_factory.getbasetemp(), {})
    assert loaded.settings.upstream.models == models
    assert loaded.hash == rendered.hash


def test_more_than_a_sidecar_reads_is_refused_with_a_sentence():
    models = {f"{number}-{'x' * 400}": "m" for number in range(200)}
    with pytest.raises(SpecError, match=r"spec: the sidecars' file would have \d+ bytes; name fewer models, 65536 is"):
        render(proxy("Egress", upstream={"models": models}), None)


def test_the_operator_s_business_and_the_log_level_are_not_in_it():
    made = proxy(sidecar={"logLevel": "debug", "image": "x"}, drain={"settleSeconds": 6, "preStopPolicy": "Keep"})
    values = yaml.safe_load(render(made, None).text)
    assert values == {**SAYS_NOTHING, "mode": "Ingress", "drain": {"settleSeconds": 6}}


def test_the_hash_changes_with_what_it_says_and_not_with_the_generation():
    one, same = proxy(), proxy(sidecar={"logLevel": "debug"})
    assert render(one, None).hash == render(same, None).hash
    object.__setattr__(same, "generation", 9)
    assert render(one, None).hash == render(same, None).hash
    assert render(one, None).text != render(same, None).text
    assert render(one, None).hash != render(one, KEY).hash
    assert render(one, None).hash != render(proxy(limits={"maxQueued": 1}), None).hash


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Egress", "Gateway"]),
    st.from_regex(
        r"https?://[a-z]{1,9}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9:_~,%=*&!'\" \[\]{}-]{0,9})?", fullmatch=True
    ).filter(lambda url: " " not in url),
    st.integers(1, 86400),
    st.integers(0, 300),
)
def test_whatever_a_stream_proxy_may_say_arrives(tmp_path_factory, mode, url, ceiling, settle):
    made = proxy(mode, upstream={"url": url}, drain={"ceilingSeconds": ceiling, "settleSeconds": settle})
    rendered = render(made, KEY)
    loaded = as_loaded(rendered, tmp_path_factory.getbasetemp(), {})
    assert loaded.hash == rendered.hash
    assert loaded.settings.upstream.url == url
    assert loaded.settings.drain.ceiling_seconds == ceiling


@pytest.mark.parametrize(
    "url",
    [
        "http://x:", "http://x:0", "http://x:http", "http://-x", "http://x..y", "http://x.-y", "http://[::1",
        "http://[x]", "http://::1", "http://zürich", "http://x/ä", "http://x\\y", "http://x/\\", "http://x/\x7f",
        "http://" + "x" * 64,
    ],
)  # fmt: skip
def test_an_address_that_a_sidecar_refuses_is_refused_before(url):
    with pytest.raises(SpecError, match=r"spec\.upstream\.url"):
        proxy("Gateway", upstream={"url": url})


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "https://a-b.c_d.e.:65535/",
        "http://[fe80::1]:8080/a/b",
        "http://10.0.0.1/!\"$%&'()*+,-.:;<=>@[]^`{|}~",
    ],
)
def test_an_address_that_a_sidecar_takes_may_be_said(tmp_path, url):
    assert as_loaded(render(proxy("Gateway", upstream={"url": url}), None), tmp_path, {}).settings.upstream.url == url


def test_a_running_sidecar_reports_the_hash(tmp_path):
    rendered = render(proxy(), KEY)
    socket = tmp_path / "control.sock"
    variables = {**overlay("Ingress"), "LASTCALL_ADMIN__CONTROL_SOCKET": str(socket), "LASTCALL_POD__NAME": "chat-1"}
    process = SidecarProcess(env=variables)
    process.env["LASTCALL_LISTEN__TRAFFIC"] = f"127.0.0.1:{process.traffic_port}"
    process.env["LASTCALL_LISTEN__ADMIN"] = f"127.0.0.1:{process.admin_port}"
    process.write_config_text(rendered.text)
    with process as running:
        found = running.livez()
    assert found["config"] == {"generation": 3, "hash": rendered.hash, "error": None}
    assert found["pod"] == "chat-1"
