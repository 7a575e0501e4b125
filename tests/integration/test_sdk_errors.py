"""What goes wrong reaches the real SDK as the vendor's errors do: status, type, message, headers; and only once."""

import anthropic
import httpx2
import pytest
from tests.support.sdk import API_KEY, asked, async_client, both_ways, sync_client
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def ways():
    with both_ways() as found:
        yield found


@pytest.fixture(params=["direct", "sidecar"])
def url(request, ways):
    return ways.url(request.param)


def told_error(error):
    """What a program can read off an error; the ids of two requests differ, of course."""
    body = dict(error.body) if isinstance(error.body, dict) else error.body
    request_id = body.pop("request_id") if isinstance(body, dict) else None
    kept = {
        name: value
        for name, value in error.response.headers.items()
        if name.startswith("anthropic-ratelimit") or name in {"retry-after", "x-should-retry", "content-type"}
    }
    return {
        "class": type(error).__name__,
        "status": error.status_code,
        "type": error.type,
        "message": error.api_message,
        "body": body,
        "headers": kept,
        "same id": request_id == error.request_id if request_id else None,
    }


def failing(client, question, *, stream):
    with pytest.raises(anthropic.APIStatusError) as found:
        client.messages.create(**question, stream=stream)
    return told_error(found.value)


def broken(client, question):
    """The types of a stream's events up to the error that it ends with, and that error."""
    seen = []
    stream = client.messages.create(**question, stream=True)
    with stream, pytest.raises(anthropic.APIStatusError) as found:
        seen.extend(event.type for event in stream)
    return seen, found.value


ERRORS = [
    pytest.param(asked("[fake error=400]"), "BadRequestError", "invalid_request_error", id="400"),
    pytest.param(asked("[fake error=403]"), "PermissionDeniedError", "permission_error", id="403"),
    pytest.param(asked("[fake error=413]"), "ContentTooLargeError", "request_too_large", id="413"),
    pytest.param(asked("[fake error=429 retry_after=7]"), "RateLimitError", "rate_limit_error", id="429"),
    pytest.param(asked("[fake error=500]"), "InternalServerError", "api_error", id="500"),
    pytest.param(asked("[fake error=529]"), "OverloadedError", "overloaded_error", id="529"),
    pytest.param(asked("[fake error=502]"), "InternalServerError", None, id="502 with a page of HTML"),
    pytest.param(asked(model="claude-none"), "NotFoundError", "not_found_error", id="unknown model"),
    pytest.param(asked(max_tokens=0), "BadRequestError", "invalid_request_error", id="max_tokens 0"),
    pytest.param(asked(extra_body={"n": 2}), "BadRequestError", "invalid_request_error", id="unknown field"),
]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize(("question", "name", "kind"), ERRORS)
def test_an_error_is_the_same_through_the_sidecar(ways, question, name, kind, stream):
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        wanted = failing(direct, question, stream=stream)
        assert failing(through, question, stream=stream) == wanted
    assert (wanted["class"], wanted["type"]) == (name, kind)
    assert wanted["same id"] is (None if kind is None else True)


@pytest.mark.parametrize(("question", "name", "kind"), ERRORS)
async def test_the_asynchronous_client_sees_the_error(url, question, name, kind):
    async with async_client(url) as client:
        with pytest.raises(anthropic.APIStatusError) as found:
            async with client.messages.stream(**question):
                pytest.fail("the stream began")
    assert (type(found.value).__name__, found.value.type) == (name, kind)


def test_a_wrong_key_is_refused(url):
    with sync_client(url, api_key="sk-invalid-key") as client, pytest.raises(anthropic.AuthenticationError) as found:
        client.messages.create(**asked())
    assert found.value.type == "authentication_error"


def test_retry_after_reaches_the_client(url):
    with sync_client(url) as client, pytest.raises(anthropic.RateLimitError) as found:
        client.messages.create(**asked("[fake error=429 retry_after=7]"))
    assert found.value.response.headers["retry-after"] == "7"
    assert found.value.response.headers["anthropic-ratelimit-requests-limit"] == "4000"


@pytest.mark.parametrize(("error", "retries"), [(429, 0), (529, 0), (500, 0), (529, 1)])
def test_only_the_client_repeats_a_failed_request(ways, url, error, retries):
    before = ways.fake.stats()["requests"]
    with sync_client(url, max_retries=retries) as client, pytest.raises(anthropic.APIStatusError):
        client.messages.create(**asked(f"[fake error={error} retry_after=0]"))
    assert ways.fake.stats()["requests"] - before == 1 + retries


def test_an_error_event_within_a_stream_is_raised(url):
    question = asked("[fake misbehave=error_event after=5]")
    with sync_client(url) as client:
        seen, error = broken(client, question)
    assert error.type == "overloaded_error"
    assert seen[:2] == ["message_start", "content_block_start"]


@pytest.mark.parametrize("how", ["truncate", "reset", "no_message_stop after=6"])
def test_a_stream_that_the_upstream_cuts_is_an_error_event_through_the_sidecar(ways, how):
    question = asked(f"[fake misbehave={how}]")
    with sync_client(ways.sidecar_url) as client:
        seen, error = broken(client, question)
    assert seen[0] == "message_start"
    assert error.body["type"] == "error"
    assert error.type == "api_error"
    assert error.api_message


def test_without_the_sidecar_a_stream_with_a_clean_early_end_goes_unnoticed(ways):
    # Why the sidecar's error event is worth having: the SDK itself takes this for a whole answer.
    question = asked("[fake misbehave=no_message_stop after=6]")
    with sync_client(ways.direct_url) as client, client.messages.create(**question, stream=True) as stream:
        assert [event.type for event in stream][-1] == "content_block_delta"


@pytest.mark.parametrize("how", ["truncate", "reset"])
def test_a_plain_answer_that_the_upstream_cuts_is_not_taken_for_a_whole_one(url, how):
    with sync_client(url) as client, pytest.raises((anthropic.APIError, httpx2.TransportError)):
        client.messages.create(**asked(f"[fake misbehave={how}]"))


def test_a_client_that_leaves_a_stream_is_felt_upstream_and_counted(ways):
    before, gauge = ways.fake.stats(), ways.sidecar.livez()
    with sync_client(ways.sidecar_url) as client:
        with client.messages.create(**asked("[fake seconds=60]"), stream=True) as stream:
            next(iter(stream))
        eventually(
            lambda: ways.fake.stats()["streams_disconnected"] == before["streams_disconnected"] + 1,
            "the upstream sees the client's leaving",
            timeout_seconds=3,
        )
    after = ways.sidecar.wait_for(in_flight=0)
    assert after["totals"]["disconnected"] == gauge["totals"]["disconnected"] + 1
    assert after["totals"]["dropped"] == gauge["totals"]["dropped"]


def test_a_client_that_gives_up_waiting_for_a_plain_answer_is_felt_upstream(ways):
    before = ways.fake.stats()["disconnected"]
    with sync_client(ways.sidecar_url) as client, pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.5).messages.create(**asked("[fake seconds=60]"))
    eventually(lambda: ways.fake.stats()["disconnected"] == before + 1, "the upstream sees it", timeout_seconds=3)
    ways.sidecar.wait_for(in_flight=0)


def test_no_credential_is_in_the_sidecars_log(ways):
    with sync_client(ways.sidecar_url) as client:
        client.messages.create(**asked("a very private question"))
        with pytest.raises(anthropic.APIStatusError):
            client.messages.create(**asked("another private question [fake error=500]"))
    assert API_KEY not in ways.sidecar.output()
    assert "private question" not in ways.sidecar.output()
