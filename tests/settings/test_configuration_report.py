"""What `check` and `schema` say, the start line, and the generated page; the schema agrees with what is accepted."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.settings import Settings, load
from lastcall_sidecar.settings.environment import variables
from lastcall_sidecar.settings.json_schema import json_schema
from lastcall_sidecar.settings.report import check, masked, schema_text
from lastcall_sidecar.settings.shape import ELSEWHERE, build

ROOT = Path(__file__).parents[2]


def leaves(schema, path=""):
    for key, part in schema["properties"].items():
        place = f"{path}.{key}" if path else key
        if "properties" in part:
            yield from leaves(part, place)
        elif "properties" in part.get("items", {}):
            yield place, part
            yield from leaves(part["items"], f"{place}[]")
        else:
            yield place, part


LEAVES = dict(leaves(json_schema()))
#: What has to be said of each upstream.
REQUIRED = {f"upstreams[].{key}" for key in json_schema()["properties"]["upstreams"]["items"]["required"]}
#: Fields of sections.
FIELDS = [path for path in LEAVES if "." in path and "[]" not in path]


def test_check_says_what_would_be_served(write):
    file = write("limits: {maxDurationSeconds: 2000}\n")
    report = check(file, {})
    assert report.exit_code == 0
    assert report.text.splitlines() == [
        f"{file}: good",
        "  mode Gateway, upstream Anthropic at https://api.anthropic.com (API key: none)",
        "  asks for https://api.anthropic.com/v1/messages",
        f"  {load(file, {}).hash}",
        f"  warning: {load(file, {}).warnings[0]}",
    ]


def test_check_says_which_upstreams_have_a_key_and_none_of_them(write, tmp_path):
    (tmp_path / "key").write_text("sk-secret-1")
    file = write(
        "upstreams:\n"
        "- {name: vllm, provider: OpenAI, models: ['qwen*', gpt-oss], url: 'http://vllm', "
        f"apiKeyFile: {tmp_path}/key}}\n"
        "- {name: opus, provider: Anthropic, models: [claude-opus-4-8]}\n"
    )
    report = check(file, {"LASTCALL_UPSTREAM__API_KEY": "sk-secret-2"})
    assert report.text.splitlines()[1:4] == [
        "  mode Gateway, upstream Anthropic at https://api.anthropic.com (API key: set)",
        "  upstream vllm: OpenAI at http://vllm (API key: set) for qwen*, gpt-oss",
        "  upstream opus: Anthropic at https://api.anthropic.com (API key: none) for claude-opus-4-8",
    ]
    loaded = load(file, {})
    shown = masked(loaded.settings, loaded.secrets)
    assert [upstream["apiKey"] for upstream in shown["upstreams"]] == ["set", "none"]
    assert "sk-secret" not in report.text + json.dumps(shown)


def test_check_says_what_is_wrong_and_where(write):
    file = write("mode: x\nlimits:\n  maxQueued: -1\n")
    report = check(file, {})
    assert report.exit_code == 1
    assert report.text.splitlines() == [
        f"{file}: 2 problems",
        "  mode (line 1): must be one of Gateway, Egress, Ingress, not 'x'",
        "  limits.maxQueued (line 3): must be a whole number from 0 to 1000000, not -1",
    ]


def test_check_without_a_file_judges_the_environment():
    assert check(None, {}).text.startswith("no configuration file: good\n")
    assert check(None, {"LASTCALL_ADMIN__TOKEN": ""}).text == (
        "no configuration file: 1 problem\n  admin.token (LASTCALL_ADMIN__TOKEN): is empty"
    )


def test_the_start_line_shows_all_settings_and_no_secret(write):
    environ = {"LASTCALL_UPSTREAM__API_KEY": "sk-secret-1", "LASTCALL_AUTH__API_KEYS": "bob=sk-secret-2,sk-secret-3"}
    loaded = load(write("generation: 3\nmode: Egress\n"), environ)
    shown = masked(loaded.settings, loaded.secrets)
    assert (shown["mode"], shown["generation"], shown["limits"]["maxQueued"]) == ("Egress", 3, 1000)
    assert shown["upstream"]["apiKey"] == "set"
    assert shown["auth"]["apiKeys"] == ["bob", "key-2"]
    assert shown["admin"]["token"] == "none"
    assert "sk-secret" not in json.dumps(shown)


def test_the_schema_is_one_and_refers_to_nothing():
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == json_schema()
    assert "$ref" not in schema_text()
    assert "$defs" not in schema


@pytest.mark.parametrize("path", LEAVES)
def test_every_field_has_a_description_a_default_and_a_bound(path):
    part = LEAVES[path]
    assert part["description"].endswith(".")
    assert ("default" in part) is (path not in REQUIRED)
    if part.get("type") == "integer":
        assert part["minimum"] <= part["default"] <= part["maximum"]
        assert (
            path == "generation"
            or path.endswith(("Seconds", "Bytes", "Tokens", "PerSecond"))
            or path.startswith("limits.max")
        )
    if part.get("type") == "array":
        assert "maxItems" in part
    if "additionalProperties" in part:
        assert {"maxProperties", "propertyNames"} <= set(part)
    if "enum" in part and path not in REQUIRED:
        assert part["default"] in part["enum"]


def test_the_schemas_defaults_are_the_settings_own():
    defaults = json.loads(msgspec.json.encode(Settings()))
    for path, part in LEAVES.items():
        section, _, key = path.rpartition(".")
        if section == "upstreams[]":
            assert part.get("default") is None, path
        else:
            assert part["default"] == (defaults[section] if section else defaults)[key], path


def test_every_field_of_a_section_has_its_variable():
    assert {f"{section}.{key}" for section, key, _ in variables().values()} == set(FIELDS)


def test_what_is_said_to_be_missing_is_missing():
    assert not set(ELSEWHERE) & (set(LEAVES) | set(json_schema()["properties"]))


@pytest.mark.parametrize(
    ("settings", "valid"),
    [
        ({}, True),
        ({"mode": "Ingress"}, False),
        ({"mode": "Ingress", "upstream": {"url": "http://127.0.0.1:1"}}, True),
        ({"upstream": {"provider": "Any"}}, False),
        ({"upstream": {"provider": "Any", "url": "http://up"}}, True),
        ({"upstream": {"provider": "AgentSDK"}}, False),
        ({"upstream": {"url": "ftp://up"}}, False),
        ({"limits": {"maxConcurent": 1}}, False),
        ({"listen": {"corsOrigins": ["http://a"]}}, True),
        ({"auth": {"apiKeysFile": ""}}, False),
        ({"auth": {"apiKeysFile": None}}, True),
        ({"upstream": {"models": {"gpt-*": "claude-sonnet-4-6"}}}, True),
        ({"upstream": {"models": {"": "claude-sonnet-4-6"}}}, False),
        ({"upstream": {"provider": "Any", "url": "http://up", "models": {"a": "b"}}}, False),
        ({"upstreams": [{"name": "a", "provider": "OpenAI", "models": ["*"]}]}, True),
        ({"upstreams": [{"name": "a", "provider": "Any", "models": ["*"], "url": "http://up"}]}, False),
        ({"upstreams": [{"name": "a", "provider": "OpenAI"}]}, False),
        ({"upstreams": [{"name": "a", "provider": "OpenAI", "models": ["*"], "caFile": "/x"}]}, False),
        (
            {
                "mode": "Ingress",
                "upstream": {"url": "http://127.0.0.1:1"},
                "upstreams": [{"name": "a", "provider": "OpenAI", "models": ["*"]}],
            },
            False,
        ),
        (
            {
                "upstream": {"provider": "Any", "url": "http://up"},
                "upstreams": [{"name": "a", "provider": "OpenAI", "models": ["*"]}],
            },
            False,
        ),
    ],
)
def test_the_schema_knows_what_is_required(settings, valid):
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(settings) is valid


VALUES = st.one_of(
    st.integers(-2, 2**54),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.sampled_from(["http://up", "Any", "info", "auto"]),
)


def without_empty_mappings(fields):
    """A mapping with all its lines commented out is one to us, and to the schema nothing."""
    return {path: value for path, value in fields.items() if value is not None or "propertyNames" not in LEAVES[path]}


@given(
    st.dictionaries(
        st.sampled_from(FIELDS),
        VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(max_size=5), VALUES, max_size=2),
    ).map(without_empty_mappings)
)
def test_what_the_schema_says_of_a_field_is_what_is_accepted(fields):
    document = {}
    for path, value in fields.items():
        section, _, key = path.partition(".")
        document.setdefault(section, {})[key] = value
    schema = {key: part for key, part in json_schema().items() if key != "allOf"}  # what fields demand of each other
    refused = {".".join(problem.where.split(".")[:2]) for problem in build(Settings, document)[1]}
    errors = {
        ".".join(str(part) for part in error.absolute_path)
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
    }
    assert {".".join(error.split(".")[:2]) for error in errors} == refused


def test_the_page_of_the_configuration_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_docs.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
