"""Small checks that raise the vendor's sentence, shared by the requests of Chat Completions and Responses. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lastcall_sidecar.testing.errors import FakeError
from lastcall_sidecar.testing.openai.errors import (
    missing,
    mistyped,
    out_of_range,
    too_long,
    unknown,
    unsupported_value,
)

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_NAME_CHARS = 64
_ARTICLES: Mapping[type, str] = {str: "a string", list: "an array", dict: "an object", bool: "a boolean"}

#: Names of models that are served, and of those among them that reason.
_MODEL = re.compile(r"(gpt-[3-9]|o\d|chatgpt-|codex-|text-embedding-|fake-)[\w.-]*")
_REASONING = re.compile(r"(o\d|gpt-[5-9])(?!.*-chat)|codex-")
#: A tool beside any `reasoning_effort` is refused by these (openai/openai-openapi#541, charmbracelet/crush#2913) …
_NO_EFFORT_BESIDE_TOOLS = re.compile(r"gpt-5\.[45](?!\d)(?!.*-chat)")
#: … and beside all but `none`, also where none is told, by these (BerriAI/litellm#34569).
_NONE_BESIDE_TOOLS = re.compile(r"gpt-5\.[6-9](?!.*-chat)")
#: Refuse `parallel_tool_calls`, whatever it says (run-llama/llama_index#20865, tensorzero/tensorzero#2805).
_NO_PARALLEL = re.compile(r"o\d(?:-|$)")
_EMBEDDING = re.compile(r"(text-embedding-|fake-)[\w.-]+|[\w.-]+/[\w.-]+")


def is_served(model: str) -> bool:
    """Tell whether a model of that name is there."""
    return _MODEL.fullmatch(model) is not None


def embeds(model: str) -> bool:
    """Tell whether a model makes embeddings."""
    return _EMBEDDING.fullmatch(model) is not None


def reasons(model: str) -> bool:
    """Tell whether a model thinks before it answers, and so takes no sampling options."""
    return _REASONING.match(model) is not None


def may_reason(model: str) -> bool:
    """Tell whether `reasoning_effort` means something to a model."""
    return reasons(model) or model.startswith("fake-") or "/" in model


def effort_beside_tools(model: str) -> tuple[str | None, ...] | None:
    """Tell which values of `reasoning_effort` a model takes beside tools; `None` where it takes all."""
    if _NO_EFFORT_BESIDE_TOOLS.match(model):
        return (None,)
    return ("none",) if _NONE_BESIDE_TOOLS.match(model) else None


def takes_parallel(model: str) -> bool:
    """Tell whether a model takes `parallel_tool_calls`."""
    return _NO_PARALLEL.match(model) is None


def known_only(path: str, found: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse a field that nobody knows."""
    for name in found:
        if name not in known:
            raise unknown(f"{path}.{name}" if path else name)


def typed(path: str, found: Mapping[str, Any], name: str, kind: type, *, required: bool = False) -> Any:
    """Return a field that has the right type; `None` where it is not there and need not be."""
    where = f"{path}.{name}" if path else name
    if name not in found:
        if required:
            raise missing(where)
        return None
    if not isinstance(found[name], kind):
        raise mistyped(where, _ARTICLES[kind], found[name])
    return found[name]


def number(found: Mapping[str, Any], name: str, lowest: float, highest: float, *, whole: bool = False) -> None:
    """Check a number, or a whole one; null is as good as nothing."""
    value = found.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise mistyped(name, "an integer" if whole else "a decimal", value)
    if not lowest <= value <= highest:
        raise out_of_range(name, value, lowest, highest)


def one_of(path: str, value: Any, known: tuple[str, ...]) -> None:
    """Check a word; null is as good as nothing."""
    if value is not None and value not in known:
        raise unsupported_value(path, value, known)


def named(path: str, name: str) -> None:
    """Check the name of a function or of a schema."""
    if not _NAME.fullmatch(name):
        message = f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern "
        raise FakeError(400, message + "'^[a-zA-Z0-9_-]+$'.", param=path, code="invalid_value")
    if len(name) > _MAX_NAME_CHARS:
        raise too_long(path, "string", _MAX_NAME_CHARS, len(name))


def metadata(value: Any) -> None:
    """Check what a caller notes down: 16 pairs of short strings."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise mistyped("metadata", "an object", value)
    if len(value) > 16:
        raise FakeError(400, f"Invalid 'metadata': too many properties ({len(value)} > 16).", param="metadata")
    for key, text in value.items():
        if not isinstance(text, str):
            raise mistyped(f"metadata.{key}", "a string", text)
        if len(text) > 512:
            raise too_long(f"metadata.{key}", "string", 512, len(text))


def function_schema(path: str, name: str, schema: Mapping[str, Any], *, strict: bool) -> None:
    """Check the schema of a function's parameters."""
    begin, code = f"Invalid schema for function '{name}': ", "invalid_function_parameters"
    _schema(schema, begin, path, code, strict=strict)
    if "properties" not in schema:
        raise FakeError(400, f"{begin}In context=(), object schema missing properties.", param=path, code=code)


def answer_schema(path: str, name: str, schema: Mapping[str, Any], *, strict: bool) -> None:
    """Check the schema of an answer."""
    _schema(schema, f"Invalid schema for response_format '{name}': ", path, None, strict=strict)


def _schema(schema: Mapping[str, Any], begin: str, path: str, code: str | None, *, strict: bool) -> None:
    kind = schema.get("type")
    if kind != "object":
        message = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        raise FakeError(400, begin + message, param=path, code=code)
    for context, inner in _within(schema, ()):
        wrong = _wrong(inner, strict=strict)
        if wrong:
            raise FakeError(400, f"{begin}In context={context}, {wrong}", param=path, code=code)


def _wrong(schema: Mapping[str, Any], *, strict: bool) -> str:
    kind = schema.get("type")
    if kind == "array" and "items" not in schema:
        return "array schema missing items."
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        return f"'{schema['pattern']}' is not a 'regex'."
    if not strict or kind != "object":
        return ""
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    left_out = [name for name in schema.get("properties", {}) if name not in schema.get("required", ())]
    if left_out:
        return (
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{left_out[0]}'."
        )
    return ""


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _within(schema: Any, context: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield a schema and all within it, with where each of them is."""
    if not isinstance(schema, dict):
        return
    yield context, schema
    for several in ("properties", "$defs"):
        found = schema.get(several)
        for name, inner in found.items() if isinstance(found, dict) else ():
            yield from _within(inner, (*context, several, name))
    found = schema.get("anyOf")
    for index, inner in enumerate(found if isinstance(found, list) else ()):
        yield from _within(inner, (*context, "anyOf", str(index)))
    yield from _within(schema.get("items"), (*context, "items"))
