"""The CRDs are the types', hold what the sidecar's own schema says, and are what the chart and the docs have."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lastcall_operator.api.crds import _STREAM_PROXY_RULES, definitions, structural
from lastcall_operator.api.drainpolicy import DrainPolicySpec
from lastcall_operator.api.streamproxy import StreamProxySpec
from lastcall_sidecar.settings.json_schema import json_schema

ROOT = Path(__file__).parents[2]

#: What the sidecar knows and a StreamProxy does not say, and why.
SIDECAR_ONLY = {
    "generation": "the controller counts it",
    "listen.traffic": "ports are each pod's own, from the environment",
    "listen.admin": "ports are each pod's own, from the environment",
    "listen.keepAliveSeconds": "the chart's gateway has it in its values",
    "listen.corsOrigins": "the chart's gateway has it in its values",
    "listen.allowedHosts": "the chart's gateway has it in its values",
    "admin": "the injection's business",
    "logs.format": "JSON in a pod",
    "drain.publicKey": "the operator's own key",
    "auth.apiKeysFile": "a mounted secret: auth.apiKeysSecretRef",
    "upstream.apiKeyFile": "a mounted secret: upstream.apiKeySecretRef",
    "upstreams[].apiKeyFile": "a mounted secret: upstreams[].apiKeySecretRef",
    "upstream.trustEnv": "an environment is not injected",
    "upstream.caFile": "files are not mounted but for secrets",
}
#: What a StreamProxy says and the sidecar does not read.
PROXY_ONLY = {
    "selector": "which pods",
    "appPort": "becomes the upstream",
    "auth.apiKeysSecretRef": "becomes auth.apiKeysFile",
    "upstream.apiKeySecretRef": "becomes upstream.apiKeyFile",
    "upstreams[].apiKeySecretRef": "becomes upstreams[].apiKeyFile",
    "drain.preStopPolicy": "the injection's business",
    "drain.egressWait": "the injection's business",
    "sidecar": "the container",
}
#: The same in another place.
MOVED = {"sidecar.logLevel": "logs.level"}
#: Fields whose default follows from others here, because a CRD's default cannot.
DERIVED_DEFAULT = {"upstream.provider", "upstream.url"}
ABOUT = ("type", "enum", "minimum", "maximum", "default", "required", "minItems", "maxItems", "maxProperties")
#: What both say of the texts in a list or mapping.
ABOUT_TEXTS = ("type", "minLength", "maxLength")


def leaves(schema, prefix=""):
    found = {}
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        found |= leaves(field, f"{path}.") if "properties" in field else {path: field}
        if "properties" in field.get("items", {}):
            found |= leaves(field["items"], f"{path}[].")
    return found


def covered(path, table):
    return any(path == key or path.startswith(f"{key}.") for key in table)


def about(field):
    """What a field is; one that may be null in a file may be left out of a resource."""
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if choices:
        (only,) = choices
        field = {**field, **only}
    said = {key: field[key] for key in ABOUT if field.get(key) is not None}
    if "enum" in said:
        said |= {"type": "string", "enum": sorted(said["enum"])}
    for inside in ("items", "additionalProperties"):
        if isinstance(field.get(inside), dict):
            said[inside] = {key: field[inside][key] for key in ABOUT_TEXTS if key in field[inside]}
            said[inside]["required"] = field[inside].get("required", [])
    return said


def test_both_schemas_say_the_same_of_what_they_share():
    ours = {MOVED.get(path, path): field for path, field in leaves(structural(StreamProxySpec)).items()}
    theirs = leaves(json_schema())
    missing_here = {path for path in theirs if path not in ours and not covered(path, SIDECAR_ONLY)}
    missing_there = {path for path in ours if path not in theirs and not covered(path, PROXY_ONLY)}
    assert (missing_here, missing_there) == (set(), set())
    shared = set(ours) & set(theirs)
    assert len(shared) > 15
    for path in shared:
        here, there = about(ours[path]), about(theirs[path])
        if path in DERIVED_DEFAULT:
            here, there = ({**side, "default": None} for side in (here, there))
        assert here == there, path


@pytest.mark.parametrize("spec", [StreamProxySpec, DrainPolicySpec], ids=["StreamProxy", "DrainPolicy"])
def test_every_field_is_described_bounded_and_structural(spec):
    def look(schema, path):
        assert "$ref" not in schema, path
        assert "anyOf" not in schema, path
        assert schema.get("description"), path
        if schema.get("type") == "integer":
            assert {"minimum", "maximum"} <= set(schema), path
        if schema.get("type") == "string":
            assert {"enum", "maxLength", "pattern"} & set(schema) or path.endswith("apiVersion"), path
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        for name, field in schema.get("properties", {}).items():
            look(field, f"{path}.{name}")
        if "properties" in schema.get("items", {}):
            look(schema["items"], f"{path}[]")

    look(structural(spec), "spec")


def test_every_rule_has_a_sentence_that_names_its_field():
    for definition in definitions():
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert schema["properties"]["status"]["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
        for rule in schema["properties"]["spec"]["x-kubernetes-validations"]:
            assert rule["message"].startswith("spec.")


def test_a_part_that_is_left_out_is_filled_in_and_a_reference_is_not():
    properties = structural(StreamProxySpec)["properties"]
    assert properties["limits"]["default"] == {}
    assert "default" not in properties["selector"]
    assert "default" not in properties["upstream"]["properties"]["apiKeySecretRef"]


def test_amounts_are_numbers_or_texts_of_a_pattern():
    resources = structural(StreamProxySpec)["properties"]["sidecar"]["properties"]["resources"]
    for part in ("requests", "limits"):
        amount = resources["properties"][part]["additionalProperties"]
        assert set(amount) == {"x-kubernetes-int-or-string", "pattern"}
        for text, good in [("100m", True), ("1.5Gi", True), ("1e3", True), ("lots", False), ("-1", False)]:
            assert bool(re.fullmatch(amount["pattern"], text)) is good


@pytest.mark.parametrize(
    ("text", "good"), [("a b!", False), ("app", True), ("example.com/app", True), ("a/b/c", False)]
)
def test_the_rule_on_keys_is_a_pattern_that_cel_can_read(text, good):
    ((rule, _),) = [each for each in _STREAM_PROXY_RULES if "key.matches" in each[0]]
    pattern = rule.partition("key.matches('")[2].removesuffix("'))")
    assert "\\" not in pattern  # CEL would want it twice
    assert bool(re.fullmatch(pattern, text)) is good


def test_a_list_of_named_things_is_a_map_to_the_api_server():
    upstreams = structural(StreamProxySpec)["properties"]["upstreams"]
    assert (upstreams["x-kubernetes-list-type"], upstreams["x-kubernetes-list-map-keys"]) == ("map", ["name"])
    assert upstreams["default"] == []
    assert "default" not in upstreams["items"]["properties"]["apiKeySecretRef"]
    expressions = structural(StreamProxySpec)["properties"]["selector"]["properties"]["matchExpressions"]
    assert "x-kubernetes-list-type" not in expressions


def test_a_mapping_has_a_bound_for_its_size_and_one_for_its_values():
    models = structural(StreamProxySpec)["properties"]["upstream"]["properties"]["models"]
    assert (models["maxProperties"], models["additionalProperties"]["maxLength"]) == (200, 512)


def test_the_chart_and_the_docs_are_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_crds.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_short_names_are_those_that_people_type():
    assert [made["spec"]["names"]["shortNames"] for made in definitions()] == [["sp", "sproxy"], ["dp", "dpol"]]
