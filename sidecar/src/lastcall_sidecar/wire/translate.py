"""The translations, by the pair of protocols: the client's, the upstream's."""

from collections.abc import Mapping
from typing import Protocol

from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.mending import MENDING
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.translation import Options, Translated, Translation


class Rewriting(Protocol):
    """What makes another request of one."""

    def request(self, body: bytes, options: Options) -> Translated:
        """Rewrite a request's body, which `body.scan` has accepted. Errors: BodyError."""


TRANSLATIONS: Mapping[tuple[str, str], Translation] = {
    ("openai", "anthropic"): CHAT_ON_MESSAGES,
    ("anthropic", "openai"): MESSAGES_ON_CHAT,
}
#: How requests are rewritten; where both sides speak alike, only those that `RequestBody.may_need_mending`.
REWRITINGS: Mapping[tuple[str, str], Rewriting] = {**TRANSLATIONS, ("anthropic", "anthropic"): MENDING}
