"""OpenAI's protocols, Chat Completions and Responses: their errors, terminal events, and the accounts of their streams.

https://platform.openai.com/docs/guides/error-codes, https://platform.openai.com/docs/api-reference/chat-streaming; the
judge of every shape is the vendor's own SDK. An error event ends a stream there, too: the SDK raises on it and reads no
further.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from lastcall_sidecar.wire.protocol import (
    COMMENT_LINE_HEARTBEAT,
    Account,
    ErrorKind,
    EventAccount,
    Protocol,
    Tokens,
    event_name,
    parse,
    to_json,
    word,
)
from lastcall_sidecar.wire.sse import EVENT_ENDS, Event

#: `error.type` and `error.code` of each kind.
_TYPES: Mapping[ErrorKind, tuple[str, str | None]] = {
    ErrorKind.INVALID_REQUEST: ("invalid_request_error", None),
    ErrorKind.AUTHENTICATION: ("invalid_request_error", "invalid_api_key"),
    ErrorKind.PERMISSION: ("invalid_request_error", "permission_denied"),
    ErrorKind.NOT_FOUND: ("invalid_request_error", "not_found"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ErrorKind.UNSUPPORTED_MEDIA: ("invalid_request_error", "unsupported_media_type"),
    ErrorKind.RATE_LIMIT: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.API: ("server_error", None),
    ErrorKind.OVERLOADED: ("server_error", "overloaded"),
    ErrorKind.TIMEOUT: ("server_error", "timeout"),
    ErrorKind.UNAVAILABLE: ("server_error", "upstream_unavailable"),
    ErrorKind.NOT_IMPLEMENTED: ("invalid_request_error", "not_implemented"),
}

#: Each chunk carries these with `null`; only with a value do they matter.
_FINISH = (b'"finish_reason":"', b'"finish_reason": "')
_USAGE = (b'"usage":{', b'"usage": {')


class _Function(msgspec.Struct):
    arguments: Any = None


class _Custom(msgspec.Struct):
    input: Any = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None
    custom: _Custom | None = None

    @property
    def text(self) -> str:
        """What the model wrote for the tool."""
        return text_of(self.function and self.function.arguments) + text_of(self.custom and self.custom.input)


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    #: vLLM's and others'; by either name, or by both.
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def text(self) -> str:
        """All that the model wrote."""
        said = (
            text_of(self.content) + text_of(self.refusal) + (text_of(self.reasoning_content) or text_of(self.reasoning))
        )
        return said + "".join(call.text for call in self.tool_calls or ())


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    #: Of `/v1/completions`.
    text: Any = None
    finish_reason: str | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _ChatUsage | None = None


class _Failure(msgspec.Struct):
    error: object = None


class ChatAccount(EventAccount):
    """The account of a Chat Completions stream; `[DONE]` ends it, and so does a chunk with an error."""

    __slots__ = ()

    def feed(self, block: bytes) -> None:
        """Take bytes that left the `Framer`; parses only what finishes, fails or tells the usage."""
        self._last_block = block
        if (
            self._eager
            or b"[DONE]" in block
            or b'"error"' in block
            or _FINISH[0] in block
            or _FINISH[1] in block
            or _USAGE[0] in block
            or _USAGE[1] in block
            or not block.endswith(EVENT_ENDS)
        ):
            self._read(block)

    def _take(self, event: Event) -> None:
        if event.data.startswith("[DONE]"):
            self._end()
            return
        self.started = True
        failure = parse(event.data, _Failure, _Failure()).error
        if failure:
            kind = failure.get("type") if isinstance(failure, dict) else None
            self._end(word(kind) or "error")
            return
        chunk = parse(event.data, _Chunk, _Chunk())
        for choice in chunk.choices or ():
            self._take_choice(choice)
        if chunk.usage:
            self.input_tokens = chunk.usage.prompt_tokens
            self.output_tokens = chunk.usage.completion_tokens

    def _take_choice(self, choice: _Choice) -> None:
        self.stop_reason = word(choice.finish_reason) or self.stop_reason
        text = text_of(choice.text) + (choice.delta.text if choice.delta else "")
        if text or (choice.delta and choice.delta.tool_calls):
            self.first_content = True
        if self._count_output:
            self.output_chars += len(text)


def text_of(content: object) -> str:
    """Return a text, or those of a list of parts, one after the other; nothing for anything else."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


class _ResponsesUsage(msgspec.Struct):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None


class _IncompleteDetails(msgspec.Struct):
    reason: str | None = None


class _ResponseError(msgspec.Struct):
    code: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    usage: _ResponsesUsage | None = None
    incomplete_details: _IncompleteDetails | None = None
    error: _ResponseError | None = None


class _Responded(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


class _TextDelta(msgspec.Struct):
    delta: str = ""


class ResponsesAccount(EventAccount):
    """The account of a Responses stream; `response.completed`, `.failed`, `.incomplete` and `error` end it."""

    __slots__ = ()

    #: Its last event repeats the instructions, the tools and the whole answer, and tells the usage behind them.
    kept_bytes = 1024 * 1024

    def feed(self, block: bytes) -> None:
        """Take bytes that left the `Framer`; parses only what may end the stream."""
        self._last_block = block
        if (
            self._eager
            or b"response.completed" in block
            or b"response.incomplete" in block
            or b"response.failed" in block
            or b"error" in block
            or not block.endswith(EVENT_ENDS)
        ):
            self._read(block)

    def _take(self, event: Event) -> None:
        self.started = True
        name = event_name(event)
        match name:
            case "response.completed" | "response.failed" | "response.incomplete":
                response = parse(event.data, _Responded, _Responded()).response
                self._take_response(name, response)
            case "error":
                self._end(parse(event.data, _ResponseError, _ResponseError()).code or "error")
            case _ if name.endswith(".delta"):
                self.first_content = True
                if self._count_output:
                    self.output_chars += len(parse(event.data, _TextDelta, _TextDelta()).delta)

    def _take_response(self, name: str, response: _Response) -> None:
        details = response.incomplete_details
        self.stop_reason = word(details.reason if details else None) or word(response.status)
        if response.usage:
            self.input_tokens = response.usage.input_tokens
            self.output_tokens = response.usage.output_tokens
        failure = response.error.code if response.error else None
        self._end((failure or "error") if name == "response.failed" else None)


class Chat(Protocol):
    """What OpenAI's clients understand, in Chat Completions and wherever nothing streams."""

    name: ClassVar[str] = "openai"

    def error_body(self, status: int, kind: ErrorKind, message: str, request_id: str) -> bytes:  # noqa: ARG002 - the interface's
        """Return `{"error": {"message", "type", "param", "code"}}`."""
        return to_json({"error": _error(kind, message)})

    def error_event(self, kind: ErrorKind, message: str, request_id: str) -> bytes:
        """Return a chunk with the error, on which the SDK raises; no `[DONE]` may follow."""
        return b"data: " + self.error_body(self.status(kind), kind, message, request_id) + b"\n\n"

    def account(self, *, count_output: bool = False) -> Account:
        """Return the account of a Chat Completions stream."""
        return ChatAccount(count_output=count_output)

    def heartbeat(self, account: Account) -> bytes:
        """Return a comment line without an empty one behind it, which some of the SDKs take for an event."""
        return b"" if account.terminal else COMMENT_LINE_HEARTBEAT


class Responses(Chat):
    """What OpenAI's clients understand in the Responses API."""

    def error_event(self, kind: ErrorKind, message: str, request_id: str) -> bytes:  # noqa: ARG002 - the interface's
        """Return an `error` event: with the fields of the API's own, and with the `error` on which the SDK raises."""
        error = _error(kind, message)
        flat = {"type": "error", "code": error["code"] or error["type"], "message": message, "param": None}
        return b"event: error\ndata: " + to_json({**flat, "sequence_number": 0, "error": error}) + b"\n\n"

    def account(self, *, count_output: bool = False) -> Account:
        """Return the account of a Responses stream."""
        return ResponsesAccount(count_output=count_output)


class Others(Chat):
    """What OpenAI's clients understand on its other routes, of whose streams nothing is known."""

    def account(self, *, count_output: bool = False) -> Account:  # noqa: ARG002 - the interface's
        """Return an account that reads nothing."""
        return Account()


def _error(kind: ErrorKind, message: str) -> dict[str, str | None]:
    error_type, code = _TYPES[kind]
    return {"message": message, "type": error_type, "param": None, "code": code}


CHAT = Chat()
RESPONSES = Responses()
OTHERS = Others()
