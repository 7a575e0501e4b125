"""Which path speaks what: the table of the traffic listener."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall_sidecar.wire.anthropic import ANTHROPIC, UNKNOWN
from lastcall_sidecar.wire.openai import CHAT, OTHERS, RESPONSES
from lastcall_sidecar.wire.protocol import Route
from lastcall_sidecar.wire.routes import meant, passthrough, route

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
        ("POST", "/v1/embeddingsque"),
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


SPELLINGS = [
    "/v1//messages",
    "//v1/messages",
    "/v1/messages/",
    "/v1/messages//",
    "/messages/",
    "/v1/messages%2f",
    "/v1%2Fmessages",
    "/v1/messages;a",
    "/v1/messages;a=b;c",
    "/v1/messages/;x",
    "/v1;x/messages",
    "/V1/Messages",
    "/v1/MESSAGES",
    "/v1/me%C5%BFsages",
    "/v1/%6Dess%61ges",
    "/%76%31/messages",
    "/m%65ssages",
    "/v1/%256dessages",
    "/v1/%25256dessages",
    "/v1/messages%20",
    "/v1/messages%00",
    "/v1/messages%00.json",
    "/v1/messages%3Fx",
    "/v1/messages%23x",
    "/v1/messages%09",
    "/v1/x/%252e%252e/messages",
    "/v1/%252e/messages",
    "/v1%5Cmessages",
    "/v1/x%255c..%255cmessages",
    # By servers that leave a `%` alone that begins no escape, and decode twice.
    "/v1/%%36dessages",
    "/v1/%6%64essages",
    "/v1/x%25%0D/%252e%252e/messages",
    "/v1/x=%25%0A/%252e%252e/messages",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_another_spelling_of_a_known_route_is_told_from_it(path):
    assert meant("POST", path).removeprefix("/v1") == "/messages"
    assert not (route("POST", path) or passthrough(path)).understood


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v1//models", "/v1/models"),
        ("GET", "/v1/models/", "/v1/models"),
        ("GET", "/v1/Models/gpt", "/v1/models/gpt"),
        ("GET", "/v1/chat//models", "/v1/chat/models"),
        ("POST", "/v1/chat/completions/", "/v1/chat/completions"),
        ("POST", "/v1/chat%2fcompletions", "/v1/chat/completions"),
        ("POST", "/chat//completions", "/chat/completions"),
        ("POST", "/v1/responses/", "/v1/responses"),
        ("POST", "/v1/responses%00", "/v1/responses"),
        ("POST", "/v1/messages/count_tokens/", "/v1/messages/count_tokens"),
        ("POST", "/v1/Completions", "/v1/completions"),
        # They would take their caller's key to another vendor.
        ("POST", "/v1//embeddings", "/v1/embeddings"),
        ("GET", "/v1/%62atches/batch_1", "/v1/batches/batch_1"),
        ("GET", "/v1/messages//batches", "/v1/messages/batches"),
        ("POST", "/v1/messages%2Fbatches", "/v1/messages/batches"),
    ],
)
def test_the_one_spelling_that_is_right_is_named(method, path, right):
    assert meant(method, path) == right


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"),
        ("POST", "/messages"),
        ("GET", "/v1//messages"),
        ("GET", "/v1/models/meta-llama%2FLlama-3"),
        ("GET", "/v1/models/meta-llama/Llama-3"),
        ("GET", "/v1/models/a;b"),
        ("GET", "/v1/messages/batches/"),
        ("GET", "/v1/responses/resp_ABC"),
        ("GET", "/v1/responses/"),
        ("POST", "/v1/Embeddingsque"),
        ("POST", "/v1/Files/F%20x"),
        ("POST", "/v1/messages/x"),
        ("GET", "/v1/"),
        ("GET", "/"),
        ("GET", "/health"),
        ("POST", "/messages/Batches"),
    ],
)
def test_what_has_its_own_spelling_or_no_route_is_no_other_s(method, path):
    assert meant(method, path) is None


@given(
    st.sampled_from(
        ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/messages", "/v1/messages/count_tokens"]
    ),
    st.data(),
)
def test_no_mixture_of_spellings_reaches_a_known_route_unseen(path, data):
    """Each letter may be escaped or a capital; slashes may be more, escaped, and segments may have parameters."""
    made = ""
    for char in path:
        slashes = ["/", "//", "/.", "%2F", "%5c", "/;x"]
        letters = [char, char.upper(), f"%{ord(char):02x}", f"%{ord(char.upper()):02X}", f"%25{ord(char):02x}"]
        made += data.draw(st.sampled_from(slashes if char == "/" else letters))
        made += "/" if made.endswith(("/.", ";x")) else ""
    made += data.draw(st.sampled_from(["", "/", ";x", "%20", "%00", "%3f"]))
    assert meant("POST", made) == (None if made == path else path)


@given(st.lists(st.sampled_from(["%", "%2", "25", "=", "%3d", "%0D", "%0a", "6", "d", "%25", "/v1", "/", "z"])))
def test_a_path_is_read_as_whoever_decodes_it_three_times_does(pieces):
    path = f"/v1/{''.join(pieces)}essages"
    decoded = unquote_to_bytes(unquote_to_bytes(unquote_to_bytes(path))).replace(b"\r", b"").replace(b"\n", b"")
    names = [name for name in decoded.decode("utf-8", "replace").split("/") if name]
    plain = "/" + "/".join(names)
    assert (meant("POST", path) == "/v1/messages") is (plain == "/v1/messages" != path)


@pytest.mark.parametrize(
    ("made_of", "vanishes"),
    [("%25", False), ("%2F", True), ("/a", False), (";", True), ("%", False), ("%0a", True), ("=", False)],
)
def test_a_long_path_of_odd_things_is_read_all_the_same(made_of, vanishes):
    path = f"/v1/{made_of * (60_000 // len(made_of))}/messages"
    assert meant("POST", path) == ("/v1/messages" if vanishes else None)


def test_in_front_of_an_app_every_path_is_the_apps():
    assert passthrough("/v1/messages") == Route("passthrough", UNKNOWN, "/v1/messages")
