"""What an upstream is asked for: a version at the end of its URL's path replaces ours."""

import pytest

from lastcall_sidecar.destinations import destinations
from lastcall_sidecar.settings import load
from lastcall_sidecar.settings.addresses import asked_url, before_version
from lastcall_sidecar.settings.report import asked_urls, check

CHAT = "/v1/chat/completions"
#: As their vendors write them: vLLM's and most others', OpenRouter's, Zhipu's, Google's, Groq's, DeepInfra's.
URLS = {
    "http://h:8000": "http://h:8000/v1/chat/completions",
    "http://h:8000/": "http://h:8000/v1/chat/completions",
    "http://h:8000/v1": "http://h:8000/v1/chat/completions",
    "http://h:8000/v1/": "http://h:8000/v1/chat/completions",
    "https://openrouter.ai/api/v1": "https://openrouter.ai/api/v1/chat/completions",
    "https://open.bigmodel.cn/api/paas/v4": "https://open.bigmodel.cn/api/paas/v4/chat/completions",
    "https://g.example/v1beta/openai": "https://g.example/v1beta/openai/chat/completions",
    "https://g.example/v1beta/openai/": "https://g.example/v1beta/openai/chat/completions",
    "https://api.groq.com/openai/v1": "https://api.groq.com/openai/v1/chat/completions",
    "https://api.deepinfra.com/v1/openai": "https://api.deepinfra.com/v1/openai/chat/completions",
    "http://h/v2alpha1": "http://h/v2alpha1/chat/completions",
    "http://h/openai": "http://h/openai/v1/chat/completions",
    "http://h/v1/team": "http://h/v1/team/v1/chat/completions",
    "http://h/v1x": "http://h/v1x/v1/chat/completions",
    "http://h/av1": "http://h/av1/v1/chat/completions",
    "http://h/vision": "http://h/vision/v1/chat/completions",
}


@pytest.mark.parametrize(("url", "expected"), URLS.items(), ids=URLS)
def test_a_version_at_the_end_replaces_ours(url, expected):
    assert asked_url(url, CHAT) == expected
    loaded = load(None, {"LASTCALL_UPSTREAM__URL": url, "LASTCALL_UPSTREAM__PROVIDER": "OpenAI"})
    (destination,) = destinations(loaded.settings, loaded.secrets)
    origin = "/".join(expected.split("/")[:3])
    assert origin + destination.target(CHAT.encode()).decode() == expected
    assert asked_urls(loaded.settings) == [expected]


TARGETS = {
    b"/v1/models?limit=3": b"/api/v4/models?limit=3",
    b"/v1/models/a%2Fb": b"/api/v4/models/a%2Fb",
    b"/v1": b"/api/v4",
    b"/v1?a=/v1/b": b"/api/v4?a=/v1/b",
    b"/v1beta/models": b"/api/v4/v1beta/models",
    b"/v10/models": b"/api/v4/v10/models",
    b"/other": b"/api/v4/other",
    b"/a/v1/b": b"/api/v4/a/v1/b",
}


@pytest.mark.parametrize(("asked", "expected"), TARGETS.items(), ids=map(bytes.decode, TARGETS))
def test_a_target_is_otherwise_kept_byte_for_byte(asked, expected):
    loaded = load(None, {"LASTCALL_UPSTREAM__URL": "http://h/api/v4", "LASTCALL_UPSTREAM__PROVIDER": "OpenAI"})
    (destination,) = destinations(loaded.settings, loaded.secrets)
    assert destination.target(asked) == expected
    assert destination.root == b"/api"


@pytest.mark.parametrize(
    ("path", "before"), [("", ""), ("/v1", ""), ("/a/v1/", "/a"), ("/a", "/a"), ("/v1/b", "/v1/b")]
)
def test_what_stands_before_a_version(path, before):
    assert before_version(path) == before


def test_check_says_what_each_upstream_is_asked_for(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "upstream: {provider: Anthropic, url: 'http://a/v1'}\n"
        "upstreams:\n"
        "- {name: one, provider: OpenAI, url: 'http://b/api/v1', models: [x]}\n"
        "- {name: two, provider: Anthropic, url: 'http://c', models: [y]}\n"
    )
    asked = [line for line in check(file, {}).text.splitlines() if "asks for" in line]
    assert asked == [
        "  asks for http://a/v1/messages",
        "  asks for http://b/api/v1/chat/completions",
        "  asks for http://c/v1/messages",
    ]
