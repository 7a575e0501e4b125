"""The real `openai` SDK, set up as `sdk` sets up `anthropic`: nothing of the machine changes it, nothing is retried."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai

from tests.support.sdk import TIMEOUT_SECONDS, told

__all__ = ["API_KEY", "MODEL", "WEATHER_TOOL", "asked", "async_client", "http_client", "sync_client", "told"]

API_KEY = "sk-test-0000"
MODEL = "gpt-4o"
#: What vLLM's flavor serves.
VLLM_MODEL = "fake-llm-1"
HEADERS = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}

WEATHER_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["place"],
        },
    },
}
FORCED_WEATHER: dict[str, Any] = {"type": "function", "function": {"name": "get_weather"}}


@contextlib.contextmanager
def sync_client(url: str, *, max_retries: int = 0, api_key: str = API_KEY) -> Iterator[openai.OpenAI]:
    """Make a blocking client; retries are off unless asked for, so that counts mean something."""
    transport = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=api_key, max_retries=max_retries, timeout=TIMEOUT_SECONDS, http_client=transport
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def async_client(url: str, *, max_retries: int = 0, api_key: str = API_KEY) -> AsyncIterator[openai.AsyncOpenAI]:
    """Make an asynchronous client, likewise."""
    transport = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=api_key, max_retries=max_retries, timeout=TIMEOUT_SECONDS, http_client=transport
    ) as client:
        yield client


@contextlib.contextmanager
def http_client(url: str, **headers: str) -> Iterator[httpx.Client]:
    """A plain HTTP client that sends what the API demands, and sees each byte."""
    with httpx.Client(base_url=url, headers={**HEADERS, **headers}, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        yield client


def asked(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """The arguments of `chat.completions.create` for one user message."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
