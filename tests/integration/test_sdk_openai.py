"""The real `openai` SDK, directly and through the sidecar to an upstream of OpenAI's kind: same results and errors."""

import openai
import pytest
from tests.support.openai_sdk import WEATHER_TOOL, asked, async_client, sync_client, told
from tests.support.sdk import ways as started

QUESTIONS = [
    pytest.param(asked("Hello"), id="plain"),
    pytest.param(asked("[fake events=200 seconds=0.2 seed=3]"), id="long"),
    pytest.param(asked("[fake eol=cr noise=1 chunk=3]"), id="CR, in small pieces"),
    pytest.param(asked("[fake kind=mixed calls=3]", tools=[WEATHER_TOOL]), id="three calls"),
    pytest.param(asked("[fake stop=refusal]"), id="refusal"),
]


@pytest.fixture(scope="module")
def ways():
    with started("OpenAI") as found:
        yield found


def streamed(client, question):
    return told(list(client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True})))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_an_answer_is_the_same_through_the_sidecar(ways, question):
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        wanted = told(direct.chat.completions.create(**question))
        assert told(through.chat.completions.create(**question)) == wanted
        assert streamed(through, question) == streamed(direct, question)
    async with async_client(ways.sidecar_url) as through:
        assert told(await through.chat.completions.create(**question)) == wanted


def test_a_response_is_the_same_through_the_sidecar(ways):
    question = {"model": "gpt-5", "input": "[fake kind=mixed]"}
    with sync_client(ways.direct_url) as direct, sync_client(ways.sidecar_url) as through:
        assert told(through.responses.create(**question)) == told(direct.responses.create(**question))
        streams = [told(list(client.responses.create(**question, stream=True))) for client in (direct, through)]
    assert streams[0] == streams[1]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        pytest.param(asked("[fake error=429 retry_after=7]"), openai.RateLimitError, id="429"),
        pytest.param(asked("[fake error=500]"), openai.InternalServerError, id="500"),
        pytest.param(asked(model="llama-4"), openai.NotFoundError, id="unknown model"),
        pytest.param(asked(extra_body={"top_k": 1}), openai.BadRequestError, id="unknown field"),
    ],
)
def test_an_error_is_the_same_through_the_sidecar(ways, question, kind):
    found = []
    for url in (ways.direct_url, ways.sidecar_url):
        with sync_client(url) as client, pytest.raises(kind) as error:
            client.chat.completions.create(**question)
        found.append((error.value.status_code, error.value.body, error.value.response.headers.get("retry-after")))
    assert found[0] == found[1]
