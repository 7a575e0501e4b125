"""The API's own description is valid, and what is really answered is what it describes."""

import asyncio
import json

import jsonschema
import pytest
import yaml
from openapi_spec_validator import validate
from tests.support.calls import HEADERS, call, get, question
from tests.support.raw_client import Answer, RawClient
from tests.support.running import gated_sidecar, together


async def scenario() -> dict:
    """Each described answer that a small sidecar can give; (method, described path, answer)."""
    found = []
    limits = {"maxConcurrent": 1, "maxQueued": 0, "maxBodyBytes": 2048}
    settings = {"drain": {"settleSeconds": 0}, "limits": limits}
    async with gated_sidecar(settings) as (upstream, sidecar):

        async def ask(path: str, body: bytes, *headers: tuple[str, str]) -> Answer:
            async with await RawClient.connect(sidecar.url) as client:
                await client.request("POST", path, [*HEADERS, *headers], body)
                return await client.answer()

        paths = ("/", "/health", "/ready", "/livez", "/openapi.json", "/docs", "/v1/models", "/v1/messages/batches")
        found += [("get", path, await get(sidecar.url, path)) for path in paths]
        documents = [await get(sidecar.url, path) for path in ("/openapi.json", "/openapi.yaml", "/docs")]
        for body, *headers in ((b"{",), (b" " * 4000,), (question(), ("content-encoding", "gzip"))):
            found.append(("post", "/v1/messages", await ask("/v1/messages", body, *headers)))
        foreign = ("origin", "https://evil.example")
        for path in ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
            found.append(("post", path, await ask(path, question(), foreign)))
        for path in ("/v1/responses", "/v1/embeddings"):  # the upstream is Anthropic's
            found.append(("post", path, await ask(path, question())))
        found.append(("post", "/v1/chat/completions", await ask("/v1/chat/completions", b"{")))
        wrong = [await ask(path, b"") for path in ("/health", "/docs")]
        running = asyncio.create_task(call(sidecar.url))
        await asyncio.to_thread(sidecar.wait_for, streams=1)
        found.append(("post", "/v1/messages", await call(sidecar.url, stream=False)))  # busy
        await asyncio.to_thread(sidecar.command_line, "drain", "--lease", "60")
        found.append(("get", "/livez", await get(sidecar.url, "/livez")))
        found += [("get", path, await get(sidecar.url, path)) for path in ("/health", "/ready")]
        upstream.gate.set()
        found.append(("post", "/v1/messages", await running))
        await asyncio.to_thread(sidecar.wait_for, state="drained")
        found.append(("get", "/health", await get(sidecar.url, "/health")))
        found.append(("post", "/v1/messages", await call(sidecar.url, stream=False)))
        sidecar.write_config({"upstream": {"url": "http://127.0.0.1:9"}})
        while (answer := await call(sidecar.url, stream=False)).head.status == 200:
            pass
        found.append(("post", "/v1/messages", answer))
    return {"answers": found, "documents": documents, "wrong": wrong}


async def keyed() -> dict:
    """The description of a sidecar with keys, and its answer to a request with none of them."""
    async with gated_sidecar(env={"LASTCALL_AUTH__API_KEYS": "sk-lastcall-0001"}) as (_, sidecar):
        return {
            "description": json.loads((await get(sidecar.url, "/openapi.json")).body),
            "answer": await call(sidecar.url, stream=False),
        }


@pytest.fixture(scope="module")
def seen():
    return together(scenario)["scenario"]


@pytest.fixture(scope="module")
def with_keys():
    return together(keyed)["keyed"]


@pytest.fixture(scope="module")
def description(seen):
    return json.loads(seen["documents"][0].body)


def test_the_description_is_valid(description):
    validate(description)


def test_json_yaml_and_page_describe_the_same(seen, description):
    _, as_yaml, page = seen["documents"]
    assert yaml.safe_load(as_yaml.body.decode()) == description
    assert all(f"<code>{path}</code>" in page.body.decode() for path in description["paths"])


def test_the_documents_say_what_they_are(seen):
    types = [answer.head.get("content-type") for answer in seen["documents"]]
    assert types == ["application/json", "application/yaml", "text/html; charset=utf-8"]


def test_the_page_takes_nothing_from_elsewhere(seen):
    page = seen["documents"][2].body.decode()
    assert "<script" not in page
    assert "http" not in page


def test_every_kind_of_answer_was_given(seen):
    given = {(path, answer.head.status) for _, path, answer in seen["answers"]}
    assert given >= {
        ("/health", 200),
        ("/health", 503),
        ("/ready", 200),
        ("/ready", 503),
        ("/livez", 200),
        ("/", 200),
        ("/v1/messages", 200),
        ("/v1/messages", 400),
        ("/v1/messages", 413),
        ("/v1/messages", 415),
        ("/v1/messages", 529),
        ("/v1/messages", 502),
        ("/v1/messages", 403),
        ("/v1/chat/completions", 400),
        ("/v1/chat/completions", 403),
        ("/v1/responses", 403),
        ("/v1/responses", 501),
        ("/v1/embeddings", 501),
    }


def test_a_key_is_asked_for_where_keys_are_configured(description, with_keys):
    assert {} in description["security"]
    keyed = with_keys["description"]
    validate(keyed)
    assert keyed["security"] == [{"key": []}, {"bearer": []}]
    assert with_keys["answer"].head.status == 401
    error = keyed["paths"]["/v1/messages"]["post"]["responses"]["401"]["content"]["application/json"]
    jsonschema.validate(json.loads(with_keys["answer"].body), {**error["schema"], "components": keyed["components"]})


def test_another_method_is_told_which_there_are(seen):
    """RFC 9110, 15.5.6."""
    for answer in seen["wrong"]:
        assert answer.head.status == 405
        assert set(answer.head.get("allow").split(", ")) == {"GET", "HEAD", "OPTIONS"}
        assert json.loads(answer.body)["type"] == "error"


def test_every_answer_is_as_described(seen, description):
    for method, path, answer in seen["answers"]:
        responses = description["paths"][path][method]["responses"]
        described = responses[str(answer.head.status)]
        media = answer.head.get("content-type").partition(";")[0]
        schema = {**described["content"][media]["schema"], "components": description["components"]}
        said = json.loads(answer.body) if media == "application/json" else answer.body.decode()
        jsonschema.validate(said, schema, format_checker=jsonschema.FormatChecker())


def test_a_wrong_answer_would_be_noticed(description):
    """The schemas refuse something: they are not all `{}`."""
    components = {"components": description["components"]}
    for name, wrong in {
        "Healthy": {"status": "draining"},
        "Draining": {"status": "draining", "state": "asleep", "reason": None, "in_flight": 0},
        "Livez": {"status": "ok", "in_flight": -1, "draining": False, "timestamp": "2026-11-22T10:00:00Z"},
        "Error": {"type": "error", "error": {"message": "no type"}},
        "OpenAIError": {"type": "error", "error": {"type": "api_error", "message": "Anthropic's"}},
    }.items():
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, {"$ref": f"#/components/schemas/{name}", **components})


def test_every_own_route_is_described(seen, description):
    """What `GET /` lists, as far as it is a path of ours."""
    index = next(json.loads(answer.body) for _, path, answer in seen["answers"] if path == "/")
    listed = {entry.rpartition(" ")[2] for entry in index["endpoints"]}
    assert listed | {"/", "/openapi.yaml"} <= set(description["paths"])


def test_yaml_has_no_aliases(seen):
    assert "&id" not in seen["documents"][1].body.decode()
