"""What vendors of chat completions want of a conversation beside its words: state of earlier turns, and ids of calls.

By the model's name, as in `models.py`: it is all that is known of who serves it. A row says what is not sent there,
what a turn with calls must have even where the client has nothing to send back, and how long an id may be.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lastcall_sidecar.wire.messages_on_chat import models

#: All that may go back with a message.
REASONING = frozenset({"reasoning_content", "reasoning", "reasoning_details"})
_USUAL = frozenset({"reasoning_content"})
_GEMINI_3 = r"gemini-(?:[3-9]|\d\d)"
#: Of earlier turns that another model thought in. Not empty, which DeepSeek V4 Pro takes for missing
#: (NousResearch/hermes-agent#17341).
_NOTHING_THOUGHT = {"reasoning_content": " "}
#: Google's word for calls that no Gemini made (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQs).
_NOT_GEMINIS = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}


@dataclass(frozen=True, slots=True)
class Vendor:
    """What one vendor takes, and demands."""

    #: For the docs.
    models: str
    pattern: re.Pattern[str] | None
    #: Of `REASONING`, what its API refuses.
    refused: frozenset[str] = frozenset()
    takes_extra_content: bool = True
    #: Fields that a message with calls must have, and what they say where nobody has said how it was thought.
    lacking: Mapping[str, str] = field(default_factory=dict)
    #: Fields of its first call, where no call of it brought any.
    call_lacking: Mapping[str, Any] = field(default_factory=dict)
    #: The longest id of a call; `exact` if no other length is taken, and letters and digits only.
    max_id_chars: int | None = None
    exact: bool = False

    def call_id(self, identity: str) -> str:
        """Return a call's id as this vendor takes it: for one that it refuses, a hash, always the same."""
        if self.max_id_chars is None or self._takes(identity, self.max_id_chars):
            return identity
        digest = base64.b64encode(hashlib.sha256(identity.encode()).digest()).decode()
        return re.sub(r"[^a-zA-Z0-9]", "", digest)[: self.max_id_chars]

    def _takes(self, identity: str, chars: int) -> bool:
        if self.exact:
            return len(identity) == chars and identity.isascii() and identity.isalnum()
        return len(identity) <= chars


#: OpenAI refuses fields that it does not know, and ids of calls above 40 characters.
OPENAI = Vendor("OpenAI's own", None, REASONING, takes_extra_content=False, max_id_chars=40)
OTHERS = Vendor("others", None)
VENDORS = (
    OPENAI,
    # https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
    Vendor("DeepSeek", re.compile(r"(?:.*/)?deepseek"), lacking=_NOTHING_THOUGHT, takes_extra_content=False),
    # continuedev/continue#11600
    Vendor("Kimi", re.compile(r"(?:.*/)?(?:kimi|moonshot)"), lacking=_NOTHING_THOUGHT, takes_extra_content=False),
    # It knows no such fields (SuzumiyaAkizuki/ComfyUI-NewBie-LLM-Formatter#3), but OpenRouter does, where a name has
    # the vendor's before it; so it has at Vertex. Before 3, no signature is demanded.
    Vendor("Gemini from 3 on", re.compile(r"(?:models/)?" + _GEMINI_3), REASONING, call_lacking=_NOT_GEMINIS),
    Vendor("Gemini before 3", re.compile(r"(?:models/)?gemini"), REASONING),
    Vendor("`google/…`, from 3 on", re.compile(r".*/" + _GEMINI_3), _USUAL, call_lacking=_NOT_GEMINIS),
    Vendor("`google/…`, before 3", re.compile(r".*/gemini"), _USUAL),
    # charmbracelet/crush#1590; editor-code-assistant/eca#233: `must be a-z, A-Z, 0-9, with a length of 9`
    Vendor(
        "Mistral",
        re.compile(r"(?:.*/)?(?:open-)?(?:mistral|mixtral|ministral|magistral|codestral|devstral|pixtral)"),
        frozenset({"reasoning_content", "reasoning"}),
        takes_extra_content=False,
        max_id_chars=9,
        exact=True,
    ),
    OTHERS,
)


def vendor_of(model: str) -> Vendor:
    """Return the row of a model's vendor."""
    if models.is_openais(model):
        return OPENAI
    name = model.lower()
    return next((vendor for vendor in VENDORS if vendor.pattern and vendor.pattern.match(name)), OTHERS)
