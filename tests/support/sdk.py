"""The real `anthropic` SDK, set up so that nothing of the machine changes it, and results in a comparable form."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx

from lastcall_sidecar.testing.serving import Api
from tests.support.fake import FakeProcess
from tests.support.sidecar_process import SidecarProcess, merged

API_KEY = "sk-ant-test-0000"
MODEL = "claude-sonnet-4-6"
VERSION_HEADERS = {"x-api-key": API_KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
TIMEOUT_SECONDS = 30.0

WEATHER_TOOL: dict[str, Any] = {
    "name": "get_weather",
    "description": "Tell the weather of a place.",
    "input_schema": {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["place"],
    },
}


@contextlib.contextmanager
def sync_client(url: str, *, max_retries: int = 0, api_key: str = API_KEY) -> Iterator[anthropic.Anthropic]:
    """Make a blocking client; retries are off unless asked for, so that counts mean something."""
    transport = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(
        base_url=url, api_key=api_key, max_retries=max_retries, timeout=TIMEOUT_SECONDS, http_client=transport
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def async_client(
    url: str, *, max_retries: int = 0, api_key: str = API_KEY
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Make an asynchronous client, likewise."""
    transport = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=url, api_key=api_key, max_retries=max_retries, timeout=TIMEOUT_SECONDS, http_client=transport
    ) as client:
        yield client


@contextlib.contextmanager
def http_client(url: str, **headers: str) -> Iterator[httpx.Client]:
    """A plain HTTP client that sends what the API demands, and sees each byte."""
    with httpx.Client(
        base_url=url, headers={**VERSION_HEADERS, **headers}, timeout=TIMEOUT_SECONDS, trust_env=False
    ) as client:
        yield client


def asked(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """The arguments of `messages.create` for one user message."""
    return {"model": MODEL, "max_tokens": 4096, "messages": [{"role": "user", "content": text}], **fields}


def told(found: Any) -> Any:
    """A parsed object of the SDK as plain data: every field, also those that no type of the SDK names."""
    if isinstance(found, list | tuple):
        return [told(item) for item in found]
    return found.to_dict(mode="json") if hasattr(found, "to_dict") else found


@dataclass(frozen=True)
class Ways:
    """The same fake LLM, reached directly and through a sidecar."""

    fake: FakeProcess
    sidecar: SidecarProcess

    @property
    def direct_url(self) -> str:
        return self.fake.url

    @property
    def sidecar_url(self) -> str:
        return self.sidecar.url

    def url(self, way: str) -> str:
        """The base URL of "direct" or "sidecar"."""
        return {"direct": self.direct_url, "sidecar": self.sidecar_url}[way]


@contextlib.contextmanager
def ways(api: Api = "Anthropic", settings: Mapping[str, Any] | None = None) -> Iterator[Ways]:
    """Start a fake LLM of this API and a sidecar in front of it."""
    with FakeProcess(api=api) as fake:
        upstream = {"url": fake.url, "provider": "Anthropic" if api == "Anthropic" else "OpenAI"}
        given = merged({"upstream": upstream, "drain": {"settleSeconds": 0}}, settings or {})
        with SidecarProcess(given) as sidecar:
            yield Ways(fake, sidecar)


@contextlib.contextmanager
def both_ways(settings: Mapping[str, Any] | None = None) -> Iterator[Ways]:
    """Start a fake Anthropic API and a sidecar in front of it."""
    with ways("Anthropic", settings) as found:
        yield found
