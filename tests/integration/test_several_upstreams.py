"""Models by other names, and several upstreams for one sidecar: each request goes to one, with that one's key only."""

import contextlib
import socket

import anthropic
import openai
import pytest
from tests.support import openai_sdk, sdk
from tests.support.fake import FakeProcess
from tests.support.sidecar_process import SidecarProcess

from lastcall_sidecar.testing.catalog import MODELS

KEYS = {"anthropic": "sk-ant-main", "openai": "sk-oai", "vllm": "sk-vllm"}


class World:
    """Three fakes behind one sidecar: Anthropic's is the one for everything else."""

    def __init__(self, stack):
        self.fakes = {
            name: stack.enter_context(FakeProcess(api=api))
            for name, api in {"anthropic": "Anthropic", "openai": "OpenAI", "vllm": "vLLM"}.items()
        }
        self.sidecar = SidecarProcess()
        keys = {name: str(self.sidecar.file(f"{name}.key", key)) for name, key in KEYS.items()}
        self.sidecar.write_config(
            {
                "upstream": {
                    "url": self.fakes["anthropic"].url,
                    "apiKeyFile": keys["anthropic"],
                    "models": {
                        "small": "Qwen/Qwen3-32B",
                        "claude-haiku-*": "Qwen/Qwen3-32B",
                        "best": "claude-opus-4-6",
                    },
                },
                "upstreams": [
                    {
                        "name": "vendor",
                        "provider": "OpenAI",
                        "url": self.fakes["openai"].url,
                        "apiKeyFile": keys["openai"],
                        "models": ["gpt-*", "text-embedding-3-small"],
                    },
                    {
                        "name": "own",
                        "provider": "OpenAI",
                        "url": self.fakes["vllm"].url,
                        "apiKeyFile": keys["vllm"],
                        "models": ["Qwen/*"],
                    },
                ],
                "auth": {"apiKeysFile": str(self.sidecar.file("clients.keys", sdk.API_KEY))},
                "drain": {"settleSeconds": 0},
            }
        )
        stack.enter_context(self.sidecar)

    def counts(self):
        return {name: sum(fake.stats()["paths"].values()) for name, fake in self.fakes.items()}


@pytest.fixture(scope="module")
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@contextlib.contextmanager
def goes_to(world, name):
    """What happens within reaches this upstream once, with its key, and no other."""
    before = world.counts()
    yield
    after = world.counts()
    assert {key: after[key] - before[key] for key in after} == {key: int(key == name) for key in after}
    headers = [(key.lower(), value) for key, value in world.fakes[name].requests()[-1]["headers"]]
    credentials = [value for key, value in headers if key in {"x-api-key", "authorization"}]
    assert credentials == [KEYS[name] if name == "anthropic" else f"Bearer {KEYS[name]}"]


ASKED = {
    "claude-sonnet-4-6": "anthropic",
    "best": "anthropic",
    "gpt-4o": "openai",
    "small": "vllm",
    "claude-haiku-4-5-20251001": "vllm",
    "Qwen/Qwen3-32B": "vllm",
}
KNOWN_AS = {
    "best": "claude-opus-4-6",
    "small": "Qwen/Qwen3-32B",
    "claude-haiku-4-5-20251001": "Qwen/Qwen3-32B",
}


@pytest.mark.parametrize("model", ASKED)
def test_the_model_chooses_the_upstream_for_both_kinds_of_clients(world, model):
    name = ASKED[model]
    with sdk.sync_client(world.sidecar.url) as client, goes_to(world, name):
        answer = client.messages.create(**{**sdk.asked(), "model": model})
    assert answer.model == KNOWN_AS.get(model, model)
    with openai_sdk.sync_client(world.sidecar.url, api_key=sdk.API_KEY) as client, goes_to(world, name):
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
    assert answer.model == KNOWN_AS.get(model, model)
    assert world.fakes[name].bodies()[-1]["model"] == KNOWN_AS.get(model, model)


def test_streams_and_token_counts_go_there_too(world):
    with sdk.sync_client(world.sidecar.url) as client:
        with goes_to(world, "vllm"), client.messages.stream(**{**sdk.asked(), "model": "small"}) as stream:
            assert stream.get_final_message().stop_reason == "end_turn"
        with goes_to(world, "vllm"):
            assert client.messages.count_tokens(model="small", messages=sdk.asked()["messages"]).input_tokens > 0


def test_what_only_one_vendor_has_goes_to_the_first_of_that_vendor(world):
    with openai_sdk.sync_client(world.sidecar.url, api_key=sdk.API_KEY) as client:
        with goes_to(world, "openai"):
            assert client.responses.create(model="gpt-4o", input="Hi").status == "completed"
        with goes_to(world, "openai"):
            assert len(client.embeddings.create(model="text-embedding-3-small", input="Hi").data) == 1
    with sdk.sync_client(world.sidecar.url) as client, goes_to(world, "anthropic"):
        assert client.messages.batches.list().data == []


def test_an_unknown_model_is_the_upstreams_to_refuse(world):
    with (
        sdk.sync_client(world.sidecar.url) as client,
        goes_to(world, "anthropic"),
        pytest.raises(anthropic.NotFoundError),
    ):
        client.messages.create(**{**sdk.asked(), "model": "nobody-knows"})
    with (
        openai_sdk.sync_client(world.sidecar.url, api_key=sdk.API_KEY) as client,
        goes_to(world, "openai"),
        pytest.raises(openai.NotFoundError),
    ):
        client.chat.completions.create(model="gpt-none", messages=[{"role": "user", "content": "Hi"}])


def test_both_sdks_read_one_list_of_all_models(world):
    anthropics = [identity for identity, _, _ in MODELS]
    expected = {*anthropics, "gpt-4o", "gpt-5", "Qwen/Qwen3-32B", "small", "best", "text-embedding-3-small"}
    with sdk.sync_client(world.sidecar.url) as client:
        one = [model.id for model in client.models.list()]
        assert [model.id for model in client.models.list(limit=2)] == one
        assert client.models.retrieve("gpt-4o").display_name == "gpt-4o"
        assert client.models.retrieve("Qwen/Qwen3-32B").id == "Qwen/Qwen3-32B"
        assert client.models.retrieve("best").display_name == "Claude Opus 4.6"
    with openai_sdk.sync_client(world.sidecar.url, api_key=sdk.API_KEY) as client:
        other = [model.id for model in client.models.list()]
        assert client.models.retrieve("claude-opus-4-6").owned_by == "anthropic"
        assert client.models.retrieve("small").id == "small"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nobody-knows")
    assert one == other
    assert set(one) >= expected
    assert len(set(one)) == len(one)
    # Of each upstream, what would go to it.
    assert not {"o4-mini", "fake-llm-1"} & (set(one) - set(anthropics))


def test_chat_models_is_the_same_list(world):
    with sdk.http_client(world.sidecar.url) as client:
        assert client.get("/v1/chat/models").json() == client.get("/v1/models").json()


def test_a_key_is_wanted_for_the_list_as_well(world):
    with (
        openai_sdk.sync_client(world.sidecar.url, api_key="sk-wrong") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()
    with sdk.sync_client(world.sidecar.url, api_key="sk-wrong") as client, pytest.raises(anthropic.AuthenticationError):
        client.models.list()


def test_an_upstream_that_is_away_takes_nothing_from_the_others():
    with FakeProcess() as fake, contextlib.ExitStack() as stack:
        sidecar = SidecarProcess(
            {
                "upstream": {"url": fake.url},
                "upstreams": [
                    {"name": "away", "provider": "OpenAI", "url": "http://127.0.0.1:9", "models": ["gpt-*"]},
                ],
            }
        )
        stack.enter_context(sidecar)
        with sdk.sync_client(sidecar.url) as client:
            assert [model.id for model in client.models.list()] == [identity for identity, _, _ in MODELS]
            assert client.messages.create(**sdk.asked()).stop_reason == "end_turn"
            with pytest.raises(anthropic.InternalServerError, match="cannot connect") as raised:
                client.messages.create(**{**sdk.asked(), "model": "gpt-4o"})
            assert raised.value.status_code == 502


def test_an_upstream_that_says_nothing_holds_up_no_list():
    with socket.create_server(("127.0.0.1", 0)) as silent, FakeProcess() as fake, contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        named = [{"name": "silent", "provider": "OpenAI", "url": url, "models": ["gpt-*"]}]
        sidecar = stack.enter_context(SidecarProcess({"upstream": {"url": fake.url}, "upstreams": named}))
        with sdk.sync_client(sidecar.url) as client:
            assert [model.id for model in client.models.list()] == [identity for identity, _, _ in MODELS]
        sidecar.wait_for(in_flight=0)


def test_where_the_upstream_has_no_list_the_configuration_is_one(world):
    """An upstream that answers 404 to /v1/models, as some local servers do."""
    with FakeProcess() as fake, contextlib.ExitStack() as stack:
        settings = {"upstream": {"url": f"{fake.url}/elsewhere", "models": {"mine": "llama", "other-*": "llama"}}}
        sidecar = stack.enter_context(SidecarProcess(settings))
        with sdk.sync_client(sidecar.url) as client:
            assert [model.id for model in client.models.list()] == ["mine"]
            assert client.models.retrieve("mine").id == "mine"
            with pytest.raises(anthropic.NotFoundError):
                client.models.retrieve("other-1")


def test_a_callers_own_key_goes_to_the_other_vendor_in_its_own_header():
    with FakeProcess(api="OpenAI") as fake, FakeProcess() as anthropics, contextlib.ExitStack() as stack:
        sidecar = SidecarProcess(
            {
                "upstream": {"url": anthropics.url},
                "upstreams": [{"name": "o", "provider": "OpenAI", "url": fake.url, "models": ["gpt-*"]}],
            }
        )
        stack.enter_context(sidecar)
        with sdk.sync_client(sidecar.url, api_key="sk-theirs") as client:
            client.messages.create(**{**sdk.asked(), "model": "gpt-4o"})
        sent = {key.lower(): value for key, value in fake.requests()[-1]["headers"]}
        assert sent["authorization"] == "Bearer sk-theirs"
        assert not {"x-api-key", "anthropic-version", "anthropic-beta"} & set(sent)
        with openai_sdk.sync_client(sidecar.url, api_key="sk-theirs") as client:
            client.chat.completions.create(model=sdk.MODEL, messages=[{"role": "user", "content": "Hi"}])
        sent = {key.lower(): value for key, value in anthropics.requests()[-1]["headers"]}
        assert (sent["x-api-key"], sent["anthropic-version"]) == ("sk-theirs", "2023-06-01")
        assert "authorization" not in sent
        with openai_sdk.sync_client(sidecar.url, api_key="sk-theirs") as client, pytest.raises(openai.NotFoundError):
            client.batches.list()
        assert len(anthropics.requests()) == 1
        # A list is asked of everybody: nobody gets a key that is meant for somebody else, and this one wants a key.
        with sdk.sync_client(sidecar.url, api_key="sk-theirs") as client:
            assert [model.id for model in client.models.list()] == [identity for identity, _, _ in MODELS]
        assert fake.stats()["statuses"]["401"] == 1


def test_nobody_is_left_in_flight(world):
    world.sidecar.wait_for(in_flight=0, totals_dropped=0)
    assert "Traceback" not in world.sidecar.output()
