"""Clients of OpenAI's Chat Completions served by an upstream that speaks Anthropic's Messages.

https://platform.openai.com/docs/api-reference/chat and https://platform.claude.com/docs/en/api/messages. `fields.py`
says what becomes of each field. Where Anthropic's own layer for OpenAI's SDK has met a question before
(https://platform.claude.com/docs/en/api/openai-sdk), its answer is ours, unless it would change what was asked for.

Thinking travels in the assistant's message, as `reasoning_content` to be read and as `reasoning_details` to be sent
back: `{"type": "reasoning.text", "index", "text", "signature"}` for a thinking block, `{"type": "reasoning.encrypted",
"index", "data"}` for a redacted one, `index` being its place in the list.
"""

from typing import ClassVar

from lastcall_sidecar.wire.chat_on_messages import answer, errors, request, stream
from lastcall_sidecar.wire.chat_on_messages.fields import FIELDS
from lastcall_sidecar.wire.translation import Asked, FieldTable, Options, StreamTranslator, Translated, Translation


class ChatOnMessages(Translation):
    """Chat Completions on Messages."""

    upstream_path: ClassVar[str] = "/v1/messages"
    fields: ClassVar[FieldTable] = FIELDS

    def request(self, body: bytes, options: Options) -> Translated:
        """Translate a request for a chat completion into one for a message."""
        return request.translate(body, options)

    def answer(self, body: bytes, asked: Asked) -> bytes:
        """Translate a message into a chat completion."""
        return answer.translate(body, asked)

    def stream(self, asked: Asked) -> StreamTranslator:
        """Begin to translate a message's events into chunks of a chat completion."""
        return stream.MessagesStream(asked)

    def error(self, status: int, body: bytes, request_id: str) -> bytes:
        """Return `{"error": {"message", "type", "param", "code"}}`."""
        return errors.body(status, body, request_id)

    def failed(self, body: bytes) -> int | None:
        """Return the status of an error in the place of a message."""
        return errors.status_of(body)


CHAT_ON_MESSAGES = ChatOnMessages()
