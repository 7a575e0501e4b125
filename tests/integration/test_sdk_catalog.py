"""The rest of the API through the real SDK: token counts, models, batches – directly and through the sidecar."""

import json

import anthropic
import pytest
from tests.support.sdk import WEATHER_TOOL, asked, async_client, both_ways, http_client, sync_client, told

from lastcall_sidecar.testing.catalog import MODELS


@pytest.fixture(scope="module")
def ways():
    with both_ways() as found:
        yield found


@pytest.fixture(params=["direct", "sidecar"])
def url(request, ways):
    return ways.url(request.param)


def counted(text="Hello", **fields):
    question = asked(text, **fields)
    del question["max_tokens"]
    return question


def batch(*texts):
    return [{"custom_id": f"r{number}", "params": asked(text)} for number, text in enumerate(texts)]


async def test_token_counts_are_the_same_through_the_sidecar(ways):
    question = counted("How many?", system="Count.", tools=[WEATHER_TOOL])
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        told_directly = direct.messages.count_tokens(**question)
        assert told(through.messages.count_tokens(**question)) == told(told_directly)
    async with async_client(ways.sidecar_url) as through:
        assert told(await through.messages.count_tokens(**question)) == told(told_directly)


def test_more_text_has_more_tokens(url):
    with sync_client(url) as client:
        short, long = (client.messages.count_tokens(**counted("word " * size)) for size in (1, 100))
    assert 0 < short.input_tokens < long.input_tokens


def holds(found, direct):
    """All that the upstream says of a model, and beside it what OpenAI's clients look for."""
    return all({**one, **other} == one for one, other in zip(found, direct, strict=True))


@pytest.mark.parametrize("query", ["limit=", "limit=0", "limit=x", "after_id="])
def test_a_page_that_makes_no_sense_is_refused(ways, query):
    with http_client(ways.sidecar_url) as plain:
        assert plain.get(f"/v1/models?{query}").status_code == 400


async def test_models_are_the_same_through_the_sidecar(ways):
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        everything = told(list(direct.models.list()))
        assert holds(told(list(through.models.list())), everything)
        assert holds([told(through.models.retrieve(MODELS[0][0]))], [told(direct.models.retrieve(MODELS[0][0]))])
    async with async_client(ways.sidecar_url) as through:
        assert holds(told([model async for model in through.models.list()]), everything)


def test_models_are_listed_over_pages_in_both_directions(url):
    known = [identity for identity, _, _ in MODELS]
    with sync_client(url) as client:
        assert [model.id for model in client.models.list(limit=1)] == known
        assert [model.id for model in client.models.list(limit=3)] == known
        assert [model.id for model in client.models.list(after_id=known[1])] == known[2:]
        before = client.models.list(before_id=known[3], limit=2)
        assert [model.id for model in before.data] == known[1:3]
        assert before.has_more


def test_an_unknown_model_is_not_found(url):
    with sync_client(url) as client, pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-none")


def test_a_batch_runs_from_creation_to_results(url):
    requests = batch("Hello", "[fake error=529]", "[fake kind=mixed]")
    with sync_client(url) as client:
        created = client.messages.batches.create(requests=requests)
        assert created.processing_status == "ended"
        assert told(client.messages.batches.retrieve(created.id)) == told(created)
        assert created.id in [found.id for found in client.messages.batches.list(limit=1)]
        results = {line.custom_id: line.result for line in client.messages.batches.results(created.id)}
        answered = client.messages.create(**requests[0]["params"])
    assert [results[f"r{number}"].type for number in range(3)] == ["succeeded", "errored", "succeeded"]
    assert told(results["r0"].message) == told(answered)
    assert results["r1"].error.error.type == "overloaded_error"
    assert created.request_counts.succeeded == 2


def test_a_batch_is_canceled_and_deleted(url):
    with sync_client(url) as client:
        created = client.messages.batches.create(requests=batch("[fake seconds=60]"))
        assert created.processing_status == "in_progress"
        with pytest.raises(anthropic.BadRequestError):
            client.messages.batches.delete(created.id)
        assert client.messages.batches.cancel(created.id).processing_status == "canceling"
        assert client.messages.batches.retrieve(created.id).request_counts.canceled == 1
        assert [line.result.type for line in client.messages.batches.results(created.id)] == ["canceled"]
        assert client.messages.batches.delete(created.id).type == "message_batch_deleted"
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(created.id)


@pytest.mark.parametrize(
    "requests",
    [
        pytest.param([], id="none"),
        pytest.param([{"custom_id": "a b", "params": asked()}], id="bad id"),
        pytest.param([{"custom_id": "a", "params": asked()}] * 2, id="an id twice"),
        pytest.param([{"custom_id": "a"}], id="no params"),
    ],
)
def test_a_bad_batch_is_refused(url, requests):
    with sync_client(url) as client, pytest.raises(anthropic.BadRequestError):
        client.messages.batches.create(requests=requests)


async def test_batches_are_the_same_through_the_sidecar(ways):
    requests = batch("One", "Two", "[fake kind=thinking]")
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        created = direct.messages.batches.create(requests=requests)
        assert told(through.messages.batches.create(requests=requests)) == told(created)
        assert told(through.messages.batches.retrieve(created.id)) == told(created)
        results = told(list(direct.messages.batches.results(created.id)))
        assert told(list(through.messages.batches.results(created.id))) == results
    async with async_client(ways.sidecar_url) as through:
        assert told(await through.messages.batches.retrieve(created.id)) == told(created)
        assert told([line async for line in await through.messages.batches.results(created.id)]) == results


def test_results_come_through_the_sidecar_line_by_line(ways):
    # The SDK follows `results_url`, which leads past any proxy; a client that asks the proxy gets the same bytes.
    with sync_client(ways.direct_url) as direct:
        created = direct.messages.batches.create(requests=batch(*(f"Question {number}" for number in range(50))))
    path = f"/v1/messages/batches/{created.id}/results"
    with http_client(ways.direct_url) as direct, http_client(ways.sidecar_url) as through:
        lines = through.get(path).content
        assert lines == direct.get(path).content
    assert [json.loads(line)["custom_id"] for line in lines.splitlines()] == [f"r{number}" for number in range(50)]
