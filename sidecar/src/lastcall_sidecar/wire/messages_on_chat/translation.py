"""The translation as the pipeline and the relay see it."""

from lastcall_sidecar.wire.messages_on_chat import errors
from lastcall_sidecar.wire.messages_on_chat.answer import translate_answer
from lastcall_sidecar.wire.messages_on_chat.fields import FIELDS
from lastcall_sidecar.wire.messages_on_chat.request import translate_request
from lastcall_sidecar.wire.messages_on_chat.stream import MessageStream
from lastcall_sidecar.wire.translation import Asked, Options, StreamTranslator, Translated, Translation


class MessagesOnChat(Translation):
    """Messages in, chat completions upstream."""

    upstream_path = "/v1/chat/completions"
    fields = FIELDS

    def request(self, body: bytes, options: Options) -> Translated:
        """Translate a request; see `fields.py`."""
        return translate_request(body, options)

    def answer(self, body: bytes, asked: Asked) -> bytes:
        """Translate a `chat.completion` into a `message`."""
        return translate_answer(body, asked)

    def stream(self, asked: Asked) -> StreamTranslator:
        """Begin to translate `chat.completion.chunk`s into a message's events."""
        return MessageStream(asked)

    def error(self, status: int, body: bytes, request_id: str) -> bytes:
        """Return Anthropic's error body with the `type` of the status."""
        return errors.error_body(status, body, request_id)

    def failed(self, body: bytes) -> int | None:
        """Return the status of an error in the place of a `chat.completion`."""
        return errors.status_of(body)


MESSAGES_ON_CHAT = MessagesOnChat()
