"""`lastcall-sidecar fake-llm` plays the API that it was asked for."""

import sys
import urllib.error

import pytest
from tests.support.fake import get_json
from tests.support.process import Program, free_port


class Command(Program):
    def __init__(self, *arguments):
        self.url = f"http://127.0.0.1:{free_port()}"
        listen = self.url.removeprefix("http://")
        super().__init__([sys.executable, "-m", "lastcall_sidecar", "fake-llm", "--listen", listen, *arguments])

    def is_ready(self):
        try:
            return get_json(f"{self.url}/healthz") == {"status": "ok"}
        except OSError:
            return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], b"x-api-key", id="Anthropic, by default"),
        pytest.param(["--api", "openai"], b"Bearer auth", id="OpenAI"),
        pytest.param(["--api", "vllm"], b'"Unauthorized"', id="vLLM"),
        pytest.param(["--api", "deepseek"], b"Bearer auth", id="DeepSeek"),
    ],
)
def test_the_command_plays_an_api(arguments, words):
    with Command(*arguments) as command:
        with pytest.raises(urllib.error.HTTPError) as found:
            get_json(f"{command.url}/v1/models")
        with found.value:
            assert words in found.value.read()
