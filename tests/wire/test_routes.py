"""Which path speaks what: the table of the traffic listener."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, OTHERS, RESPONSES
from lastcall_sidecar.wire.protocol import Route
from lastcall_sidecar.wire.routes import passthrough, route

MESSAGES = Route("messages", ANTHROPIC, "/v1/messages", generation=True, understood=True)
COUNT_TOKENS = Route("count_tokens", ANTHROPIC, "/v1/messages/count_tokens", understood=True)
COMPLETIONS = Route("chat_completions", CHAT, "/v1/chat/completions", generation=True, understood=True)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/messages", MESSAGES),
        ("POST", "/messages", MESSAGES),
        ("POST", "/v1/messages/count_tokens", COUNT_TOKENS),
        ("POST", "/messages/count_tokens", COUNT_TOKENS),
        ("POST", "/v1/messages/batches", Route("batches", ANTHROPIC, "/v1/messages/batches")),
        ("GET", "/v1/messages/batches", Route("batches", ANTHROPIC, "/v1/messages/batches")),
        ("GET", "/v1/messages/batches/b_1/results", Route("batches", ANTHROPIC, "/v1/messages/batches/b_1/results")),
        ("DELETE", "/v1/messages/batches/b_1", Route("batches", ANTHROPIC, "/v1/messages/batches/b_1")),
        ("GET", "/v1/models", Route("models", ANTHROPIC, "/v1/models")),
        ("GET", "/models", Route("models", ANTHROPIC, "/v1/models")),
        ("GET", "/v1/models/claude-3.5", Route("models", ANTHROPIC, "/v1/models/claude-3.5")),
        ("POST", "/v1/chat/completions", COMPLETIONS),
        ("POST", "/chat/completions", COMPLETIONS),
        ("GET", "/v1/chat/completions", Route("openai", OTHERS, "/v1/chat/completions")),
        ("DELETE", "/v1/chat/completions/chatcmpl-1", Route("openai", OTHERS, "/v1/chat/completions/chatcmpl-1")),
        ("GET", "/v1/chat/models", Route("models", CHAT, "/v1/models")),
        ("POST", "/v1/responses", Route("responses", RESPONSES, "/v1/responses", generation=True)),
        ("GET", "/v1/responses/resp_1", Route("openai", OTHERS, "/v1/responses/resp_1")),
        ("POST", "/v1/embeddings", Route("openai", OTHERS, "/v1/embeddings")),
        ("POST", "/v1/completions", Route("openai", CHAT, "/v1/completions")),
        ("POST", "/v1/audio/speech", Route("openai", OTHERS, "/v1/audio/speech")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_is_known(method, path, expected):
    assert route(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/ft-1"),
        ("POST", "/v1/messages/batchesque"),
        ("POST", "/v1/Messages"),
        ("POST", "/v1/embeddingsque"),
        ("POST", "/v1//messages"),
        ("POST", "/v1/messages%2Fbatches"),
        ("GET", "/v1/"),
        ("BREW", "/v1/pot"),
    ],
)
def test_all_else_below_v1_passes_through(method, path):
    assert route(method, path) == Route("passthrough", UNKNOWN, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/health"),
        ("GET", "/v2/messages"),
        ("GET", "/messages"),
        ("POST", "/models"),
        ("GET", "/models/claude"),
        ("POST", "/messages/batches"),
        ("GET", "/chat/models"),
        ("POST", "/responses"),
        ("POST", "/v1%2Fmessages"),
        ("POST", "//v1/messages"),
    ],
)
def test_what_is_none_of_ours_has_no_route(method, path):
    assert route(method, path) is None


@pytest.mark.parametrize(
    "path",
    [
        *("assistants", "batches", "chatkit/sessions", "containers", "evals", "organization/usage/costs"),
        *("realtime/client_secrets", "threads/t_1/runs", "uploads/u_1/parts", "videos"),
    ],
)
def test_what_only_openai_has_is_openai_s(path):
    """Elsewhere it would take its caller's key to another vendor."""
    assert route("POST", f"/v1/{path}") == Route("openai", OTHERS, f"/v1/{path}")


@pytest.mark.parametrize(
    ("path", "upstream_path"),
    [
        ("/v1/%6Dess%61ges", "/v1/%6Dess%61ges"),
        ("/%76%31/messages", "/%76%31/messages"),
        ("/v1/messages/", "/v1/messages/"),
        ("/m%65ssages", "/v1/m%65ssages"),
    ],
)
def test_another_spelling_takes_a_slot_all_the_same_and_goes_on_as_it_came(path, upstream_path):
    assert route("POST", path) == Route("messages", ANTHROPIC, upstream_path, generation=True, understood=True)


@given(st.sampled_from("-._~abcxyzABCXYZ0189"), st.booleans())
def test_every_unreserved_character_may_be_escaped(char, upper):
    escape = f"%{ord(char):02x}"
    plain = route("GET", f"/v1/models/{char}")
    escaped = route("GET", f"/v1/%6dodels/{escape.upper() if upper else escape}")
    assert plain is not None
    assert escaped is not None
    assert escaped.name == plain.name == "models"


@pytest.mark.parametrize("code", [code for code in range(128) if chr(code) not in "messages"])
def test_no_other_escape_is_taken_for_a_letter(code):
    assert route("POST", f"/v1/%{code:02X}essages").name == "passthrough"


def test_in_front_of_an_app_every_path_is_the_apps():
    assert passthrough("/v1/messages") == Route("passthrough", UNKNOWN, "/v1/messages")
