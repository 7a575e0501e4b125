"""The environment wins over the file, is typed by the schema, and what is not ours is left alone."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as types

from lastcall_sidecar.settings import ConfigError, load
from lastcall_sidecar.settings.durations import go_seconds, milliseconds
from lastcall_sidecar.settings.environment import variables


def problems_of(environ):
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "text", "section", "attribute", "value"),
    [
        ("LASTCALL_UPSTREAM__URL", " http://127.0.0.1:9000 ", "upstream", "url", "http://127.0.0.1:9000"),
        ("LASTCALL_UPSTREAM__PROVIDER", "OpenAI", "upstream", "provider", "OpenAI"),
        ("LASTCALL_UPSTREAM__TRUST_ENV", "Yes", "upstream", "trust_env", True),
        ("LASTCALL_UPSTREAM__TRUST_ENV", "0", "upstream", "trust_env", False),
        ("LASTCALL_LIMITS__MAX_CONCURRENT", "8", "limits", "max_concurrent", 8),
        ("LASTCALL_LISTEN__TRAFFIC", "0.0.0.0:80", "listen", "traffic", "0.0.0.0:80"),
        (
            "LASTCALL_LISTEN__CORS_ORIGINS",
            "https://a.b, http://c:1,",
            "listen",
            "cors_origins",
            ("https://a.b", "http://c:1"),
        ),
        ("LASTCALL_LISTEN__CORS_ORIGINS", "", "listen", "cors_origins", ()),
        (
            "LASTCALL_UPSTREAM__MODELS",
            " gpt-4o = claude-sonnet-4-6 ,o3*=a=b,",
            "upstream",
            "models",
            {"gpt-4o": "claude-sonnet-4-6", "o3*": "a=b"},
        ),
        ("LASTCALL_UPSTREAM__MODELS", "", "upstream", "models", {}),
        ("LASTCALL_LIMITS__MAX_OUTPUT_CHARS", "9", "limits", "max_output_chars", 9),
        ("LASTCALL_STREAMING__DEMOTE_NON_STREAMING", "on", "streaming", "demote_non_streaming", True),
        ("ANTHROPIC_DEMOTE_NONSTREAMING", "true", "streaming", "demote_non_streaming", True),
        ("ANTHROPIC_DEMOTE_NONSTREAMING", "1", "streaming", "demote_non_streaming", True),
        ("LASTCALL_LOGS__LEVEL", "debug", "logs", "level", "debug"),
        ("LASTCALL_DRAIN__SETTLE_SECONDS", "0", "drain", "settle_seconds", 0),
    ],
)
def test_a_variable_sets_its_field(name, text, section, attribute, value):
    assert getattr(getattr(load(None, {name: text}).settings, section), attribute) == value


MAX_CONCURRENT = "limits.maxConcurrent ({}): must be a whole number from 0 to 100000, not "
HEADER_TIMEOUT = "upstream.responseHeaderTimeoutSeconds ({}): must be "
ORIGINS = "listen.corsOrigins ({}): any origin is not allowed: name each one, as https://host[:port]"
PROVIDER = "upstream.provider ({}): must be one of Anthropic, OpenAI, Any, not "
DEMOTE = "streaming.demoteNonStreaming ({}): must be true or false, not "
BAD = [
    ("LASTCALL_LIMITS__MAX_CONCURRENT", "many", MAX_CONCURRENT + "'many'"),
    ("LASTCALL_LIMITS__MAX_CONCURRENT", "-1", MAX_CONCURRENT + "-1"),
    ("LASTCALL_LIMITS__MAX_CONCURRENT", "1.0", MAX_CONCURRENT + "'1.0'"),
    ("LASTCALL_LIMITS__MAX_CONCURRENT", "1_0", MAX_CONCURRENT + "'1_0'"),
    ("LASTCALL_LIMITS__MAX_CONCURRENT", "", MAX_CONCURRENT + "''"),
    ("LASTCALL_UPSTREAM__TRUST_ENV", "maybe", "upstream.trustEnv ({}): must be true or false, not 'maybe'"),
    ("LASTCALL_UPSTREAM__PROVIDER", "anthropic", PROVIDER + "'anthropic'; did you mean Anthropic?"),
    ("LASTCALL_UPSTREAM__CA_FILE", "", "upstream.caFile ({}): must be text that is not empty, not ''"),
    ("LASTCALL_UPSTREAM__URL", "http://up?", "upstream.url ({}): must have neither query nor fragment"),
    ("LASTCALL_LISTEN__TRAFFIC", "8080", "listen.traffic ({}): must be HOST:PORT with a port from 1 to 65535"),
    ("LASTCALL_LISTEN__CORS_ORIGINS", "https://a.b,*", ORIGINS),
    ("LASTCALL_UPSTREAM__MODELS", "gpt-4o", "upstream.models ({}): must be NAME=MODEL, separated by commas"),
    ("LASTCALL_UPSTREAM__MODELS", "a=b,a=c", "upstream.models ({}): has a name twice: 'a'"),
    ("LASTCALL_UPSTREAM__MODELS", "a=", "upstream.models.a ({}): must be text of 1 to 512 characters, not ''"),
    (
        "LASTCALL_UPSTREAM__MODELS",
        "=a",
        "upstream.models.'' ({}): the name must be text of 1 to 512 characters, not ''",
    ),
    ("LASTCALL_UPSTREAM__MODELS", "a=*", "upstream.models.a ({}): must be one model's name, without `*`"),
    ("LASTCALL_UPSTREAM__MODELS", "a\x07=b", "upstream.models ({}): each name must be printable text"),
    (
        "LASTCALL_UPSTREAM__MODELS",
        "\udcff=b",
        "upstream.models.'\\udcff' ({}): the name must be Unicode text; it holds half a surrogate pair",
    ),
    ("ANTHROPIC_DEMOTE_NONSTREAMING", "maybe", DEMOTE + "'maybe'"),
    ("LASTCALL_UPSTREAM__API_KEY", "", "upstream.apiKey ({}): is empty"),
    ("LASTCALL_UPSTREAM__API_KEY", "a b", "upstream.apiKey ({}): must be one line of visible ASCII characters"),
    ("LASTCALL_AUTH__API_KEYS", " , ", "auth.apiKeys ({}): holds no key"),
    ("LASTCALL_ADMIN__TOKEN", "\n", "admin.token ({}): is empty"),
    ("ANTHROPIC_RESPONSE_HEADER_TIMEOUT", "soon", HEADER_TIMEOUT + "a duration such as 300s, 5m or 1h30m"),
    ("ANTHROPIC_RESPONSE_HEADER_TIMEOUT", "0s", HEADER_TIMEOUT + "a whole number from 1 to 86400, not 0"),
    ("CLAUDE_PROXY_QUEUE_TIMEOUT_MS", "1s", "limits.queueTimeoutSeconds ({}): must be a whole number of milliseconds"),
    ("CLAUDE_PROXY_MAX_CONCURRENT", "five", MAX_CONCURRENT + "'five'"),
]


@pytest.mark.parametrize(("name", "text", "problem"), BAD, ids=[f"{name}={text!r}" for name, text, _ in BAD])
def test_a_bad_value_is_a_problem_that_names_its_variable(name, text, problem):
    assert problems_of({name: text}) == [problem.format(name)]


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("LASTCALL_LIMITS__MAX_CONCURENT", "{} is not a setting: did you mean LASTCALL_LIMITS__MAX_CONCURRENT?"),
        ("LASTCALL_UPSTREAM__APIKEY", "{} is not a setting: did you mean LASTCALL_UPSTREAM__API_KEY?"),
        ("LASTCALL_X__Y", "{} is not a setting: unknown"),
        ("LASTCALL_RECORDING__ENABLED", "{} is not a setting: not in this version"),
        ("LASTCALL_UPSTREAMS__URL", "{} is not a setting: upstreams stand in the file only"),
        ("LASTCALL_MODE", "{} is not read: only names with __ are; it can be set in the file"),
        ("LASTCALL_UPSTREAMS", "{} is not read: only names with __ are; it can be set in the file"),
        ("CLAUDE_PROXY_PORT", "{} is ignored: of that proxy's variables this version does not know it"),
    ],
)
def test_what_looks_like_ours_and_is_not_is_warned_about(name, warning):
    loaded = load(None, {name: "true"})
    assert loaded.warnings == (warning.format(name),)
    assert loaded.settings == load(None, {}).settings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LASTCALL_PORT", "tcp://10.0.0.1:80"),
        ("LASTCALL_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("LASTCALL_SERVICE_HOST", "10.0.0.1"),
        ("LASTCALL_POD__NAME", "chat-7c"),
        ("LASTCALL_POD__UID", "0-0"),
        ("ANTHROPIC_DEMOTE_NONSTREAMING", "false"),
        ("ANTHROPIC_DEMOTE_NONSTREAMING", ""),
        ("CLAUDE_PROXY_API_KEY", ""),
        ("ANTHROPIC_BASE_URL", "http://other"),
        ("PATH", "/bin"),
    ],
)
def test_what_is_not_ours_changes_nothing(name, text):
    assert load(None, {name: text}) == load(None, {})


def test_other_proxies_variables_are_understood():
    loaded = load(
        None,
        {
            "ANTHROPIC_RESPONSE_HEADER_TIMEOUT": "5m",
            "CLAUDE_PROXY_MAX_CONCURRENT": "5",
            "CLAUDE_PROXY_QUEUE_TIMEOUT_MS": "2500",
            "CLAUDE_PROXY_API_KEY": "sk-client",
            "ANTHROPIC_DEMOTE_NONSTREAMING": "Yes",
        },
    )
    assert loaded.settings.streaming.demote_non_streaming is True
    assert loaded.settings.upstream.response_header_timeout_seconds == 300
    assert loaded.settings.limits.max_concurrent == 5
    assert loaded.settings.limits.queue_timeout_seconds == 3
    assert [key.name for key in loaded.secrets.api_keys] == ["key-1"]
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("alias", "text", "ours", "our_text", "read"),
    [
        (
            "ANTHROPIC_RESPONSE_HEADER_TIMEOUT",
            "nonsense",
            "LASTCALL_UPSTREAM__RESPONSE_HEADER_TIMEOUT_SECONDS",
            "7",
            lambda loaded: loaded.settings.upstream.response_header_timeout_seconds == 7,
        ),
        (
            "ANTHROPIC_DEMOTE_NONSTREAMING",
            "true",
            "LASTCALL_STREAMING__DEMOTE_NON_STREAMING",
            "false",
            lambda loaded: not loaded.settings.streaming.demote_non_streaming,
        ),
        (
            "CLAUDE_PROXY_API_KEY",
            "one",
            "LASTCALL_AUTH__API_KEYS",
            "a=two",
            lambda loaded: [key.name for key in loaded.secrets.api_keys] == ["a"],
        ),
    ],
    ids=["setting", "flag", "secret"],
)
def test_our_own_name_is_stronger_than_another_proxys(alias, text, ours, our_text, read):
    assert read(load(None, {alias: text, ours: our_text}))


def test_the_environment_wins_over_the_file(tmp_path):
    file = tmp_path / "lastcall.yaml"
    file.write_text("limits: {maxConcurrent: 1, maxQueued: 2}\ndrain:\n")
    limits = load(file, {"LASTCALL_LIMITS__MAX_CONCURRENT": "8", "LASTCALL_DRAIN__SETTLE_SECONDS": "1"}).settings.limits
    assert (limits.max_concurrent, limits.max_queued) == (8, 2)


def test_a_mapping_of_the_environment_replaces_that_of_the_file(tmp_path):
    file = tmp_path / "lastcall.yaml"
    file.write_text("upstream:\n  models: {a: b, c: d}\n")
    assert load(file, {"LASTCALL_UPSTREAM__MODELS": "c=e"}).settings.upstream.models == {"c": "e"}
    assert load(file, {"LASTCALL_UPSTREAM__MODELS": ""}).settings.upstream.models == {}


def test_a_bad_value_in_the_file_does_not_count_where_the_environment_wins(tmp_path):
    file = tmp_path / "lastcall.yaml"
    file.write_text("limits: {maxConcurrent: lots}\n")
    assert load(file, {"LASTCALL_LIMITS__MAX_CONCURRENT": "8"}).settings.limits.max_concurrent == 8


def test_the_number_of_concurrent_requests_of_an_alias_wins_over_the_file(tmp_path):
    file = tmp_path / "lastcall.yaml"
    file.write_text("limits: {maxConcurrent: 1}\n")
    assert load(file, {"CLAUDE_PROXY_MAX_CONCURRENT": "8"}).settings.limits.max_concurrent == 8


def values_of(info: types.Type) -> st.SearchStrategy[object]:
    match info:
        case types.IntType():
            return st.integers(info.ge, info.le)
        case types.BoolType():
            return st.booleans()
        case types.EnumType():
            return st.sampled_from([member.value for member in info.cls])
    return st.nothing()


SIMPLE = {name: place for name, place in variables().items() if not values_of(place[2]).is_empty}


@given(st.data())
def test_every_simple_field_survives_the_way_through_the_environment(data):
    names = data.draw(st.sets(st.sampled_from(sorted(SIMPLE)), min_size=1, max_size=6))
    drawn = {name: data.draw(values_of(SIMPLE[name][2])) for name in names}
    # What other fields demand of these.
    environ = {name: str(value) for name, value in drawn.items()} | {"LASTCALL_UPSTREAM__URL": "http://up.example"}
    environ.setdefault("LASTCALL_LIMITS__MAX_BUFFERED_BYTES", str(2**36))
    drawn.pop("LASTCALL_LIMITS__MAX_BUFFERED_BYTES", None)
    environ["LASTCALL_LIMITS__MAX_BUFFERED_BYTES"] = str(2**36)
    settings = msgspec.to_builtins(load(None, environ).settings)
    assert {name: settings[SIMPLE[name][0]][SIMPLE[name][1]] for name in drawn} == drawn


@given(st.dictionaries(st.sampled_from([*variables(), "LASTCALL_A__B", "CLAUDE_PROXY_X"]), st.text(max_size=30)))
def test_no_environment_makes_anything_but_settings_or_problems(environ):
    try:
        load(None, environ)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - either outcome is right, and this is what must hold of one


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300s", 300), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 1), ("1s1ns", 2), ("0", 0), ("0s", 0),
        ("90", 90), (".5m", 30), ("1.s", 1), ("2000000us", 2), ("3000000µs", 3), ("1h1m1s1ms", 3662),
    ],
)  # fmt: skip
def test_go_durations_become_whole_seconds_rounded_up(text, seconds):
    assert go_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 m", "-5s", "5d", "1h30", "5m-", "+5s", "٣s", "1e3s", "9" * 13, "1s" * 51])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="must be a duration"):
        go_seconds(text)


@pytest.mark.parametrize(("text", "seconds"), [("30000", 30), ("1", 1), ("1001", 2), ("0", 0)])
def test_milliseconds_become_whole_seconds_rounded_up(text, seconds):
    assert milliseconds(text) == seconds


@pytest.mark.parametrize("text", ["", "1.5", "-1", "1s", "9" * 13])
def test_what_is_no_number_of_milliseconds_is_refused(text):
    with pytest.raises(ValueError, match="whole number of milliseconds"):
        milliseconds(text)
