"""The translations, by the pair of protocols: the client's, the upstream's."""

from collections.abc import Mapping

from lastcall_sidecar.wire.chat_on_messages import CHAT_ON_MESSAGES
from lastcall_sidecar.wire.messages_on_chat import MESSAGES_ON_CHAT
from lastcall_sidecar.wire.translation import Translation

TRANSLATIONS: Mapping[tuple[str, str], Translation] = {
    ("openai", "anthropic"): CHAT_ON_MESSAGES,
    ("anthropic", "openai"): MESSAGES_ON_CHAT,
}
