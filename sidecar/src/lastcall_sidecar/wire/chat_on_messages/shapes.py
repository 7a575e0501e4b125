"""The parts of a chat completion's request that are looked at. The rest is ignored, or goes on as it came (`Raw`).

Numbers that go on keep their digits, so they are `Raw`, too. No type here may be one (an enum, a literal) that makes
msgspec repeat a client's value in its message.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Raw

from lastcall_sidecar.wire.body import BodyError

_T = TypeVar("_T")

NULL = Raw(b"null")

#: A limit that somebody may have meant.
Limit = Annotated[int, msgspec.Meta(ge=1)]


class ImageUrl(msgspec.Struct):
    """`url` is http(s), or data in base64."""

    url: str


class File(msgspec.Struct):
    """A file in base64, as a data URL or bare; or the id of one in OpenAI's storage."""

    file_data: str | None = None
    filename: str | None = None


class Part(msgspec.Struct):
    """One part of a message's content."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: ImageUrl | str | None = None
    file: File | None = None
    cache_control: Raw = NULL


class CalledFunction(msgspec.Struct):
    """The arguments are JSON text."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """A call that the assistant made."""

    id: str
    type: str = "function"
    function: CalledFunction | None = None


class Detail(msgspec.Struct):
    """An entry of `reasoning_details`."""

    type: str = ""
    index: int | None = None
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    #: Whose it is, in OpenRouter's words.
    format: str | None = None


class Message(msgspec.Struct):
    """One message, of any role."""

    role: str
    content: str | list[Raw] | None = None
    refusal: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Raw = NULL
    audio: Raw = NULL
    tool_call_id: str | None = None
    cache_control: Raw = NULL


class Function(msgspec.Struct):
    """`parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None
    cache_control: Raw = NULL


class Tool(msgspec.Struct):
    """A tool that the model may call: OpenAI's, or Anthropic's own."""

    type: str = "function"
    function: Function | None = None
    cache_control: Raw = NULL
    name: str | None = None
    description: str | None = None
    input_schema: Raw = NULL


class NamedFunction(msgspec.Struct):
    """The function that must be called."""

    name: str


class ToolChoice(msgspec.Struct):
    """The tool that must be called."""

    type: str
    function: NamedFunction | None = None


class JsonSchema(msgspec.Struct):
    """What the answer's JSON must be like."""

    schema: Raw = NULL


class ResponseFormat(msgspec.Struct):
    """What the answer must be like."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """Whether a chunk with the usage ends the stream."""

    include_usage: bool | None = None


class Request(msgspec.Struct):
    """The fields of a request that are translated."""

    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Limit | None = None
    max_tokens: Limit | None = None
    temperature: Raw = NULL
    top_p: Raw = NULL
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | str | None = None
    parallel_tool_calls: bool | None = None
    safety_identifier: str | None = None
    user: str | None = None


def read(raw: Raw | bytes, shape: type[_T], where: str = "") -> _T:
    """Read JSON that was found to be well-formed; BodyError with the place, which begins with `where`."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        steps = path.rstrip("`").replace("[", ".").replace("]", "")
        place = f"{where}{steps}" if where else steps.lstrip(".")
        raise BodyError(f"{place}: {problem[0].lower()}{problem[1:]}") from None
    except RecursionError:
        raise BodyError("the body is nested too deeply") from None


def given(raw: Raw) -> bool:
    """Whether there is a value, and one that is not `null`."""
    return bytes(memoryview(raw)[: len(b"null") + 1]) != b"null"
