"""Upstreams by model and other names of models: what a file may say of them, and what is wrong with bad ones."""

import pytest

from lastcall_sidecar.settings import Provider, load
from lastcall_sidecar.settings.schema import MAX_MODELS, MAX_UPSTREAMS

STAR = "`*` may only stand at its end, for the beginning of names"
TEXTS = "entries, each text of 1 to 512 characters, not"
NAME = "must be at most 40 lower-case letters, digits and hyphens, none of these at an end"
ONLY = "must be one of Anthropic, OpenAI, not "


def entry(name="a", models="['a*']", **fields):
    said = {"name": name, "provider": "OpenAI", "models": models} | fields
    return "{" + ", ".join(f"{key}: {value}" for key, value in said.items() if value is not None) + "}"


def listed(*entries):
    return "upstreams:\n" + "".join(f"- {each}\n" for each in entries)


def test_a_file_names_models_and_upstreams(write):
    text = (
        "upstream:\n  models:\n    gpt-4.1: claude-sonnet-4-6\n    'gpt-*': claude-haiku-4-5\n  defaultMaxTokens: 99\n"
    )
    settings = load(
        write(text + listed(entry(models="[a, 'b*']"), entry("b", models="[c]", url="'http://b'"))), {}
    ).settings
    assert settings.upstream.models == {"gpt-4.1": "claude-sonnet-4-6", "gpt-*": "claude-haiku-4-5"}
    assert settings.upstream.default_max_tokens == 99
    assert [(it.name, it.models) for it in settings.upstreams] == [("a", ("a", "b*")), ("b", ("c",))]


@pytest.mark.parametrize(
    ("fields", "provider", "url"),
    [
        ({}, Provider.OPENAI, "https://api.openai.com"),
        ({"provider": "Anthropic"}, Provider.ANTHROPIC, "https://api.anthropic.com"),
        ({"url": "'http://vllm:8000/x'"}, Provider.OPENAI, "http://vllm:8000/x"),
    ],
    ids=["OpenAI", "Anthropic", "its own"],
)
def test_the_url_is_the_providers_unless_it_is_named(write, fields, provider, url):
    (upstream,) = load(write(listed(entry(**fields))), {}).settings.upstreams
    assert (upstream.provider, upstream.url) == (provider, url)


@pytest.mark.parametrize(
    "text", ["upstreams:\n", "upstreams: []\n", "upstream:\n  models:\n", "upstream: {models: {}}\n"]
)
def test_lines_that_are_commented_out_are_nothing(write, text):
    settings = load(write(text), {}).settings
    assert (settings.upstreams, settings.upstream.models) == ((), {})


BAD = {
    "no list": (
        "upstreams: {a: 1}\n",
        ["upstreams (line 1): must be a list of at most 20 entries, each a mapping of settings, not a mapping"],
    ),
    "too many": (
        listed(*(entry(f"a{number}") for number in range(MAX_UPSTREAMS + 1))),
        ["upstreams (line 1): must be a list of at most 20 entries, each a mapping of settings, not a list"],
    ),
    "an entry that is a word": (
        listed("vllm"),
        ["upstreams[0] (line 2): must be a mapping of settings, not 'vllm'"],
    ),
    "an entry that is empty": (
        listed(entry(), ""),
        [
            "upstreams[1].name (line 3): required",
            "upstreams[1].provider (line 3): required",
            "upstreams[1].models (line 3): required",
        ],
    ),
    "an unknown field": (
        listed(entry(apiKeysFile="/x")),
        ["upstreams[0].apiKeysFile (line 2): unknown; did you mean apiKeyFile?"],
    ),
    "a field of upstream": (
        listed(entry(caFile="/x")),
        ["upstreams[0].caFile (line 2): unknown; known are name, provider, models, url, apiKeyFile"],
    ),
    "a secret": (
        listed(entry(apiKey="sk-1")),
        ["upstreams[0].apiKey (line 2): a secret is never written in this file: name a file in apiKeyFile"],
    ),
    "the operator's": (
        listed(entry(apiKeySecretRef="{name: x}")),
        ["upstreams[0].apiKeySecretRef (line 2): the operator's business, not the sidecar's; leave it out"],
    ),
    "no name": (
        listed(entry("'Big One'")),
        [f"upstreams[0].name (line 2): {NAME}"],
    ),
    "a name with an end of line": (
        listed(entry('"a\\n"')),
        ["upstreams[0].name (line 2): must be printable text"],
    ),
    "one name twice": (
        listed(entry(), entry("b"), entry()),
        ["upstreams[2].name (line 4): is already the name of upstreams[0]"],
    ),
    "Any": (listed(entry(provider="Any", url="'http://x'")), [f"upstreams[0].provider (line 2): {ONLY}'Any'"]),
    "lower case": (
        listed(entry(provider="openai")),
        [f"upstreams[0].provider (line 2): {ONLY}'openai'; did you mean OpenAI?"],
    ),
    "AgentSDK": (
        listed(entry(provider="AgentSDK")),
        ["upstreams[0].provider (line 2): AgentSDK is not in this version; use Anthropic or OpenAI"],
    ),
    "no models": (
        listed(entry(models="[]")),
        [f"upstreams[0].models (line 2): must be a list of 1 to 200 {TEXTS} a list"],
    ),
    "a star within": (
        listed(entry(), entry("b", models="['*', 'a*b']")),
        [f"upstreams[1].models[1] (line 3): {STAR}"],
    ),
    "a model of two lines": (
        listed(entry(models='["a\\nb"]')),
        ["upstreams[0].models[0] (line 2): must be printable text"],
    ),
    "a URL with a password": (
        listed(entry(url="'http://u:secret@x'")),
        ["upstreams[0].url (line 2): must not hold credentials: name a file in upstreams[0].apiKeyFile"],
    ),
    "no URL": (listed(entry(url="'secret@x'")), ["upstreams[0].url (line 2): must be an http or https URL"]),
    "ourselves": (
        listed(entry(url="'http://localhost:8080'")),
        ["upstreams[0].url (line 2): is our own address (listen.traffic): requests would go round in a circle"],
    ),
    "mode Ingress": (
        "mode: Ingress\nupstream: {url: 'http://127.0.0.1:9'}\n" + listed(entry()),
        ["upstreams (line 3): not in mode Ingress: every path is the app's"],
    ),
    "behind a relay": (
        "upstream: {provider: Any, url: 'http://x'}\n" + listed(entry()),
        ["upstreams (line 2): not with upstream.provider Any: a pure relay knows no models"],
    ),
    "models for a relay": (
        "upstream: {provider: Any, url: 'http://x', models: {a: b}}\n",
        ["upstream.models (line 1): not with provider Any: a pure relay knows no models"],
    ),
    "models that are a list": (
        "upstream: {models: [a]}\n",
        [f"upstream.models (line 1): must be a mapping of at most 200 {TEXTS} a list"],
    ),
    "too many models": (
        "upstream:\n  models:\n" + "".join(f"    a{number}: b\n" for number in range(MAX_MODELS + 1)),
        [f"upstream.models (line 2): must be a mapping of at most 200 {TEXTS} a mapping"],
    ),
    "a model that is a number": (
        "upstream:\n  models:\n    a: b\n    gpt-4.1: 4\n",
        ["upstream.models.gpt-4.1 (line 4): must be text of 1 to 512 characters, not 4"],
    ),
    "half a surrogate pair": (
        'upstream:\n  models:\n    a: "\\ud800"\n',
        ["upstream.models.a (line 3): must be Unicode text; it holds half a surrogate pair"],
    ),
    "a star within a name": (
        "upstream:\n  models:\n    'a*b': c\n",
        [f"upstream.models.a*b (line 3): the name: {STAR}"],
    ),
    "a star in a model": (
        "upstream:\n  models:\n    'a*': 'b*'\n",
        ["upstream.models.a* (line 3): must be one model's name, without `*`"],
    ),
    "an unprintable model": (
        'upstream:\n  models:\n    a: "b\\n"\n',
        ["upstream.models.a (line 3): must be printable text"],
    ),
    "no tokens": (
        "upstream: {defaultMaxTokens: 0}\n",
        ["upstream.defaultMaxTokens (line 1): must be a whole number from 1 to 10000000, not 0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_told_with_its_place(problems_of, text, problems):
    assert problems_of(text) == problems


def test_all_problems_of_all_upstreams_are_told_at_once(problems_of):
    text = listed(
        entry("A", models="['a*b']"), entry(provider="x", url="'http://x?'"), entry(apiKeyFile="/nowhere/key"), "5"
    )
    assert [problem.partition(": ")[0] for problem in problems_of(text)] == [
        "upstreams[0].name (line 2)",
        "upstreams[0].models[0] (line 2)",
        "upstreams[1].provider (line 3)",
        "upstreams[1].url (line 3)",
        "upstreams[2].name (line 4)",
        "upstreams[2].apiKeyFile (line 4)",
        "upstreams[3] (line 5)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "mode: ingress\n" + listed(entry()),
        "upstream: {provider: any, models: {a: b}}\n" + listed(entry()),
        listed(entry("A"), entry("A")),
    ],
    ids=["mode", "provider", "names"],
)
def test_what_only_follows_from_another_problem_is_not_told(problems_of, text):
    assert all("must be" in problem for problem in problems_of(text))


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (listed(entry(), entry("b", models="[b]")), ()),
        (listed(entry(models="[a]"), entry("b", models="['a*']")), ()),
        (
            listed(entry(models="['a*', b]"), entry("b", models="[a-1, 'ab*', b]")),
            ("upstreams[1] (b) is never chosen: those before it take all its models",),
        ),
        (
            listed(entry(models="[a]"), entry("b", models="[b]"), entry("c", models="[a, b]")),
            ("upstreams[2] (c) is never chosen: those before it take all its models",),
        ),
        (
            "upstream: {provider: OpenAI}\nstreaming: {demoteNonStreaming: true}\n" + listed(entry()),
            ("streaming.demoteNonStreaming has no effect: no upstream is Anthropic",),
        ),
        (
            "upstream: {provider: OpenAI}\nstreaming: {demoteNonStreaming: true}\n"
            + listed(entry(provider="Anthropic")),
            (),
        ),
    ],
    ids=["each its own", "a name of a beginning", "shadowed", "shadowed by two", "nothing to demote", "one to demote"],
)
def test_what_is_probably_not_meant_is_warned_about(write, text, warnings):
    assert load(write(text), {}).warnings == warnings
