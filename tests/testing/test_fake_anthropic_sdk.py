"""What the fake Anthropic API does for tests of translation and demotion, as the vendor's own SDK understands it."""

import anthropic
import pydantic
import pytest
from tests.support.fake import FakeProcess
from tests.support.sdk import WEATHER_TOOL, asked, sync_client, told

THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 8192}


class Person(pydantic.BaseModel):
    name: str
    age: int
    mood: str | None


@pytest.fixture(scope="module")
def fake():
    with FakeProcess() as found:
        yield found


@pytest.fixture
def client(fake):
    with sync_client(fake.url) as found:
        yield found


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(asked("[fake kind=everything calls=2]", tools=[WEATHER_TOOL]), id="everything"),
        pytest.param(asked("[fake kind=none]"), id="nothing"),
        pytest.param(asked("[fake kind=calls calls=3 events=40]", tools=[WEATHER_TOOL]), id="only calls"),
        pytest.param(asked("[fake stop=refusal]"), id="refusal"),
        pytest.param(asked("[fake stop=pause_turn]"), id="pause_turn"),
        pytest.param(asked("[fake stop=model_context_window_exceeded]"), id="context exceeded"),
        pytest.param(asked("[fake stop=of_the_future]"), id="a reason that nobody knows"),
        pytest.param(asked("[fake cache_read=50 cache_write=7]"), id="cache"),
        pytest.param(asked("Think!", thinking={"type": "adaptive", "display": "omitted"}), id="thinking not shown"),
    ],
)
def test_a_stream_adds_up_to_the_plain_answer(client, question):
    plain = told(client.messages.create(**question))
    with client.messages.stream(**question) as stream:
        final = told(stream.get_final_message())
    # the SDK adds its own fields to what a stream leaves out
    assert {key: final[key] for key in plain} == plain


def test_everything_is_there(client):
    found = client.messages.create(**asked("[fake kind=everything calls=2]", tools=[WEATHER_TOOL]))
    assert [block.type for block in found.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert found.content[5].citations[0].url == "https://example.org/last-call"
    assert found.usage.server_tool_use.web_search_requests == 1


def test_the_cache_is_counted(client):
    usage = client.messages.create(**asked("[fake cache_read=50 cache_write=7]")).usage
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (50, 7)


def test_a_refusal_says_so(client):
    found = client.messages.create(**asked("[fake stop=refusal]"))
    assert (found.stop_reason, found.stop_details.type) == ("refusal", "refusal")


def test_an_answer_is_parsed_into_a_model(client):
    found = client.messages.parse(**asked("Who?"), output_format=Person)
    assert found.parsed_output == Person(name="some name – 灯", age=42, mood="some mood – 灯")


def test_a_turn_goes_on_only_with_its_own_thinking(client):
    question = asked("[fake kind=mixed]", **THINKING, tools=[WEATHER_TOOL])
    message = client.messages.create(**question)
    thought, said, call = (block.to_dict() for block in message.content)
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Rain"}

    def going_on(*content):
        turn = {"role": "assistant", "content": list(content)}
        return question | {"messages": [*question["messages"], turn, {"role": "user", "content": [result]}]}

    assert client.messages.create(**going_on(thought, said, call)).content
    for content in ((said, call), (thought | {"signature": "EqQB"}, call), (thought | {"thinking": "Ha"}, call)):
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**going_on(*content))


def test_what_the_server_did_may_be_sent_back(client):
    question = asked("[fake kind=everything]", tools=[WEATHER_TOOL])
    message = client.messages.create(**question)
    result = {"type": "tool_result", "tool_use_id": message.content[-1].id, "content": "Rain"}
    history = [*question["messages"], message.to_param(), {"role": "user", "content": [result]}]
    assert client.messages.create(**question | {"messages": history}).stop_reason


def test_bodies_are_remembered(client, fake):
    client.messages.create(**asked("remember me"))
    assert fake.bodies()[-1] == asked("remember me")
