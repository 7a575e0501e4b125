"""Anthropic's clients (Claude Code, the SDK) on an upstream that speaks OpenAI's Chat Completions (vLLM, OpenAI).

What becomes of each field is in `fields.py`; `tokens.py` is for `/v1/messages/count_tokens`.
"""

from lastcall_sidecar.wire.messages_on_chat.translation import MESSAGES_ON_CHAT

__all__ = ["MESSAGES_ON_CHAT"]
