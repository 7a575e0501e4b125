"""`limits.maxOutputChars`: a stream that goes on past it is ended with an error event, in each protocol."""

import contextlib

import anthropic
import openai
import pytest
from tests.support import openai_sdk, sdk

LIMIT = 500
#: What comes in one read leaves, or does not, as one.
ONE_READ_BYTES = 64 * 1024
LIMITED = {"limits": {"maxOutputChars": LIMIT}}


@pytest.fixture(scope="module")
def found():
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(sdk.ways(name.partition(",")[0], sdk.merged(LIMITED, settings)))
            for name, settings in {
                "Anthropic": {},
                "Anthropic, demoted": {"streaming": {"demoteNonStreaming": True}},
                "OpenAI": {},
                "vLLM": {},
            }.items()
        }


def text_of(found, name, events, *, kind="text", event_bytes=50):
    """What an Anthropic client had when its stream ended, and with which error."""
    got, model = "", sdk.MODEL if name.startswith("Anthropic") else openai_sdk.VLLM_MODEL
    question = {**sdk.asked(f"[fake kind={kind} events={events} event_bytes={event_bytes}]"), "model": model}
    with sdk.sync_client(found[name].sidecar_url) as client:
        try:
            with client.messages.stream(**question) as stream:
                for piece in stream.text_stream:
                    got += piece
        except anthropic.APIStatusError as error:
            return got, error
    return got, None


@pytest.mark.parametrize("name", ["Anthropic", "OpenAI", "vLLM"])
def test_a_stream_past_the_limit_ends_with_an_error_that_names_it(found, name):
    got, error = text_of(found, name, 1000)
    assert "longer than 500 characters (limits.maxOutputChars)" in str(error)
    assert len(got) <= LIMIT + ONE_READ_BYTES


@pytest.mark.parametrize("name", ["Anthropic", "OpenAI", "vLLM"])
def test_a_stream_within_it_is_whole(found, name):
    got, error = text_of(found, name, 3, event_bytes=0)
    assert error is None
    assert got


def test_what_a_model_thinks_counts_too(found):
    _, error = text_of(found, "Anthropic", 1000, kind="thinking")
    assert "maxOutputChars" in str(error)


@pytest.mark.parametrize("name", ["Anthropic", "vLLM"])
def test_openais_clients_are_told_in_their_own_way(found, name):
    model = sdk.MODEL if name == "Anthropic" else openai_sdk.VLLM_MODEL
    question = {
        "model": model,
        "messages": [{"role": "user", "content": "[fake kind=text events=1000 event_bytes=50]"}],
    }
    with (
        openai_sdk.sync_client(found[name].sidecar_url) as client,
        pytest.raises(openai.APIError, match="maxOutputChars"),
    ):
        for _ in client.chat.completions.create(**question, stream=True):
            pass


def test_a_demoted_answer_is_held_to_it_as_well(found):
    with (
        sdk.sync_client(found["Anthropic, demoted"].sidecar_url) as client,
        pytest.raises(anthropic.InternalServerError, match="maxOutputChars") as raised,
    ):
        client.messages.create(**sdk.asked("[fake kind=text events=1000 event_bytes=50]"))
    assert raised.value.status_code == 502


def test_it_counts_as_dropped_and_the_upstream_is_let_go(found):
    for name in ("Anthropic", "OpenAI"):
        sidecar, fake = found[name].sidecar, found[name].fake
        before = sidecar.livez()["totals"]["dropped"]
        text_of(found, name, 5_000)
        sidecar.wait_for(in_flight=0, totals_dropped=before + 1)
        assert fake.stats()["active"] == 0
